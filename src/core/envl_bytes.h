/*
 * envl_bytes.h
 *	  Bounds-checked reading and writing of bytes, and strict base64.
 *
 * All parsing and serialising of the core goes through these cursors, so a
 * length is checked in one place.  A cursor never owns memory.  Integers are
 * big-endian.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef ENVL_BYTES_H
#define ENVL_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "envl_status.h"

/* Bytes that somebody else owns and that outlive the view. */
typedef struct envl_view
{
	const uint8_t *data;
	size_t		len;
} envl_view;

/* A view of a string literal, without its terminating NUL. */
#define ENVL_LITERAL(s) \
	((envl_view) {(const uint8_t *) (s), sizeof(s) - 1})

extern bool envl_view_equal(envl_view a, envl_view b);

/*
 * Forward-only reader.  A read past the end returns false, sets an integer's
 * output to zero and does not move the cursor.
 */
typedef struct envl_reader
{
	const uint8_t *next;
	const uint8_t *end;
} envl_reader;

extern envl_reader envl_reader_over(envl_view bytes);
extern size_t envl_reader_left(const envl_reader *reader);
extern bool envl_read_u8(envl_reader *reader, uint8_t *out) ENVL_MUST_CHECK;
extern bool envl_read_u16(envl_reader *reader, uint16_t *out) ENVL_MUST_CHECK;
extern bool envl_read_u48(envl_reader *reader, uint64_t *out) ENVL_MUST_CHECK;
extern bool envl_read_view(envl_reader *reader, size_t len,
						   envl_view *out) ENVL_MUST_CHECK;

/*
 * Forward-only writer into the caller's buffer.  A write past the end writes
 * nothing and the writer stays failed, so check envl_writer_ok once at the
 * end.
 */
typedef struct envl_writer
{
	uint8_t    *start;
	uint8_t    *next;
	uint8_t    *end;
	bool		overflow;
} envl_writer;

extern envl_writer envl_writer_into(uint8_t *buffer, size_t size);
extern void envl_write_u8(envl_writer *writer, uint8_t value);
extern void envl_write_u16(envl_writer *writer, uint16_t value);
extern void envl_write_u48(envl_writer *writer, uint64_t value);
extern void envl_write_view(envl_writer *writer, envl_view bytes);
extern bool envl_writer_ok(const envl_writer *writer) ENVL_MUST_CHECK;
extern size_t envl_writer_len(const envl_writer *writer);

/*
 * Base64 (RFC 4648): the URL alphabet without padding (RFC 7515), or the
 * standard alphabet with padding.  Decoding is strict: each byte string has
 * exactly one text, so white space, missing or extra padding and stray bits at
 * the end are refused.  The table is indexed by public bytes, or by a root key
 * as it is read from its file; never by a DEK or a plaintext.
 */
typedef enum envl_base64
{
	ENVL_BASE64_URL,			/* section 5, no padding */
	ENVL_BASE64_STANDARD		/* section 4, padded */
} envl_base64;

/* Characters that encode len bytes; no terminating NUL. */
extern size_t envl_base64_encoded_len(envl_base64 kind, size_t len);

/* Writes exactly envl_base64_encoded_len(kind, in.len) characters. */
extern void envl_base64_encode(envl_base64 kind, envl_view in, char *out);

/* Upper limit of the bytes that len characters decode to. */
extern size_t envl_base64_decoded_max(size_t len);

/*
 * Decodes into out, which must hold envl_base64_decoded_max(in.len) bytes.  On
 * failure (ENVL_MALFORMED) *out_len is 0 and out is unspecified.
 */
extern envl_status envl_base64_decode(envl_base64 kind, envl_view in,
									  uint8_t *out,
									  size_t *out_len) ENVL_MUST_CHECK;

#endif							/* ENVL_BYTES_H */
