/*
 * envl_json.h
 *	  Reading JSON (RFC 8259) where it lies, strictly.
 *
 * For tokens and key sets, which come from anywhere: valid UTF-8, no member
 * named twice, at most ENVL_JSON_DEPTH_MAX levels and ENVL_JSON_MEMBERS_MAX
 * members an object.  A text is read whole by envl_json_read; what is found in
 * it afterwards is known to be well-formed.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef ENVL_JSON_H
#define ENVL_JSON_H

#include "envl_bytes.h"

#define ENVL_JSON_DEPTH_MAX 8
#define ENVL_JSON_MEMBERS_MAX 64

typedef enum envl_json_type
{
	ENVL_JSON_OBJECT,
	ENVL_JSON_ARRAY,
	ENVL_JSON_STRING,
	ENVL_JSON_NUMBER,
	ENVL_JSON_TRUE,
	ENVL_JSON_FALSE,
	ENVL_JSON_NULL
} envl_json_type;

/*
 * A value, as it is spelled: a string without its quotes, an object or array
 * without its brackets.
 */
typedef struct envl_json_value
{
	envl_json_type type;
	envl_view	text;
} envl_json_value;

/* Reads a text that is one value, and white space. */
extern bool envl_json_read(envl_view text,
						   envl_json_value *value) ENVL_MUST_CHECK;

/*
 * The next member of an object, or element of an array, whose reader was made
 * over its text.  False at the end.
 */
extern bool envl_json_next_member(envl_reader *object, envl_view *name,
								  envl_json_value *value);
extern bool envl_json_next_element(envl_reader *array,
								   envl_json_value *value);

/* The member of an object with this name; false if there is none. */
extern bool envl_json_find(const envl_json_value *object, envl_view name,
						   envl_json_value *value);

/* Whether a string, as it is spelled, stands for these bytes. */
extern bool envl_json_is(envl_view string, envl_view bytes);

/* Whether two strings stand for the same. */
extern bool envl_json_same(envl_view a, envl_view b);

/*
 * Writes the bytes that a string stands for, at most as many as it is spelled
 * with; returns how many.
 */
extern size_t envl_json_decode(envl_view string, uint8_t *out);

#endif							/* ENVL_JSON_H */
