/*
 * envl_cipher.h
 *	  A cipher of libcrypto's, called through the provider's own interface.
 *
 * In every operation EVP asks its provider, by name, for facts that never
 * change, above all the lengths of key and nonce.  For a short value that is a
 * quarter of AES-256-GCM.  So we fetch the cipher through EVP, which chooses
 * the implementation and honours the server's configuration and FIPS, and then
 * call it through provider-cipher(7).  EVP calls the same functions; they are
 * documented and have not changed since OpenSSL 3.0.
 *
 * The caller must do what EVP would: pass right lengths, initialise a context
 * before use, and stop using a context after a failure.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef ENVL_CIPHER_H
#define ENVL_CIPHER_H

#include <openssl/core_dispatch.h>
#include <openssl/evp.h>

#include "envl_bytes.h"

/* Free the contexts of a cipher before the cipher. */
typedef struct envl_cipher
{
	EVP_CIPHER *fetched;		/* keeps the provider alive; NULL: no cipher */
	void	   *provider;		/* the provider's context of itself */
	OSSL_FUNC_cipher_newctx_fn *new_context;
	OSSL_FUNC_cipher_freectx_fn *free_context;
	OSSL_FUNC_cipher_encrypt_init_fn *encrypt_init;
	OSSL_FUNC_cipher_decrypt_init_fn *decrypt_init;
	OSSL_FUNC_cipher_update_fn *update;
	OSSL_FUNC_cipher_final_fn *final;
	OSSL_FUNC_cipher_cipher_fn *whole_blocks;	/* update without buffering or
												 * padding */
	OSSL_FUNC_cipher_get_ctx_params_fn *get_params;
} envl_cipher;

/* On failure the cipher is left empty; releasing an empty one is harmless. */
extern envl_status envl_cipher_fetch(envl_cipher *cipher,
									 const char *name) ENVL_MUST_CHECK;
extern void envl_cipher_release(envl_cipher *cipher);

/* Makes a context.  NULL if there is no memory or the cipher is empty. */
extern void *envl_cipher_context(const envl_cipher *cipher);

/* Wipes and frees a context, which may be NULL. */
extern void envl_cipher_free(const envl_cipher *cipher, void *context);

#endif							/* ENVL_CIPHER_H */
