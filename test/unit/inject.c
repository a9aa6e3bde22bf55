/*
 * inject.c
 *	  Makes calls of libcrypto fail on purpose.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/core_dispatch.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/provider.h>
#include <openssl/rand.h>

#include "inject.h"

/* The function that would have been called without this file. */
#define REAL(function) ((__typeof__(function) *) real_function(#function))

#define CIPHERS_MAX 1000		/* that a provider has */
#define WATCHED_FUNCTIONS 9

static unsigned int failure_countdown;
static unsigned int short_countdown;
static const char *injected_into;
static bool fips_asked_for;
static int	missing_function;
static bool listed_twice;

/* Calls that libcrypto makes of itself may arrive here too: not counted. */
static unsigned int depth;

void
inject_failure(unsigned int call)
{
	failure_countdown = call;
	short_countdown = 0;
	injected_into = NULL;
}

void
inject_short_length(unsigned int call)
{
	failure_countdown = 0;
	short_countdown = call;
	injected_into = NULL;
}

const char *
injected(void)
{
	return injected_into;
}

void
inject_fips(bool asked_for)
{
	fips_asked_for = asked_for;
}

void
inject_missing(int function)
{
	missing_function = function;
}

void
inject_twice(bool twice)
{
	listed_twice = twice;
}

static void *
real_function(const char *name)
{
	void	   *found = dlsym(RTLD_NEXT, name);

	if (found == NULL)
	{
		printf("Bail out! no %s beyond this program\n", name);
		exit(EXIT_FAILURE);
	}
	return found;
}

static bool
counts_down(unsigned int *countdown, const char *name)
{
	if (depth > 0 || *countdown == 0 || --*countdown > 0)
		return false;
	injected_into = name;
	return true;
}

static bool
fails(const char *name)
{
	if (!counts_down(&failure_countdown, name))
		return false;
	ERR_raise(ERR_LIB_USER, 1);
	return true;
}

/* What an int function returns, after the real one returned result. */
static int
outcome(int result, const char *name)
{
	depth--;
	return fails(name) ? 0 : result;
}

EVP_CIPHER *
EVP_CIPHER_fetch(OSSL_LIB_CTX *library, const char *algorithm,
				 const char *properties)
{
	EVP_CIPHER *result;

	if (fails(__func__))
		return NULL;
	depth++;
	result = REAL(EVP_CIPHER_fetch)(library, algorithm, properties);
	depth--;
	return result;
}

int
EVP_default_properties_is_fips_enabled(OSSL_LIB_CTX *library)
{
	(void) library;
	return fips_asked_for;
}

/* ---------------------------------------------------------------- */
/* The functions of a provider's ciphers                            */
/* ---------------------------------------------------------------- */

/* A cipher that the core uses, and the functions that it really has. */
typedef struct watched_cipher
{
	const char *name;
	OSSL_FUNC_cipher_newctx_fn *new_context;	/* what the core calls */
	const OSSL_DISPATCH *functions;
} watched_cipher;

/* What the core takes for a provider's context. */
typedef struct watched_context
{
	const watched_cipher *cipher;
	void	   *real;
} watched_context;

static OSSL_FUNC_cipher_newctx_fn new_gcm;
static OSSL_FUNC_cipher_newctx_fn new_ecb;
static OSSL_FUNC_cipher_newctx_fn new_wrap;

static watched_cipher watched[] = {
	{"AES-256-GCM:", new_gcm, NULL},
	{"AES-256-ECB:", new_ecb, NULL},
	{"AES-256-WRAP:", new_wrap, NULL},
};

static const OSSL_DISPATCH *
real_entry(const watched_cipher *cipher, int id)
{
	const OSSL_DISPATCH *entry = cipher->functions;

	while (entry->function_id != id)
		entry++;
	return entry;
}

static void *
new_context(const watched_cipher *cipher, void *provider)
{
	watched_context *made;

	if (fails("cipher_newctx"))
		return NULL;
	made = malloc(sizeof(*made));
	if (made == NULL)
		abort();
	made->cipher = cipher;
	made->real = OSSL_FUNC_cipher_newctx(
		real_entry(cipher, OSSL_FUNC_CIPHER_NEWCTX))(provider);
	return made;
}

static void *
new_gcm(void *provider)
{
	return new_context(&watched[0], provider);
}

static void *
new_ecb(void *provider)
{
	return new_context(&watched[1], provider);
}

static void *
new_wrap(void *provider)
{
	return new_context(&watched[2], provider);
}

static void
cipher_freectx(void *context)
{
	watched_context *own = context;

	OSSL_FUNC_cipher_freectx(
		real_entry(own->cipher, OSSL_FUNC_CIPHER_FREECTX))(own->real);
	free(own);
}

static int
cipher_encrypt_init(void *context, const unsigned char *key, size_t key_len,
					const unsigned char *iv, size_t iv_len,
					const OSSL_PARAM parameters[])
{
	watched_context *own = context;

	depth++;
	return outcome(OSSL_FUNC_cipher_encrypt_init(
					   real_entry(own->cipher, OSSL_FUNC_CIPHER_ENCRYPT_INIT))(
					   own->real, key, key_len, iv, iv_len, parameters),
				   __func__);
}

static int
cipher_decrypt_init(void *context, const unsigned char *key, size_t key_len,
					const unsigned char *iv, size_t iv_len,
					const OSSL_PARAM parameters[])
{
	watched_context *own = context;

	depth++;
	return outcome(OSSL_FUNC_cipher_decrypt_init(
					   real_entry(own->cipher, OSSL_FUNC_CIPHER_DECRYPT_INIT))(
					   own->real, key, key_len, iv, iv_len, parameters),
				   __func__);
}

static int
cipher_update(void *context, unsigned char *out, size_t *out_len,
			  size_t out_size, const unsigned char *in, size_t in_len)
{
	watched_context *own = context;
	int			result;

	depth++;
	result = OSSL_FUNC_cipher_update(
		real_entry(own->cipher, OSSL_FUNC_CIPHER_UPDATE))(
		own->real, out, out_len, out_size, in, in_len);
	result = outcome(result, __func__);

	/* AAD has no output, and the core asks for no length of it. */
	if (out != NULL && counts_down(&short_countdown, __func__))
		(*out_len)--;
	return result;
}

static int
cipher_final(void *context, unsigned char *out, size_t *out_len,
			 size_t out_size)
{
	watched_context *own = context;

	depth++;
	return outcome(OSSL_FUNC_cipher_final(
					   real_entry(own->cipher, OSSL_FUNC_CIPHER_FINAL))(
					   own->real, out, out_len, out_size),
				   __func__);
}

static int
cipher_cipher(void *context, unsigned char *out, size_t *out_len,
			  size_t out_size, const unsigned char *in, size_t in_len)
{
	watched_context *own = context;
	int			result;

	depth++;
	result = OSSL_FUNC_cipher_cipher(
		real_entry(own->cipher, OSSL_FUNC_CIPHER_CIPHER))(
		own->real, out, out_len, out_size, in, in_len);
	result = outcome(result, __func__);
	if (counts_down(&short_countdown, __func__))
		(*out_len)--;
	return result;
}

static int
cipher_get_ctx_params(void *context, OSSL_PARAM parameters[])
{
	watched_context *own = context;

	depth++;
	return outcome(OSSL_FUNC_cipher_get_ctx_params(
					   real_entry(own->cipher,
								  OSSL_FUNC_CIPHER_GET_CTX_PARAMS))(
					   own->real, parameters),
				   __func__);
}

/* The functions above, but for the one that is to be missing. */
static void
watch(watched_cipher *cipher, const OSSL_DISPATCH *real, OSSL_DISPATCH *out)
{
	const OSSL_DISPATCH functions[WATCHED_FUNCTIONS] = {
		{OSSL_FUNC_CIPHER_NEWCTX, (void (*)(void)) cipher->new_context},
		{OSSL_FUNC_CIPHER_FREECTX, (void (*)(void)) cipher_freectx},
		{OSSL_FUNC_CIPHER_ENCRYPT_INIT,
		 (void (*)(void)) cipher_encrypt_init},
		{OSSL_FUNC_CIPHER_DECRYPT_INIT,
		 (void (*)(void)) cipher_decrypt_init},
		{OSSL_FUNC_CIPHER_UPDATE, (void (*)(void)) cipher_update},
		{OSSL_FUNC_CIPHER_FINAL, (void (*)(void)) cipher_final},
		{OSSL_FUNC_CIPHER_CIPHER, (void (*)(void)) cipher_cipher},
		{OSSL_FUNC_CIPHER_GET_CTX_PARAMS,
		 (void (*)(void)) cipher_get_ctx_params},
		{OSSL_FUNC_CIPHER_DUPCTX, NULL},	/* which the core does not want */
	};

	cipher->functions = real;
	for (size_t i = 0; i < WATCHED_FUNCTIONS; i++)
	{
		if (functions[i].function_id != missing_function)
			*out++ = functions[i];
	}
	*out = (OSSL_DISPATCH) {0, NULL};
}

const OSSL_ALGORITHM *
OSSL_PROVIDER_query_operation(const OSSL_PROVIDER *provider, int operation,
							  int *no_store)
{
	static OSSL_ALGORITHM out[CIPHERS_MAX];
	static OSSL_DISPATCH functions[3][WATCHED_FUNCTIONS + 1];
	const OSSL_ALGORITHM *real;
	size_t		count = 0;

	if (fails(__func__))
		return NULL;
	real = REAL(OSSL_PROVIDER_query_operation)(provider, operation, no_store);
	for (; real->algorithm_names != NULL; real++)
	{
		if (count + 2 >= CIPHERS_MAX)
			abort();
		out[count++] = *real;
		for (size_t i = 0; i < 3; i++)
		{
			if (strncmp(real->algorithm_names, watched[i].name,
						strlen(watched[i].name)) != 0)
				continue;
			watch(&watched[i], real->implementation, functions[i]);
			out[count - 1].implementation = functions[i];
			if (listed_twice)
			{
				out[count] = out[count - 1];
				count++;
			}
		}
	}
	out[count].algorithm_names = NULL;
	return out;
}

/* ---------------------------------------------------------------- */
/* Digests                                                          */
/* ---------------------------------------------------------------- */

EVP_MD_CTX *
EVP_MD_CTX_new(void)
{
	EVP_MD_CTX *result;

	if (fails(__func__))
		return NULL;
	depth++;
	result = REAL(EVP_MD_CTX_new)();
	depth--;
	return result;
}

int
EVP_DigestInit_ex2(EVP_MD_CTX *context, const EVP_MD *digest,
				   const OSSL_PARAM parameters[])
{
	depth++;
	return outcome(REAL(EVP_DigestInit_ex2)(context, digest, parameters),
				   __func__);
}

int
EVP_DigestUpdate(EVP_MD_CTX *context, const void *in, size_t in_len)
{
	depth++;
	return outcome(REAL(EVP_DigestUpdate)(context, in, in_len), __func__);
}

int
EVP_DigestFinal_ex(EVP_MD_CTX *context, unsigned char *out,
				   unsigned int *out_len)
{
	depth++;
	return outcome(REAL(EVP_DigestFinal_ex)(context, out, out_len),
				   __func__);
}

unsigned char *
EVP_Q_mac(OSSL_LIB_CTX *library, const char *name, const char *properties,
		  const char *subalgorithm, const OSSL_PARAM *parameters,
		  const void *key, size_t key_len, const unsigned char *in,
		  size_t in_len, unsigned char *out, size_t out_size,
		  size_t *out_len)
{
	unsigned char *result;

	depth++;
	result = REAL(EVP_Q_mac)(library, name, properties, subalgorithm,
							 parameters, key, key_len, in, in_len, out,
							 out_size, out_len);
	depth--;
	if (counts_down(&short_countdown, __func__))
		(*out_len)--;
	return fails(__func__) ? NULL : result;
}

int
EVP_Q_digest(OSSL_LIB_CTX *library, const char *name, const char *properties,
			 const void *in, size_t in_len, unsigned char *out,
			 size_t *out_len)
{
	depth++;
	return outcome(REAL(EVP_Q_digest)(library, name, properties, in, in_len,
									  out, out_len),
				   __func__);
}

/* ---------------------------------------------------------------- */
/* Message authentication codes                                     */
/* ---------------------------------------------------------------- */

EVP_MAC *
EVP_MAC_fetch(OSSL_LIB_CTX *library, const char *algorithm,
			  const char *properties)
{
	EVP_MAC    *result;

	if (fails(__func__))
		return NULL;
	depth++;
	result = REAL(EVP_MAC_fetch)(library, algorithm, properties);
	depth--;
	return result;
}

EVP_MAC_CTX *
EVP_MAC_CTX_new(EVP_MAC *mac)
{
	EVP_MAC_CTX *result;

	if (fails(__func__))
		return NULL;
	depth++;
	result = REAL(EVP_MAC_CTX_new)(mac);
	depth--;
	return result;
}

int
EVP_MAC_init(EVP_MAC_CTX *context, const unsigned char *key, size_t key_len,
			 const OSSL_PARAM parameters[])
{
	depth++;
	return outcome(REAL(EVP_MAC_init)(context, key, key_len, parameters),
				   __func__);
}

int
EVP_MAC_update(EVP_MAC_CTX *context, const unsigned char *in, size_t in_len)
{
	depth++;
	return outcome(REAL(EVP_MAC_update)(context, in, in_len), __func__);
}

int
EVP_MAC_final(EVP_MAC_CTX *context, unsigned char *out, size_t *out_len,
			  size_t out_size)
{
	int			result;

	depth++;
	result = outcome(REAL(EVP_MAC_final)(context, out, out_len, out_size),
					 __func__);
	if (counts_down(&short_countdown, __func__))
		(*out_len)--;
	return result;
}

/* ---------------------------------------------------------------- */
/* Signatures                                                       */
/* ---------------------------------------------------------------- */

EVP_PKEY *
EVP_PKEY_new_raw_public_key(int type, ENGINE *engine,
							const unsigned char *key, size_t len)
{
	EVP_PKEY   *result;

	if (fails(__func__))
		return NULL;
	depth++;
	result = REAL(EVP_PKEY_new_raw_public_key)(type, engine, key, len);
	depth--;
	return result;
}

int
EVP_DigestVerifyInit(EVP_MD_CTX *context, EVP_PKEY_CTX **key_context,
					 const EVP_MD *digest, ENGINE *engine, EVP_PKEY *key)
{
	depth++;
	return outcome(REAL(EVP_DigestVerifyInit)(context, key_context, digest,
											  engine, key),
				   __func__);
}

int
EVP_DigestVerify(EVP_MD_CTX *context, const unsigned char *signature,
				 size_t signature_len, const unsigned char *in,
				 size_t in_len)
{
	depth++;
	return outcome(REAL(EVP_DigestVerify)(context, signature, signature_len,
										  in, in_len),
				   __func__);
}

/* ---------------------------------------------------------------- */
/* Random bytes                                                     */
/* ---------------------------------------------------------------- */

EVP_RAND_CTX *
RAND_get0_private(OSSL_LIB_CTX *library)
{
	EVP_RAND_CTX *result;

	if (fails(__func__))
		return NULL;
	depth++;
	result = REAL(RAND_get0_private)(library);
	depth--;
	return result;
}

int
EVP_RAND_generate(EVP_RAND_CTX *generator, unsigned char *out, size_t len,
				  unsigned int strength, int prediction_resistance,
				  const unsigned char *extra, size_t extra_len)
{
	depth++;
	return outcome(REAL(EVP_RAND_generate)(generator, out, len, strength,
										   prediction_resistance, extra,
										   extra_len),
				   __func__);
}

int
getentropy(void *out, size_t len)
{
	if (fails(__func__))
		return -1;
	return REAL(getentropy)(out, len);
}
