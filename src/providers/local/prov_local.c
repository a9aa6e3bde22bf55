/*
 * prov_local.c
 *	  Root keys that this process reads: from a file, or from a passphrase.
 *
 * The sealed bytes are a JWE (prov_jwe.h), so that anyone can get from root
 * key to plaintext with a JOSE library and docs/format.md alone.  Its kid is
 * the key's (file), or the scrypt parameters and salt as a PHC string
 * (passphrase).
 *
 * No root key is ever generated here.  A new one in place of a lost one would
 * hide that every value has become unreadable.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "providers/local/prov_local.h"

#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/rand.h>

#include "providers/local/prov_file.h"
#include "providers/local/prov_jwe.h"

/* A shorter passphrase cannot seal, but still opens what it once sealed. */
#define PASSPHRASE_MIN 8

/* scrypt (RFC 7914): N is 2^ln.  Sealing uses SCRYPT_LN. */
#define SCRYPT_LN 17
#define SCRYPT_LN_MIN 15
#define SCRYPT_LN_MAX 20
#define SCRYPT_R 8
#define SCRYPT_P 1
#define SALT_LEN 16
#define SALT_CHARS 22			/* base64 without padding, as in a PHC
								 * string */

typedef struct scrypt_cost
{
	unsigned	ln;
	uint8_t		salt[SALT_LEN];
	size_t		passphrase_min; /* in bytes; 0 when unsealing */
} scrypt_cost;

static prov_category make_kid(const prov_root *root, const prov_kek *kek,
							  const scrypt_cost *cost, char *kid,
							  prov_failure *failure);
static prov_category check_kid(const prov_root *root, const prov_kek *kek,
							   const char *kid, scrypt_cost *cost,
							   prov_failure *failure);
static prov_category check_key(const prov_kek *kek, const char *kid,
							   prov_failure *failure);
static bool parse_phc(const char *kid, scrypt_cost *cost);
static prov_category read_root_key(const prov_root *root,
								   const char *data_directory,
								   const scrypt_cost *cost, envl_key *key,
								   prov_failure *failure);
static bool decode_key(const prov_file_line *line, envl_key *key);
static prov_category derive_key(const prov_file_line *passphrase,
								const scrypt_cost *cost, envl_key *key,
								prov_failure *failure);
static envl_status fingerprint_key(const envl_key *key, char *hex);
static prov_category fail_library(prov_failure *failure);
static prov_category fail_form(prov_failure *failure);
static prov_category fail_open(prov_failure *failure, const prov_root *root,
							   const prov_sealed *sealed,
							   const envl_key *key);

prov_category
prov_local_seal(const prov_root *root, const char *data_directory,
				const prov_kek *kek, const uint8_t *plaintext,
				prov_sealed *sealed, prov_failure *failure)
{
	envl_engine engine = {0};
	envl_key	key = {{0}};
	scrypt_cost cost = {.ln = SCRYPT_LN, .passphrase_min = PASSPHRASE_MIN};
	char		kid[ENVL_KID_SIZE];
	prov_jwe	jwe;
	envl_gcm	gcm = {.key = &key, .nonce = jwe.nonce};
	prov_category category;

	memset(sealed, 0, sizeof(*sealed));
	if (RAND_bytes(jwe.nonce, sizeof(jwe.nonce)) != 1 ||
		RAND_bytes(cost.salt, sizeof(cost.salt)) != 1)
		return fail_library(failure);
	category = make_kid(root, kek, &cost, kid, failure);
	if (category != PROV_OK)
		return category;
	category = read_root_key(root, data_directory, &cost, &key, failure);
	if (category != PROV_OK)
		return category;

	prov_jwe_set_kid(&jwe, kid);
	gcm.aad[0] = (envl_view) {jwe.header, jwe.header_len};
	if (fingerprint_key(&key, sealed->root_key) == ENVL_OK &&
		envl_engine_init(&engine) == ENVL_OK &&
		envl_gcm_seal(&engine, &gcm,
					  (envl_view) {plaintext, ENVL_SEALED_PLAINTEXT_LEN},
					  (envl_view) {NULL, 0}, jwe.ciphertext,
					  jwe.tag) == ENVL_OK)
		prov_jwe_encode(&jwe, sealed);
	else
	{
		memset(sealed, 0, sizeof(*sealed));
		category = fail_library(failure);
	}
	envl_engine_clear(&engine);
	envl_wipe(&key, sizeof(key));
	return category;
}

prov_category
prov_local_unseal(const prov_root *root, const char *data_directory,
				  const prov_kek *kek, const prov_sealed *sealed,
				  uint8_t *plaintext, prov_failure *failure)
{
	envl_engine engine = {0};
	envl_key	key = {{0}};
	scrypt_cost cost = {0};
	char		kid[ENVL_KID_SIZE];
	prov_jwe	jwe;
	envl_gcm	gcm = {.key = &key, .nonce = jwe.nonce};
	envl_view	ciphertext = {jwe.ciphertext, sizeof(jwe.ciphertext)};
	envl_status status;
	prov_category category;

	envl_wipe(plaintext, ENVL_SEALED_PLAINTEXT_LEN);
	if (!prov_jwe_decode(sealed, &jwe, kid))
		return fail_form(failure);
	category = check_kid(root, kek, kid, &cost, failure);
	if (category != PROV_OK)
		return category;
	category = read_root_key(root, data_directory, &cost, &key, failure);
	if (category != PROV_OK)
		return category;

	gcm.aad[0] = (envl_view) {jwe.header, jwe.header_len};
	status = envl_engine_init(&engine);
	if (status == ENVL_OK)
		status = envl_gcm_open(&engine, &gcm, ciphertext, jwe.tag,
							   plaintext);
	if (status == ENVL_AUTHENTICATION)
		category = fail_open(failure, root, sealed, &key);
	else if (status != ENVL_OK)
		category = fail_library(failure);
	if (category != PROV_OK)
		envl_wipe(plaintext, ENVL_SEALED_PLAINTEXT_LEN);
	envl_engine_clear(&engine);
	envl_wipe(&key, sizeof(key));
	return category;
}

prov_category
prov_local_check(const prov_root *root, const char *data_directory,
				 char *root_key, prov_failure *failure)
{
	envl_key	key = {{0}};
	prov_file_line line;
	prov_category category;

	root_key[0] = '\0';

	/* Deriving a key by scrypt would find out nothing more. */
	if (root->kind == PROV_PASSPHRASE)
	{
		category = prov_file_read(root, data_directory, &line, failure);
		envl_wipe(&line, sizeof(line));
		return category;
	}
	category = read_root_key(root, data_directory, NULL, &key, failure);
	if (category == PROV_OK && fingerprint_key(&key, root_key) != ENVL_OK)
		category = fail_library(failure);
	envl_wipe(&key, sizeof(key));
	return category;
}

/* Writes the kid into kid (ENVL_KID_SIZE bytes). */
static prov_category
make_kid(const prov_root *root, const prov_kek *kek, const scrypt_cost *cost,
		 char *kid, prov_failure *failure)
{
	char		salt[SALT_CHARS + 2];	/* with padding, which is then cut
										 * off */
	envl_view	bytes = {cost->salt, SALT_LEN};

	if (root->kind == PROV_FILE)
	{
		if (strlen(kek->name) > ENVL_KEY_NAME_MAX)
			return prov_fail(failure, PROV_MISCONFIGURED,
							 "The key's name is longer than 63 bytes.", NULL);
		envl_kid_format(kek->name, kek->key_id, kek->version, kid);
		return check_key(kek, kid, failure);
	}
	envl_base64_encode(ENVL_BASE64_STANDARD, bytes, salt);
	snprintf(kid, ENVL_KID_SIZE, "$scrypt$ln=%u,r=%d,p=%d$%.*s", cost->ln,
			 SCRYPT_R, SCRYPT_P, SALT_CHARS, salt);
	return PROV_OK;
}

/*
 * Whether this kind of provider makes such a kid for this key.  Limits the
 * cost parameters before anything is computed with them.
 */
static prov_category
check_kid(const prov_root *root, const prov_kek *kek, const char *kid,
		  scrypt_cost *cost, prov_failure *failure)
{
	if (root->kind == PROV_FILE)
		return check_key(kek, kid, failure);
	if (!parse_phc(kid, cost))
		return fail_form(failure);
	if (cost->ln < SCRYPT_LN_MIN || cost->ln > SCRYPT_LN_MAX)
		return prov_fail(failure, PROV_INTEGRITY,
						 "The sealed key encryption key asks for a scrypt "
						 "cost outside 2^15 to 2^20.",
						 "It asks for 2^%u.", cost->ln);
	return PROV_OK;
}

/*
 * The kid must have the key's id and version.  The name may differ: it is the
 * key's name at the time of sealing.
 */
static prov_category
check_key(const prov_kek *kek, const char *kid, prov_failure *failure)
{
	envl_view	view = {(const uint8_t *) kid, strlen(kid)};
	envl_view	name;
	uint64_t	key_id;
	uint16_t	version;

	if (envl_kid_parse(view, &name, &key_id, &version) != ENVL_OK)
		return fail_form(failure);
	if (key_id != kek->key_id || version != kek->version)
		return prov_fail(failure, PROV_INTEGRITY,
						 "The sealed key encryption key is that of another "
						 "key or version.",
						 "It is that of %012llx/%u, not %012llx/%u.",
						 (unsigned long long) key_id, version,
						 (unsigned long long) kek->key_id, kek->version);
	return PROV_OK;
}

/* "$scrypt$ln=17,r=8,p=1$" and the salt; only ln may differ. */
static bool
parse_phc(const char *kid, scrypt_cost *cost)
{
	envl_view	text = {(const uint8_t *) kid, strlen(kid)};
	envl_reader reader = envl_reader_over(text);
	envl_view	part;
	uint8_t		tens;
	uint8_t		ones;
	uint8_t		salt[SALT_CHARS + 2];
	uint8_t		decoded[SALT_LEN + 3];
	size_t		len;

	if (!envl_read_view(&reader, 11, &part) ||
		!envl_view_equal(part, ENVL_LITERAL("$scrypt$ln=")) ||
		!envl_read_u8(&reader, &tens) || tens < '1' || tens > '9' ||
		!envl_read_u8(&reader, &ones) || ones < '0' || ones > '9' ||
		!envl_read_view(&reader, 9, &part) ||
		!envl_view_equal(part, ENVL_LITERAL(",r=8,p=1$")) ||
		!envl_read_view(&reader, SALT_CHARS, &part) ||
		envl_reader_left(&reader) != 0)
		return false;

	memcpy(salt, part.data, SALT_CHARS);
	memcpy(salt + SALT_CHARS, "==", 2);
	if (envl_base64_decode(ENVL_BASE64_STANDARD,
						   (envl_view) {salt, sizeof(salt)},
						   decoded, &len) != ENVL_OK ||
		len != SALT_LEN)
		return false;
	memcpy(cost->salt, decoded, SALT_LEN);
	cost->ln = (unsigned) (tens - '0') * 10 + (unsigned) (ones - '0');
	return true;
}

/* On failure the key is wiped. */
static prov_category
read_root_key(const prov_root *root, const char *data_directory,
			  const scrypt_cost *cost, envl_key *key, prov_failure *failure)
{
	prov_file_line line;
	prov_category category;

	if (root->kind != PROV_FILE && root->kind != PROV_PASSPHRASE)
		return prov_fail(failure, PROV_MISCONFIGURED,
						 "The provider is not a local one.", NULL);
	category = prov_file_read(root, data_directory, &line, failure);
	if (category == PROV_OK && root->kind == PROV_PASSPHRASE)
		category = derive_key(&line, cost, key, failure);
	else if (category == PROV_OK && !decode_key(&line, key))
		category = prov_fail(failure, PROV_MISCONFIGURED,
							 "The root key's file does not hold the base64 "
							 "of exactly 32 bytes.",
							 "The file is \"%s\".", root->location);
	envl_wipe(&line, sizeof(line));
	if (category != PROV_OK)
		envl_wipe(key, sizeof(*key));
	return category;
}

static bool
decode_key(const prov_file_line *line, envl_key *key)
{
	const size_t chars = envl_base64_encoded_len(ENVL_BASE64_STANDARD,
												 ENVL_KEY_LEN);
	uint8_t		decoded[ENVL_KEY_LEN + 3];
	size_t		len;
	bool		good;

	good = line->len == chars &&
		envl_base64_decode(ENVL_BASE64_STANDARD,
						   (envl_view) {line->bytes, line->len}, decoded,
						   &len) == ENVL_OK &&
		len == ENVL_KEY_LEN;
	if (good)
		memcpy(key->bytes, decoded, ENVL_KEY_LEN);
	envl_wipe(decoded, sizeof(decoded));
	return good;
}

static prov_category
derive_key(const prov_file_line *passphrase, const scrypt_cost *cost,
		   envl_key *key, prov_failure *failure)
{
	const uint64_t n = UINT64_C(1) << cost->ln;

	/* What scrypt needs, and a little for its own bookkeeping. */
	const uint64_t memory = 128 * SCRYPT_R * (n + SCRYPT_P + 2) + 65536;

	if (passphrase->len < cost->passphrase_min)
		return prov_fail(failure, PROV_MISCONFIGURED,
						 "The passphrase has fewer than 8 bytes.", NULL);
	if (EVP_PBE_scrypt((const char *) passphrase->bytes, passphrase->len,
					   cost->salt, SALT_LEN, n, SCRYPT_R, SCRYPT_P, memory,
					   key->bytes, ENVL_KEY_LEN) != 1)
	{
		ERR_clear_error();
		return prov_fail(failure, PROV_UNAVAILABLE,
						 "The root key could not be derived from its "
						 "passphrase.",
						 "scrypt needs %llu MB of memory.",
						 (unsigned long long) memory >> 20);
	}
	return PROV_OK;
}

/* Writes the fingerprint, NUL-terminated, into hex. */
static envl_status
fingerprint_key(const envl_key *key, char *hex)
{
	uint8_t		digest[ENVL_FINGERPRINT_LEN];
	envl_status status = envl_root_fingerprint(key, digest);

	if (status != ENVL_OK)
		return status;
	for (size_t i = 0; i < sizeof(digest); i++)
		snprintf(hex + 2 * i, 3, "%02x", digest[i]);
	return ENVL_OK;
}

static prov_category
fail_library(prov_failure *failure)
{
	ERR_clear_error();
	return prov_fail(failure, PROV_UNAVAILABLE,
					 "The cryptographic library failed.", NULL);
}

static prov_category
fail_form(prov_failure *failure)
{
	return prov_fail(failure, PROV_INTEGRITY,
					 "The sealed key encryption key is not one that a "
					 "provider of this kind makes.",
					 NULL);
}

/* The tag is wrong, because of another root key or a changed blob. */
static prov_category
fail_open(prov_failure *failure, const prov_root *root,
		  const prov_sealed *sealed, const envl_key *key)
{
	const size_t len = 2 * ENVL_FINGERPRINT_LEN;
	const char *stored = sealed->root_key;
	char		held[2 * ENVL_FINGERPRINT_LEN + 1];

	if (fingerprint_key(key, held) != ENVL_OK)
		return fail_library(failure);
	if (strcmp(stored, held) == 0)
		return prov_fail(failure, PROV_INTEGRITY,
						 "The sealed key encryption key was altered.",
						 "Provider \"%s\" holds root key %s, which sealed it.",
						 root->name, held);

	/* Show what the row holds only if it looks like a fingerprint. */
	if (strlen(stored) != len || strspn(stored, "0123456789abcdef") != len)
		stored = "unknown";
	return prov_fail(failure, PROV_INTEGRITY,
					 "The root key is not the one that sealed this key "
					 "encryption key, or the sealed key was altered.",
					 "Provider \"%s\" holds root key %s; it was sealed by "
					 "root key %s.",
					 root->name, held, stored);
}
