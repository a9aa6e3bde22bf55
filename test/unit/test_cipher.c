/*
 * test_cipher.c
 *	  A cipher is taken whole, and only if it is known which one it is.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <openssl/core_dispatch.h>
#include <openssl/err.h>

#include "core/envl_cipher.h"
#include "inject.h"
#include "unit.h"

static const char name[] = "AES-256-GCM";

static void
check_refused(const char *wanted, const char *why)
{
	envl_cipher cipher;

	is_status(envl_cipher_fetch(&cipher, wanted), ENVL_CRYPTO_FAILED, "%s",
			  why);
	ok(all_zero(&cipher, sizeof(cipher)), "nothing is left");
	is((long long) ERR_peek_error(), 0, "libcrypto's queue is empty");
}

static void
test_fetched(void)
{
	envl_cipher cipher;

	is_status(envl_cipher_fetch(&cipher, name), ENVL_OK, "%s", name);
	ok(EVP_CIPHER_is_a(cipher.fetched, name), "is what was fetched");
	envl_cipher_release(&cipher);
	ok(all_zero(&cipher, sizeof(cipher)), "a released cipher is empty");
	envl_cipher_release(&cipher);
	ok(true, "and may be released again");

	/* libcrypto knows it by more than one name. */
	is_status(envl_cipher_fetch(&cipher, "id-aes256-GCM"), ENVL_OK,
			  "by another name");
	ok(EVP_CIPHER_is_a(cipher.fetched, name), "the same");
	envl_cipher_release(&cipher);
}

/* Of what is found in the provider's list; by EVP nothing is looked for. */
static void
test_missing_functions(void)
{
	const int	functions[] = {
		OSSL_FUNC_CIPHER_NEWCTX, OSSL_FUNC_CIPHER_FREECTX,
		OSSL_FUNC_CIPHER_ENCRYPT_INIT, OSSL_FUNC_CIPHER_DECRYPT_INIT,
		OSSL_FUNC_CIPHER_UPDATE, OSSL_FUNC_CIPHER_FINAL,
		OSSL_FUNC_CIPHER_CIPHER, OSSL_FUNC_CIPHER_GET_CTX_PARAMS};

	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
	{
		inject_missing(functions[i]);
		check_refused(name, "a cipher that lacks a function");
	}
	inject_missing(0);
}

int
main(void)
{
	test_fetched();
	check_refused("AES-256-XYZ", "a cipher that nobody has");
#ifndef ENVL_CIPHER_EVP
	test_missing_functions();
	inject_twice(true);
	check_refused(name, "a name that two ciphers have");
	inject_twice(false);
	inject_failure(2);
	check_refused(name, "a provider that lists nothing");
#else
	(void) test_missing_functions;
#endif
	return done_testing();
}
