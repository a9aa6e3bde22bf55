/*
 * prov.c
 *	  Names of providers, why they fail, and what exactly they seal.
 *
 * The provider list is configuration, so it is read strictly.  An entry that
 * cannot be parsed is an error and never skipped, because without its provider
 * the values under it cannot be read.  Messages name an entry only by its
 * provider: someone may have pasted a key where a URI belongs.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "providers/prov_uri.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const category_names[PROV_CATEGORIES] = {
	[PROV_OK] = "ok",
	[PROV_UNAVAILABLE] = "unavailable",
	[PROV_THROTTLED] = "throttled",
	[PROV_DENIED] = "denied",
	[PROV_NOT_FOUND] = "not_found",
	[PROV_DISABLED] = "disabled",
	[PROV_INTEGRITY] = "integrity",
	[PROV_MISCONFIGURED] = "misconfigured",
};

static const struct
{
	envl_view	prefix;			/* of the URI; the path follows */
	prov_kind	kind;
} local_schemes[] = {
	{{(const uint8_t *) "file://", 7}, PROV_FILE},
	{{(const uint8_t *) "passphrase://", 13}, PROV_PASSPHRASE},
	{{(const uint8_t *) "command:", 8}, PROV_COMMAND},
};

#define LOCAL_SCHEMES (sizeof(local_schemes) / sizeof(local_schemes[0]))

/* The schemes of our own programs, which parse the rest of the URI. */
static const struct
{
	const char *scheme;
	prov_kind	kind;
} program_schemes[] = {
	{"vault", PROV_KMS},
	{"vault+http", PROV_KMS},
	{"awskms", PROV_KMS},
	{"gcpkms", PROV_KMS},
	{"azurekv", PROV_KMS},
	{"pkcs11", PROV_PKCS11},
};

#define PROGRAM_SCHEMES (sizeof(program_schemes) / sizeof(program_schemes[0]))

static prov_category parse_entry(envl_view entry, prov_root *root,
								 prov_failure *failure);
static prov_category parse_uri(envl_view uri, prov_root *root,
							   prov_failure *failure);
static prov_category parse_path(envl_view path, prov_root *root,
								prov_failure *failure);
static bool is_program_scheme(envl_view uri, prov_kind *kind);
static prov_category parse_program(envl_view uri, prov_root *root,
								   prov_failure *failure);
static bool is_provider_name(envl_view name);
static bool has_control(envl_view text);
static void copy_text(envl_view text, char *out);
static bool is_space(char c);

const char *
prov_category_name(prov_category category)
{
	return category_names[category];
}

bool
prov_category_parse(envl_view word, prov_category *out)
{
	for (int i = PROV_OK + 1; i < PROV_CATEGORIES; i++)
	{
		envl_view	name;

		name.data = (const uint8_t *) category_names[i];
		name.len = strlen(category_names[i]);
		if (envl_view_equal(word, name))
		{
			*out = (prov_category) i;
			return true;
		}
	}
	return false;
}

bool
prov_kind_is_helper(prov_kind kind)
{
	return kind != PROV_FILE && kind != PROV_PASSPHRASE;
}

prov_category
prov_fail(prov_failure *failure, prov_category category, const char *reason,
		  const char *detail, ...)
{
	int			len = 0;

	failure->category = category;
	snprintf(failure->reason, sizeof(failure->reason), "%s", reason);
	failure->detail[0] = '\0';
	if (detail != NULL)
	{
		va_list		args;

		va_start(args, detail);
		len = vsnprintf(failure->detail, sizeof(failure->detail), detail,
						args);
		va_end(args);
	}

	/* The cut may have split a character: drop its first bytes. */
	if (len >= (int) sizeof(failure->detail))
	{
		size_t		end = sizeof(failure->detail) - 1;

		while (end > 0 && (failure->detail[end - 1] & 0x80) != 0)
			end--;
		failure->detail[end] = '\0';
	}
	return category;
}

prov_category
prov_root_next(const char **cursor, prov_root *root, bool *found,
			   prov_failure *failure)
{
	const char *start = *cursor;
	const char *end;
	envl_view	entry;
	prov_category category;

	*found = false;
	memset(root, 0, sizeof(*root));
	while (is_space(*start))
		start++;
	if (*start == '\0')
	{
		*cursor = start;
		return PROV_OK;
	}

	/* Always advance, so that a caller's loop ends. */
	end = start + strcspn(start, ",");
	*cursor = end;
	if (*end == ',')
	{
		const char *rest = end + 1;

		while (is_space(*rest))
			rest++;
		*cursor = rest;
		if (*rest == '\0')
			return prov_fail(failure, PROV_MISCONFIGURED,
							 "The provider list ends with a comma.", NULL);
	}
	while (end > start && is_space(end[-1]))
		end--;

	entry.data = (const uint8_t *) start;
	entry.len = (size_t) (end - start);
	category = parse_entry(entry, root, failure);
	if (category != PROV_OK)
		memset(root, 0, sizeof(*root));
	*found = (category == PROV_OK);
	return category;
}

/* name=URI or name@database=URI */
static prov_category
parse_entry(envl_view entry, prov_root *root, prov_failure *failure)
{
	envl_view	name = entry;
	envl_view	database = {NULL, 0};
	envl_view	uri;
	const uint8_t *at;
	const uint8_t *equals = NULL;

	if (entry.len > 0)
		equals = memchr(entry.data, '=', entry.len);
	if (equals == NULL)
		return prov_fail(failure, PROV_MISCONFIGURED,
						 "An entry of the provider list is not of the form "
						 "name=URI or name@database=URI.",
						 NULL);
	name.len = (size_t) (equals - entry.data);
	uri.data = equals + 1;
	uri.len = entry.len - name.len - 1;

	at = (name.len > 0) ? memchr(name.data, '@', name.len) : NULL;
	if (at != NULL)
	{
		database.data = at + 1;
		database.len = (size_t) (equals - database.data);
		name.len = (size_t) (at - name.data);
	}

	if (!is_provider_name(name))
		return prov_fail(failure, PROV_MISCONFIGURED,
						 "A provider's name must be 1 to 63 letters, digits, "
						 "underscores or hyphens.",
						 NULL);
	copy_text(name, root->name);

	if (at != NULL)
	{
		if (database.len == 0 || database.len >= PROV_NAME_SIZE ||
			has_control(database))
			return prov_fail(failure, PROV_MISCONFIGURED,
							 "The database of a provider must be 1 to 63 "
							 "bytes without control characters.",
							 "The provider is \"%s\".", root->name);
		copy_text(database, root->database);
	}
	return parse_uri(uri, root, failure);
}

static prov_category
parse_uri(envl_view uri, prov_root *root, prov_failure *failure)
{
	for (size_t i = 0; i < LOCAL_SCHEMES; i++)
	{
		envl_view	prefix = local_schemes[i].prefix;

		if (uri.len >= prefix.len &&
			memcmp(uri.data, prefix.data, prefix.len) == 0)
		{
			root->kind = local_schemes[i].kind;
			return parse_path((envl_view) {uri.data + prefix.len,
										  uri.len - prefix.len},
							  root, failure);
		}
	}
	if (is_program_scheme(uri, &root->kind))
		return parse_program(uri, root, failure);
	return prov_fail(failure, PROV_MISCONFIGURED,
					 "A provider's URI must start with file://, "
					 "passphrase://, command:, vault://, awskms:, gcpkms://, "
					 "azurekv:// or pkcs11:.",
					 "The provider is \"%s\".", root->name);
}

/*
 * Takes an absolute path as it is.  Refuses the characters that have a meaning
 * in other URIs, so that they can get one here later.
 */
static prov_category
parse_path(envl_view path, prov_root *root, prov_failure *failure)
{
	if (path.len < 2 || path.data[0] != '/' || path.data[1] == '/')
		return prov_fail(failure, PROV_MISCONFIGURED,
						 "A provider's URI must hold an absolute path, as in "
						 "file:///etc/pgenvelope/root.key.",
						 "The provider is \"%s\".", root->name);
	if (path.len >= PROV_LOCATION_SIZE)
		return prov_fail(failure, PROV_MISCONFIGURED,
						 "A provider's path must be shorter than 1024 bytes.",
						 "The provider is \"%s\".", root->name);
	if (has_control(path) || memchr(path.data, '%', path.len) != NULL ||
		memchr(path.data, '?', path.len) != NULL ||
		memchr(path.data, '#', path.len) != NULL)
		return prov_fail(failure, PROV_MISCONFIGURED,
						 "A provider's path must not hold control characters "
						 "or any of \"%\", \"?\" and \"#\".",
						 "The provider is \"%s\".", root->name);
	copy_text(path, root->location);
	return PROV_OK;
}

static bool
is_program_scheme(envl_view uri, prov_kind *kind)
{
	for (size_t i = 0; i < PROGRAM_SCHEMES; i++)
	{
		size_t		len = strlen(program_schemes[i].scheme);

		if (uri.len > len && uri.data[len] == ':' &&
			memcmp(uri.data, program_schemes[i].scheme, len) == 0)
		{
			*kind = program_schemes[i].kind;
			return true;
		}
	}
	return false;
}

/*
 * Checks only the form; the program judges the rest when it runs.  The URI is
 * its argument, so all users of the machine can see it.
 */
static prov_category
parse_program(envl_view uri, prov_root *root, prov_failure *failure)
{
	prov_uri	parsed;

	if (uri.len >= PROV_LOCATION_SIZE)
		return prov_fail(failure, PROV_MISCONFIGURED,
						 "A provider's URI must be shorter than 1024 bytes.",
						 "The provider is \"%s\".", root->name);
	copy_text(uri, root->location);
	if (prov_uri_parse(root->location, &parsed, failure) != PROV_OK)
	{
		char		reason[sizeof(failure->reason)];

		memcpy(reason, failure->reason, sizeof(reason));
		return prov_fail(failure, PROV_MISCONFIGURED, reason,
						 "The provider is \"%s\".", root->name);
	}
	if (prov_uri_word(&parsed, "pin-value") != NULL)
		return prov_fail(failure, PROV_MISCONFIGURED,
						 "A provider's URI must not hold a PIN: name a file, "
						 "as pin-source.",
						 "The provider is \"%s\".", root->name);
	return PROV_OK;
}

prov_category
prov_kek_bind(const prov_kek *kek, const envl_key *key, uint8_t *plaintext,
			  prov_failure *failure)
{
	if (envl_key_binding(kek->key_id, kek->version,
						 plaintext + ENVL_KEY_LEN) != ENVL_OK)
	{
		envl_wipe(plaintext, ENVL_SEALED_PLAINTEXT_LEN);
		return prov_fail(failure, PROV_UNAVAILABLE,
						 "The cryptographic library failed.", NULL);
	}
	memcpy(plaintext, key->bytes, ENVL_KEY_LEN);
	return PROV_OK;
}

prov_category
prov_kek_check(const prov_kek *kek, const uint8_t *plaintext, envl_key *key,
			   prov_failure *failure)
{
	uint8_t		binding[ENVL_BINDING_LEN];

	envl_wipe(key, sizeof(*key));
	if (envl_key_binding(kek->key_id, kek->version, binding) != ENVL_OK)
		return prov_fail(failure, PROV_UNAVAILABLE,
						 "The cryptographic library failed.", NULL);
	if (!envl_secret_equal(binding, plaintext + ENVL_KEY_LEN,
						   ENVL_BINDING_LEN))
		return prov_fail(failure, PROV_INTEGRITY,
						 "What the provider opened was sealed for another "
						 "key or version.",
						 NULL);
	memcpy(key->bytes, plaintext, ENVL_KEY_LEN);
	return PROV_OK;
}

static bool
is_provider_name(envl_view name)
{
	if (name.len == 0 || name.len >= PROV_NAME_SIZE)
		return false;
	for (size_t i = 0; i < name.len; i++)
	{
		uint8_t		c = name.data[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			  (c >= '0' && c <= '9') || c == '_' || c == '-'))
			return false;
	}
	return true;
}

static bool
has_control(envl_view text)
{
	for (size_t i = 0; i < text.len; i++)
	{
		if (text.data[i] < 0x20 || text.data[i] == 0x7F)
			return true;
	}
	return false;
}

/* The caller has checked that the text fits. */
static void
copy_text(envl_view text, char *out)
{
	memcpy(out, text.data, text.len);
	out[text.len] = '\0';
}

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}
