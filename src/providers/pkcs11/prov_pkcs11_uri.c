/*
 * prov_pkcs11_uri.c
 *	  Parsing pkcs11: URIs.
 *
 * Stricter than RFC 7512, which ignores unknown attributes in the query.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "providers/pkcs11/prov_pkcs11_uri.h"

#include <stddef.h>
#include <string.h>

/* An attribute of the path whose value is kept as text. */
typedef struct text_attribute
{
	const char *name;
	size_t		offset;			/* in prov_pkcs11_uri */
	size_t		size;
} text_attribute;

#define TEXT_ATTRIBUTE(name, member) \
	{ \
		name, offsetof(prov_pkcs11_uri, member), \
			sizeof(((prov_pkcs11_uri *) NULL)->member) \
	}

static prov_category parse_attributes(const char *path, prov_pkcs11_uri *out,
									  prov_failure *failure);
static const char *take_attribute(envl_view name, envl_view value,
								  prov_pkcs11_uri *out);
static const char *take_text(const text_attribute *attribute,
							 envl_view value, prov_pkcs11_uri *out);
static const char *take_id(envl_view value, prov_pkcs11_uri *out);
static const char *take_type(envl_view value, prov_pkcs11_uri *out);
static prov_category parse_words(const prov_uri *uri, prov_pkcs11_uri *out,
								 prov_failure *failure);
static const char *take_module_path(const char *path, prov_pkcs11_uri *out);
static const char *take_pin_source(const char *source, prov_pkcs11_uri *out);
static const char *take_how(const prov_uri *uri, prov_pkcs11_uri *out);
static const char *take_previous_id(const char *hex, prov_pkcs11_uri *out);
static const char *take_path(const char *path, char *out, size_t size,
							 const char *refusal);
static int	hex_value(char digit);
static envl_view view_of(const char *text);

static const text_attribute text_attributes[] = {
	TEXT_ATTRIBUTE("token", token),
	TEXT_ATTRIBUTE("manufacturer", manufacturer),
	TEXT_ATTRIBUTE("model", model),
	TEXT_ATTRIBUTE("serial", serial),
	TEXT_ATTRIBUTE("object", object),
};

static const char *const words[] = {
	"module-path", "pin-source", "mechanism", "gcm-params", "gcm-iv",
	"previous-id", NULL};

prov_category
prov_pkcs11_uri_parse(const prov_uri *uri, prov_pkcs11_uri *out,
					  prov_failure *failure)
{
	prov_category category;

	memset(out, 0, sizeof(*out));
	if (uri->host[0] != '\0' || uri->port != 0 || uri->path[0] == '/')
		return prov_fail(failure, PROV_MISCONFIGURED,
						 "A pkcs11: URI names no host and no directory.",
						 NULL);
	category = parse_attributes(uri->path, out, failure);
	if (category == PROV_OK)
		category = parse_words(uri, out, failure);
	return category;
}

/* NAME=VALUE[;NAME=VALUE]... */
static prov_category
parse_attributes(const char *path, prov_pkcs11_uri *out,
				 prov_failure *failure)
{
	envl_view	rest = view_of(path);
	envl_view	value;

	while (prov_uri_next_part(&rest, ';', &value))
	{
		envl_view	name;
		const char *refusal = "An attribute of the pkcs11: URI has no value.";

		if (prov_uri_next_part(&value, '=', &name) && value.data != NULL)
			refusal = take_attribute(name, value, out);
		if (refusal != NULL)
			return prov_fail(failure, PROV_MISCONFIGURED, refusal, NULL);
	}
	if (out->object[0] == '\0' && !out->has_id)
		return prov_fail(failure, PROV_MISCONFIGURED,
						 "The pkcs11: URI has neither \"object\" nor \"id\" "
						 "of the root key.",
						 NULL);
	return PROV_OK;
}

/* Returns NULL, or what is wrong. */
static const char *
take_attribute(envl_view name, envl_view value, prov_pkcs11_uri *out)
{
	size_t		count = sizeof(text_attributes) / sizeof(text_attributes[0]);

	for (size_t i = 0; i < count; i++)
	{
		if (envl_view_equal(name, view_of(text_attributes[i].name)))
			return take_text(&text_attributes[i], value, out);
	}
	if (envl_view_equal(name, ENVL_LITERAL("id")))
		return take_id(value, out);
	if (envl_view_equal(name, ENVL_LITERAL("type")))
		return take_type(value, out);
	return "The pkcs11: URI has an attribute that is not known: the known "
		   "ones are token, manufacturer, model, serial, object, id and type.";
}

static const char *
take_text(const text_attribute *attribute, envl_view value,
		  prov_pkcs11_uri *out)
{
	char	   *text = (char *) out + attribute->offset;

	if (text[0] != '\0')
		return "The pkcs11: URI gives an attribute twice.";
	if (!prov_uri_decode(value, text, attribute->size) || text[0] == '\0')
		return "An attribute of the pkcs11: URI is empty, too long or badly "
			   "encoded.";
	return NULL;
}

static const char *
take_id(envl_view value, prov_pkcs11_uri *out)
{
	if (out->has_id)
		return "The pkcs11: URI gives an attribute twice.";
	if (!prov_uri_decode_bytes(value, out->id.bytes, sizeof(out->id.bytes),
							   &out->id.len) ||
		out->id.len == 0)
		return "The id of the pkcs11: URI is empty, too long or badly "
			   "encoded.";
	out->has_id = true;
	return NULL;
}

static const char *
take_type(envl_view value, prov_pkcs11_uri *out)
{
	if (out->type != PROV_PKCS11_ANY_KEY)
		return "The pkcs11: URI gives an attribute twice.";
	if (envl_view_equal(value, ENVL_LITERAL("secret-key")))
		out->type = PROV_PKCS11_SECRET_KEY;
	else if (envl_view_equal(value, ENVL_LITERAL("private")))
		out->type = PROV_PKCS11_PRIVATE_KEY;
	else
		return "The type of a root key is secret-key or private.";
	return NULL;
}

static prov_category
parse_words(const prov_uri *uri, prov_pkcs11_uri *out, prov_failure *failure)
{
	const char *refusal;
	prov_category category;

	/* RFC 7512 knows this word, so explain why it is refused. */
	if (prov_uri_word(uri, "pin-value") != NULL)
		return prov_fail(failure, PROV_MISCONFIGURED,
						 "A PIN does not belong into a URI: pin-value is "
						 "refused, use pin-source.",
						 NULL);
	category = prov_uri_only(uri, words, NULL, failure);
	if (category != PROV_OK)
		return category;

	refusal = take_module_path(prov_uri_word(uri, "module-path"), out);
	if (refusal == NULL)
		refusal = take_pin_source(prov_uri_word(uri, "pin-source"), out);
	if (refusal == NULL)
		refusal = take_how(uri, out);
	if (refusal == NULL)
		refusal = take_previous_id(prov_uri_word(uri, "previous-id"), out);
	if (refusal != NULL)
		return prov_fail(failure, PROV_MISCONFIGURED, refusal, NULL);
	return PROV_OK;
}

static const char *
take_module_path(const char *path, prov_pkcs11_uri *out)
{
	if (path == NULL)
		return "The pkcs11: URI has no module-path.";
	return take_path(path, out->module_path, sizeof(out->module_path),
					 "The module-path of the pkcs11: URI is not an absolute "
					 "path.");
}

/* file:/path, file:///path or |/path; a bare path is a file too. */
static const char *
take_pin_source(const char *source, prov_pkcs11_uri *out)
{
	if (source == NULL)
		return NULL;
	out->pin_source = PROV_PKCS11_PIN_FILE;
	if (source[0] == '|')
	{
		out->pin_source = PROV_PKCS11_PIN_COMMAND;
		source++;
	}
	else if (strncmp(source, "file:", 5) == 0)
	{
		source += 5;
		if (strncmp(source, "///", 3) == 0)
			source += 2;
	}
	return take_path(source, out->pin_path, sizeof(out->pin_path),
					 "The pin-source of the pkcs11: URI is neither "
					 "file:/path nor |/path.");
}

static const char *
take_how(const prov_uri *uri, prov_pkcs11_uri *out)
{
	const char *mechanism = prov_uri_word(uri, "mechanism");
	const char *params = prov_uri_word(uri, "gcm-params");
	const char *iv = prov_uri_word(uri, "gcm-iv");

	if (mechanism != NULL)
	{
		out->mechanism = prov_pkcs11_mechanism_parse(view_of(mechanism));
		if (out->mechanism == PROV_PKCS11_NO_MECHANISM)
			return "The mechanism of the pkcs11: URI is not known: the known "
				   "ones are aes-gcm, aes-kw, aes-kwp, rsa-oaep-sha256 and "
				   "rsa-oaep-sha1.";
	}
	if (params != NULL)
	{
		if (strcmp(params, "short") != 0)
			return "The gcm-params of the pkcs11: URI can only be short.";
		out->gcm_params_short = true;
	}
	if (iv != NULL)
	{
		if (strcmp(iv, "token") != 0)
			return "The gcm-iv of the pkcs11: URI can only be token.";
		out->gcm_iv_by_token = true;
	}
	return NULL;
}

/* In hexadecimal, since an id may have bytes that no text can. */
static const char *
take_previous_id(const char *hex, prov_pkcs11_uri *out)
{
	size_t		digits;

	if (hex == NULL)
		return NULL;
	digits = strlen(hex);
	if (digits == 0 || digits % 2 != 0 || digits > 2 * PROV_PKCS11_ID_MAX)
		return "The previous-id of the pkcs11: URI is not 1 to 64 bytes in "
			   "hexadecimal.";
	for (size_t i = 0; i < digits; i += 2)
	{
		int			high = hex_value(hex[i]);
		int			low = hex_value(hex[i + 1]);

		if (high < 0 || low < 0)
			return "The previous-id of the pkcs11: URI is not 1 to 64 bytes "
				   "in hexadecimal.";
		out->previous_id.bytes[i / 2] = (uint8_t) (high << 4 | low);
	}
	out->previous_id.len = digits / 2;
	out->has_previous_id = true;
	return NULL;
}

static int
hex_value(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	if (digit >= 'a' && digit <= 'f')
		return digit - 'a' + 10;
	if (digit >= 'A' && digit <= 'F')
		return digit - 'A' + 10;
	return -1;
}

static const char *
take_path(const char *path, char *out, size_t size, const char *refusal)
{
	size_t		len = strlen(path);

	if (path[0] != '/' || path[1] == '/' || len >= size)
		return refusal;
	memcpy(out, path, len + 1);
	return NULL;
}

static envl_view
view_of(const char *text)
{
	return (envl_view) {(const uint8_t *) text, strlen(text)};
}
