/*
 * prov_pkcs11_format.c
 *	  Encoding and decoding what a PKCS#11 token has sealed.
 *
 * The bytes come from the database, where someone may have altered them.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "providers/pkcs11/prov_pkcs11_format.h"

#include <string.h>

#define FORMAT 1

static void write_header(envl_writer *writer, const prov_pkcs11_blob *blob);
static bool read_blob(envl_reader *reader, prov_pkcs11_blob *blob);
static bool is_ciphertext_len(prov_pkcs11_mechanism mechanism, size_t len);

static const char *const mechanism_names[PROV_PKCS11_MECHANISMS] = {
	[PROV_PKCS11_NO_MECHANISM] = "",
	[PROV_PKCS11_AES_GCM] = "aes-gcm",
	[PROV_PKCS11_AES_KEY_WRAP] = "aes-kw",
	[PROV_PKCS11_AES_KEY_WRAP_PAD] = "aes-kwp",
	[PROV_PKCS11_RSA_OAEP_SHA256] = "rsa-oaep-sha256",
	[PROV_PKCS11_RSA_OAEP_SHA1] = "rsa-oaep-sha1",
};

const char *
prov_pkcs11_mechanism_name(prov_pkcs11_mechanism mechanism)
{
	return mechanism_names[mechanism];
}

prov_pkcs11_mechanism
prov_pkcs11_mechanism_parse(envl_view word)
{
	int			mechanism = PROV_PKCS11_MECHANISMS - 1;

	while (mechanism > PROV_PKCS11_NO_MECHANISM)
	{
		const char *name = mechanism_names[mechanism];
		envl_view	view = {(const uint8_t *) name, strlen(name)};

		if (envl_view_equal(word, view))
			break;
		mechanism--;
	}
	return (prov_pkcs11_mechanism) mechanism;
}

bool
prov_pkcs11_id_equal(const prov_pkcs11_id *a, const prov_pkcs11_id *b)
{
	return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

void
prov_pkcs11_encode(const prov_pkcs11_blob *blob, prov_sealed *sealed)
{
	envl_writer writer = envl_writer_into(sealed->bytes,
										  sizeof(sealed->bytes));

	write_header(&writer, blob);
	if (blob->mechanism == PROV_PKCS11_AES_GCM)
		envl_write_view(&writer, (envl_view) {blob->iv, sizeof(blob->iv)});
	envl_write_view(&writer,
					(envl_view) {blob->ciphertext, blob->ciphertext_len});
	sealed->len = envl_writer_len(&writer);
}

static void
write_header(envl_writer *writer, const prov_pkcs11_blob *blob)
{
	envl_write_u8(writer, FORMAT);
	envl_write_u8(writer, (uint8_t) blob->mechanism);
	envl_write_u8(writer, (uint8_t) blob->id.len);
	envl_write_view(writer, (envl_view) {blob->id.bytes, blob->id.len});
}

bool
prov_pkcs11_decode(envl_view sealed, prov_pkcs11_blob *blob)
{
	envl_reader reader = envl_reader_over(sealed);

	memset(blob, 0, sizeof(*blob));
	if (read_blob(&reader, blob))
		return true;
	memset(blob, 0, sizeof(*blob));
	return false;
}

static bool
read_blob(envl_reader *reader, prov_pkcs11_blob *blob)
{
	envl_view	view;
	uint8_t		format;
	uint8_t		mechanism;
	uint8_t		id_len;

	if (!envl_read_u8(reader, &format) || format != FORMAT ||
		!envl_read_u8(reader, &mechanism) ||
		mechanism == PROV_PKCS11_NO_MECHANISM ||
		mechanism >= PROV_PKCS11_MECHANISMS)
		return false;
	blob->mechanism = (prov_pkcs11_mechanism) mechanism;

	if (!envl_read_u8(reader, &id_len) || id_len > PROV_PKCS11_ID_MAX ||
		!envl_read_view(reader, id_len, &view))
		return false;
	blob->id.len = id_len;
	memcpy(blob->id.bytes, view.data, view.len);

	if (blob->mechanism == PROV_PKCS11_AES_GCM)
	{
		if (!envl_read_view(reader, sizeof(blob->iv), &view))
			return false;
		memcpy(blob->iv, view.data, view.len);
	}

	blob->ciphertext_len = envl_reader_left(reader);
	if (!is_ciphertext_len(blob->mechanism, blob->ciphertext_len) ||
		!envl_read_view(reader, blob->ciphertext_len, &view))
		return false;
	memcpy(blob->ciphertext, view.data, view.len);
	return true;
}

/* Whether the mechanism turns a KEK and its binding into len bytes. */
static bool
is_ciphertext_len(prov_pkcs11_mechanism mechanism, size_t len)
{
	switch (mechanism)
	{
		case PROV_PKCS11_AES_GCM:
			return len == ENVL_SEALED_PLAINTEXT_LEN + ENVL_TAG_LEN;
		case PROV_PKCS11_AES_KEY_WRAP:
		case PROV_PKCS11_AES_KEY_WRAP_PAD:
			return len == ENVL_SEALED_PLAINTEXT_LEN + 8;
		case PROV_PKCS11_RSA_OAEP_SHA256:
		case PROV_PKCS11_RSA_OAEP_SHA1:
			return len >= PROV_PKCS11_RSA_MIN && len <= PROV_PKCS11_RSA_MAX;
		case PROV_PKCS11_NO_MECHANISM:
			break;
	}
	return false;
}

size_t
prov_pkcs11_aad(const prov_pkcs11_blob *blob, envl_view key, uint8_t *aad)
{
	/* The NUL at the end of the literal is part of it. */
	static const char label[] = "pgenvelope/1 pkcs11";
	envl_writer writer = envl_writer_into(aad, PROV_PKCS11_AAD_MAX);

	envl_write_view(&writer,
					(envl_view) {(const uint8_t *) label, sizeof(label)});
	write_header(&writer, blob);
	envl_write_view(&writer, key);
	return envl_writer_len(&writer);
}
