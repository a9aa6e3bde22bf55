/*
 * envl_cipher.h
 *	  A cipher of libcrypto's, called where libcrypto itself calls it.
 *
 * EVP asks its provider by name, in every operation, for what is known here:
 * the lengths of key and nonce above all.  For a short value that is a
 * quarter of AES-256-GCM.  So the cipher is fetched through EVP, which is
 * what chooses an implementation and honours the server's configuration and
 * FIPS, and then called by the provider's own interface, provider-cipher(7).
 * It is the one that EVP calls, documented, and the same from OpenSSL 3.0 on.
 *
 * What EVP looked after is the caller's: lengths are right, a context is
 * initialised before it is used, and used no more after a failure.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef ENVL_CIPHER_H
#define ENVL_CIPHER_H

#include <openssl/core_dispatch.h>
#include <openssl/evp.h>

#include "envl_bytes.h"

/* Contexts of a cipher are freed before it. */
typedef struct envl_cipher
{
	EVP_CIPHER *fetched;		/* keeps the provider; NULL: none */
	void	   *provider;		/* what the provider knows itself by */
	OSSL_FUNC_cipher_newctx_fn *new_context;
	OSSL_FUNC_cipher_freectx_fn *free_context;
	OSSL_FUNC_cipher_encrypt_init_fn *encrypt_init;
	OSSL_FUNC_cipher_decrypt_init_fn *decrypt_init;
	OSSL_FUNC_cipher_update_fn *update;
	OSSL_FUNC_cipher_final_fn *final;
	OSSL_FUNC_cipher_cipher_fn *whole_blocks;	/* neither buffers nor pads */
	OSSL_FUNC_cipher_get_ctx_params_fn *get_params;
} envl_cipher;

/* On failure the cipher is left empty; releasing an empty one is harmless. */
extern envl_status envl_cipher_fetch(envl_cipher *cipher,
									 const char *name) ENVL_MUST_CHECK;
extern void envl_cipher_release(envl_cipher *cipher);

/* A context, or NULL: no memory, or an empty cipher. */
extern void *envl_cipher_context(const envl_cipher *cipher);

/* Wipes and frees a context; takes NULL. */
extern void envl_cipher_free(const envl_cipher *cipher, void *context);

#endif							/* ENVL_CIPHER_H */
