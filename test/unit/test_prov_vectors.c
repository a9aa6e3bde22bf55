/*
 * test_prov_vectors.c
 *	  The vectors of test/vectors/root: sealed KEKs of the local providers.
 *
 * They were made and are opened by other programs, from docs/format.md alone.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "providers/local/prov_jwe.h"
#include "providers/local/prov_local.h"
#include "scratch.h"
#include "unit.h"

#define VECTORS TEST_DIR "/vectors/root"

/* A vector: header lines, now NUL-terminated, and the body. */
typedef struct vector
{
	char		text[16384];
	size_t		header_len;
	prov_sealed sealed;
} vector;

static void
read_vector(const char *name, vector *v)
{
	char		path[PATH_MAX];
	FILE	   *file;
	size_t		len;
	char	   *body;

	memset(v, 0, sizeof(*v));
	snprintf(path, sizeof(path), "%s/%s", VECTORS, name);
	file = fopen(path, "re");
	if (file == NULL)
	{
		note("could not open %s", path);
		exit(EXIT_FAILURE);
	}
	len = fread(v->text, 1, sizeof(v->text) - 1, file);
	fclose(file);

	/* A body is behind the first empty line, and ends with the file. */
	body = strstr(v->text, "\n\n");
	v->header_len = (body != NULL) ? (size_t) (body + 1 - v->text) : len;
	if (body != NULL)
	{
		v->sealed.len = len - (size_t) (body + 2 - v->text);
		memcpy(v->sealed.bytes, body + 2, v->sealed.len);
	}
	for (size_t i = 0; i < v->header_len; i++)
	{
		if (v->text[i] == '\n')
			v->text[i] = '\0';
	}
}

/* The value of a header line, or NULL. */
static const char *
field(const vector *v, const char *key)
{
	const size_t len = strlen(key);

	for (size_t i = 0; i < v->header_len; i += strlen(v->text + i) + 1)
	{
		const char *line = v->text + i;

		if (strncmp(line, key, len) == 0 && line[len] == ':')
			return line + len + 1 + (line[len + 1] == ' ');
	}
	return NULL;
}

/* Puts the vector's root key or passphrase where a provider looks for it. */
static prov_root
root_of(const vector *v)
{
	uint8_t		key[ENVL_KEY_LEN];
	char		text[64] = "";

	if (strcmp(field(v, "provider"), "passphrase") == 0)
		return scratch_root(PROV_PASSPHRASE,
							scratch_file("passphrase",
										 field(v, "passphrase"), 0600));
	from_hex(field(v, "root_key"), key, sizeof(key));
	envl_base64_encode(ENVL_BASE64_STANDARD,
					   (envl_view) {key, sizeof(key)}, text);
	return scratch_root(PROV_FILE, scratch_file("root", text, 0600));
}

static prov_category
open_vector(const vector *v, envl_key *key, prov_failure *failure)
{
	prov_root	root = root_of(v);
	prov_kek	kek = {field(v, "key_name"),
					   strtoull(field(v, "key_id"), NULL, 16),
					   (uint16_t) atoi(field(v, "key_version"))};
	uint8_t		plaintext[ENVL_SEALED_PLAINTEXT_LEN];
	prov_category category;

	category = prov_local_unseal(&root, NULL, &kek, &v->sealed, plaintext,
								 failure);
	if (category == PROV_OK)
		category = prov_kek_check(&kek, plaintext, key, failure);
	return category;
}

/* A good one also says its root key's name, and is written as it is read. */
static void
check_good(const char *name, const vector *v, const envl_key *key)
{
	uint8_t		want[ENVL_KEY_LEN];
	prov_jwe	jwe;
	char		kid[ENVL_KID_SIZE];
	prov_sealed again;
	prov_failure failure;
	vector		altered = *v;

	from_hex(field(v, "kek"), want, sizeof(want));
	is_bytes((envl_view) {key->bytes, sizeof(key->bytes)},
			 (envl_view) {want, sizeof(want)}, "%s: the KEK", name);
	ok(prov_jwe_decode(&v->sealed, &jwe, kid), "%s: it is decoded", name);
	prov_jwe_encode(&jwe, &again);
	is_bytes((envl_view) {again.bytes, again.len},
			 (envl_view) {v->sealed.bytes, v->sealed.len},
			 "%s: and encoded again", name);

	/* The fingerprint is told where a tag is wrong. */
	altered.sealed.bytes[altered.sealed.len - 2] =
		altered.sealed.bytes[altered.sealed.len - 2] == 'A' ? 'B' : 'A';
	open_vector(&altered, (envl_key *) want, &failure);
	ok(strstr(failure.detail, field(v, "fingerprint")) != NULL,
	   "%s: the fingerprint of the root key", name);
}

static void
check_vector(const char *name)
{
	static vector v;
	envl_key	key;
	prov_failure failure;
	prov_category category;

	read_vector(name, &v);
	memset(&failure, 0, sizeof(failure));
	category = open_vector(&v, &key, &failure);
	if (!is_text(prov_category_name(category), field(&v, "expect"),
				 "%s: %s", name, field(&v, "comment")))
		note("%s (%s)", failure.reason, failure.detail);
	if (category == PROV_OK)
		check_good(name, &v, &key);
	else if (field(&v, "runs_scrypt") != NULL)
		ok(strstr(failure.reason, "cost") != NULL ||
			   strstr(failure.reason, "of this kind") != NULL,
		   "%s: refused before scrypt runs", name);
}

static int
is_vector(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

int
main(void)
{
	struct dirent **entries;
	int			count = scandir(VECTORS, &entries, is_vector, alphasort);

	for (int i = 0; i < count; i++)
	{
		check_vector(entries[i]->d_name);
		free(entries[i]);
	}
	if (ok(count > 0, "there are vectors: %d", count))
		free(entries);
	return done_testing();
}
