/*
 * envl_suite.c
 *	  The one table of cipher suites, and AES-256-GCM over one reused context.
 *
 * Making a context and finding its cipher costs more than encrypting a small
 * value.  So one context serves every operation and gets only a new key and
 * nonce.  After a failure the state of a context is unknown, so it is thrown
 * away.  libcrypto's error queue is left empty, since the server's TLS uses
 * the same one.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <limits.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>

#include "envl_suite.h"

static const envl_suite suites[] = {
	{ENVL_SUITE_A256KW_A256GCM, "A256KW+A256GCM", "A256KW", "A256GCM"},
};

const envl_suite *
envl_suite_find(uint8_t id)
{
	for (size_t i = 0; i < sizeof(suites) / sizeof(suites[0]); i++)
	{
		if (suites[i].id == id)
			return &suites[i];
	}
	return NULL;
}

envl_status
envl_engine_init(envl_engine *engine)
{
	const char *wrap = "AES-256-ECB";

	memset(engine, 0, sizeof(*engine));
	if (EVP_default_properties_is_fips_enabled(NULL))
	{
		engine->approved_only = true;
		wrap = "AES-256-WRAP";
	}
	if (envl_cipher_fetch(&engine->gcm, "AES-256-GCM") == ENVL_OK &&
		envl_cipher_fetch(&engine->wrap, wrap) == ENVL_OK)
		return ENVL_OK;
	envl_engine_clear(engine);
	return ENVL_CRYPTO_FAILED;
}

/* Throws the context away; the next operation makes a new one. */
static void
gcm_forget(envl_engine *engine)
{
	envl_cipher_free(&engine->gcm, engine->gcm_context);
	engine->gcm_context = NULL;
}

void
envl_engine_clear(envl_engine *engine)
{
	gcm_forget(engine);
	envl_cipher_release(&engine->wrap);
	envl_cipher_release(&engine->gcm);
	memset(engine, 0, sizeof(*engine));
}

/* The tag as a parameter of libcrypto's, to read or to write. */
static OSSL_PARAM
gcm_tag_parameter(uint8_t *tag)
{
	return OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, tag,
											 ENVL_TAG_LEN);
}

/*
 * Runs bytes through the context; out is NULL for AAD.  EVP takes at most
 * INT_MAX bytes, so no provider has been tested with more.
 */
static bool
gcm_update(envl_engine *engine, envl_view in, uint8_t *out)
{
	size_t		written;

	if (in.len == 0)
		return true;
	return in.len <= INT_MAX &&
		engine->gcm.update(engine->gcm_context, out, &written, in.len,
						   in.data, in.len) == 1 &&
		(out == NULL || written == in.len);
}

/*
 * Runs the AAD through the context.  A short AAD is joined first: a call into
 * libcrypto costs more than copying, and more still if it starts within a
 * block.
 */
static bool
gcm_bind(envl_engine *engine, const envl_gcm *gcm)
{
	uint8_t		joined[256];
	envl_view	head = gcm->aad[0];
	envl_view	tail = gcm->aad[1];

	if (head.len > sizeof(joined) || tail.len > sizeof(joined) - head.len)
		return gcm_update(engine, head, NULL) &&
			gcm_update(engine, tail, NULL);
	if (head.len > 0)
		memcpy(joined, head.data, head.len);
	if (tail.len > 0)
		memcpy(joined + head.len, tail.data, tail.len);
	return gcm_update(engine, (envl_view) {joined, head.len + tail.len},
					  NULL);
}

/*
 * Gives the context its key, nonce and AAD, and when opening also the expected
 * tag; tag is NULL when sealing.
 */
static bool
gcm_start(envl_engine *engine, const envl_gcm *gcm, const uint8_t *tag)
{
	OSSL_FUNC_cipher_encrypt_init_fn *init = engine->gcm.encrypt_init;
	OSSL_PARAM	expected[] = {gcm_tag_parameter((uint8_t *) tag),
							  OSSL_PARAM_END};

	if (tag != NULL)
		init = engine->gcm.decrypt_init;
	if (engine->gcm_context == NULL)
		engine->gcm_context = envl_cipher_context(&engine->gcm);
	return engine->gcm_context != NULL &&
		init(engine->gcm_context, gcm->key->bytes, ENVL_KEY_LEN, gcm->nonce,
			 ENVL_NONCE_LEN, tag != NULL ? expected : NULL) == 1 &&
		gcm_bind(engine, gcm);
}

/* Ends the operation.  GCM has no output left at this point. */
static bool
gcm_end(envl_engine *engine)
{
	uint8_t		unused[EVP_MAX_BLOCK_LENGTH];
	size_t		unused_len;

	return engine->gcm.final(engine->gcm_context, unused, &unused_len,
							 sizeof(unused)) == 1;
}

envl_status
envl_gcm_seal(envl_engine *engine, const envl_gcm *gcm, envl_view head,
			  envl_view tail, uint8_t *out, uint8_t *tag)
{
	uint8_t    *tail_out = head.len > 0 ? out + head.len : out;
	OSSL_PARAM	result[] = {gcm_tag_parameter(tag), OSSL_PARAM_END};

	if (gcm_start(engine, gcm, NULL) && gcm_update(engine, head, out) &&
		gcm_update(engine, tail, tail_out) && gcm_end(engine) &&
		engine->gcm.get_params(engine->gcm_context, result) == 1)
		return ENVL_OK;

	gcm_forget(engine);
	ERR_clear_error();
	envl_wipe(out, head.len + tail.len);
	envl_wipe(tag, ENVL_TAG_LEN);
	return ENVL_CRYPTO_FAILED;
}

envl_status
envl_gcm_open(envl_engine *engine, const envl_gcm *gcm,
			  envl_view ciphertext, const uint8_t *tag, uint8_t *out)
{
	envl_status status = ENVL_CRYPTO_FAILED;

	if (gcm_start(engine, gcm, tag) && gcm_update(engine, ciphertext, out))
	{
		if (gcm_end(engine))
			return ENVL_OK;
		status = ENVL_AUTHENTICATION;
	}

	gcm_forget(engine);
	ERR_clear_error();
	envl_wipe(out, ciphertext.len);
	return status;
}
