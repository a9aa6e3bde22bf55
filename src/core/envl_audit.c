/*
 * envl_audit.c
 *	  The audit's chain of MACs: each entry's covers the one before it.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "envl_audit.h"

#define ID_LEN 8				/* key id and version */
#define LENGTH_LEN 4			/* of a field */
#define ABSENT UINT32_C(0xffffffff)

/* The zero byte that ends these strings is part of what is hashed. */
static const uint8_t key_label[] = "pgenvelope/1 audit";
static const uint8_t entry_label[] = "pgenvelope/1 entry";
static const uint8_t anchor_label[] = "pgenvelope/1 anchor";

/* Starts HMAC-SHA-256 with the key; NULL if libcrypto fails. */
static EVP_MAC_CTX *
begin_mac(const envl_key *key)
{
	EVP_MAC    *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	EVP_MAC_CTX *context = mac != NULL ? EVP_MAC_CTX_new(mac) : NULL;
	char		digest[] = "SHA256";
	OSSL_PARAM	params[] = {
		{"digest", OSSL_PARAM_UTF8_STRING, digest, sizeof(digest) - 1, 0},
		OSSL_PARAM_END};

	EVP_MAC_free(mac);
	if (context != NULL &&
		EVP_MAC_init(context, key->bytes, ENVL_KEY_LEN, params) == 1)
		return context;
	EVP_MAC_CTX_free(context);
	return NULL;
}

/*
 * Finishes and frees the MAC.  fed says whether all of the message was taken.
 */
static envl_status
end_mac(EVP_MAC_CTX *context, bool fed, uint8_t *out)
{
	size_t		len = 0;
	bool		good;

	good = fed &&
		EVP_MAC_final(context, out, &len, ENVL_AUDIT_MAC_LEN) == 1 &&
		len == ENVL_AUDIT_MAC_LEN;
	EVP_MAC_CTX_free(context);
	if (good)
		return ENVL_OK;
	envl_wipe(out, ENVL_AUDIT_MAC_LEN);
	ERR_clear_error();
	return ENVL_CRYPTO_FAILED;
}

static bool
feed_mac(EVP_MAC_CTX *context, const uint8_t *bytes, size_t len)
{
	return len == 0 || EVP_MAC_update(context, bytes, len) == 1;
}

/* Adds a field: its length in four bytes, then its bytes. */
static bool
feed_field(EVP_MAC_CTX *context, envl_view field)
{
	uint8_t		length[LENGTH_LEN];
	envl_writer writer = envl_writer_into(length, sizeof(length));

	if (field.len >= ABSENT)
		return false;
	envl_write_u16(&writer,
				   field.data != NULL ? (uint16_t) (field.len >> 16) : 0xffff);
	envl_write_u16(&writer,
				   field.data != NULL ? (uint16_t) field.len : 0xffff);
	return feed_mac(context, length, sizeof(length)) &&
		(field.data == NULL || feed_mac(context, field.data, field.len));
}

envl_status
envl_audit_key(const envl_key *kek, uint64_t key_id, uint16_t version,
			   envl_key *out)
{
	EVP_MAC_CTX *context = begin_mac(kek);
	uint8_t		id[ID_LEN];
	envl_writer writer = envl_writer_into(id, sizeof(id));

	envl_write_u48(&writer, key_id);
	envl_write_u16(&writer, version);
	return end_mac(context,
				   context != NULL &&
					   feed_mac(context, key_label, sizeof(key_label)) &&
					   feed_mac(context, id, sizeof(id)),
				   out->bytes);
}

envl_status
envl_audit_entry(const envl_key *key, const uint8_t *previous,
				 const envl_view *fields, size_t count, uint8_t *out)
{
	EVP_MAC_CTX *context = begin_mac(key);
	bool		fed;

	fed = context != NULL &&
		feed_mac(context, entry_label, sizeof(entry_label)) &&
		feed_mac(context, previous, ENVL_AUDIT_MAC_LEN);
	for (size_t i = 0; fed && i < count; i++)
		fed = feed_field(context, fields[i]);
	return end_mac(context, fed, out);
}

envl_status
envl_audit_anchor(const envl_key *key, envl_view lines, uint8_t *out)
{
	EVP_MAC_CTX *context = begin_mac(key);

	return end_mac(context,
				   context != NULL &&
					   feed_mac(context, anchor_label, sizeof(anchor_label)) &&
					   feed_mac(context, lines.data, lines.len),
				   out);
}
