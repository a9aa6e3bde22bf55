/*
 * prov_uri.c
 *	  The URI that names a root key and how to reach it.
 *
 * A URI is configuration, so it is parsed strictly and anything unknown is
 * refused.  No message quotes a URI.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "providers/prov_uri.h"

#include <stdlib.h>
#include <string.h>

static bool is_clean(envl_view text);
static bool is_escape(envl_view text);
static bool is_scheme(envl_view text);
static prov_category parse_authority(envl_view *rest, prov_uri *uri,
									 prov_failure *failure);
static bool parse_port(envl_view digits, unsigned *port);
static prov_category parse_settings(envl_view query, prov_uri *uri,
									prov_failure *failure);
static bool parse_setting(envl_view part, prov_uri_setting *setting);
static bool is_word(envl_view text);
static bool is_host(envl_view text);
static bool copy_fitting(envl_view text, char *out, size_t size);
static bool is_listed(const char *word, const char *const *list);
static int	hex_value(uint8_t c);
static envl_view view_of(const char *text);

prov_category
prov_uri_parse(const char *text, prov_uri *uri, prov_failure *failure)
{
	envl_view	rest = view_of(text);
	envl_view	scheme;
	envl_view	path;

	memset(uri, 0, sizeof(*uri));
	if (!is_clean(rest))
		return prov_fail(failure, PROV_MISCONFIGURED,
						 "The provider's URI has a character that must be "
						 "percent-encoded, or a broken escape.",
						 NULL);
	if (memchr(rest.data, ':', rest.len) == NULL ||
		!prov_uri_next_part(&rest, ':', &scheme) ||
		!is_scheme(scheme) ||
		!copy_fitting(scheme, uri->scheme, sizeof(uri->scheme)))
		return prov_fail(failure, PROV_MISCONFIGURED,
						 "The provider's URI does not start with a scheme.",
						 NULL);

	if (rest.len >= 2 && memcmp(rest.data, "//", 2) == 0)
	{
		prov_category category;

		rest.data += 2;
		rest.len -= 2;
		category = parse_authority(&rest, uri, failure);
		if (category != PROV_OK)
			return category;
	}

	path = rest;
	if (rest.len > 0)
	{
		const uint8_t *mark = memchr(rest.data, '?', rest.len);

		if (mark != NULL)
			path.len = (size_t) (mark - rest.data);
	}
	if (!copy_fitting(path, uri->path, sizeof(uri->path)))
		return prov_fail(failure, PROV_MISCONFIGURED,
						 "The provider's URI is too long.", NULL);
	if (path.len == rest.len)
		return PROV_OK;
	rest.data += path.len + 1;
	rest.len -= path.len + 1;
	return parse_settings(rest, uri, failure);
}

/*
 * Whether all characters may be in a URI and every escape is complete.  "#"
 * may not: a fragment means nothing here.
 */
static bool
is_clean(envl_view text)
{
	for (size_t i = 0; i < text.len; i++)
	{
		uint8_t		c = text.data[i];

		if (c <= 0x20 || c >= 0x7F || strchr("\"#<>\\^`{|}", c) != NULL)
			return false;
		if (c == '%' && !is_escape((envl_view) {text.data + i, text.len - i}))
			return false;
	}
	return true;
}

/* Lower case only, so that each scheme has one spelling. */
static bool
is_scheme(envl_view text)
{
	for (size_t i = 0; i < text.len; i++)
	{
		uint8_t		c = text.data[i];
		bool		letter = c >= 'a' && c <= 'z';

		if (!letter && (i == 0 || !((c >= '0' && c <= '9') || c == '+')))
			return false;
	}
	return text.len > 0;
}

/* Whether the text starts with "%" and two hexadecimal digits. */
static bool
is_escape(envl_view text)
{
	return text.len >= 3 && hex_value(text.data[1]) >= 0 &&
		hex_value(text.data[2]) >= 0;
}

/* HOST[:PORT], up to "/", "?" or the end. */
static prov_category
parse_authority(envl_view *rest, prov_uri *uri, prov_failure *failure)
{
	envl_view	host = *rest;
	envl_view	port = {NULL, 0};
	const uint8_t *colon;
	const uint8_t *end;

	for (host.len = 0; host.len < rest->len; host.len++)
	{
		if (host.data[host.len] == '/' || host.data[host.len] == '?')
			break;
	}
	rest->data += host.len;
	rest->len -= host.len;

	/* The last colon, unless it is inside an IPv6 address. */
	colon = (host.len > 0) ? memrchr(host.data, ':', host.len) : NULL;
	end = host.data + host.len;
	if (colon != NULL && memchr(colon, ']', (size_t) (end - colon)) == NULL)
	{
		port.data = colon + 1;
		port.len = (size_t) (end - port.data);
		host.len = (size_t) (colon - host.data);
	}
	if (!is_host(host) || !copy_fitting(host, uri->host, sizeof(uri->host)) ||
		(port.data != NULL && !parse_port(port, &uri->port)))
		return prov_fail(failure, PROV_MISCONFIGURED,
						 "The provider's URI must have a host and perhaps a "
						 "port behind \"//\", and no user.",
						 NULL);
	return PROV_OK;
}

static bool
parse_port(envl_view digits, unsigned *port)
{
	unsigned	value = 0;

	if (digits.len == 0 || digits.len > 5)
		return false;
	for (size_t i = 0; i < digits.len; i++)
	{
		if (digits.data[i] < '0' || digits.data[i] > '9')
			return false;
		value = value * 10 + (digits.data[i] - '0');
	}
	*port = value;
	return value > 0 && value <= 65535;
}

/* WORD=VALUE&WORD=VALUE... */
static prov_category
parse_settings(envl_view query, prov_uri *uri, prov_failure *failure)
{
	envl_view	part;

	while (prov_uri_next_part(&query, '&', &part))
	{
		prov_uri_setting setting;

		if (uri->settings_len == PROV_URI_WORDS_MAX)
			return prov_fail(failure, PROV_MISCONFIGURED,
							 "The provider's URI has too many settings.",
							 NULL);
		memset(&setting, 0, sizeof(setting));
		if (!parse_setting(part, &setting))
			return prov_fail(failure, PROV_MISCONFIGURED,
							 "A setting in the provider's URI is not of the "
							 "form word=value, or too long.",
							 "It is number %zu behind \"?\".",
							 uri->settings_len + 1);
		if (prov_uri_word(uri, setting.word) != NULL)
			return prov_fail(failure, PROV_MISCONFIGURED,
							 "The provider's URI has a setting twice.",
							 "It is \"%s\".", setting.word);
		uri->settings[uri->settings_len++] = setting;
	}
	return PROV_OK;
}

static bool
parse_setting(envl_view part, prov_uri_setting *setting)
{
	const uint8_t *equals = NULL;
	envl_view	word = part;
	envl_view	value;

	if (part.len > 0)
		equals = memchr(part.data, '=', part.len);
	if (equals == NULL)
		return false;
	word.len = (size_t) (equals - part.data);
	value.data = equals + 1;
	value.len = part.len - word.len - 1;
	return is_word(word) && value.len > 0 &&
		copy_fitting(word, setting->word, sizeof(setting->word)) &&
		prov_uri_decode(value, setting->value, sizeof(setting->value));
}

static bool
is_word(envl_view text)
{
	for (size_t i = 0; i < text.len; i++)
	{
		uint8_t		c = text.data[i];

		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'))
			return false;
	}
	return text.len > 0;
}

/* A name, an IPv4 address, or an IPv6 address in brackets. */
static bool
is_host(envl_view text)
{
	bool		bracket = text.len > 2 && text.data[0] == '[' &&
		text.data[text.len - 1] == ']';

	for (size_t i = bracket ? 1 : 0; i < text.len - (bracket ? 1 : 0); i++)
	{
		uint8_t		c = text.data[i];
		bool		hex = hex_value(c) >= 0;
		bool		name = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			(c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';

		if (bracket ? !(hex || c == ':' || c == '.') : !name)
			return false;
	}
	return text.len > 0;
}

const char *
prov_uri_word(const prov_uri *uri, const char *word)
{
	for (size_t i = 0; i < uri->settings_len; i++)
	{
		if (strcmp(uri->settings[i].word, word) == 0)
			return uri->settings[i].value;
	}
	return NULL;
}

const char *
prov_uri_setting_of(const prov_uri *uri, const char *word,
					const char *variable)
{
	const char *value = NULL;

	if (word != NULL)
		value = prov_uri_word(uri, word);
	if (value == NULL && variable != NULL)
	{
		value = getenv(variable);
		if (value != NULL && value[0] == '\0')
			value = NULL;
	}
	return value;
}

prov_category
prov_uri_only(const prov_uri *uri, const char *const *words,
			  const char *const *more, prov_failure *failure)
{
	for (size_t i = 0; i < uri->settings_len; i++)
	{
		const char *word = uri->settings[i].word;

		if (!is_listed(word, words) && !is_listed(word, more))
			return prov_fail(failure, PROV_MISCONFIGURED,
							 "The provider's URI has a setting that its "
							 "scheme does not know.",
							 "It is \"%s\".", word);
	}
	return PROV_OK;
}

static bool
is_listed(const char *word, const char *const *list)
{
	while (list != NULL && *list != NULL)
	{
		if (strcmp(word, *list++) == 0)
			return true;
	}
	return false;
}

bool
prov_uri_next_part(envl_view *rest, char separator, envl_view *part)
{
	const uint8_t *found = NULL;

	if (rest->data == NULL)
		return false;
	*part = *rest;
	if (rest->len > 0)
		found = memchr(rest->data, separator, rest->len);
	if (found == NULL)
	{
		rest->data = NULL;
		rest->len = 0;
		return true;
	}
	part->len = (size_t) (found - rest->data);
	rest->data = found + 1;
	rest->len -= part->len + 1;
	return true;
}

bool
prov_uri_decode(envl_view encoded, char *out, size_t size)
{
	size_t		len;

	if (size == 0 ||
		!prov_uri_decode_bytes(encoded, (uint8_t *) out, size - 1, &len))
		return false;
	for (size_t i = 0; i < len; i++)
	{
		if ((uint8_t) out[i] < 0x20 || out[i] == 0x7F)
			return false;
	}
	out[len] = '\0';
	return true;
}

bool
prov_uri_decode_bytes(envl_view encoded, uint8_t *out, size_t size,
					  size_t *len)
{
	*len = 0;
	for (size_t i = 0; i < encoded.len; i++)
	{
		uint8_t		c = encoded.data[i];

		if (c == '%')
		{
			if (!is_escape((envl_view) {encoded.data + i, encoded.len - i}))
				return false;
			c = (uint8_t) (hex_value(encoded.data[i + 1]) << 4 |
						   hex_value(encoded.data[i + 2]));
			i += 2;
		}
		if (*len == size)
			return false;
		out[(*len)++] = c;
	}
	return true;
}

bool
prov_uri_encode(const char *text, char *out, size_t size)
{
	static const char digits[] = "0123456789ABCDEF";
	size_t		len = 0;

	for (; *text != '\0'; text++)
	{
		uint8_t		c = (uint8_t) *text;
		bool		plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			(c >= '0' && c <= '9') || strchr("-._~", c) != NULL;

		if (len + (plain ? 1 : 3) >= size)
			return false;
		if (plain)
			out[len++] = (char) c;
		else
		{
			out[len++] = '%';
			out[len++] = digits[c >> 4];
			out[len++] = digits[c & 15];
		}
	}
	if (len >= size)
		return false;
	out[len] = '\0';
	return true;
}

/* False if the text and its NUL do not fit. */
static bool
copy_fitting(envl_view text, char *out, size_t size)
{
	if (text.len >= size)
		return false;
	memcpy(out, text.data, text.len);
	out[text.len] = '\0';
	return true;
}

static int
hex_value(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static envl_view
view_of(const char *text)
{
	return (envl_view) {(const uint8_t *) text, strlen(text)};
}
