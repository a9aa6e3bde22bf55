/*
 * test_vectors.c
 *	  The core agrees with every vector of test/vectors that it has a use for.
 *
 * The vectors were written from docs/format.md by a program that shares
 * nothing with the core.  root/ is for the providers (test_prov_vectors.c);
 * cases that are in the JSON text are for the server's tests.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <stdlib.h>
#include <string.h>

#include "core/envl_jwe.h"
#include "unit.h"
#include "vector.h"

#define PLAIN_MAX ((size_t) 80 * 1024)
#define MEMBERS_MAX 2000

static envl_engine engine;
static uint8_t value[2 * PLAIN_MAX];
static uint8_t plaintext[PLAIN_MAX];
static uint8_t work[PLAIN_MAX];
static size_t skipped;

/* Whether the word is the expected one. */
static bool
check_word(const vector *v, const char *word)
{
	return is_bytes(text_view(word), vector_view(v, "expect"), "%s: %s",
					v->name, vector_field(v, "comment"));
}

static bool
check_status(const vector *v, envl_status status)
{
	return check_word(v, envl_status_name(status)) && status == ENVL_OK;
}

static envl_kek
make_kek(const vector *v, const char *field)
{
	envl_key	key;
	envl_kek	kek = {NULL, NULL, false};

	vector_bytes(v, field, key.bytes, sizeof(key.bytes));
	if (envl_kek_init(&kek, &engine, &key) != ENVL_OK)
		ok(false, "%s: a KEK", v->name);
	return kek;
}

static void
check_wrap(const vector *v)
{
	envl_kek	kek = make_kek(v, "kek");
	uint8_t		wrapped[64];
	envl_view	given = vector_bytes(v, "wrapped", wrapped, sizeof(wrapped));
	envl_wrapped in;
	envl_wrapped out;
	envl_key	dek;
	envl_key	expected;
	envl_status status;

	if (given.len != ENVL_WRAP_LEN)
		skipped++;				/* the core has no such type */
	else
	{
		memcpy(in, wrapped, sizeof(in));
		status = envl_kek_unwrap(&kek, 1, (const envl_wrapped *) &in, &dek,
								 NULL);
		if (check_status(v, status))
		{
			vector_bytes(v, "dek", expected.bytes, sizeof(expected.bytes));
			ok(memcmp(&dek, &expected, sizeof(dek)) == 0, "%s: the DEK",
			   v->name);
			ok(envl_kek_wrap(&kek, 1, &dek, &out) == ENVL_OK &&
				   memcmp(in, out, sizeof(in)) == 0,
			   "%s: the wrap", v->name);
		}
	}
	envl_kek_clear(&kek);
}

static void
check_gcm(const vector *v)
{
	static uint8_t aad[PLAIN_MAX];
	static uint8_t sealed[PLAIN_MAX];
	envl_key	key;
	uint8_t		nonce[ENVL_NONCE_LEN];
	uint8_t		tag[ENVL_TAG_LEN];
	uint8_t		made_tag[ENVL_TAG_LEN];
	envl_gcm	gcm = {.key = &key, .nonce = nonce};
	envl_view	ciphertext;
	envl_view	expected;

	vector_bytes(v, "key", key.bytes, sizeof(key.bytes));
	vector_bytes(v, "nonce", nonce, sizeof(nonce));
	vector_bytes(v, "tag", tag, sizeof(tag));
	gcm.aad[0] = vector_bytes(v, "aad", aad, sizeof(aad));
	ciphertext = vector_bytes(v, "ciphertext", sealed, sizeof(sealed));
	if (!check_status(v, envl_gcm_open(&engine, &gcm, ciphertext, tag, work)))
		return;

	expected = vector_bytes(v, "plaintext", plaintext, sizeof(plaintext));
	is_bytes((envl_view) {work, ciphertext.len}, expected,
			 "%s: the plaintext", v->name);
	is_status(envl_gcm_seal(&engine, &gcm, expected, (envl_view) {NULL, 0},
							work, made_tag),
			  ENVL_OK, "%s: sealed", v->name);
	is_bytes((envl_view) {work, ciphertext.len}, ciphertext,
			 "%s: the ciphertext", v->name);
	ok(memcmp(made_tag, tag, sizeof(tag)) == 0, "%s: the tag", v->name);
}

/* Decodes a name or string of a member line; steps over it. */
static envl_view
member_bytes(const char **line, uint8_t **free_space)
{
	char	   *hex = strdup(*line);
	size_t		len = strcspn(*line, " ");
	envl_view	bytes = {*free_space, 0};

	hex[len] = '\0';
	if (strcmp(hex, "-") != 0)
		bytes.len = from_hex(hex, *free_space,
							 (size_t) (work + sizeof(work) - *free_space));
	*free_space += bytes.len;
	*line += len;
	if (**line == ' ')
		(*line)++;
	free(hex);
	return bytes;
}

static bool
takes_word(const char **line, const char *word)
{
	size_t		len = strlen(word);

	if (strncmp(*line, word, len) != 0)
		return false;
	*line += len;
	return true;
}

static envl_member
read_member(const vector *v, const char *line, uint8_t **free_space)
{
	envl_member member = {.type = ENVL_MEMBER_ANY};

	if (takes_word(&line, "string "))
		member.type = ENVL_MEMBER_STRING;
	else if (takes_word(&line, "integer "))
		member.type = ENVL_MEMBER_INTEGER;
	else if (takes_word(&line, "boolean "))
		member.type = ENVL_MEMBER_BOOLEAN;
	else if (!takes_word(&line, "null "))
		ok(false, "%s: a member of a known type", v->name);
	member.name = member_bytes(&line, free_space);
	if (member.type == ENVL_MEMBER_STRING)
		member.string = member_bytes(&line, free_space);

	/* Beyond 64 bits this is the largest, which is beyond 2^53 as well. */
	member.integer = strtoll(line, NULL, 10);
	member.boolean = strcmp(line, "true") == 0;
	return member;
}

static void
check_context(const vector *v)
{
	static envl_member members[MEMBERS_MAX];
	static envl_spelled spelled[MEMBERS_MAX];
	const char *members_field = vector_field(v, "members");
	const char *line = vector_field(v, "member");
	uint8_t    *free_space = work;
	size_t		count = 0;
	size_t		len;
	envl_status status;

	if (members_field != NULL && strcmp(members_field, "no") == 0)
	{
		skipped++;
		return;
	}
	for (; line != NULL && count < MEMBERS_MAX;
		 line = vector_field_after(v, "member", line))
		members[count++] = read_member(v, line, &free_space);
	status = envl_context_encode(members, count, value, &len, spelled);
	if (check_status(v, status))
	{
		is_bytes((envl_view) {value, len}, vector_view(v, "canonical"),
				 "%s: the canonical form", v->name);
		is_status(envl_context_validate((envl_view) {value, len}), ENVL_OK,
				  "%s: is valid", v->name);
	}
}

static void
check_canonical(const vector *v)
{
	check_status(v, envl_context_validate(v->body));
}

static void
check_policy_vector(const vector *v)
{
	envl_view	member;
	const char *expected = vector_field(v, "failed_member");
	envl_status status = check_policy(vector_view(v, "policy"),
									  vector_view(v, "context"), &member);

	check_status(v, status);
	is_bytes(member, text_view(expected != NULL ? expected : ""),
			 "%s: the member", v->name);
}

/* Binds the vector's context; base64 has room for any. */
static envl_bound_context
bind_context(const vector *v, char *base64)
{
	envl_bound_context bound;

	bound.canonical = vector_view(v, "context");
	envl_base64_encode(ENVL_BASE64_URL, bound.canonical, base64);
	bound.base64.data = (const uint8_t *) base64;
	bound.base64.len = envl_base64_encoded_len(ENVL_BASE64_URL,
											   bound.canonical.len);
	return bound;
}

/* Seals again what the vector says was sealed. */
static void
check_sealed_again(const vector *v, const envl_kek *kek, envl_view given,
				   const envl_bound_context *context)
{
	static uint8_t padding[ENVL_PADDING_MAX] = {0x80};
	static uint8_t again[3 * PLAIN_MAX];
	static uint8_t ciphertext[2 * PLAIN_MAX];
	static uint8_t aad[PLAIN_MAX];
	uint8_t		nonce[ENVL_NONCE_LEN];
	uint8_t		tag[ENVL_TAG_LEN];
	envl_wrapped wrapped;
	envl_key	dek;
	envl_view	plain = vector_bytes(v, "plaintext", plaintext, PLAIN_MAX);
	envl_view	pad = {padding, 0};
	size_t		multiple = (size_t) vector_number(v, "padding", 10);
	envl_gcm	gcm = {.key = &dek, .nonce = nonce};
	envl_writer writer = envl_writer_into(aad, sizeof(aad));
	envl_envelope envelope = {
		.suite = envl_suite_find(ENVL_SUITE_A256KW_A256GCM),
		.flags = (uint8_t) ((vector_is(v, "text") ? ENVL_FLAG_TEXT : 0) |
							(multiple > 0 ? ENVL_FLAG_PADDED : 0) |
							(vector_is(v, "stored") ? ENVL_FLAG_CONTEXT : 0)),
		.key_version = (uint16_t) vector_number(v, "value_key_version", 10),
		.key_id = vector_number(v, "value_key_id", 16),
		.wrapped = wrapped,
		.nonce = nonce,
		.tag = tag,
	};

	if (vector_is(v, "stored"))
		envelope.context = context->canonical;
	if (multiple > 0)
		pad.len = multiple - plain.len % multiple;
	vector_bytes(v, "dek", dek.bytes, sizeof(dek.bytes));
	vector_bytes(v, "nonce", nonce, sizeof(nonce));
	envl_write_view(&writer, envl_protected_base64(envelope.flags));
	envl_write_u8(&writer, '.');
	envl_write_view(&writer, context->base64);
	gcm.aad[0] = (envl_view) {aad, envl_writer_len(&writer)};
	is_status(envl_kek_wrap(kek, 1, &dek, &wrapped), ENVL_OK,
			  "%s: wrapped again", v->name);
	is_status(envl_gcm_seal(&engine, &gcm, plain, pad, ciphertext, tag),
			  ENVL_OK, "%s: sealed again", v->name);

	envelope.ciphertext = (envl_view) {ciphertext, plain.len + pad.len};
	envl_envelope_encode(&envelope, again);
	is_bytes((envl_view) {again, given.len}, given,
			 "%s: the same value", v->name);
}

static envl_status
parse_text(envl_view text, uint8_t *bytes, envl_view *decoded,
		   envl_envelope *envelope)
{
	envl_status status;

	decoded->data = bytes;
	status = envl_text_decode(text, bytes, &decoded->len);
	if (status == ENVL_OK)
		status = envl_envelope_parse(*decoded, envelope);
	return status;
}

static void
check_envelope(const vector *v)
{
	static char base64[2 * PLAIN_MAX];
	envl_kek	kek = make_kek(v, "kek");
	envl_bound_context context = bind_context(v, base64);
	envl_envelope envelope;
	envl_view	decoded;
	envl_status status;
	size_t		len = 0;

	status = parse_text(v->body, value, &decoded, &envelope);
	if (status == ENVL_OK)
		status = envl_value_open(&engine, &kek, &envelope, &context, work,
								 &len);
	if (check_status(v, status))
	{
		is_bytes((envl_view) {work, len},
				 vector_bytes(v, "plaintext", plaintext, PLAIN_MAX),
				 "%s: the plaintext", v->name);
		check_sealed_again(v, &kek, decoded, &context);
	}
	envl_kek_clear(&kek);
}

static void
check_rewrap(const vector *v, const envl_envelope *a, envl_view b)
{
	envl_kek	old_kek = make_kek(v, "old_kek");
	envl_kek	new_kek = make_kek(v, "new_kek");
	envl_envelope rewrapped = *a;
	envl_wrapped wrapped;
	envl_key	dek;

	memcpy(wrapped, a->wrapped, sizeof(wrapped));
	ok(envl_kek_unwrap(&old_kek, 1, (const envl_wrapped *) &wrapped, &dek,
					   NULL) == ENVL_OK &&
		   envl_kek_wrap(&new_kek, 1, &dek, &wrapped) == ENVL_OK,
	   "%s: rewrapped", v->name);
	rewrapped.wrapped = wrapped;
	rewrapped.key_version = (uint16_t) vector_number(v, "new_version", 10);
	envl_envelope_encode(&rewrapped, work);
	is_bytes((envl_view) {work, b.len}, b, "%s: a gives b", v->name);
	envl_kek_clear(&old_kek);
	envl_kek_clear(&new_kek);
}

static void
check_equality(const vector *v)
{
	static uint8_t other[PLAIN_MAX];
	envl_envelope envelope;
	envl_envelope ignored;
	envl_view	a;
	envl_view	b;
	envl_status status;

	is_status(parse_text(vector_view(v, "b"), other, &b, &ignored), ENVL_OK,
			  "%s: b is a value", v->name);
	status = parse_text(vector_view(v, "a"), value, &a, &envelope);
	if (!check_status(v, status))
		return;
	is(envl_sealed_equal(a, b), vector_is(v, "equal"), "%s: equal", v->name);
	is(envl_sealed_equal(b, a), vector_is(v, "equal"), "%s: and reversed",
	   v->name);
	if (vector_field(v, "new_kek") != NULL)
		check_rewrap(v, &envelope, b);
}

static void
check_kid(const vector *v)
{
	envl_view	name;
	uint64_t	key_id;
	uint16_t	version;
	uint8_t		expected[128];
	char		text[ENVL_KEY_NAME_MAX + 1] = "";
	char		kid[ENVL_KID_SIZE];

	if (!check_status(v, envl_kid_parse(v->body, &name, &key_id, &version)))
		return;
	is_bytes(name, vector_bytes(v, "name", expected, sizeof(expected)),
			 "%s: the name", v->name);
	ok(key_id == vector_number(v, "key_id", 16) &&
		   version == vector_number(v, "key_version", 10),
	   "%s: id and version", v->name);
	memcpy(text, name.data, name.len);
	envl_kid_format(text, key_id, version, kid);
	is_bytes(text_view(kid), v->body, "%s: the kid", v->name);
}

/* What a provider returned, as its caller checks it. */
static void
check_returned(const vector *v, uint64_t key_id, uint16_t version)
{
	uint8_t		returned[ENVL_SEALED_PLAINTEXT_LEN];
	uint8_t		kcv[ENVL_KCV_LEN];
	uint8_t		expected_kcv[ENVL_KCV_LEN];
	uint8_t		binding[ENVL_BINDING_LEN];
	envl_key	kek;
	envl_view	bytes;
	bool		good;

	vector_bytes(v, "kcv", expected_kcv, sizeof(expected_kcv));
	bytes = vector_bytes(v, "sealed_plaintext", work, sizeof(work));
	good = bytes.len == sizeof(returned);
	if (good)
	{
		memcpy(&kek, work, sizeof(kek));
		good = envl_key_binding(key_id, version, binding) == ENVL_OK &&
			envl_key_check_value(&kek, key_id, version, kcv) == ENVL_OK &&
			envl_secret_equal(binding, work + sizeof(kek),
							  sizeof(binding)) &&
			envl_secret_equal(kcv, expected_kcv, sizeof(kcv));
	}
	if (check_word(v, good ? "ok" : "integrity") && good)
		is_bytes((envl_view) {kek.bytes, sizeof(kek.bytes)},
				 vector_bytes(v, "kek", returned, sizeof(returned)),
				 "%s: the KEK", v->name);
}

/* A function that gives bytes. */
static void
check_computed(const vector *v, const char *function, uint64_t key_id,
			   uint16_t version)
{
	envl_key	key;
	uint8_t		expected[64];
	envl_view	want = vector_bytes(v, function, expected, sizeof(expected));
	uint8_t		out[ENVL_KEK_DIGEST_LEN];
	envl_status status = ENVL_MALFORMED;

	if (strcmp(function, "binding") == 0)
		status = envl_key_binding(key_id, version, out);
	else if (strcmp(function, "digest") == 0)
		status = envl_kek_digest(key_id, version,
								 vector_bytes(v, "sealed", work,
											  sizeof(work)),
								 out);
	else if (strcmp(function, "kcv") == 0)
	{
		vector_bytes(v, "kek", key.bytes, sizeof(key.bytes));
		status = envl_key_check_value(&key, key_id, version, out);
	}
	else if (strcmp(function, "fingerprint") == 0)
	{
		vector_bytes(v, "root_key", key.bytes, sizeof(key.bytes));
		status = envl_root_fingerprint(&key, out);
	}
	if (check_status(v, status))
		is_bytes((envl_view) {out, want.len}, want, "%s: the %s", v->name,
				 function);
}

static void
check_key(const vector *v)
{
	const char *function = vector_field(v, "function");
	bool		has_id = vector_field(v, "key_id") != NULL;
	uint64_t	key_id = has_id ? vector_number(v, "key_id", 16) : 0;
	uint16_t	version = has_id ?
		(uint16_t) vector_number(v, "key_version", 10) :
		0;

	if (strcmp(function, "kid") == 0)
		check_kid(v);
	else if (strcmp(function, "check") == 0)
		check_returned(v, key_id, version);
	else
		check_computed(v, function, key_id, version);
}

static void
check_member(const vector *v, const char *member, envl_view got)
{
	is_bytes(got, vector_view(v, member), "%s: its %s", v->name, member);
}

/* The strings of the JWE that a value becomes are the vector's. */
static void
check_to_jwe(const vector *v, const envl_envelope *envelope,
			 const envl_bound_context *context)
{
	static char buffer[2 * PLAIN_MAX];
	char		kid[ENVL_KID_SIZE];
	envl_jwe	jwe;

	envl_kid_format(vector_field(v, "key_name"), envelope->key_id,
					envelope->key_version, kid);
	is_status(envl_jwe_from_envelope(envelope, context, text_view(kid),
									 buffer, &jwe),
			  ENVL_OK, "%s: from the value",
			  v->name);
	check_member(v, "protected", jwe.protected_header);
	check_member(v, "alg", jwe.alg);
	check_member(v, "kid", jwe.kid);
	check_member(v, "encrypted_key", jwe.encrypted_key);
	check_member(v, "aad", jwe.aad);
	check_member(v, "iv", jwe.iv);
	check_member(v, "ciphertext", jwe.ciphertext);
	check_member(v, "tag", jwe.tag);
}

static void
check_from_jwe(const vector *v, const envl_bound_context *context)
{
	envl_jwe	jwe = {
		.protected_header = vector_view(v, "protected"),
		.alg = vector_view(v, "alg"),
		.kid = vector_view(v, "kid"),
		.encrypted_key = vector_view(v, "encrypted_key"),
		.aad = vector_view(v, "aad"),
		.iv = vector_view(v, "iv"),
		.ciphertext = vector_view(v, "ciphertext"),
		.tag = vector_view(v, "tag"),
	};
	static uint8_t expected[2 * PLAIN_MAX];
	envl_kek	kek;
	envl_envelope envelope;
	envl_view	decoded;
	envl_status status;
	size_t		len;

	status = envl_jwe_to_envelope(&jwe, vector_is(v, "store_context"), value,
								  &len);
	if (!check_status(v, status))
		return;
	is_status(parse_text(vector_view(v, "envelope"), expected, &decoded,
						 &envelope),
			  ENVL_OK, "%s: the value", v->name);
	is_bytes((envl_view) {value, len}, decoded, "%s: is what the JWE gives",
			 v->name);
	check_to_jwe(v, &envelope, context);

	kek = make_kek(v, "kek");
	is_status(envl_value_open(&engine, &kek, &envelope, context, work, &len),
			  ENVL_OK, "%s: it opens", v->name);
	is_bytes((envl_view) {work, len},
			 vector_bytes(v, "plaintext", plaintext, PLAIN_MAX),
			 "%s: to the plaintext", v->name);
	envl_kek_clear(&kek);
}

static void
check_jwe(const vector *v)
{
	static char base64[2 * PLAIN_MAX];
	static char buffer[2 * PLAIN_MAX];
	envl_bound_context context;
	envl_envelope envelope;
	envl_view	decoded;
	envl_status status;
	envl_jwe	jwe;

	if (vector_field(v, "members") != NULL)
	{
		skipped++;
		return;
	}
	context = bind_context(v, base64);
	if (vector_field(v, "direction") == NULL)
	{
		check_from_jwe(v, &context);
		return;
	}
	is_status(parse_text(vector_view(v, "envelope"), value, &decoded,
						 &envelope),
			  ENVL_OK, "%s: the value", v->name);
	status = envl_jwe_from_envelope(&envelope, &context,
									text_view("app@000000000001/1"), buffer,
									&jwe);
	check_status(v, status);
}

static void
check_directory(const char *directory, void (*check)(const vector *v))
{
	size_t		count;

	skipped = 0;
	count = vectors_each(directory, check);
	ok(count > skipped, "%s: %zu vectors", directory, count - skipped);
	if (skipped > 0)
		note("%s: %zu more are not for the core", directory, skipped);
}

int
main(void)
{
	is_status(envl_engine_init(&engine), ENVL_OK, "an engine");
	check_directory("wrap", check_wrap);
	check_directory("gcm", check_gcm);
	check_directory("context", check_context);
	check_directory("canonical", check_canonical);
	check_directory("policy", check_policy_vector);
	check_directory("envelope", check_envelope);
	check_directory("equality", check_equality);
	check_directory("key", check_key);
	check_directory("jwe", check_jwe);
	envl_engine_clear(&engine);
	return done_testing();
}
