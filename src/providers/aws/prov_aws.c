/*
 * prov_aws.c
 *	  Root keys in AWS KMS.
 *
 * Encrypt, Decrypt and DescribeKey in AWS's JSON 1.1, signed by libcurl.  The
 * encryption context says which KEK a request is for ("0123456789ab/1"); the
 * service authenticates it and writes it into CloudTrail.
 *
 * Every Decrypt names the root key.  Otherwise AWS would open what any key
 * that the role may use has sealed, and an attacker who can write the catalog
 * could plant a KEK of their own.  For the same reason the URI takes a key's
 * ARN and no alias, which can be moved to another key.
 *
 * The sealed bytes are "awskms:v1:" and the CiphertextBlob in base64.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "providers/aws/prov_aws.h"
#include "providers/aws/prov_aws_call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "providers/http/kms_services.h"
#include "providers/http/prov_cloud.h"
#include "providers/http/prov_json.h"

#define SEALED_PREFIX "awskms:v1:"
#define ALGORITHM "SYMMETRIC_DEFAULT"
#define CONTEXT_MEMBER "pgenvelope-key"

/* Room for a sealed KEK, an ARN and member names. */
#define REQUEST_SIZE (PROV_SEALED_MAX + PROV_LOCATION_SIZE + 1024)

static prov_category aws_open(const prov_uri *uri, void **state,
							  prov_failure *failure);
static prov_category take_arn(prov_aws *aws, prov_failure *failure);
static prov_category aws_seal(void *state, const char *key,
							  const uint8_t *plaintext, prov_sealed *sealed,
							  prov_failure *failure);
static prov_category aws_unseal(void *state, const char *key,
								envl_view sealed, uint8_t *plaintext,
								prov_failure *failure);
static prov_category aws_check(void *state, prov_check *check,
							   prov_failure *failure);
static void aws_close(void *state);

static const char *const words[] = {
	"config-file",
	"credentials-file",
	"endpoint",
	"fips",
	"profile",
	"sts-endpoint",
	"sts-region",
	NULL,
};

const prov_service prov_aws_service = {
	.scheme = "awskms",
	.open = aws_open,
	.seal = aws_seal,
	.unseal = aws_unseal,
	.check = aws_check,
	.close = aws_close,
};

/* ---------------------------------------------------------------------- */

static prov_category
aws_open(const prov_uri *uri, void **state, prov_failure *failure)
{
	const prov_http_defaults defaults = {.ca_file = getenv("AWS_CA_BUNDLE")};
	prov_aws   *aws;
	prov_category category;

	category = prov_uri_only(uri, words, prov_http_words, failure);
	if (category != PROV_OK)
		return category;
	aws = calloc(1, sizeof(*aws));
	if (aws == NULL)
		return prov_cloud_no_memory(failure);
	aws->uri = *uri;
	category = take_arn(aws, failure);
	if (category == PROV_OK)
		category = prov_aws_endpoint(aws, "kms", aws->region, "endpoint",
									 "AWS_ENDPOINT_URL_KMS", aws->endpoint,
									 sizeof(aws->endpoint), failure);
	if (category == PROV_OK)
		category = prov_http_open(uri, &defaults, &aws->http, failure);
	if (category != PROV_OK)
	{
		free(aws);
		return category;
	}
	*state = aws;
	return PROV_OK;
}

/* arn:PARTITION:kms:REGION:ACCOUNT:key/ID */
static prov_category
take_arn(prov_aws *aws, prov_failure *failure)
{
	envl_view	rest;
	envl_view	parts[6];
	size_t		count = 0;
	const char *id;

	if (aws->uri.host[0] == '\0' &&
		prov_uri_decode((envl_view) {(const uint8_t *) aws->uri.path,
									strlen(aws->uri.path)},
						aws->arn, sizeof(aws->arn)))
	{
		rest.data = (const uint8_t *) aws->arn;
		rest.len = strlen(aws->arn);
		while (count < 6 && prov_uri_next_part(&rest, ':', &parts[count]))
			count++;
		if (count == 6 && rest.data == NULL &&
			envl_view_equal(parts[0], ENVL_LITERAL("arn")) &&
			prov_cloud_is_word(parts[1], sizeof(aws->partition) - 1) &&
			envl_view_equal(parts[2], ENVL_LITERAL("kms")) &&
			prov_cloud_is_word(parts[3], sizeof(aws->region) - 1) &&
			prov_cloud_is_word(parts[4], 12) && parts[5].len > 4 &&
			memcmp(parts[5].data, "key/", 4) == 0)
		{
			id = (const char *) parts[5].data + 4;
			if (prov_cloud_is_word((envl_view) {(const uint8_t *) id,
											   strlen(id)},
								   PROV_ROOT_KEY_MAX - 1))
			{
				aws->key_id = id;
				prov_cloud_copy(parts[1], aws->partition);
				prov_cloud_copy(parts[3], aws->region);
				return PROV_OK;
			}
		}
	}
	return prov_fail(failure, PROV_MISCONFIGURED,
					 "The URI of an AWS key is awskms: and the key's ARN, "
					 "arn:aws:kms:REGION:ACCOUNT:key/ID; an alias, which can "
					 "be pointed at another key, is refused.",
					 NULL);
}

static void
aws_close(void *state)
{
	prov_aws   *aws = state;

	prov_http_close(aws->http);
	envl_wipe(aws, sizeof(*aws));
	free(aws);
}

/* ---------------------------------------------------------------------- */

static prov_category
aws_seal(void *state, const char *key, const uint8_t *plaintext,
		 prov_sealed *sealed, prov_failure *failure)
{
	prov_aws   *aws = state;
	envl_view	bytes = {plaintext, ENVL_SEALED_PLAINTEXT_LEN};
	char		request[REQUEST_SIZE];
	uint8_t		blob[PROV_SEALED_MAX];
	char		arn[PROV_LOCATION_SIZE];
	prov_json_writer writer;
	prov_http_reply reply;
	prov_json  *json;
	envl_view	body;
	size_t		len = 0;
	prov_category category;

	prov_http_begin(aws->http);
	prov_json_begin(&writer, request, sizeof(request));
	prov_json_put(&writer, "KeyId", aws->arn);
	prov_json_put_base64(&writer, "Plaintext", ENVL_BASE64_STANDARD, bytes);
	prov_json_put(&writer, "EncryptionAlgorithm", ALGORITHM);
	prov_json_open(&writer, "EncryptionContext");
	prov_json_put(&writer, CONTEXT_MEMBER, key);
	prov_json_shut(&writer);
	if (prov_json_end(&writer, &body))
		category = prov_aws_call(aws, "Encrypt", body, &reply, failure);
	else
		category = prov_cloud_too_long(failure);
	envl_wipe(request, sizeof(request));
	if (category != PROV_OK)
		return category;

	json = prov_json_parse(reply.body, reply.body_len);
	if (json == NULL ||
		!prov_json_base64(json, "CiphertextBlob", ENVL_BASE64_STANDARD, blob,
						  sizeof(blob), &len) ||
		!prov_json_string(json, "KeyId", arn, sizeof(arn)) ||
		strcmp(arn, aws->arn) != 0 ||
		!prov_cloud_write_sealed(sealed, SEALED_PREFIX, ENVL_BASE64_STANDARD,
								 (envl_view) {blob, len}))
		category = prov_aws_rubbish(failure, &reply);
	else
		snprintf(sealed->root_key, sizeof(sealed->root_key), "%s",
				 aws->key_id);
	prov_json_free(json);
	return category;
}

static prov_category
aws_unseal(void *state, const char *key, envl_view sealed,
		   uint8_t *plaintext, prov_failure *failure)
{
	prov_aws   *aws = state;
	char		request[2 * REQUEST_SIZE];
	uint8_t		blob[PROV_SEALED_MAX + 3];
	char		arn[PROV_LOCATION_SIZE];
	prov_json_writer writer;
	prov_http_reply reply;
	prov_json  *json;
	envl_view	body;
	size_t		len;
	prov_category category;

	if (!prov_cloud_read_sealed(sealed, SEALED_PREFIX, ENVL_BASE64_STANDARD,
								blob, &len))
		return prov_cloud_not_ours(failure);
	prov_http_begin(aws->http);
	prov_json_begin(&writer, request, sizeof(request));
	prov_json_put(&writer, "KeyId", aws->arn);
	prov_json_put_base64(&writer, "CiphertextBlob", ENVL_BASE64_STANDARD,
						 (envl_view) {blob, len});
	prov_json_put(&writer, "EncryptionAlgorithm", ALGORITHM);
	prov_json_open(&writer, "EncryptionContext");
	prov_json_put(&writer, CONTEXT_MEMBER, key);
	prov_json_shut(&writer);
	if (prov_json_end(&writer, &body))
		category = prov_aws_call(aws, "Decrypt", body, &reply, failure);
	else
		category = prov_cloud_too_long(failure);
	if (category != PROV_OK)
		return category;

	json = prov_json_parse(reply.body, reply.body_len);
	if (json == NULL ||
		!prov_json_string(json, "KeyId", arn, sizeof(arn)) ||
		!prov_json_has(json, "Plaintext"))
		category = prov_aws_rubbish(failure, &reply);
	else if (strcmp(arn, aws->arn) != 0)
		category = prov_fail(failure, PROV_INTEGRITY,
							 "Another key than the provider's opened the "
							 "sealed key.",
							 NULL);
	else if (!prov_json_base64(json, "Plaintext", ENVL_BASE64_STANDARD,
							   plaintext, ENVL_SEALED_PLAINTEXT_LEN, &len) ||
			 len != ENVL_SEALED_PLAINTEXT_LEN)
		category = prov_cloud_wrong_length(failure);
	prov_json_free(json);
	envl_wipe(&reply, sizeof(reply));
	return category;
}

static prov_category
aws_check(void *state, prov_check *check, prov_failure *failure)
{
	prov_aws   *aws = state;
	char		request[REQUEST_SIZE];
	char		key_state[32];
	char		key_spec[64];
	prov_json_writer writer;
	prov_http_reply reply;
	prov_json  *json;
	envl_view	body;
	prov_category category;

	prov_http_begin(aws->http);
	prov_json_begin(&writer, request, sizeof(request));
	prov_json_put(&writer, "KeyId", aws->arn);
	if (prov_json_end(&writer, &body))
		category = prov_aws_call(aws, "DescribeKey", body, &reply, failure);
	else
		category = prov_cloud_too_long(failure);
	if (category != PROV_OK)
		return category;

	json = prov_json_parse(reply.body, reply.body_len);
	if (json == NULL ||
		!prov_json_string(json, "KeyMetadata.KeyState", key_state,
						  sizeof(key_state)))
		category = prov_aws_rubbish(failure, &reply);
	else if (strcmp(key_state, "Unavailable") == 0 ||
			 strcmp(key_state, "Creating") == 0)
		category = prov_fail(failure, PROV_UNAVAILABLE,
							 "The root key is not available now.", NULL);
	else if (strcmp(key_state, "Enabled") != 0 &&
			 strcmp(key_state, "Updating") != 0)
		category = prov_fail(failure, PROV_DISABLED,
							 "The root key is disabled, has no key material "
							 "yet or is about to be deleted.",
							 NULL);
	else if ((prov_json_string(json, "KeyMetadata.KeySpec", key_spec,
							   sizeof(key_spec)) ||
			  prov_json_string(json, "KeyMetadata.CustomerMasterKeySpec",
							   key_spec, sizeof(key_spec))) &&
			 strcmp(key_spec, ALGORITHM) != 0)
		category = prov_fail(failure, PROV_MISCONFIGURED,
							 "The root key is not a symmetric key for "
							 "encryption.",
							 NULL);
	prov_json_free(json);
	if (category != PROV_OK)
		return category;
	snprintf(check->root_key, sizeof(check->root_key), "%s", aws->key_id);
	snprintf(check->credential, sizeof(check->credential), "%s",
			 aws->credentials.kind);
	check->expires = aws->credentials.expires;
	return PROV_OK;
}
