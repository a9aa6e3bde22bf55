/*
 * envl_jwe.c
 *	  A value as a JWE in JSON serialization (RFC 7516), and back.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <string.h>

#include "envl_jwe.h"

static size_t
encoded_len(size_t len)
{
	return envl_base64_encoded_len(ENVL_BASE64_URL, len);
}

size_t
envl_jwe_buffer_len(const envl_envelope *envelope,
					const envl_bound_context *context)
{
	return encoded_len(ENVL_WRAP_LEN) + context->base64.len +
		encoded_len(ENVL_NONCE_LEN) + encoded_len(envelope->ciphertext.len) +
		encoded_len(ENVL_TAG_LEN);
}

/* Encodes to *next and advances it. */
static envl_view
encode_at(char **next, const uint8_t *data, size_t len)
{
	envl_view	encoded = {(const uint8_t *) *next, encoded_len(len)};

	envl_base64_encode(ENVL_BASE64_URL, (envl_view) {data, len}, *next);
	*next += encoded.len;
	return encoded;
}

static envl_view
text_view(const char *text)
{
	return (envl_view) {(const uint8_t *) text, strlen(text)};
}

envl_status
envl_jwe_from_envelope(const envl_envelope *envelope,
					   const envl_bound_context *context, envl_view kid,
					   char *buffer, envl_jwe *out)
{
	char	   *next = buffer;

	memset(out, 0, sizeof(*out));
	if (envelope->tag == NULL)
		return ENVL_MALFORMED;	/* the header of a value only */
	if ((envelope->flags & ENVL_FLAG_CONTEXT) != 0 &&
		!envl_view_equal(envelope->context, context->canonical))
		return ENVL_AUTHENTICATION;

	out->protected_header = envl_protected_base64(envelope->flags);
	out->alg = text_view(envelope->suite->jwe_alg);
	out->kid = kid;
	out->encrypted_key = encode_at(&next, envelope->wrapped, ENVL_WRAP_LEN);
	out->aad = encode_at(&next, context->canonical.data,
						 context->canonical.len);
	out->iv = encode_at(&next, envelope->nonce, ENVL_NONCE_LEN);
	out->ciphertext = encode_at(&next, envelope->ciphertext.data,
								envelope->ciphertext.len);
	out->tag = encode_at(&next, envelope->tag, ENVL_TAG_LEN);
	return ENVL_OK;
}

size_t
envl_jwe_envelope_max(const envl_jwe *jwe)
{
	return envl_envelope_size(envl_base64_decoded_max(jwe->ciphertext.len),
							  ENVL_CONTEXT_MAX);
}

/* Decodes a text that must give exactly len bytes. */
static bool
decode_exactly(envl_view text, size_t len, uint8_t *out)
{
	size_t		decoded;

	return text.len == encoded_len(len) &&
		envl_base64_decode(ENVL_BASE64_URL, text, out,
						   &decoded) == ENVL_OK;
}

/* Finds the flags that a protected header stands for. */
static bool
find_flags(envl_view protected_header, uint8_t *flags)
{
	static const uint8_t known[] = {
		0,
		ENVL_FLAG_TEXT,
		ENVL_FLAG_PADDED,
		ENVL_FLAG_TEXT | ENVL_FLAG_PADDED,
	};

	for (size_t i = 0; i < sizeof(known); i++)
	{
		*flags = known[i];
		if (envl_view_equal(protected_header, envl_protected_base64(*flags)))
			return true;
	}
	return false;
}

/*
 * Decodes the aad into ENVL_CONTEXT_MAX bytes; it must be a canonical context.
 */
static bool
decode_context(envl_view aad, uint8_t *buffer, envl_view *context)
{
	context->data = buffer;
	return aad.len <= ENVL_CONTEXT_BASE64_MAX &&
		envl_base64_decode(ENVL_BASE64_URL, aad, buffer,
						   &context->len) == ENVL_OK &&
		envl_context_validate(*context) == ENVL_OK;
}

envl_status
envl_jwe_to_envelope(const envl_jwe *jwe, bool store_context, uint8_t *out,
					 size_t *out_len)
{
	uint8_t		context_bytes[ENVL_CONTEXT_MAX];
	uint8_t		wrapped[ENVL_WRAP_LEN];
	uint8_t		nonce[ENVL_NONCE_LEN];
	uint8_t		tag[ENVL_TAG_LEN];
	envl_envelope envelope;
	envl_view	context;
	envl_view	name;
	envl_status status;
	uint8_t    *ciphertext;
	size_t		size;

	*out_len = 0;
	memset(&envelope, 0, sizeof(envelope));
	envelope.suite = envl_suite_find(ENVL_SUITE_A256KW_A256GCM);
	if (!envl_view_equal(jwe->alg, text_view(envelope.suite->jwe_alg)) ||
		!find_flags(jwe->protected_header, &envelope.flags))
		return ENVL_UNSUPPORTED;
	if (envl_kid_parse(jwe->kid, &name, &envelope.key_id,
					   &envelope.key_version) != ENVL_OK ||
		!decode_exactly(jwe->encrypted_key, sizeof(wrapped), wrapped) ||
		!decode_exactly(jwe->iv, sizeof(nonce), nonce) ||
		!decode_exactly(jwe->tag, sizeof(tag), tag) ||
		!decode_context(jwe->aad, context_bytes, &context))
		return ENVL_MALFORMED;

	if (store_context)
	{
		envelope.flags |= ENVL_FLAG_CONTEXT;
		envelope.context = context;
	}
	envelope.wrapped = wrapped;
	envelope.nonce = nonce;
	envelope.tag = tag;
	size = envl_envelope_size(0, store_context ? (int) context.len : -1);
	ciphertext = out + size - ENVL_TAG_LEN;
	status = envl_base64_decode(ENVL_BASE64_URL, jwe->ciphertext, ciphertext,
								&envelope.ciphertext.len);
	if (status != ENVL_OK)
		return status;
	envelope.ciphertext.data = ciphertext;
	size += envelope.ciphertext.len;
	envl_envelope_encode(&envelope, out);

	/* The parser checks the limits of a value. */
	status = envl_envelope_parse((envl_view) {out, size}, &envelope);
	if (status == ENVL_OK)
		*out_len = size;
	return status;
}
