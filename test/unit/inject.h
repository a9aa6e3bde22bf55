/*
 * inject.h
 *	  Makes calls of libcrypto fail on purpose.
 *
 * inject.c defines functions of libcrypto's that the core calls; a program's
 * own definition goes before a shared library's, so the core's calls arrive
 * here and are passed on.  Armed, one of them does its work, writes its
 * output, leaves an error in libcrypto's queue, and reports that it failed:
 * the worst that can happen to code that must wipe what was written.
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

#endif							/* INJECT_H */
