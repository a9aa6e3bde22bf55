/*
 * prov_pkcs11.c
 *	  Root keys in PKCS#11 tokens: hardware security modules, smart cards.
 *
 * If a request finds its session, its token or its key gone, everything is
 * reopened from C_Initialize on and the request tried once more.  A second
 * failure is final.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "providers/pkcs11/prov_pkcs11.h"

#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#include "providers/pkcs11/prov_pkcs11_crypt.h"

/* One request; sealed, plaintext and check belong to the verbs. */
typedef struct call
{
	prov_category (*run)(prov_pkcs11_token *token, struct call *asked,
						 prov_failure *failure);
	const char *key;
	const uint8_t *to_seal;
	prov_sealed *sealed;
	prov_pkcs11_blob blob;
	uint8_t    *unsealed;
	prov_check *check;
} call;

static prov_category pkcs11_open(const prov_uri *uri, void **state,
								 prov_failure *failure);
static prov_category pkcs11_seal(void *state, const char *key,
								 const uint8_t *plaintext,
								 prov_sealed *sealed, prov_failure *failure);
static prov_category pkcs11_unseal(void *state, const char *key,
								   envl_view sealed, uint8_t *plaintext,
								   prov_failure *failure);
static prov_category pkcs11_check(void *state, prov_check *check,
								  prov_failure *failure);
static void pkcs11_close(void *state);
static prov_category run_call(prov_pkcs11_token *token, call *asked,
							  prov_failure *failure);
static prov_category run_seal(prov_pkcs11_token *token, call *asked,
							  prov_failure *failure);
static prov_category run_unseal(prov_pkcs11_token *token, call *asked,
								prov_failure *failure);
static bool is_unexplained(const prov_pkcs11_token *token);
static prov_category find_sealer(prov_pkcs11_token *token,
								 const prov_pkcs11_blob *blob,
								 prov_pkcs11_key *root,
								 prov_failure *failure);
static bool try_round_trip(prov_pkcs11_token *token,
						   const prov_pkcs11_key *root, const call *asked);
static prov_category run_check(prov_pkcs11_token *token, call *asked,
							   prov_failure *failure);

const prov_service prov_pkcs11_service = {
	.scheme = "pkcs11",
	.open = pkcs11_open,
	.seal = pkcs11_seal,
	.unseal = pkcs11_unseal,
	.check = pkcs11_check,
	.close = pkcs11_close,
};

static prov_category
pkcs11_open(const prov_uri *uri, void **state, prov_failure *failure)
{
	prov_pkcs11_token *token = calloc(1, sizeof(*token));
	prov_category category;

	if (token == NULL)
		return prov_fail(failure, PROV_UNAVAILABLE, "Memory is short.", NULL);
	category = prov_pkcs11_uri_parse(uri, &token->uri, failure);
	if (category != PROV_OK)
	{
		free(token);
		return category;
	}
	token->session = CK_INVALID_HANDLE;
	*state = token;
	return PROV_OK;
}

static prov_category
pkcs11_seal(void *state, const char *key, const uint8_t *plaintext,
			prov_sealed *sealed, prov_failure *failure)
{
	call		asked = {.run = run_seal,
						 .key = key,
						 .to_seal = plaintext,
						 .sealed = sealed};

	return run_call(state, &asked, failure);
}

static prov_category
pkcs11_unseal(void *state, const char *key, envl_view sealed,
			  uint8_t *plaintext, prov_failure *failure)
{
	call		asked = {.run = run_unseal,
						 .key = key,
						 .unsealed = plaintext};

	if (!prov_pkcs11_decode(sealed, &asked.blob))
		return prov_fail(failure, PROV_INTEGRITY,
						 "The sealed key is not one of a PKCS#11 token.",
						 NULL);
	return run_call(state, &asked, failure);
}

static prov_category
pkcs11_check(void *state, prov_check *check, prov_failure *failure)
{
	call		asked = {.run = run_check, .check = check};

	return run_call(state, &asked, failure);
}

static void
pkcs11_close(void *state)
{
	prov_pkcs11_token *token = state;

	prov_pkcs11_token_close(token);
	envl_wipe(token, sizeof(*token));
	free(token);
}

static prov_category
run_call(prov_pkcs11_token *token, call *asked, prov_failure *failure)
{
	bool		is_second_try = false;

	for (;;)
	{
		prov_category category = prov_pkcs11_token_open(token, failure);

		if (category == PROV_OK)
			category = asked->run(token, asked, failure);
		if (category == PROV_OK ||
			prov_pkcs11_error_cure(token->error) == PROV_PKCS11_NO_CURE)
			return category;
		prov_pkcs11_token_close(token);
		if (is_second_try)
			return category;
		is_second_try = true;
	}
}

static prov_category
run_seal(prov_pkcs11_token *token, call *asked, prov_failure *failure)
{
	prov_pkcs11_key root;
	prov_category category;

	category = prov_pkcs11_key_find(token, NULL, &root, failure);
	if (category == PROV_OK)
		category = prov_pkcs11_key_choose(token, &root,
										  &asked->blob.mechanism, failure);
	if (category == PROV_OK)
		category = prov_pkcs11_seal(token, &root, asked->key,
									asked->to_seal, &asked->blob,
									failure);
	if (category != PROV_OK)
		return category;
	prov_pkcs11_encode(&asked->blob, asked->sealed);
	memcpy(asked->sealed->root_key, root.name, sizeof(root.name));
	return PROV_OK;
}

static prov_category
run_unseal(prov_pkcs11_token *token, call *asked, prov_failure *failure)
{
	prov_pkcs11_key root;
	prov_category category;
	CK_RV		error;

	category = find_sealer(token, &asked->blob, &root, failure);
	if (category != PROV_OK)
		return category;
	category = prov_pkcs11_unseal(token, &root, asked->key, &asked->blob,
								  asked->unsealed, failure);
	if (category == PROV_OK || !is_unexplained(token))
		return category;

	/* Blame the seal only if the token opens a new seal of its own. */
	error = token->error;
	if (!try_round_trip(token, &root, asked))
	{
		token->error = error;
		return category;
	}
	category = prov_pkcs11_unseal(token, &root, asked->key, &asked->blob,
								  asked->unsealed, failure);
	if (category == PROV_OK || !is_unexplained(token))
		return category;
	error = token->error;
	token->error = CKR_OK;
	return prov_pkcs11_fail_as(failure, PROV_INTEGRITY,
							   "The token could not open the sealed key.",
							   "C_Decrypt or C_UnwrapKey", error);
}

/* Whether the token failed with an error that names no cause. */
static bool
is_unexplained(const prov_pkcs11_token *token)
{
	return prov_pkcs11_error_cure(token->error) == PROV_PKCS11_PROBE;
}

/* Finds the key whose id the seal has, if the URI admits that id. */
static prov_category
find_sealer(prov_pkcs11_token *token, const prov_pkcs11_blob *blob,
			prov_pkcs11_key *root, prov_failure *failure)
{
	const prov_pkcs11_id *previous = &token->uri.previous_id;
	prov_category category;

	if (token->uri.has_previous_id &&
		prov_pkcs11_id_equal(&blob->id, previous))
		category = prov_pkcs11_key_find(token, previous, root, failure);
	else
		category = prov_pkcs11_key_find(token, NULL, root, failure);
	if (category != PROV_OK)
		return category;
	if (!prov_pkcs11_id_equal(&blob->id, &root->id))
		return prov_fail(failure, PROV_INTEGRITY,
						 "The key was sealed by a root key of another id.",
						 "The pkcs11: URI leads to \"%s\".", root->name);
	if (prov_pkcs11_key_type(blob->mechanism) != root->type)
		return prov_fail(failure, PROV_INTEGRITY,
						 "The key was sealed by a root key of another type.",
						 "The pkcs11: URI leads to \"%s\".", root->name);
	return PROV_OK;
}

/* Whether the token opens what it seals, by the mechanism of the request. */
static bool
try_round_trip(prov_pkcs11_token *token, const prov_pkcs11_key *root,
			   const call *asked)
{
	uint8_t		before[ENVL_SEALED_PLAINTEXT_LEN];
	uint8_t		after[ENVL_SEALED_PLAINTEXT_LEN];
	prov_pkcs11_blob blob = {.mechanism = asked->blob.mechanism};
	prov_failure failure;

	return RAND_bytes(before, sizeof(before)) == 1 &&
		prov_pkcs11_seal(token, root, asked->key, before, &blob,
						 &failure) == PROV_OK &&
		prov_pkcs11_unseal(token, root, asked->key, &blob, after,
						   &failure) == PROV_OK &&
		memcmp(before, after, sizeof(before)) == 0;
}

static prov_category
run_check(prov_pkcs11_token *token, call *asked, prov_failure *failure)
{
	static const char *const credentials[] = {
		[PROV_PKCS11_NO_PIN] = "",
		[PROV_PKCS11_PIN_FILE] = "PIN from a file",
		[PROV_PKCS11_PIN_COMMAND] = "PIN from a command",
	};
	prov_check *check = asked->check;
	prov_pkcs11_mechanism mechanism;
	prov_pkcs11_key root;
	prov_category category;

	category = prov_pkcs11_key_find(token, NULL, &root, failure);
	if (category == PROV_OK)
		category = prov_pkcs11_key_choose(token, &root, &mechanism, failure);
	if (category != PROV_OK)
		return category;
	memcpy(check->root_key, root.name, sizeof(root.name));
	strcpy(check->credential, credentials[token->uri.pin_source]);
	prov_pkcs11_key_warn(token, &root, check->warning,
						 sizeof(check->warning));
	return PROV_OK;
}
