/*
 * prov_json.h
 *	  Reading JSON replies (over jansson), and writing JSON requests.
 *
 * A path is member names joined by dots, "data.keys.0.name"; a number indexes
 * an array.  A getter returns false, with its output empty, if the value is
 * absent, of another type, too long or holds a NUL.  A JSON text that is not
 * one object, or repeats a member, is refused.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PROV_JSON_H
#define PROV_JSON_H

#include "providers/prov.h"

typedef struct prov_json prov_json;

/*
 * NULL if the text is not a JSON object.  prov_json_free wipes and frees it.
 */
extern prov_json *prov_json_parse(const char *text, size_t len);
extern void prov_json_free(prov_json *json);	/* takes NULL */

/* Copies a string and its NUL into size bytes. */
extern bool prov_json_string(const prov_json *json, const char *path,
							 char *out, size_t size);

/* Reads a number without a fraction. */
extern bool prov_json_integer(const prov_json *json, const char *path,
							  int64_t *out);

/* Reads a number without a fraction, or a string of its decimal digits. */
extern bool prov_json_number(const prov_json *json, const char *path,
							 int64_t *out);

extern bool prov_json_boolean(const prov_json *json, const char *path,
							  bool *out);

/*
 * Decodes a string in strict base64 (of either kind; the URL kind takes no
 * padding) of at most size bytes.  On failure all size bytes of out are wiped.
 */
extern bool prov_json_base64(const prov_json *json, const char *path,
							 envl_base64 kind, uint8_t *out, size_t size,
							 size_t *len);

/* Whether there is any value at the path, null included. */
extern bool prov_json_has(const prov_json *json, const char *path);

/*
 * Writes one JSON object into the caller's buffer, which the caller wipes.
 * Strings are escaped.  Overflow is found out by prov_json_end.
 *
 *		prov_json_begin(&writer, buffer, sizeof(buffer));
 *		prov_json_put(&writer, "KeyId", arn);
 *		prov_json_open(&writer, "EncryptionContext");
 *		prov_json_put(&writer, "pgenvelope", key);
 *		prov_json_shut(&writer);
 *		if (!prov_json_end(&writer, &body)) ...
 */
typedef struct prov_json_writer
{
	char	   *start;
	char	   *next;
	char	   *end;
	bool		overflow;
	bool		first;			/* before the object's first member */
} prov_json_writer;

extern void prov_json_begin(prov_json_writer *writer, char *buffer,
							size_t size);
extern void prov_json_put(prov_json_writer *writer, const char *name,
						  const char *value);
extern void prov_json_put_integer(prov_json_writer *writer, const char *name,
								  int64_t value);
extern void prov_json_put_base64(prov_json_writer *writer, const char *name,
								 envl_base64 kind, envl_view bytes);
extern void prov_json_open(prov_json_writer *writer, const char *name);
extern void prov_json_shut(prov_json_writer *writer);

/*
 * Ends the object; *text views it, and a NUL follows.  False if it did not
 * fit.
 */
extern bool prov_json_end(prov_json_writer *writer,
						  envl_view *text) ENVL_MUST_CHECK;

#endif							/* PROV_JSON_H */
