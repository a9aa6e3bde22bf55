/*
 * fuzz_kms_parsers.c
 *	  Small parsers of the clouds' providers, by the first byte: a profile
 *	  file, an XML answer, a time, what was sealed, and URIs.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <string.h>

#include "fuzz.h"
#include "providers/aws/prov_profile.h"
#include "providers/aws/prov_xml.h"
#include "providers/http/prov_cloud.h"
#include "providers/http/prov_time.h"
#include "providers/http/kms_services.h"

/* What is found is within the file, on one line, and without blanks around. */
static void
check_profile(envl_view text)
{
	static const char *const names[] = {"default", "a", "b c"};
	envl_view	value;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
	{
		if (!prov_profile_find(text, names[i], "key", &value))
			continue;
		CHECK(prov_profile_find(text, names[i], NULL, &value));
		CHECK(value.data >= text.data);
		CHECK(value.data + value.len <= text.data + text.len);
		CHECK(value.len == 0 || memchr(value.data, '\n', value.len) == NULL);
		CHECK(value.len == 0 || value.data[0] != ' ');
		CHECK(value.len == 0 || value.data[value.len - 1] != ' ');
	}
}

static void
check_xml(envl_view text)
{
	char	   *out = fuzz_alloc(8);

	if (prov_xml_text(text, "a", out, 8))
		CHECK(strlen(out) > 0 && strlen(out) < 8);
	else
		CHECK(out[0] == '\0');
	free(out);
}

static void
check_time(envl_view text)
{
	time_t		when;

	if (prov_time_parse(text, &when))
		CHECK(when >= -86400 && when < (time_t) 253402387200);
}

/* What is read is exactly what would be written. */
static void
check_sealed(envl_view text)
{
	static prov_sealed again;
	uint8_t    *bytes = fuzz_alloc(PROV_SEALED_MAX + 3);
	size_t		len;

	if (prov_cloud_read_sealed(text, "x:v1:", ENVL_BASE64_URL, bytes, &len))
	{
		CHECK(prov_cloud_write_sealed(&again, "x:v1:", ENVL_BASE64_URL,
									  (envl_view) {bytes, len}));
		CHECK(envl_view_equal(text, (envl_view) {again.bytes, again.len}));
	}
	free(bytes);
}

/* A URI is understood or refused with a reason; nobody is called. */
static void
check_uri(envl_view text)
{
	static const prov_service *const services[] = {
		&prov_aws_service, &prov_gcp_service, &prov_azure_service};
	static prov_uri uri;
	char	   *copy = fuzz_alloc(text.len + 1);
	prov_failure failure;

	memcpy(copy, text.data, text.len);
	copy[text.len] = '\0';
	for (size_t i = 0; i < sizeof(services) / sizeof(services[0]); i++)
	{
		void	   *state = NULL;

		memset(&failure, 0, sizeof(failure));
		if (prov_uri_parse(copy, &uri, &failure) != PROV_OK)
			break;
		if (services[i]->open(&uri, &state, &failure) == PROV_OK)
			services[i]->close(state);
		else
			CHECK(failure.reason[0] != '\0');
	}
	free(copy);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static		void (*const checks[])(envl_view) = {
		check_profile, check_xml, check_time, check_sealed, check_uri};
	const size_t count = sizeof(checks) / sizeof(checks[0]);
	uint8_t    *copy;

	if (size == 0)
		return 0;
	copy = fuzz_alloc(size - 1);
	memcpy(copy, data + 1, size - 1);
	checks[data[0] % count]((envl_view) {copy, size - 1});
	free(copy);
	return 0;
}
