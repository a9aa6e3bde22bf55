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

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include "inject.h"

/* The function that would have been called without this file. */
#define REAL(function) ((__typeof__(function) *) real_function(#function))

static unsigned int failure_countdown;
static unsigned int short_countdown;
static const char *injected_into;
static bool fips_asked_for;

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

EVP_CIPHER_CTX *
EVP_CIPHER_CTX_new(void)
{
	EVP_CIPHER_CTX *result;

	if (fails(__func__))
		return NULL;
	depth++;
	result = REAL(EVP_CIPHER_CTX_new)();
	depth--;
	return result;
}

int
EVP_CipherInit_ex2(EVP_CIPHER_CTX *context, const EVP_CIPHER *cipher,
				   const unsigned char *key, const unsigned char *iv,
				   int encrypt, const OSSL_PARAM parameters[])
{
	depth++;
	return outcome(REAL(EVP_CipherInit_ex2)(context, cipher, key, iv,
											encrypt, parameters),
				   __func__);
}

int
EVP_CIPHER_CTX_set_padding(EVP_CIPHER_CTX *context, int padding)
{
	depth++;
	return outcome(REAL(EVP_CIPHER_CTX_set_padding)(context, padding),
				   __func__);
}

int
EVP_CipherUpdate(EVP_CIPHER_CTX *context, unsigned char *out, int *out_len,
				 const unsigned char *in, int in_len)
{
	depth++;
	return outcome(REAL(EVP_CipherUpdate)(context, out, out_len, in,
										  in_len),
				   __func__);
}

int
EVP_EncryptUpdate(EVP_CIPHER_CTX *context, unsigned char *out, int *out_len,
				  const unsigned char *in, int in_len)
{
	int			result;

	depth++;
	result = REAL(EVP_EncryptUpdate)(context, out, out_len, in, in_len);
	result = outcome(result, __func__);
	if (counts_down(&short_countdown, __func__))
		(*out_len)--;
	return result;
}

int
EVP_DecryptUpdate(EVP_CIPHER_CTX *context, unsigned char *out, int *out_len,
				  const unsigned char *in, int in_len)
{
	int			result;

	depth++;
	result = REAL(EVP_DecryptUpdate)(context, out, out_len, in, in_len);
	result = outcome(result, __func__);
	if (counts_down(&short_countdown, __func__))
		(*out_len)--;
	return result;
}

int
EVP_Cipher(EVP_CIPHER_CTX *context, unsigned char *out,
		   const unsigned char *in, unsigned int in_len)
{
	int			written;

	depth++;
	written = REAL(EVP_Cipher)(context, out, in, in_len);
	if (outcome(written == (int) in_len, __func__) != 1)
		return -1;
	return counts_down(&short_countdown, __func__) ? written - 1 : written;
}

int
EVP_CipherFinal_ex(EVP_CIPHER_CTX *context, unsigned char *out, int *out_len)
{
	depth++;
	return outcome(REAL(EVP_CipherFinal_ex)(context, out, out_len),
				   __func__);
}

int
EVP_CIPHER_CTX_get_params(EVP_CIPHER_CTX *context, OSSL_PARAM params[])
{
	depth++;
	return outcome(REAL(EVP_CIPHER_CTX_get_params)(context, params),
				   __func__);
}

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
