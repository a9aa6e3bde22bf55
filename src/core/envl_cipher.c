/*
 * envl_cipher.c
 *	  Finding the functions behind a cipher that EVP has fetched.
 *
 * A provider lists its ciphers, each with a table of functions.  We copy the
 * functions of the cipher that EVP fetched, as EVP itself does.  They are code
 * and stay valid as long as the provider, which the fetched cipher keeps
 * alive.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <string.h>

#include <openssl/err.h>
#include <openssl/provider.h>

#include "envl_cipher.h"

/*
 * Whether the entry is the fetched cipher: EVP knows a cipher by its first
 * name.
 */
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

/* A provider may leave out any of these functions. */
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
	const OSSL_PROVIDER *provider;
	const OSSL_ALGORITHM *list;
	const OSSL_ALGORITHM *listed;
	int			unused;

	memset(cipher, 0, sizeof(*cipher));
	cipher->fetched = EVP_CIPHER_fetch(NULL, name, NULL);
	if (cipher->fetched != NULL)
	{
		provider = EVP_CIPHER_get0_provider(cipher->fetched);
		cipher->provider = OSSL_PROVIDER_get0_provider_ctx(provider);
		list = OSSL_PROVIDER_query_operation(provider, OSSL_OP_CIPHER,
											 &unused);
		listed = find_listed(list, EVP_CIPHER_get0_name(cipher->fetched));
		if (listed != NULL)
			copy_functions(cipher, listed->implementation);
		OSSL_PROVIDER_unquery_operation(provider, OSSL_OP_CIPHER, list);
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
