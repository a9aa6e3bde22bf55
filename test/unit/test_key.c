/*
 * test_key.c
 *	  Binding, key-check value, fingerprint, digest, and the kid.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <string.h>

#include "core/envl_key.h"
#include "unit.h"

#define KEY_ID UINT64_C(0x0123456789ab)
#define VERSION 258

static void
check_hex(const uint8_t *got, size_t len, const char *want, const char *name)
{
	uint8_t		bytes[64];
	size_t		want_len = from_hex(want, bytes, sizeof(bytes));

	is_bytes((envl_view) {got, len}, (envl_view) {bytes, want_len}, "%s",
			 name);
}

/* Computed with another implementation from docs/format.md, section 6. */
static void
test_known(void)
{
	envl_key	key;
	uint8_t		out[ENVL_KEK_DIGEST_LEN];

	for (size_t i = 0; i < sizeof(key.bytes); i++)
		key.bytes[i] = (uint8_t) i;
	is_status(envl_key_binding(KEY_ID, VERSION, out), ENVL_OK, "binding");
	check_hex(out, ENVL_BINDING_LEN,
			  "fb5fade2ccdef3fa2c69c58ec44d8fc3",
			  "of id and version");
	is_status(envl_key_check_value(&key, KEY_ID, VERSION, out), ENVL_OK,
			  "key-check value");
	check_hex(out, ENVL_KCV_LEN,
			  "c5c41902183c40b8422df9db76d830a8",
			  "of KEK, id and version");
	is_status(envl_root_fingerprint(&key, out), ENVL_OK, "fingerprint");
	check_hex(out, ENVL_FINGERPRINT_LEN,
			  "75a2363a835c30f7",
			  "of a root key");
	is_status(envl_dek_mark(&key, out), ENVL_OK, "mark");
	check_hex(out, ENVL_MARK_LEN,
			  "10410409da7f191f252d10ab06c5421d"
			  "152f2effe2c17fd24b930f90904fd2ab",
			  "of a DEK");
	is_status(envl_kek_digest(KEY_ID, VERSION, text_view("sealed"), out),
			  ENVL_OK, "digest");
	check_hex(out, ENVL_KEK_DIGEST_LEN,
			  "a1c93e5453873b233acf88cae3ae9971"
			  "6a161a9643f96affc60dc3bcaa29520f",
			  "of a sealed KEK");
	is_status(envl_kek_digest(KEY_ID, VERSION, (envl_view) {NULL, 0}, out),
			  ENVL_OK, "digest");
	check_hex(out, ENVL_KEK_DIGEST_LEN,
			  "5f06489fe2acf5a0a4858ebe757709c5"
			  "077ef0911d0be08e0bce32c856514ac3",
			  "of an empty one");
}

static void
test_kid_format(void)
{
	char		kid[ENVL_KID_SIZE + 1];
	char		name[ENVL_KEY_NAME_MAX + 2];

	envl_kid_format("app", KEY_ID, VERSION, kid);
	is_text(kid, "app@0123456789ab/258", "a kid");
	envl_kid_format("a@b/c", 1, 1, kid);
	is_text(kid, "a@b/c@000000000001/1", "of a name with separators");

	memset(name, 'n', sizeof(name));
	name[ENVL_KEY_NAME_MAX + 1] = 0;
	kid[ENVL_KID_SIZE] = 0x5A;
	envl_kid_format(name, UINT64_MAX, 65535, kid);
	is((long long) strlen(kid), ENVL_KID_SIZE - 1, "the longest kid");
	is_text(kid + ENVL_KEY_NAME_MAX, "@ffffffffffff/65535", "ends so");
	is(kid[ENVL_KID_SIZE], 0x5A, "within its buffer");
}

static const struct
{
	const char *kid;
	const char *name;			/* NULL: malformed */
	uint64_t	key_id;
	uint16_t	version;
} kids[] = {
	{"app@0123456789ab/258", "app", KEY_ID, 258},
	{"a@000000000001/1", "a", 1, 1},
	{"a@ffffffffffff/65535", "a", ENVL_KEY_ID_MAX, 65535},
	{"a@b/c@000000000001/1", "a@b/c", 1, 1},
	{"@@000000000001/1", "@", 1, 1},
	{"/@000000000001/1", "/", 1, 1},
	{"a@000000000002/3@000000000001/1", "a@000000000002/3", 1, 1},
	{"schl\xc3\xbcssel@000000000001/1", "schl\xc3\xbcssel", 1, 1},
	{"", NULL, 0, 0},
	{"/", NULL, 0, 0},
	{"app", NULL, 0, 0},
	{"app@0123456789ab", NULL, 0, 0},
	{"app@0123456789ab/", NULL, 0, 0},
	{"app@0123456789ab/0", NULL, 0, 0},
	{"app@0123456789ab/01", NULL, 0, 0},
	{"app@0123456789ab/-1", NULL, 0, 0},
	{"app@0123456789ab/+1", NULL, 0, 0},
	{"app@0123456789ab/1 ", NULL, 0, 0},
	{"app@0123456789ab/1a", NULL, 0, 0},
	{"app@0123456789ab/65536", NULL, 0, 0},
	{"app@0123456789ab/99999", NULL, 0, 0},
	{"app@0123456789ab/100000", NULL, 0, 0},
	{"app@0123456789ab/1/", NULL, 0, 0},
	{"app@0123456789AB/1", NULL, 0, 0},
	{"app@0123456789ag/1", NULL, 0, 0},
	{"app@0123456789a:/1", NULL, 0, 0},
	{"app@0123456789a`/1", NULL, 0, 0},
	{"app@ 123456789ab/1", NULL, 0, 0},
	{"app@123456789ab/1", NULL, 0, 0},
	{"app@00123456789ab/1", NULL, 0, 0},
	{"app@000000000000/1", NULL, 0, 0},
	{"app.0123456789ab/1", NULL, 0, 0},
	{"@0123456789ab/1", NULL, 0, 0},
	{"0123456789ab/1", NULL, 0, 0},
	{"\xff@0123456789ab/1", NULL, 0, 0}};

static void
check_kid(envl_view kid, size_t i)
{
	envl_view	name;
	uint64_t	key_id = 99;
	uint16_t	version = 99;
	envl_status status = envl_kid_parse(kid, &name, &key_id, &version);

	if (kids[i].name == NULL)
	{
		is_status(status, ENVL_MALFORMED, "refused: %s", kids[i].kid);
		ok(name.data == NULL && name.len == 0 && key_id == 0 && version == 0,
		   "and nothing of it is left");
		return;
	}
	is_status(status, ENVL_OK, "%s", kids[i].kid);
	is_bytes(name, text_view(kids[i].name), "name");
	ok(key_id == kids[i].key_id && version == kids[i].version,
	   "id and version");
}

static void
test_kid_parse(void)
{
	char		kid[ENVL_KID_SIZE + 1];
	envl_view	name;
	uint64_t	key_id;
	uint16_t	version;

	for (size_t i = 0; i < sizeof(kids) / sizeof(kids[0]); i++)
		check_kid(text_view(kids[i].kid), i);

	memset(kid, 'n', sizeof(kid));
	memcpy(kid + ENVL_KEY_NAME_MAX, "@000000000001/1", 16);
	is_status(envl_kid_parse(text_view(kid), &name, &key_id, &version),
			  ENVL_OK, "a name of 63 bytes");
	memcpy(kid + ENVL_KEY_NAME_MAX + 1, "@000000000001/1", 16);
	is_status(envl_kid_parse(text_view(kid), &name, &key_id, &version),
			  ENVL_MALFORMED, "not of 64");
	is_status(envl_kid_parse(ENVL_LITERAL("a\0b@000000000001/1"), &name,
							 &key_id, &version),
			  ENVL_MALFORMED,
			  "not with a zero byte");
	is_status(envl_kid_parse((envl_view) {NULL, 0}, &name, &key_id,
							 &version),
			  ENVL_MALFORMED, "nothing");
}

int
main(void)
{
	test_known();
	test_kid_format();
	test_kid_parse();
	return done_testing();
}
