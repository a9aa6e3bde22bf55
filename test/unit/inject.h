/*
 * inject.h
 *	  Makes calls of libcrypto fail on purpose.
 *
 * inject.c defines functions of libcrypto's that the core calls; a program's
 * own definition goes before a shared library's, so the core's calls arrive
 * here and are passed on.  The functions of ciphers are a provider's, which
 * lists them: the list that the core gets is of ours, which pass on, too.
 * Armed, one of them does its work, writes its output, leaves an error in
 * libcrypto's queue, and reports that it failed: the worst that can happen to
 * code that must wipe what was written.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef INJECT_H
#define INJECT_H

#include <stdbool.h>

/* Lets the call-th call from now on fail, once; 0 lets none fail. */
extern void inject_failure(unsigned int call);

/* The same, of the calls that report a length: it is one byte short. */
extern void inject_short_length(unsigned int call);

/* The function that was made to fail since, or NULL. */
extern const char *injected(void);

/* Whether libcrypto's default properties seem to ask for FIPS. */
extern void inject_fips(bool asked_for);

/* A function, OSSL_FUNC_CIPHER_..., that ciphers seem not to have; 0: none. */
extern void inject_missing(int function);

/* Whether each cipher seems to be in its provider's list twice. */
extern void inject_twice(bool twice);

#endif							/* INJECT_H */
