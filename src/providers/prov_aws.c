/*
 * prov_aws.c
 *	  Root keys in AWS KMS.
 *
 * Encrypt, Decrypt and DescribeKey, in AWS's JSON 1.1, signed by libcurl.
 * Which key it is about ("0123456789ab/1") goes along as the encryption
 * context: the service authenticates it and writes it into CloudTrail.
 *
 * Every Decrypt names the key.  Without that, AWS would open what any key
 * seals that the role may use, and whoever can write the catalog could bring
 * a KEK of his own.  For the same reason the URI has a key's ARN and not an
 * alias, which can be pointed elsewhere.
 *
 * The sealed bytes are "awskms:v1:" and the CiphertextBlob in base64.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "prov_aws.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "kms_services.h"
#include "prov_cloud.h"
#include "prov_json.h"

#define SEALED_PREFIX "awskms:v1:"
#define ALGORITHM "SYMMETRIC_DEFAULT"
#define CONTEXT_MEMBER "pgenvelope-key"

/* Credentials are replaced this long before they end. */
#define REFRESH_AHEAD_S 300

/* Room for a request: a sealed KEK, an ARN and names. */
#define REQUEST_SIZE (PROV_SEALED_MAX + PROV_LOCATION_SIZE + 1024)

static prov_category aws_open(const prov_uri *uri, void **state,
							  prov_failure *failure);
static prov_category take_arn(prov_aws *aws, prov_failure *failure);
static bool is_word(envl_view part, size_t longest);
static prov_category aws_seal(void *state, const char *key,
							  const uint8_t *plaintext, prov_sealed *sealed,
							  prov_failure *failure);
static prov_category aws_unseal(void *state, const char *key,
								envl_view sealed, uint8_t *plaintext,
								prov_failure *failure);
static prov_category aws_check(void *state, prov_check *check,
							   prov_failure *failure);
static void aws_close(void *state);
static prov_category call(prov_aws *aws, const char *operation,
						  envl_view body, prov_http_reply *reply,
						  prov_failure *failure);
static prov_category call_once(prov_aws *aws, const char *operation,
							   envl_view body, prov_http_reply *reply,
							   prov_failure *failure);
static prov_category use_credentials(prov_aws *aws, prov_failure *failure);
static prov_category classify(const prov_http_reply *reply);
static void error_code(const prov_http_reply *reply, char *code, size_t size);
static prov_category fail_reply(prov_failure *failure,
								const prov_http_reply *reply);
static prov_category fail_rubbish(prov_failure *failure,
								  const prov_http_reply *reply);

/* Indexes of the headers that are wanted of every reply. */
enum
{
	HEADER_ERROR,
	HEADER_REQUEST,
	HEADER_DATE
};

static const char *const wanted_headers[] = {
	[HEADER_ERROR] = "x-amzn-ErrorType",
	[HEADER_REQUEST] = "x-amzn-RequestId",
	[HEADER_DATE] = "Date",
	NULL,
};

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

/* What AWS's error codes mean; for others the status decides. */
static const prov_cloud_code error_codes[] = {
	{"ThrottlingException", PROV_THROTTLED},
	{"Throttling", PROV_THROTTLED},
	{"ThrottledException", PROV_THROTTLED},
	{"TooManyRequestsException", PROV_THROTTLED},
	{"RequestLimitExceeded", PROV_THROTTLED},
	{"LimitExceededException", PROV_THROTTLED},
	{"KMSInternalException", PROV_UNAVAILABLE},
	{"DependencyTimeoutException", PROV_UNAVAILABLE},
	{"KeyUnavailableException", PROV_UNAVAILABLE},
	{"InternalFailure", PROV_UNAVAILABLE},
	{"ServiceUnavailable", PROV_UNAVAILABLE},
	{"ServiceUnavailableException", PROV_UNAVAILABLE},
	{"AccessDeniedException", PROV_DENIED},
	{"AccessDenied", PROV_DENIED},
	{"UnrecognizedClientException", PROV_DENIED},
	{"InvalidClientTokenId", PROV_DENIED},
	{"InvalidSignatureException", PROV_DENIED},
	{"SignatureDoesNotMatch", PROV_DENIED},
	{"IncompleteSignature", PROV_DENIED},
	{"IncompleteSignatureException", PROV_DENIED},
	{"MissingAuthenticationToken", PROV_DENIED},
	{"MissingAuthenticationTokenException", PROV_DENIED},
	{"AuthFailure", PROV_DENIED},
	{"ExpiredToken", PROV_DENIED},
	{"ExpiredTokenException", PROV_DENIED},
	{"RequestExpired", PROV_DENIED},
	{"NotAuthorized", PROV_DENIED},
	{"OptInRequired", PROV_DENIED},
	{"NotFoundException", PROV_NOT_FOUND},
	{"DisabledException", PROV_DISABLED},
	{"KMSInvalidStateException", PROV_DISABLED},
	{"InvalidCiphertextException", PROV_INTEGRITY},
	{"IncorrectKeyException", PROV_INTEGRITY},
	{NULL, PROV_OK},
};

/* Codes that say that the credentials, not their rights, are no good. */
static const char *const stale_codes[] = {
	"ExpiredToken",
	"ExpiredTokenException",
	"RequestExpired",
	"UnrecognizedClientException",
	"InvalidClientTokenId",
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
			is_word(parts[1], sizeof(aws->partition) - 1) &&
			envl_view_equal(parts[2], ENVL_LITERAL("kms")) &&
			is_word(parts[3], sizeof(aws->region) - 1) &&
			is_word(parts[4], 12) && parts[5].len > 4 &&
			memcmp(parts[5].data, "key/", 4) == 0)
		{
			id = (const char *) parts[5].data + 4;
			if (is_word((envl_view) {(const uint8_t *) id, strlen(id)},
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

/* 1 to longest letters, digits and hyphens: nothing that moves a host. */
static bool
is_word(envl_view part, size_t longest)
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

static void
aws_close(void *state)
{
	prov_aws   *aws = state;

	prov_http_close(aws->http);
	envl_wipe(aws, sizeof(*aws));
	free(aws);
}

prov_category
prov_aws_endpoint(const prov_aws *aws, const char *service,
				  const char *region, const char *word, const char *variable,
				  char *out, size_t size, prov_failure *failure)
{
	static const struct
	{
		const char *partition;
		const char *domain;
	} domains[] = {
		{"aws", "amazonaws.com"},
		{"aws-us-gov", "amazonaws.com"},
		{"aws-cn", "amazonaws.com.cn"},
		{"aws-eusc", "amazonaws.eu"},
		{"aws-iso", "c2s.ic.gov"},
		{"aws-iso-b", "sc2s.sgov.gov"},
	};
	bool		fips;
	const char *given = prov_uri_setting_of(&aws->uri, word, NULL);
	int			len = -1;

	if (given == NULL &&
		!prov_aws_is_true(getenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")))
	{
		given = prov_uri_setting_of(&aws->uri, NULL, variable);
		if (given == NULL)
			given = prov_uri_setting_of(&aws->uri, NULL, "AWS_ENDPOINT_URL");
	}
	fips = prov_aws_is_true(prov_uri_setting_of(&aws->uri, "fips",
												"AWS_USE_FIPS_ENDPOINT"));

	if (given != NULL)
		len = snprintf(out, size, "%s%s", given,
					   given[strlen(given) - 1] == '/' ? "" : "/");
	for (size_t i = 0;
		 given == NULL && i < sizeof(domains) / sizeof(domains[0]); i++)
	{
		if (strcmp(aws->partition, domains[i].partition) == 0)
			len = snprintf(out, size, "https://%s%s.%s.%s/", service,
						   fips ? "-fips" : "", region, domains[i].domain);
	}
	if (len < 0 || (size_t) len >= size)
		return prov_fail(failure, PROV_MISCONFIGURED,
						 "The address of AWS's service is not known: set "
						 "\"endpoint\".",
						 "The service is %s, in partition %s.", service,
						 aws->partition);
	return PROV_OK;
}

bool
prov_aws_is_true(const char *value)
{
	return value != NULL && strcasecmp(value, "true") == 0;
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
		category = call(aws, "Encrypt", body, &reply, failure);
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
		category = fail_rubbish(failure, &reply);
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
		category = call(aws, "Decrypt", body, &reply, failure);
	else
		category = prov_cloud_too_long(failure);
	if (category != PROV_OK)
		return category;

	json = prov_json_parse(reply.body, reply.body_len);
	if (json == NULL ||
		!prov_json_string(json, "KeyId", arn, sizeof(arn)) ||
		!prov_json_has(json, "Plaintext"))
		category = fail_rubbish(failure, &reply);
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
		category = call(aws, "DescribeKey", body, &reply, failure);
	else
		category = prov_cloud_too_long(failure);
	if (category != PROV_OK)
		return category;

	json = prov_json_parse(reply.body, reply.body_len);
	if (json == NULL ||
		!prov_json_string(json, "KeyMetadata.KeyState", key_state,
						  sizeof(key_state)))
		category = fail_rubbish(failure, &reply);
	else if (strcmp(key_state, "Unavailable") == 0 ||
			 strcmp(key_state, "Creating") == 0)
		category = prov_fail(failure, PROV_UNAVAILABLE,
							 "The root key is not available now.", NULL);
	else if (strcmp(key_state, "Enabled") != 0 &&
			 strcmp(key_state, "Updating") != 0)
		category = prov_fail(failure, PROV_DISABLED,
							 "The root key is disabled, waits for its "
							 "material or is about to be deleted.",
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

/* ---------------------------------------------------------------------- */

/*
 * Calls an operation; PROV_OK: the reply is a good one.  What AWS says about
 * stale credentials is tried once more with fresh ones.
 */
static prov_category
call(prov_aws *aws, const char *operation, envl_view body,
	 prov_http_reply *reply, prov_failure *failure)
{
	char		code[64];
	prov_category category;

	category = call_once(aws, operation, body, reply, failure);
	if (category != PROV_OK)
		return category;
	error_code(reply, code, sizeof(code));
	for (size_t i = 0; i < sizeof(stale_codes) / sizeof(stale_codes[0]); i++)
	{
		if (reply->status / 100 != 2 && strcmp(code, stale_codes[i]) == 0)
		{
			envl_wipe(&aws->credentials, sizeof(aws->credentials));
			category = call_once(aws, operation, body, reply, failure);
			break;
		}
	}
	if (category != PROV_OK || reply->status == 200)
		return category;
	return fail_reply(failure, reply);
}

static prov_category
call_once(prov_aws *aws, const char *operation, envl_view body,
		  prov_http_reply *reply, prov_failure *failure)
{
	char		target[64];
	char		token[PROV_AWS_TOKEN_SIZE + 32];
	char		sigv4[64];
	const char *headers[] = {
		"Content-Type: application/x-amz-json-1.1",
		"Accept: application/json",
		target,
		NULL,
		NULL,
	};
	prov_http_request request = {
		.method = "POST",
		.url = aws->endpoint,
		.headers = headers,
		.body = body,
		.wanted = wanted_headers,
		.classify = classify,
		.sigv4 = sigv4,
		.access_key = aws->credentials.access_key,
		.secret_key = aws->credentials.secret_key,
	};
	prov_category category;

	category = use_credentials(aws, failure);
	if (category != PROV_OK)
		return category;
	snprintf(target, sizeof(target), "X-Amz-Target: TrentService.%s",
			 operation);
	snprintf(sigv4, sizeof(sigv4), "aws:amz:%s:kms", aws->region);
	if (aws->credentials.session_token[0] != '\0')
	{
		snprintf(token, sizeof(token), "X-Amz-Security-Token: %s",
				 aws->credentials.session_token);
		headers[3] = token;
	}
	category = prov_http_call(aws->http, &request, reply, failure);
	envl_wipe(token, sizeof(token));
	return category;
}

/*
 * Keeps credentials that end until shortly before they do.  If new ones are
 * not to be had just then, the old ones serve to their end.
 */
static prov_category
use_credentials(prov_aws *aws, prov_failure *failure)
{
	int64_t		left = aws->credentials.expires - prov_clock_seconds();
	prov_aws_credentials fresh = {0};
	prov_category category;

	if (aws->credentials.expires != 0 && left > REFRESH_AHEAD_S)
		return PROV_OK;
	category = prov_aws_find_credentials(aws, &fresh, failure);
	if (category == PROV_OK)
		aws->credentials = fresh;
	else if (aws->credentials.expires != 0 && left > 10)
		category = PROV_OK;
	else
		envl_wipe(&aws->credentials, sizeof(aws->credentials));
	envl_wipe(&fresh, sizeof(fresh));
	return category;
}

static prov_category
classify(const prov_http_reply *reply)
{
	char		code[64];

	if (reply->status == 200)
		return PROV_OK;
	error_code(reply, code, sizeof(code));
	return prov_cloud_category(error_codes, code, reply);
}

/* "com.amazonaws.kms#NotFoundException", "NotFoundException:http://..." */
static void
error_code(const prov_http_reply *reply, char *code, size_t size)
{
	prov_json  *json = prov_json_parse(reply->body, reply->body_len);
	char		text[256] = "";
	const char *start = text;
	const char *hash;

	if (json == NULL ||
		(!prov_json_string(json, "__type", text, sizeof(text)) &&
		 !prov_json_string(json, "code", text, sizeof(text))))
		snprintf(text, sizeof(text), "%.255s", reply->headers[HEADER_ERROR]);
	prov_json_free(json);
	hash = strrchr(text, '#');
	if (hash != NULL)
		start = hash + 1;
	snprintf(code, size, "%.*s", (int) strcspn(start, ":"), start);
}

static prov_category
fail_reply(prov_failure *failure, const prov_http_reply *reply)
{
	static const char *const reasons[PROV_CATEGORIES] = {
		[PROV_UNAVAILABLE] = "AWS KMS is not available.",
		[PROV_THROTTLED] = "AWS KMS asks to be called less often.",
		[PROV_DENIED] = "AWS KMS denied the request.",
		[PROV_NOT_FOUND] = "AWS KMS does not have the key.",
		[PROV_DISABLED] = "AWS KMS has the key disabled or about to go.",
		[PROV_INTEGRITY] = "AWS KMS could not open the sealed key.",
		[PROV_MISCONFIGURED] = "AWS KMS refused the request.",
	};
	char		code[64];
	prov_category category = classify(reply);

	error_code(reply, code, sizeof(code));
	return prov_http_fail(failure, category, reasons[category], reply, code,
						  reply->headers[HEADER_REQUEST]);
}

static prov_category
fail_rubbish(prov_failure *failure, const prov_http_reply *reply)
{
	return prov_http_fail(failure, PROV_UNAVAILABLE,
						  "AWS KMS gave an answer that is not understood.",
						  reply, NULL, reply->headers[HEADER_REQUEST]);
}
