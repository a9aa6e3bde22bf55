/*
 * envl_cipher.c
 *	  Finding the functions behind a cipher that EVP has fetched.
 *
 * The provider lists its ciphers, each with a table of functions.  EVP copies
 * the functions of the one that it fetches, and this file does the same: they
 * are code, and stay as long as the provider, which the fetched cipher holds
 * on to.
 *
 * Why past EVP: it asks the provider for lengths and more on every call, which
 * makes sealing a value of 16 bytes take 1.36 times as long, and opening it
 * 1.43 times (test/bench/core_bench.c, OpenSSL 3.0.19).  Built with EVP_ONLY=1
 * the same functions go through EVP, for those who must show that nothing else
 * is called, as under FIPS 140.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <string.h>

#include <openssl/err.h>
#include <openssl/provider.h>

#include "envl_cipher.h"

#ifdef ENVL_CIPHER_EVP

/*
 * The same functions by EVP, for who wants nothing but EVP: with these a short
 * value takes longer (docs/performance.md has how much).
 */
typedef struct EvpContext
{
	EVP_CIPHER_CTX *evp;
	EVP_CIPHER *fetched;		/* until the first key is set */
} EvpContext;

static void *
evp_new_context(void *fetched)
{
	EvpContext *context = OPENSSL_zalloc(sizeof(EvpContext));

	if (context == NULL)
		return NULL;
	context->fetched = fetched;
	context->evp = EVP_CIPHER_CTX_new();
	if (context->evp == NULL)
	{
		OPENSSL_free(context);
		return NULL;
	}
	EVP_CIPHER_CTX_set_flags(context->evp, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
	return context;
}

static void
evp_free_context(void *context)
{
	EVP_CIPHER_CTX_free(((EvpContext *) context)->evp);
	OPENSSL_free(context);
}

static int
evp_init(EvpContext *context, const uint8_t *key, const uint8_t *nonce,
		 const OSSL_PARAM params[], int encrypts)
{
	const EVP_CIPHER *fetched = context->fetched;

	context->fetched = NULL;
	return EVP_CipherInit_ex2(context->evp, fetched, key, nonce, encrypts,
							  params);
}

static int
evp_encrypt_init(void *context, const uint8_t *key, size_t key_len,
				 const uint8_t *nonce, size_t nonce_len,
				 const OSSL_PARAM params[])
{
	(void) key_len;
	(void) nonce_len;
	return evp_init(context, key, nonce, params, 1);
}

static int
evp_decrypt_init(void *context, const uint8_t *key, size_t key_len,
				 const uint8_t *nonce, size_t nonce_len,
				 const OSSL_PARAM params[])
{
	(void) key_len;
	(void) nonce_len;
	return evp_init(context, key, nonce, params, 0);
}

static int
evp_update(void *context, uint8_t *out, size_t *out_len, size_t size,
		   const uint8_t *in, size_t len)
{
	int			written = 0;
	int			good = EVP_CipherUpdate(((EvpContext *) context)->evp, out,
										&written, in, (int) len);

	(void) size;
	*out_len = (size_t) written;
	return good;
}

static int
evp_final(void *context, uint8_t *out, size_t *out_len, size_t size)
{
	int			written = 0;
	int			good = EVP_CipherFinal_ex(((EvpContext *) context)->evp, out,
										  &written);

	(void) size;
	*out_len = (size_t) written;
	return good;
}

static int
evp_whole_blocks(void *context, uint8_t *out, size_t *out_len, size_t size,
				 const uint8_t *in, size_t len)
{
	int			written = EVP_Cipher(((EvpContext *) context)->evp, out, in,
									 (unsigned int) len);

	(void) size;
	*out_len = written > 0 ? (size_t) written : 0;
	return written > 0;
}

static int
evp_get_params(void *context, OSSL_PARAM params[])
{
	return EVP_CIPHER_CTX_get_params(((EvpContext *) context)->evp, params);
}

static void
find_functions(envl_cipher *cipher)
{
	cipher->provider = cipher->fetched;
	cipher->new_context = evp_new_context;
	cipher->free_context = evp_free_context;
	cipher->encrypt_init = evp_encrypt_init;
	cipher->decrypt_init = evp_decrypt_init;
	cipher->update = evp_update;
	cipher->final = evp_final;
	cipher->whole_blocks = evp_whole_blocks;
	cipher->get_params = evp_get_params;
}

#else

/* Whether this is the fetched one: EVP calls a cipher by its first name. */
static bool
is_listed_as(const char *name, const OSSL_ALGORITHM *listed)
{
	size_t		len = strcspn(listed->algorithm_names, ":");

	return strlen(name) == len &&
		memcmp(name, listed->algorithm_names, len) == 0;
}

/*
 * Finds the cipher in the provider's list.  NULL if it is missing, or if two
 * have the name: they differ in properties, and we cannot tell which was
 * fetched.
 */
static const OSSL_ALGORITHM *
find_listed(const OSSL_ALGORITHM *list, const char *name)
{
	const OSSL_ALGORITHM *found = NULL;

	for (; list != NULL && list->algorithm_names != NULL; list++)
	{
		if (!is_listed_as(name, list))
			continue;
		if (found != NULL)
			return NULL;
		found = list;
	}
	return found;
}

static void
copy_functions(envl_cipher *cipher, const OSSL_DISPATCH *functions)
{
	for (; functions->function_id != 0; functions++)
	{
		switch (functions->function_id)
		{
			case OSSL_FUNC_CIPHER_NEWCTX:
				cipher->new_context = OSSL_FUNC_cipher_newctx(functions);
				break;
			case OSSL_FUNC_CIPHER_FREECTX:
				cipher->free_context = OSSL_FUNC_cipher_freectx(functions);
				break;
			case OSSL_FUNC_CIPHER_ENCRYPT_INIT:
				cipher->encrypt_init =
					OSSL_FUNC_cipher_encrypt_init(functions);
				break;
			case OSSL_FUNC_CIPHER_DECRYPT_INIT:
				cipher->decrypt_init =
					OSSL_FUNC_cipher_decrypt_init(functions);
				break;
			case OSSL_FUNC_CIPHER_UPDATE:
				cipher->update = OSSL_FUNC_cipher_update(functions);
				break;
			case OSSL_FUNC_CIPHER_FINAL:
				cipher->final = OSSL_FUNC_cipher_final(functions);
				break;
			case OSSL_FUNC_CIPHER_CIPHER:
				cipher->whole_blocks = OSSL_FUNC_cipher_cipher(functions);
				break;
			case OSSL_FUNC_CIPHER_GET_CTX_PARAMS:
				cipher->get_params =
					OSSL_FUNC_cipher_get_ctx_params(functions);
				break;
			default:
				break;
		}
	}
}

static void
find_functions(envl_cipher *cipher)
{
	const OSSL_PROVIDER *provider = EVP_CIPHER_get0_provider(cipher->fetched);
	const OSSL_ALGORITHM *list;
	const OSSL_ALGORITHM *listed;
	int			unused;

	cipher->provider = OSSL_PROVIDER_get0_provider_ctx(provider);
	list = OSSL_PROVIDER_query_operation(provider, OSSL_OP_CIPHER, &unused);
	listed = find_listed(list, EVP_CIPHER_get0_name(cipher->fetched));
	if (listed != NULL)
		copy_functions(cipher, listed->implementation);
	OSSL_PROVIDER_unquery_operation(provider, OSSL_OP_CIPHER, list);
}

#endif

/* A provider may leave any of them out. */
static bool
is_complete(const envl_cipher *cipher)
{
	return cipher->new_context != NULL && cipher->free_context != NULL &&
		cipher->encrypt_init != NULL && cipher->decrypt_init != NULL &&
		cipher->update != NULL && cipher->final != NULL &&
		cipher->whole_blocks != NULL && cipher->get_params != NULL;
}

envl_status
envl_cipher_fetch(envl_cipher *cipher, const char *name)
{
	memset(cipher, 0, sizeof(*cipher));
	cipher->fetched = EVP_CIPHER_fetch(NULL, name, NULL);
	if (cipher->fetched != NULL)
	{
		find_functions(cipher);
		if (is_complete(cipher))
			return ENVL_OK;
	}
	envl_cipher_release(cipher);
	ERR_clear_error();
	return ENVL_CRYPTO_FAILED;
}

void
envl_cipher_release(envl_cipher *cipher)
{
	EVP_CIPHER_free(cipher->fetched);	/* harmless if NULL */
	memset(cipher, 0, sizeof(*cipher));
}

void *
envl_cipher_context(const envl_cipher *cipher)
{
	void	   *context = NULL;

	if (cipher->fetched != NULL)
		context = cipher->new_context(cipher->provider);
	return context;
}

void
envl_cipher_free(const envl_cipher *cipher, void *context)
{
	if (context != NULL)
		cipher->free_context(context);
}
