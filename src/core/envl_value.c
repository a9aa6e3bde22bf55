/*
 * envl_value.c
 *	  Sealing a plaintext into a value, and opening it.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <string.h>

#include "envl_value.h"

#define PADDING_FIRST 0x80		/* ISO/IEC 7816-4: 0x80, then zeros */

#define MOMENT_LEN 8
#define COUNTER_LEN 4

/* A static object cannot portably be initialised with ENVL_LITERAL. */
#define VIEW_OF(s) (const uint8_t *) (s), sizeof(s) - 1

/*
 * docs/format.md, section 4, indexed by the flags TEXT and PADDED.  The base64
 * includes the dot that follows it in the AAD, which saves a call of
 * libcrypto.
 */
static const struct
{
	envl_view	json;
	envl_view	base64_dot;
} protected_headers[] = {
	{
		{VIEW_OF("{\"enc\":\"A256GCM\"}")},
		{VIEW_OF("eyJlbmMiOiJBMjU2R0NNIn0.")},
	},
	{
		{VIEW_OF("{\"cty\":\"text/plain;charset=UTF-8\","
				 "\"enc\":\"A256GCM\"}")},
		{VIEW_OF("eyJjdHkiOiJ0ZXh0L3BsYWluO2NoYXJzZXQ9VVRGLTgiLCJlbmMiOiJB"
				 "MjU2R0NNIn0.")},
	},
	{
		{VIEW_OF("{\"cty\":\"application/octet-stream;pad=7816\","
				 "\"enc\":\"A256GCM\"}")},
		{VIEW_OF("eyJjdHkiOiJhcHBsaWNhdGlvbi9vY3RldC1zdHJlYW07cGFkPTc4MTYi"
				 "LCJlbmMiOiJBMjU2R0NNIn0.")},
	},
	{
		{VIEW_OF("{\"cty\":\"text/plain;charset=UTF-8;pad=7816\","
				 "\"enc\":\"A256GCM\"}")},
		{VIEW_OF("eyJjdHkiOiJ0ZXh0L3BsYWluO2NoYXJzZXQ9VVRGLTg7cGFkPTc4MTYi"
				 "LCJlbmMiOiJBMjU2R0NNIn0.")},
	},
};

static size_t
protected_index(uint8_t flags)
{
	return ((flags & ENVL_FLAG_TEXT) != 0 ? 1 : 0) +
		((flags & ENVL_FLAG_PADDED) != 0 ? 2 : 0);
}

envl_view
envl_protected_json(uint8_t flags)
{
	return protected_headers[protected_index(flags)].json;
}

envl_view
envl_protected_base64(uint8_t flags)
{
	envl_view	base64 = protected_headers[protected_index(flags)].base64_dot;

	base64.len--;
	return base64;
}

/* At least one byte, up to the next multiple of payload->padding. */
static size_t
padding_len(const envl_payload *payload)
{
	if (payload->padding == 0)
		return 0;
	return payload->padding - payload->plaintext.len % payload->padding;
}

size_t
envl_value_size(const envl_payload *payload,
				const envl_bound_context *context)
{
	bool		stored = (payload->flags & ENVL_FLAG_CONTEXT) != 0;

	if (payload->plaintext.len > ENVL_PLAINTEXT_MAX ||
		payload->padding > ENVL_PADDING_MAX ||
		context->canonical.len > ENVL_CONTEXT_MAX)
		return 0;
	return envl_envelope_size(payload->plaintext.len + padding_len(payload),
							  stored ? (int) context->canonical.len : -1);
}

/*
 * Checks what must hold for any value, so that a mistake of the caller is not
 * sealed.
 */
static bool
payload_valid(const envl_payload *payload)
{
	bool		padded = (payload->flags & ENVL_FLAG_PADDED) != 0;

	return payload->key_version != 0 && payload->key_id != 0 &&
		payload->key_id <= ENVL_KEY_ID_MAX &&
		(payload->flags & ~ENVL_FLAGS) == 0 &&
		padded == (payload->padding > 0);
}

/*
 * Makes a random nonce that also differs between this machine and a clone with
 * the same pool: the time or the count of sealed values differs.
 */
static envl_status
make_nonce(envl_sealer *sealer, uint64_t moment_us, uint8_t *nonce)
{
	uint32_t	counter = sealer->counter++;
	envl_status status = envl_random_take(&sealer->random, &sealer->engine,
										  nonce, ENVL_NONCE_LEN);

	for (size_t i = 0; i < MOMENT_LEN; i++)
		nonce[i] ^= (uint8_t) (moment_us >> 8 * (MOMENT_LEN - 1 - i));
	for (size_t i = 0; i < COUNTER_LEN; i++)
		nonce[MOMENT_LEN + i] ^=
			(uint8_t) (counter >> 8 * (COUNTER_LEN - 1 - i));
	return status;
}

static envl_gcm
gcm_operation(const envl_key *dek, const uint8_t *nonce, uint8_t flags,
			  const envl_bound_context *context)
{
	return (envl_gcm) {
		.key = dek,
		.nonce = nonce,
		.aad = {
			protected_headers[protected_index(flags)].base64_dot,
			context->base64,
		},
	};
}

envl_status
envl_value_seal(envl_sealer *sealer, const envl_kek *kek,
				envl_dek_pool *pool, const envl_payload *payload,
				const envl_bound_context *context, uint8_t *out)
{
	size_t		size = envl_value_size(payload, context);
	envl_view	padding = {NULL, padding_len(payload)};
	envl_envelope envelope;
	envl_key	dek;
	envl_gcm	gcm;
	envl_status status;
	uint8_t    *ciphertext;

	if (size == 0)
		return ENVL_LIMIT;
	if (!payload_valid(payload))
	{
		envl_wipe(out, size);
		return ENVL_MALFORMED;
	}

	/* Every part is made where it belongs in out. */
	memset(&envelope, 0, sizeof(envelope));
	envelope.suite = envl_suite_find(ENVL_SUITE_A256KW_A256GCM);
	envelope.flags = payload->flags;
	envelope.key_version = payload->key_version;
	envelope.key_id = payload->key_id;
	envelope.wrapped = out + ENVL_OFFSET_WRAP;
	envelope.nonce = out + ENVL_OFFSET_NONCE;
	if ((payload->flags & ENVL_FLAG_CONTEXT) != 0)
		envelope.context = context->canonical;
	envelope.ciphertext.len = payload->plaintext.len + padding.len;
	ciphertext = out + size - ENVL_TAG_LEN - envelope.ciphertext.len;
	envelope.ciphertext.data = ciphertext;
	envelope.tag = out + size - ENVL_TAG_LEN;

	status = envl_dek_take(pool, kek, &sealer->engine, &sealer->random,
						   &dek, out + ENVL_OFFSET_WRAP);
	if (status == ENVL_OK)
		status = make_nonce(sealer, payload->moment_us,
							out + ENVL_OFFSET_NONCE);
	if (status == ENVL_OK)
	{
		if (padding.len > 0)
		{
			uint8_t    *start = ciphertext + payload->plaintext.len;

			memset(start, 0, padding.len);
			start[0] = PADDING_FIRST;
			padding.data = start;
		}
		gcm = gcm_operation(&dek, envelope.nonce, payload->flags, context);
		status = envl_gcm_seal(&sealer->engine, &gcm, payload->plaintext,
							   padding, ciphertext,
							   out + size - ENVL_TAG_LEN);
	}
	envl_wipe(&dek, sizeof(dek));
	if (status == ENVL_OK)
		envl_envelope_encode(&envelope, out);
	else
		envl_wipe(out, size);
	return status;
}

/*
 * Removes the padding.  The bytes were authenticated, so whoever made bad
 * padding had the key; the value still cannot be trusted.
 */
static envl_status
remove_padding(const uint8_t *bytes, size_t *len)
{
	size_t		left = *len;

	while (left > 0 && bytes[left - 1] == 0)
		left--;
	if (left == 0 || bytes[left - 1] != PADDING_FIRST)
		return ENVL_AUTHENTICATION;
	*len = left - 1;
	return ENVL_OK;
}

envl_status
envl_value_open(envl_engine *engine, const envl_kek *kek,
				const envl_envelope *envelope,
				const envl_bound_context *context, uint8_t *out,
				size_t *out_len)
{
	envl_view	ciphertext = envelope->ciphertext;
	size_t		len = ciphertext.len;
	envl_wrapped wrapped;
	envl_key	dek;
	envl_gcm	gcm;
	envl_status status;

	*out_len = 0;
	if (envelope->tag == NULL)
		return ENVL_MALFORMED;	/* only the header of a value */
	if ((envelope->flags & ENVL_FLAG_CONTEXT) != 0 &&
		!envl_view_equal(envelope->context, context->canonical))
	{
		envl_wipe(out, len);
		return ENVL_AUTHENTICATION;
	}

	memcpy(wrapped, envelope->wrapped, sizeof(wrapped));
	status = envl_kek_unwrap(kek, 1, (const envl_wrapped *) &wrapped, &dek,
							 NULL);
	if (status == ENVL_OK)
	{
		gcm = gcm_operation(&dek, envelope->nonce, envelope->flags, context);
		status = envl_gcm_open(engine, &gcm, ciphertext, envelope->tag, out);
	}
	envl_wipe(&dek, sizeof(dek));
	if (status == ENVL_OK && (envelope->flags & ENVL_FLAG_PADDED) != 0)
		status = remove_padding(out, &len);
	if (status == ENVL_OK)
		*out_len = len;
	else
		envl_wipe(out, ciphertext.len);
	return status;
}

envl_status
envl_value_mark(const envl_kek *kek, const envl_envelope *envelope,
				uint8_t *out)
{
	envl_wrapped wrapped;
	envl_key	dek;
	envl_status status;

	memcpy(wrapped, envelope->wrapped, sizeof(wrapped));
	status = envl_kek_unwrap(kek, 1, (const envl_wrapped *) &wrapped, &dek,
							 NULL);
	if (status == ENVL_OK)
		status = envl_dek_mark(&dek, out);
	else
		envl_wipe(out, ENVL_MARK_LEN);
	envl_wipe(&dek, sizeof(dek));
	return status;
}
