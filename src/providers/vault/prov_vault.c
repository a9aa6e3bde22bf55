/*
 * prov_vault.c
 *	  Root keys in the transit engine of HashiCorp Vault or OpenBao.
 *
 *		vault://HOST[:PORT]/MOUNT/keys/NAME
 *		vault+http://HOST[:PORT]/MOUNT/keys/NAME	on this machine
 *
 * The sealed bytes are the engine's own ciphertext, "vault:v3:...", which
 * names the version of the key that made it.  The KEK's id and version are the
 * associated data, and for a derived key also its context.
 *
 * Encrypting with a key that does not exist creates it if the token's policy
 * allows "create".  Nobody would back up a root key that was created by
 * accident, so the key is looked up before each seal.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "providers/http/prov_memory.h"
#include "providers/http/kms_services.h"
#include "providers/vault/prov_vault.h"

#define DEFAULT_PORT 8200

/* Room for a sealed KEK in JSON and the other members. */
#define BODY_SIZE (PROV_SEALED_MAX + 1024)

/* What we need to know about a key before using it. */
typedef struct key_facts
{
	int64_t		latest;			/* newest version */
	bool		derived;
} key_facts;

static prov_category open_vault(const prov_uri *uri, void **state,
								prov_failure *failure);
static prov_category fill_in(const prov_uri *uri, vault *self,
							 prov_failure *failure);
static prov_category take_path(const char *path, vault *self,
							   prov_failure *failure);
static bool is_segments(const char *text);
static const char *from_environment(const char *name);
static prov_category vault_seal(void *state, const char *key,
								const uint8_t *plaintext, prov_sealed *sealed,
								prov_failure *failure);
static prov_category vault_unseal(void *state, const char *key,
								  envl_view sealed, uint8_t *plaintext,
								  prov_failure *failure);
static prov_category vault_check(void *state, prov_check *found,
								 prov_failure *failure);
static int64_t vault_idle(void *state);
static void close_vault(void *state);
static prov_category read_key(vault *self, key_facts *facts,
							  prov_failure *failure);
static prov_category call_key(vault *self, const char *verb, const char *key,
							  const char *field, envl_view value, bool encoded,
							  prov_json **json, prov_failure *failure);
static bool parse_version(const char *ciphertext, unsigned long *version);
static void name_version(const vault *self, unsigned long version, char *out);

const prov_service prov_vault = {
	.scheme = "vault",
	.open = open_vault,
	.seal = vault_seal,
	.unseal = vault_unseal,
	.check = vault_check,
	.idle = vault_idle,
	.close = close_vault,
};

const prov_service prov_vault_http = {
	.scheme = "vault+http",
	.open = open_vault,
	.seal = vault_seal,
	.unseal = vault_unseal,
	.check = vault_check,
	.idle = vault_idle,
	.close = close_vault,
};

static prov_category
open_vault(const prov_uri *uri, void **state, prov_failure *failure)
{
	vault	   *self = prov_memory_zeroed(1, sizeof(*self));
	prov_category category;

	if (self == NULL)
		return prov_fail(failure, PROV_UNAVAILABLE,
						 "There is not enough memory.", NULL);
	category = fill_in(uri, self, failure);
	if (category == PROV_OK)
		*state = self;
	else
		prov_memory_free(self);
	return category;
}

static prov_category
fill_in(const prov_uri *uri, vault *self, prov_failure *failure)
{
	static const char *const words[] = {"namespace", NULL};
	const char *all[32];
	size_t		count = 0;
	prov_http_defaults defaults = {from_environment("CACERT"),
								   from_environment("CLIENT_CERT"),
								   from_environment("CLIENT_KEY")};
	const char *name_space = prov_uri_word(uri, "namespace");
	bool		tls = strcmp(uri->scheme, "vault") == 0;
	prov_category category;

	for (size_t i = 0; words[i] != NULL; i++)
		all[count++] = words[i];
	for (size_t i = 0; vault_login_words[i] != NULL; i++)
		all[count++] = vault_login_words[i];
	all[count] = NULL;
	category = prov_uri_only(uri, all, prov_http_words, failure);
	if (category == PROV_OK)
		category = take_path(uri->path, self, failure);
	if (category == PROV_OK)
		category = vault_login_open(uri, &self->login, failure);
	if (category != PROV_OK)
		return category;

	if (uri->host[0] == '\0')
		return prov_fail(failure, PROV_MISCONFIGURED,
						 "The provider's URI has no host.", NULL);
	if (name_space == NULL)
		name_space = from_environment("NAMESPACE");
	if (name_space != NULL &&
		(!is_segments(name_space) ||
		 snprintf(self->namespace, sizeof(self->namespace), "%s",
				  name_space) >= (int) sizeof(self->namespace)))
		return prov_fail(failure, PROV_MISCONFIGURED,
						 "The namespace is not a path.", NULL);

	/* The HTTP client decides whether plain http may be used. */
	snprintf(self->base, sizeof(self->base), "%s://%s:%u/v1/",
			 tls ? "https" : "http", uri->host,
			 uri->port != 0 ? uri->port : DEFAULT_PORT);
	return prov_http_open(uri, &defaults, &self->http, failure);
}

/* /MOUNT/keys/NAME, where the mount may have several parts. */
static prov_category
take_path(const char *path, vault *self, prov_failure *failure)
{
	const char *slash = strrchr(path, '/');
	const char *keys = NULL;

	if (slash != NULL && slash - path >= 6)
		keys = slash - 5;
	if (keys != NULL && path[0] == '/' && strncmp(keys, "/keys/", 6) == 0 &&
		keys > path + 1 && (size_t) (keys - path) <= sizeof(self->mount) &&
		strlen(slash + 1) < sizeof(self->name))
	{
		memcpy(self->mount, path + 1, (size_t) (keys - path - 1));
		strcpy(self->name, slash + 1);
		if (is_segments(self->mount) && is_segments(self->name))
			return PROV_OK;
	}
	return prov_fail(failure, PROV_MISCONFIGURED,
					 "The path of the provider's URI must be "
					 "/MOUNT/keys/NAME, of letters, digits and \"-_.\".",
					 NULL);
}

/* Parts joined by "/", none empty, "." or "..", without escapes. */
static bool
is_segments(const char *text)
{
	size_t		len;

	do
	{
		len = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
						   "abcdefghijklmnopqrstuvwxyz0123456789-_.");
		if (len == 0 || (text[len] != '/' && text[len] != '\0') ||
			strspn(text, ".") == len)
			return false;
		text += len + 1;
	} while (text[-1] == '/');
	return true;
}

/* VAULT_name, or OpenBao's BAO_name; NULL if neither is set. */
static const char *
from_environment(const char *name)
{
	char		variable[40];
	const char *value;

	snprintf(variable, sizeof(variable), "VAULT_%s", name);
	value = getenv(variable);
	if (value == NULL || value[0] == '\0')
	{
		snprintf(variable, sizeof(variable), "BAO_%s", name);
		value = getenv(variable);
	}
	return value != NULL && value[0] != '\0' ? value : NULL;
}

static prov_category
vault_seal(void *state, const char *key, const uint8_t *plaintext,
		   prov_sealed *sealed, prov_failure *failure)
{
	vault	   *self = state;
	key_facts	facts;
	prov_json  *json = NULL;
	char		ciphertext[PROV_SEALED_MAX + 1];
	unsigned long version;
	prov_category category;

	prov_http_begin(self->http);
	category = read_key(self, &facts, failure);
	if (category == PROV_OK)
		category = call_key(self, "encrypt", key, "plaintext",
							(envl_view) {plaintext, ENVL_SEALED_PLAINTEXT_LEN},
							false, &json, failure);
	if (category != PROV_OK)
		return category;
	if (prov_json_string(json, "data.ciphertext", ciphertext,
						 sizeof(ciphertext)) &&
		parse_version(ciphertext, &version))
	{
		sealed->len = strlen(ciphertext);
		memcpy(sealed->bytes, ciphertext, sealed->len);
		name_version(self, version, sealed->root_key);
	}
	else
		category = prov_fail(failure, PROV_UNAVAILABLE,
							 "The service's reply holds no ciphertext.",
							 NULL);
	prov_json_free(json);
	return category;
}

static prov_category
vault_unseal(void *state, const char *key, envl_view sealed,
			 uint8_t *plaintext, prov_failure *failure)
{
	vault	   *self = state;
	char		ciphertext[PROV_SEALED_MAX + 1];
	prov_json  *json;
	unsigned long version;
	size_t		len;
	prov_category category;

	/* Check it here, since it goes into JSON as it is. */
	memcpy(ciphertext, sealed.data, sealed.len);
	ciphertext[sealed.len] = '\0';
	if (strlen(ciphertext) != sealed.len ||
		!parse_version(ciphertext, &version))
		return prov_fail(failure, PROV_INTEGRITY,
						 "The sealed key is not a transit ciphertext.", NULL);

	prov_http_begin(self->http);
	category = call_key(self, "decrypt", key, "ciphertext", sealed, true,
						&json, failure);
	if (category != PROV_OK)
		return category;
	if (!prov_json_base64(json, "data.plaintext", ENVL_BASE64_STANDARD,
						  plaintext, ENVL_SEALED_PLAINTEXT_LEN, &len) ||
		len != ENVL_SEALED_PLAINTEXT_LEN)
	{
		envl_wipe(plaintext, ENVL_SEALED_PLAINTEXT_LEN);
		category = prov_fail(failure, PROV_INTEGRITY,
							 "What the service opened is not a key.", NULL);
	}
	prov_json_free(json);
	return category;
}

static prov_category
vault_check(void *state, prov_check *found, prov_failure *failure)
{
	vault	   *self = state;
	key_facts	facts;
	prov_category category;

	prov_http_begin(self->http);
	category = read_key(self, &facts, failure);
	if (category != PROV_OK)
		return category;
	name_version(self, (unsigned long) facts.latest, found->root_key);
	snprintf(found->credential, sizeof(found->credential), "%s",
			 vault_login_describe(&self->login));
	if (self->token.end_ms != 0)
		found->expires = prov_clock_seconds() +
			(self->token.end_ms - prov_clock_ms()) / 1000;
	return PROV_OK;
}

static int64_t
vault_idle(void *state)
{
	return vault_token_idle(state);
}

static void
close_vault(void *state)
{
	vault	   *self = state;

	prov_http_close(self->http);
	prov_memory_free(self);
}

/* Reads the key's facts, and refuses a key that cannot seal for us. */
static prov_category
read_key(vault *self, key_facts *facts, prov_failure *failure)
{
	char		path[sizeof(self->mount) + sizeof(self->name) + 16];
	char		type[64];
	bool		encrypts;
	prov_json  *json;
	prov_category category;

	snprintf(path, sizeof(path), "%s/keys/%s", self->mount, self->name);
	category = vault_call(self, "GET", path, (envl_view) {NULL, 0}, &json,
						  failure);
	if (category != PROV_OK)
		return category;
	(void) prov_json_boolean(json, "data.derived", &facts->derived);
	if (!prov_json_integer(json, "data.latest_version", &facts->latest) ||
		facts->latest < 1 ||
		!prov_json_string(json, "data.type", type, sizeof(type)))
		category = prov_fail(failure, PROV_UNAVAILABLE,
							 "The service's reply does not describe a key.",
							 NULL);
	else if (strncmp(type, "aes", 3) != 0 &&
			 strstr(type, "chacha20-poly1305") == NULL)
		category = prov_fail(failure, PROV_MISCONFIGURED,
							 "The transit key is not one that encrypts with "
							 "associated data: make it of type aes256-gcm96.",
							 NULL);
	else if (prov_json_boolean(json, "data.supports_encryption", &encrypts) &&
			 !encrypts)
		category = prov_fail(failure, PROV_MISCONFIGURED,
							 "The transit key does not encrypt.", NULL);
	prov_json_free(json);
	return category;
}

/*
 * Calls encrypt or decrypt.  Keys that are not derived ignore the context, so
 * it is always sent and an unseal needs no facts about the key.
 */
static prov_category
call_key(vault *self, const char *verb, const char *key, const char *field,
		 envl_view value, bool encoded, prov_json **json,
		 prov_failure *failure)
{
	char		path[sizeof(self->mount) + sizeof(self->name) + 16];
	char		buffer[BODY_SIZE];
	char		text[PROV_SEALED_MAX + 1];
	envl_view	bound = {(const uint8_t *) key, strlen(key)};
	envl_view	body;
	prov_json_writer writer;
	prov_category category;

	snprintf(path, sizeof(path), "%s/%s/%s", self->mount, verb, self->name);
	prov_json_begin(&writer, buffer, sizeof(buffer));
	if (encoded)
	{
		memcpy(text, value.data, value.len);
		text[value.len] = '\0';
		prov_json_put(&writer, field, text);
	}
	else
		prov_json_put_base64(&writer, field, ENVL_BASE64_STANDARD, value);
	prov_json_put_base64(&writer, "associated_data", ENVL_BASE64_STANDARD,
						 bound);
	prov_json_put_base64(&writer, "context", ENVL_BASE64_STANDARD, bound);
	if (!prov_json_end(&writer, &body))
		category = prov_fail(failure, PROV_INTEGRITY,
							 "The sealed key is too long.", NULL);
	else
		category = vault_call(self, "POST", path, body, json, failure);
	envl_wipe(buffer, sizeof(buffer));
	return category;
}

/* vault:vN:BASE64 */
static bool
parse_version(const char *ciphertext, unsigned long *version)
{
	static const char prefix[] = "vault:v";
	const char *digits = ciphertext + sizeof(prefix) - 1;
	size_t		len;

	if (strncmp(ciphertext, prefix, sizeof(prefix) - 1) != 0)
		return false;
	len = strspn(digits, "0123456789");
	if (len == 0 || len > 9 || digits[0] == '0' || digits[len] != ':')
		return false;
	*version = strtoul(digits, NULL, 10);
	digits += len + 1;
	len = strspn(digits, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
						 "abcdefghijklmnopqrstuvwxyz0123456789+/=");
	return len > 0 && digits[len] == '\0';
}

static void
name_version(const vault *self, unsigned long version, char *out)
{
	snprintf(out, PROV_ROOT_KEY_MAX, "%s:v%lu", self->name, version);
}
