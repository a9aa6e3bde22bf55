/*
 * prov_jwe.c
 *	  The compact JWE in which a local provider seals a KEK.
 *
 * A header is checked by making it again from its kid and comparing the bytes.
 * So only what we write is accepted, and there is no JSON parser to fool.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "providers/local/prov_jwe.h"

#include <stdio.h>
#include <string.h>

#define HEADER_START "{\"alg\":\"dir\",\"enc\":\"A256GCM\",\"kid\":\""
#define HEADER_END "\"}"

#define PARTS 5

static void write_base64(envl_writer *writer, const uint8_t *bytes,
						 size_t len);
static bool split_parts(const prov_sealed *sealed, envl_view *parts);
static bool decode_part(envl_view part, size_t len, uint8_t *out);
static bool decode_kid(envl_view header, char *kid);
static void write_json(envl_writer *writer, const char *text);
static bool read_json(envl_view json, char *out, size_t size);

void
prov_jwe_set_kid(prov_jwe *jwe, const char *kid)
{
	uint8_t		header[PROV_JWE_HEADER_MAX];
	envl_writer writer = envl_writer_into(header, sizeof(header));
	envl_writer base64 = envl_writer_into(jwe->header, sizeof(jwe->header));

	envl_write_view(&writer, ENVL_LITERAL(HEADER_START));
	write_json(&writer, kid);
	envl_write_view(&writer, ENVL_LITERAL(HEADER_END));
	write_base64(&base64, header, envl_writer_len(&writer));
	jwe->header_len = envl_writer_len(&base64);
}

void
prov_jwe_encode(const prov_jwe *jwe, prov_sealed *sealed)
{
	envl_writer writer = envl_writer_into(sealed->bytes, PROV_SEALED_MAX);

	envl_write_view(&writer, (envl_view) {jwe->header, jwe->header_len});
	envl_write_view(&writer, ENVL_LITERAL(".."));
	write_base64(&writer, jwe->nonce, sizeof(jwe->nonce));
	envl_write_view(&writer, ENVL_LITERAL("."));
	write_base64(&writer, jwe->ciphertext, sizeof(jwe->ciphertext));
	envl_write_view(&writer, ENVL_LITERAL("."));
	write_base64(&writer, jwe->tag, sizeof(jwe->tag));
	sealed->len = envl_writer_len(&writer);
}

/* Writes at most as many bytes as a header has. */
static void
write_base64(envl_writer *writer, const uint8_t *bytes, size_t len)
{
	char		text[PROV_JWE_HEADER_BASE64_MAX];
	envl_view	view = {(const uint8_t *) text,
						envl_base64_encoded_len(ENVL_BASE64_URL, len)};

	envl_base64_encode(ENVL_BASE64_URL, (envl_view) {bytes, len}, text);
	envl_write_view(writer, view);
}

bool
prov_jwe_decode(const prov_sealed *sealed, prov_jwe *jwe, char *kid)
{
	envl_view	parts[PARTS];
	uint8_t		header[PROV_JWE_HEADER_MAX + 3];
	size_t		len;

	if (!split_parts(sealed, parts) ||
		parts[0].len > PROV_JWE_HEADER_BASE64_MAX ||
		envl_base64_decode(ENVL_BASE64_URL, parts[0], header,
						   &len) != ENVL_OK ||
		!decode_kid((envl_view) {header, len}, kid))
		return false;
	prov_jwe_set_kid(jwe, kid);
	return envl_view_equal(parts[0],
						   (envl_view) {jwe->header, jwe->header_len}) &&
		parts[1].len == 0 &&
		decode_part(parts[2], ENVL_NONCE_LEN, jwe->nonce) &&
		decode_part(parts[3], ENVL_SEALED_PLAINTEXT_LEN, jwe->ciphertext) &&
		decode_part(parts[4], ENVL_TAG_LEN, jwe->tag);
}

static bool
split_parts(const prov_sealed *sealed, envl_view *parts)
{
	const uint8_t *next = sealed->bytes;
	const uint8_t *end;

	if (sealed->len > PROV_SEALED_MAX)
		return false;
	end = next + sealed->len;
	for (int i = 0; i < PARTS; i++)
	{
		const uint8_t *dot = memchr(next, '.', (size_t) (end - next));
		bool		is_last = (i == PARTS - 1);

		if (is_last == (dot != NULL))
			return false;
		parts[i].data = next;
		parts[i].len = (size_t) ((is_last ? end : dot) - next);
		if (!is_last)
			next = dot + 1;
	}
	return true;
}

/* Decodes a part that must give exactly len bytes, 48 at most. */
static bool
decode_part(envl_view part, size_t len, uint8_t *out)
{
	uint8_t		decoded[ENVL_SEALED_PLAINTEXT_LEN + 3];
	size_t		decoded_len;

	if (part.len != envl_base64_encoded_len(ENVL_BASE64_URL, len) ||
		envl_base64_decode(ENVL_BASE64_URL, part, decoded,
						   &decoded_len) != ENVL_OK ||
		decoded_len != len)
		return false;
	memcpy(out, decoded, len);
	return true;
}

/* Decodes what is between the fixed start and end of the header. */
static bool
decode_kid(envl_view header, char *kid)
{
	const size_t around = sizeof(HEADER_START) - 1 + sizeof(HEADER_END) - 1;

	if (header.len < around)
		return false;
	header.data += sizeof(HEADER_START) - 1;
	header.len -= around;
	return read_json(header, kid, ENVL_KID_SIZE);
}

/* Writes a text as the inside of a JSON string, spelled as in RFC 8785. */
static void
write_json(envl_writer *writer, const char *text)
{
	static const char letters[] = "btn\0fr";	/* for 0x08 to 0x0D */

	for (; *text != '\0'; text++)
	{
		uint8_t		c = (uint8_t) *text;
		char		escape[7];
		envl_view	view = {(const uint8_t *) escape, 0};

		if (c == '"' || c == '\\')
			snprintf(escape, sizeof(escape), "\\%c", c);
		else if (c >= 0x08 && c <= 0x0D && letters[c - 0x08] != '\0')
			snprintf(escape, sizeof(escape), "\\%c", letters[c - 0x08]);
		else if (c < 0x20)
			snprintf(escape, sizeof(escape), "\\u%04x", c);
		else
			snprintf(escape, sizeof(escape), "%c", c);
		view.len = strlen(escape);
		envl_write_view(writer, view);
	}
}

/*
 * Reads what write_json wrote.  It may be lenient, since the caller writes the
 * result again and compares.
 */
static bool
read_json(envl_view json, char *out, size_t size)
{
	static const char names[] = "btnfr\"\\";
	static const char values[] = "\b\t\n\f\r\"\\";
	static const char digits[] = "0123456789abcdef";
	envl_reader reader = envl_reader_over(json);
	size_t		len = 0;
	uint8_t		c;

	while (envl_read_u8(&reader, &c))
	{
		if (c == '\\')
		{
			envl_view	hex;
			const char *found;

			if (!envl_read_u8(&reader, &c) || c == '\0')
				return false;
			if ((found = strchr(names, c)) != NULL)
				c = (uint8_t) values[found - names];
			else if (c == 'u' && envl_read_view(&reader, 4, &hex) &&
					 hex.data[3] != '\0' &&
					 (found = strchr(digits, hex.data[3])) != NULL)
				c = (uint8_t) ((hex.data[2] == '1' ? 0x10 : 0) +
							   (found - digits));
			else
				return false;
		}
		if (c == '\0' || len + 1 >= size)
			return false;
		out[len++] = (char) c;
	}
	out[len] = '\0';
	return true;
}
