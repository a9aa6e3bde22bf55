/*
 * envl_string.h
 *	  Text: valid UTF-8, and the strings of canonical JSON.
 *
 * A string of a canonical context (RFC 8785, section 3.2.2.2) has one
 * spelling: only what must be escaped is, in the shortest form.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef ENVL_STRING_H
#define ENVL_STRING_H

#include "envl_bytes.h"

/* Whether bytes are valid UTF-8 (RFC 3629: no surrogates, no overlongs). */
extern bool envl_utf8_valid(envl_view bytes);

/* Writes a string of valid UTF-8 with its quotes. */
extern void envl_string_write(envl_writer *writer, envl_view string);

/*
 * Reads a string with its quotes.  content views what is between them, still
 * escaped.  False for any spelling that envl_string_write does not make.
 */
extern bool envl_string_read(envl_reader *reader,
							 envl_view *content) ENVL_MUST_CHECK;

/*
 * Takes the next unescaped byte of the content of a string that
 * envl_string_read accepted.  Every escape stands for one ASCII character,
 * thus one byte.  Do not call it at the end.
 */
extern uint8_t envl_string_next_byte(envl_reader *content);

#endif							/* ENVL_STRING_H */
