/*
 * fuzz_pkcs11_seal.c
 *	  Any bytes as what a PKCS#11 token has sealed, and as a pkcs11: URI.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <string.h>

#include "fuzz.h"
#include "providers/pkcs11/prov_pkcs11_uri.h"

static bool
is_zero(const void *memory, size_t len)
{
	const uint8_t *bytes = memory;

	while (len > 0 && bytes[len - 1] == 0)
		len--;
	return len == 0;
}

/* What was understood is written the same way; what was not leaves nothing. */
static void
try_sealed(envl_view input)
{
	static prov_pkcs11_blob blob;
	static prov_sealed again;
	uint8_t		aad[PROV_PKCS11_AAD_MAX];
	size_t		len;

	memset(&blob, 0xFF, sizeof(blob));
	if (!prov_pkcs11_decode(input, &blob))
	{
		CHECK(is_zero(&blob, sizeof(blob)));
		return;
	}
	CHECK(blob.mechanism > PROV_PKCS11_NO_MECHANISM &&
		  blob.mechanism < PROV_PKCS11_MECHANISMS);
	CHECK(blob.id.len <= PROV_PKCS11_ID_MAX);
	CHECK(blob.ciphertext_len <= PROV_PKCS11_CIPHERTEXT_MAX);
	CHECK(blob.mechanism == PROV_PKCS11_AES_GCM ||
		  is_zero(blob.iv, sizeof(blob.iv)));
	prov_pkcs11_encode(&blob, &again);
	CHECK(envl_view_equal((envl_view) {again.bytes, again.len}, input));
	len = prov_pkcs11_aad(&blob, ENVL_LITERAL("0123456789ab/65535"), aad);
	CHECK(len == 20 + 3 + blob.id.len + 18 && len <= sizeof(aad));
}

static void
check_text(const char *text, size_t size)
{
	CHECK(memchr(text, '\0', size) != NULL);
	for (; *text != '\0'; text++)
		CHECK((unsigned char) *text >= 0x20 && *text != 0x7F);
}

static void
try_uri(envl_view input)
{
	static prov_uri uri;
	static prov_pkcs11_uri out;
	char	   *text = fuzz_alloc(input.len + 1);
	prov_failure failure;

	memcpy(text, input.data, input.len);
	text[input.len] = '\0';
	if (prov_uri_parse(text, &uri, &failure) == PROV_OK &&
		prov_pkcs11_uri_parse(&uri, &out, &failure) == PROV_OK)
	{
		check_text(out.token, sizeof(out.token));
		check_text(out.manufacturer, sizeof(out.manufacturer));
		check_text(out.model, sizeof(out.model));
		check_text(out.serial, sizeof(out.serial));
		check_text(out.object, sizeof(out.object));
		check_text(out.module_path, sizeof(out.module_path));
		check_text(out.pin_path, sizeof(out.pin_path));
		CHECK(out.module_path[0] == '/');
		CHECK((out.pin_source == PROV_PKCS11_NO_PIN) ==
			  (out.pin_path[0] == '\0'));
		CHECK(out.object[0] != '\0' || out.has_id);
		CHECK(out.id.len <= PROV_PKCS11_ID_MAX);
		CHECK(out.has_id == (out.id.len > 0));
		CHECK(out.previous_id.len <= PROV_PKCS11_ID_MAX);
		CHECK(out.mechanism < PROV_PKCS11_MECHANISMS);
	}
	free(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	envl_view	input = {data, size};

	try_sealed(input);
	try_uri(input);
	return 0;
}
