/*
 * envl_format.h
 *	  The bytes of a value, format 1, and its text form.
 *
 *	  offset size
 *		0	 1	 0xE1: magic and format
 *		1	 1	 suite (high nibble), flags (low nibble)
 *		2	 2	 key version		\ the only bytes
 *		4	 6	 key id				| a rewrap may change are
 *		10	 40	 wrapped DEK		/ 2..3 and 10..49
 *		50	 12	 nonce
 *		62	 2+n length and canonical context, if flagged
 *		..	 m	 ciphertext
 *		..	 16	 tag
 *
 * docs/format.md, sections 2 and 3, is the normative text.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef ENVL_FORMAT_H
#define ENVL_FORMAT_H

#include "envl_suite.h"

#define ENVL_MAGIC_1 0xE1

#define ENVL_FLAG_CONTEXT 0x1	/* the context is stored in the value */
#define ENVL_FLAG_TEXT 0x2		/* the payload is UTF-8 text */
#define ENVL_FLAG_PADDED 0x4	/* the payload is padded, ISO/IEC 7816-4 */
#define ENVL_FLAGS 0x7			/* bit 3 is zero */

#define ENVL_OFFSET_VERSION 2
#define ENVL_OFFSET_KEY_ID 4
#define ENVL_OFFSET_WRAP 10
#define ENVL_OFFSET_NONCE 50
#define ENVL_HEADER_LEN 62		/* everything before the context */
#define ENVL_OVERHEAD 78		/* header and tag */

#define ENVL_KEY_ID_MAX UINT64_C(0xFFFFFFFFFFFF)
#define ENVL_PLAINTEXT_MAX ((size_t) 512 * 1024 * 1024)
#define ENVL_PADDING_MAX 65536	/* the largest padding multiple, in bytes;
								 * padding may lengthen a payload by as much */

/* A parsed value; the views point into the caller's bytes. */
typedef struct envl_envelope
{
	const envl_suite *suite;
	uint8_t		flags;
	uint16_t	key_version;	/* 1..65535 */
	uint64_t	key_id;			/* 48 bits, not zero */
	const uint8_t *wrapped;		/* ENVL_WRAP_LEN bytes */
	const uint8_t *nonce;		/* ENVL_NONCE_LEN bytes */
	envl_view	context;		/* stored context; data NULL if not stored */
	envl_view	ciphertext;
	const uint8_t *tag;			/* ENVL_TAG_LEN bytes */
} envl_envelope;

/*
 * Parses a whole value and checks its structure.  ENVL_UNSUPPORTED: a later
 * version made it.  ENVL_MALFORMED or ENVL_LIMIT: it is no value.
 */
extern envl_status envl_envelope_parse(envl_view bytes,
									   envl_envelope *out) ENVL_MUST_CHECK;

/*
 * Parses only the first ENVL_HEADER_LEN bytes, for a slice of a large value;
 * context, ciphertext and tag stay empty.
 */
extern envl_status envl_header_parse(envl_view bytes,
									 envl_envelope *out) ENVL_MUST_CHECK;

/*
 * The size of a value in bytes; context_len is -1 if the context is not
 * stored.
 */
extern size_t envl_envelope_size(size_t ciphertext_len, int context_len);

/*
 * Serialises a value from all of envelope's fields.  Writes exactly
 * envl_envelope_size(...) bytes.
 */
extern void envl_envelope_encode(const envl_envelope *envelope, uint8_t *out);

/*
 * The text form: "env1." and base64url.  The length is in characters and has
 * no NUL.
 */
extern size_t envl_text_len(size_t envelope_len);
extern void envl_text_encode(envl_view bytes, char *out);

/* Upper limit of the bytes that a text of len characters holds. */
extern size_t envl_text_decoded_max(size_t len);

/* Decodes the text form.  The bytes still need envl_envelope_parse. */
extern envl_status envl_text_decode(envl_view text, uint8_t *out,
									size_t *out_len) ENVL_MUST_CHECK;

/*
 * Whether two values are equal but for what a rewrap may change: all bytes
 * except 2..49.  This is the equality of the SQL type.
 */
extern bool envl_sealed_equal(envl_view a, envl_view b);

#endif							/* ENVL_FORMAT_H */
