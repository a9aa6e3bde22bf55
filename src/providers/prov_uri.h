/*
 * prov_uri.h
 *	  The URI that names a root key and how to reach it.
 *
 *		SCHEME:PATH[?WORD=VALUE[&WORD=VALUE]...]
 *		SCHEME://HOST[:PORT]/PATH[?...]
 *
 * RFC 3986 without user, password and fragment.  A part stays encoded until
 * the caller asks for it and is percent-decoded once, so an encoded "/" or ";"
 * never splits anything.  Parsing refuses what a URI may not hold, such as
 * control characters, encoded or not.
 *
 * The words of the query are the settings of a program.  Each may be given
 * once, and an unknown one is an error: a misspelt "ca-file" must not mean
 * "trust the system's".  No setting is a secret; settings name the files that
 * hold secrets.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PROV_URI_H
#define PROV_URI_H

#include "providers/prov.h"

#define PROV_URI_WORDS_MAX 24
#define PROV_URI_SEGMENTS_MAX 24

typedef struct prov_uri_setting
{
	char		word[32];
	char		value[512];		/* decoded */
} prov_uri_setting;

typedef struct prov_uri
{
	char		scheme[16];		/* as written: lower case */
	char		host[256];		/* "" without authority; IPv6 in [] */
	unsigned	port;			/* 0 if not given */
	char		path[PROV_LOCATION_SIZE];	/* encoded; with authority it is
											 * "" or starts with "/" */
	size_t		settings_len;
	prov_uri_setting settings[PROV_URI_WORDS_MAX];
} prov_uri;

/*
 * Parses a URI.  On failure, PROV_MISCONFIGURED, the reason does not quote the
 * URI: someone may have put a secret there.
 */
extern prov_category prov_uri_parse(const char *text, prov_uri *uri,
									prov_failure *failure);

/* The decoded value of a word; NULL if it was not given. */
extern const char *prov_uri_word(const prov_uri *uri, const char *word);

/*
 * The value of a word, else that of an environment variable, else NULL.  An
 * empty variable counts as none.  Either name may be NULL.
 */
extern const char *prov_uri_setting_of(const prov_uri *uri, const char *word,
									   const char *variable);

/*
 * Refuses every word that none of the lists has.  A list ends with NULL, and
 * may be NULL itself.  The failure names the word, never its value.
 */
extern prov_category prov_uri_only(const prov_uri *uri,
								   const char *const *words,
								   const char *const *more,
								   prov_failure *failure);

/*
 * Takes the next part of *rest up to the separator or the end, and advances
 * behind the separator.  False when nothing is left.  The first part of "/a/b"
 * is empty; "" has no part, "a/" has "a" and an empty one.  A NULL rest->data
 * marks the end.
 */
extern bool prov_uri_next_part(envl_view *rest, char separator,
							   envl_view *part);

/*
 * Percent-decodes into out and adds a NUL.  False if an escape is broken, or
 * if the result has a control character or does not fit.
 */
extern bool prov_uri_decode(envl_view encoded, char *out,
							size_t size) ENVL_MUST_CHECK;

/* As prov_uri_decode, for any bytes, such as ids of PKCS#11. */
extern bool prov_uri_decode_bytes(envl_view encoded, uint8_t *out, size_t size,
								  size_t *len) ENVL_MUST_CHECK;

/*
 * Percent-encodes everything but unreserved characters.  False if it does not
 * fit.
 */
extern bool prov_uri_encode(const char *text, char *out,
							size_t size) ENVL_MUST_CHECK;

#endif							/* PROV_URI_H */
