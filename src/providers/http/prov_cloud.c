/*
 * prov_cloud.c
 *	  What the providers of the clouds have in common.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "providers/http/prov_cloud.h"

#include <stdio.h>
#include <string.h>

#include "providers/http/prov_json.h"
#include "providers/serve/prov_serve.h"

prov_category
prov_cloud_category(const prov_cloud_code *codes, const char *code,
					const prov_http_reply *reply)
{
	for (; codes->code != NULL; codes++)
	{
		if (strcmp(codes->code, code) == 0)
			return codes->category;
	}
	return prov_cloud_refusal(reply);
}

prov_category
prov_cloud_refusal(const prov_http_reply *reply)
{
	prov_category category = prov_http_category(reply);
	bool		refused = category == PROV_DENIED ||
		category == PROV_NOT_FOUND;
	prov_json  *json;

	if (refused)
	{
		json = prov_json_parse(reply->body, reply->body_len);
		if (json == NULL)
			category = PROV_UNAVAILABLE;
		prov_json_free(json);
	}
	return category != PROV_OK ? category : PROV_UNAVAILABLE;
}

prov_category
prov_cloud_no_credentials(prov_category category)
{
	return category == PROV_NOT_FOUND ? PROV_MISCONFIGURED : category;
}

bool
prov_cloud_write_sealed(prov_sealed *sealed, const char *prefix,
						envl_base64 kind, envl_view bytes)
{
	size_t		prefix_len = strlen(prefix);
	size_t		len = envl_base64_encoded_len(kind, bytes.len);

	if (bytes.len == 0 || len > PROV_SEALED_MAX - prefix_len)
		return false;
	memcpy(sealed->bytes, prefix, prefix_len);
	envl_base64_encode(kind, bytes, (char *) sealed->bytes + prefix_len);
	sealed->len = prefix_len + len;
	return true;
}

bool
prov_cloud_read_sealed(envl_view sealed, const char *prefix,
					   envl_base64 kind, uint8_t *out, size_t *len)
{
	size_t		prefix_len = strlen(prefix);

	*len = 0;
	if (sealed.len <= prefix_len || sealed.len > PROV_SEALED_MAX ||
		memcmp(sealed.data, prefix, prefix_len) != 0)
		return false;
	sealed.data += prefix_len;
	sealed.len -= prefix_len;
	return envl_base64_decode(kind, sealed, out, len) == ENVL_OK && *len > 0;
}

void
prov_cloud_begin_part(prov_http *http, prov_cloud_part *part)
{
	part->started_ms = prov_clock_ms();
	part->left_ms = prov_http_left_ms(http);
	prov_http_begin_for(http, part->left_ms / 3);
}

void
prov_cloud_end_part(prov_http *http, const prov_cloud_part *part)
{
	int64_t		took_ms = prov_clock_ms() - part->started_ms;
	int64_t		left_ms = part->left_ms - took_ms;

	prov_http_begin_for(http, left_ms > 0 ? left_ms : 0);
}

bool
prov_cloud_is_word(envl_view part, size_t longest)
{
	if (part.len == 0 || part.len > longest)
		return false;
	for (size_t i = 0; i < part.len; i++)
	{
		uint8_t		c = part.data[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			  (c >= '0' && c <= '9') || c == '-'))
			return false;
	}
	return true;
}

void
prov_cloud_copy(envl_view text, char *out)
{
	memcpy(out, text.data, text.len);
	out[text.len] = '\0';
}

bool
prov_cloud_header(char *out, size_t size, const char *name, const char *value)
{
	int			len = snprintf(out, size, "%s: %s", name, value);

	return len > 0 && (size_t) len < size;
}

prov_category
prov_cloud_not_ours(prov_failure *failure)
{
	return prov_fail(failure, PROV_INTEGRITY,
					 "The sealed key is not one that this provider has "
					 "sealed.",
					 NULL);
}

prov_category
prov_cloud_wrong_length(prov_failure *failure)
{
	return prov_fail(failure, PROV_INTEGRITY,
					 "What the key service opened is not a key encryption "
					 "key.",
					 NULL);
}

prov_category
prov_cloud_too_long(prov_failure *failure)
{
	return prov_fail(failure, PROV_MISCONFIGURED,
					 "A setting, a credential or a name is too long.", NULL);
}

prov_category
prov_cloud_no_memory(prov_failure *failure)
{
	return prov_fail(failure, PROV_UNAVAILABLE, "There is not enough memory.",
					 NULL);
}
