/*
 * envl_key.c
 *	  What identifies a key: binding, key-check value, fingerprint, kid.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>

#include "envl_key.h"
#include "envl_string.h"

#define SHA256_LEN 32
#define KEY_ID_DIGITS 12
#define VERSION_DIGITS 5
#define ID_LEN 8				/* key id and version */

/* The zero byte that ends these strings is part of what is hashed. */
static const uint8_t binding_label[] = "pgenvelope/1 binding";
static const uint8_t kcv_label[] = "pgenvelope/1 kcv";
static const uint8_t root_label[] = "pgenvelope/1 root";
static const uint8_t mark_label[] = "pgenvelope/1 mark";

/* The longest label, with key id and version. */
#define LABELLED_MAX (sizeof(binding_label) + ID_LEN)

/*
 * Writes the label (if not empty), key id and version into out, and returns a
 * view of them.
 */
static envl_view
put_label(envl_view label, uint64_t key_id, uint16_t version, uint8_t *out)
{
	envl_writer writer = envl_writer_into(out, LABELLED_MAX);

	envl_write_view(&writer, label);
	envl_write_u48(&writer, key_id);
	envl_write_u16(&writer, version);
	return (envl_view) {out, envl_writer_len(&writer)};
}

/* SHA-256 of head followed by tail. */
static envl_status
hash_parts(envl_view head, envl_view tail, uint8_t *out)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	bool		hashed;

	hashed = context != NULL &&
		EVP_DigestInit_ex2(context, EVP_sha256(), NULL) == 1 &&
		EVP_DigestUpdate(context, head.data, head.len) == 1 &&
		EVP_DigestUpdate(context, tail.data, tail.len) == 1 &&
		EVP_DigestFinal_ex(context, out, NULL) == 1;
	EVP_MD_CTX_free(context);
	if (hashed)
		return ENVL_OK;
	envl_wipe(out, SHA256_LEN);
	ERR_clear_error();
	return ENVL_CRYPTO_FAILED;
}

/* Computes the first out_len bytes of HMAC-SHA-256. */
static envl_status
hmac_sha256(const envl_key *key, envl_view message, uint8_t *out,
			size_t out_len)
{
	envl_status status = ENVL_CRYPTO_FAILED;
	uint8_t		mac[SHA256_LEN];
	size_t		mac_len = 0;

	if (EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, key->bytes,
				  ENVL_KEY_LEN, message.data, message.len, mac, sizeof(mac),
				  &mac_len) != NULL &&
		mac_len == sizeof(mac))
	{
		memcpy(out, mac, out_len);
		status = ENVL_OK;
	}
	else
	{
		envl_wipe(out, out_len);
		ERR_clear_error();
	}
	envl_wipe(mac, sizeof(mac));
	return status;
}

envl_status
envl_key_binding(uint64_t key_id, uint16_t version, uint8_t *out)
{
	const envl_view label = {binding_label, sizeof(binding_label)};
	const envl_view nothing = {NULL, 0};
	uint8_t		message[LABELLED_MAX];
	uint8_t		digest[SHA256_LEN];
	envl_status status;

	status = hash_parts(put_label(label, key_id, version, message), nothing,
						digest);
	memcpy(out, digest, ENVL_BINDING_LEN);
	return status;
}

envl_status
envl_key_check_value(const envl_key *kek, uint64_t key_id, uint16_t version,
					 uint8_t *out)
{
	const envl_view label = {kcv_label, sizeof(kcv_label)};
	uint8_t		message[LABELLED_MAX];

	return hmac_sha256(kek, put_label(label, key_id, version, message), out,
					   ENVL_KCV_LEN);
}

envl_status
envl_root_fingerprint(const envl_key *root, uint8_t *out)
{
	const envl_view label = {root_label, sizeof(root_label)};

	return hmac_sha256(root, label, out, ENVL_FINGERPRINT_LEN);
}

envl_status
envl_dek_mark(const envl_key *dek, uint8_t *out)
{
	const envl_view label = {mark_label, sizeof(mark_label)};

	return hmac_sha256(dek, label, out, ENVL_MARK_LEN);
}

envl_status
envl_kek_digest(uint64_t key_id, uint16_t version, envl_view sealed,
				uint8_t *out)
{
	const envl_view nothing = {NULL, 0};
	uint8_t		message[LABELLED_MAX];

	return hash_parts(put_label(nothing, key_id, version, message), sealed,
					  out);
}

void
envl_kid_format(const char *name, uint64_t key_id, uint16_t version,
				char *out)
{
	(void) snprintf(out, ENVL_KID_SIZE, "%.*s@%012" PRIx64 "/%u",
					ENVL_KEY_NAME_MAX, name, key_id & ENVL_KEY_ID_MAX,
					(unsigned int) version);
}

/* Parses 1..65535 without leading zeros.  0 if it is anything else. */
static uint16_t
parse_version(envl_view digits)
{
	uint32_t	value = 0;

	if (digits.len < 1 || digits.len > VERSION_DIGITS ||
		digits.data[0] == '0')
		return 0;
	for (size_t i = 0; i < digits.len; i++)
	{
		if (digits.data[i] < '0' || digits.data[i] > '9')
			return 0;
		value = value * 10 + (uint32_t) (digits.data[i] - '0');
	}
	return value <= UINT16_MAX ? (uint16_t) value : 0;
}

/* Parses twelve lower-case hexadecimal digits.  0 if it is anything else. */
static uint64_t
parse_key_id(const uint8_t *digits)
{
	uint64_t	value = 0;

	for (size_t i = 0; i < KEY_ID_DIGITS; i++)
	{
		uint8_t		digit = digits[i];

		if (digit >= '0' && digit <= '9')
			value = value << 4 | (uint64_t) (digit - '0');
		else if (digit >= 'a' && digit <= 'f')
			value = value << 4 | (uint64_t) (digit - 'a' + 10);
		else
			return 0;
	}
	return value;
}

/* Parse from the right: a name may itself contain '@' and '/'. */
envl_status
envl_kid_parse(envl_view kid, envl_view *name, uint64_t *key_id,
			   uint16_t *version)
{
	size_t		slash = kid.len;
	size_t		at;
	envl_view	digits;
	envl_view	named;

	*name = (envl_view) {NULL, 0};
	*key_id = 0;
	*version = 0;

	do
	{
		if (slash == 0)
			return ENVL_MALFORMED;
		slash--;
	} while (kid.data[slash] != '/');
	if (slash < 1 + 1 + KEY_ID_DIGITS)
		return ENVL_MALFORMED;
	at = slash - KEY_ID_DIGITS - 1;

	digits = (envl_view) {kid.data + slash + 1, kid.len - slash - 1};
	named = (envl_view) {kid.data, at};
	if (kid.data[at] != '@' || named.len > ENVL_KEY_NAME_MAX ||
		memchr(named.data, 0, named.len) != NULL ||
		!envl_utf8_valid(named) ||
		parse_version(digits) == 0 ||
		parse_key_id(kid.data + at + 1) == 0)
		return ENVL_MALFORMED;

	*name = named;
	*key_id = parse_key_id(kid.data + at + 1);
	*version = parse_version(digits);
	return ENVL_OK;
}
