/*
 * vector.c
 *	  Reads the files of test/vectors.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"
#include "vector.h"

#ifndef TEST_DIR
#define TEST_DIR "test"
#endif

#define VECTOR_MAX ((size_t) 1024 * 1024)

static void
give_up(const char *what, const char *name)
{
	printf("Bail out! %s: %s\n", name, what);
	exit(EXIT_FAILURE);
}

static void
read_file(const char *path, char *text, size_t *len)
{
	FILE	   *file = fopen(path, "rb");

	if (file == NULL)
		give_up("could not be opened", path);
	*len = fread(text, 1, VECTOR_MAX, file);
	if (ferror(file) || *len == VECTOR_MAX)
		give_up("could not be read", path);
	fclose(file);
	text[*len] = '\0';
}

/* The header ends with an empty line, or with the file. */
static void
split(vector *v, size_t len)
{
	char	   *end = v->text;

	while (end < v->text + len && *end != '\n')
	{
		end = memchr(end, '\n', len - (size_t) (end - v->text));
		if (end == NULL)
			give_up("no newline at the end of the header", v->name);
		*end++ = '\0';
	}
	v->header_len = (size_t) (end - v->text);
	v->body = (envl_view) {NULL, 0};
	if (v->header_len < len)
		v->body = (envl_view) {
			(const uint8_t *) end + 1, len - v->header_len - 1};
}

static int
is_vector(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

size_t
vectors_each(const char *directory, void (*check)(const vector *v))
{
	struct dirent **entries;
	char		path[512];
	vector		v;
	int			count;

	snprintf(path, sizeof(path), "%s/vectors/%s", TEST_DIR, directory);
	count = scandir(path, &entries, is_vector, alphasort);
	v.text = malloc(VECTOR_MAX + 1);
	if (count < 0 || v.text == NULL)
		give_up("could not be read", path);
	for (int i = 0; i < count; i++)
	{
		size_t		len;

		snprintf(v.name, sizeof(v.name), "%s/%.200s", directory,
				 entries[i]->d_name);
		snprintf(path, sizeof(path), "%s/vectors/%s", TEST_DIR, v.name);
		read_file(path, v.text, &len);
		split(&v, len);
		check(&v);
		free(entries[i]);
	}
	free(entries);
	free(v.text);
	return (size_t) count;
}

/* The value of the first line with that key, from there on. */
static const char *
find(const vector *v, const char *line, const char *key)
{
	const size_t key_len = strlen(key);
	const char *end = v->text + v->header_len;

	for (; line < end; line += strlen(line) + 1)
	{
		const char *value = line + key_len + 1;

		if (strncmp(line, key, key_len) == 0 && line[key_len] == ':')
			return *value == ' ' ? value + 1 : value;
	}
	return NULL;
}

const char *
vector_field(const vector *v, const char *key)
{
	return find(v, v->text, key);
}

const char *
vector_field_after(const vector *v, const char *key, const char *previous)
{
	return find(v, previous + strlen(previous) + 1, key);
}

envl_view
vector_view(const vector *v, const char *key)
{
	const char *value = vector_field(v, key);

	if (value == NULL)
	{
		ok(false, "%s has %s", v->name, key);
		return (envl_view) {NULL, 0};
	}
	return text_view(value);
}

bool
vector_is(const vector *v, const char *key)
{
	const char *value = vector_field(v, key);

	return value != NULL && strcmp(value, "yes") == 0;
}

envl_view
vector_bytes(const vector *v, const char *key, uint8_t *out, size_t size)
{
	const char *value = vector_field(v, key);

	if (value == NULL)
		give_up(key, v->name);
	return (envl_view) {out, from_hex(value, out, size)};
}

uint64_t
vector_number(const vector *v, const char *key, int base)
{
	const char *value = vector_field(v, key);

	if (value == NULL)
		give_up(key, v->name);
	return strtoull(value, NULL, base);
}
