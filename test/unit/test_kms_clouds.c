/*
 * test_kms_clouds.c
 *	  URIs of the clouds' keys: what is understood, and that all else is
 *	  refused, before anybody is called.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "providers/aws/prov_aws.h"
#include "providers/azure/prov_azure.h"
#include "providers/gcp/prov_gcp.h"
#include "providers/http/kms_services.h"
#include "scratch.h"
#include "unit.h"

#define ARN "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab"
#define KEY "projects/p/locations/l/keyRings/r/cryptoKeys/k"

static prov_failure failure;

/* The state, or NULL. */
static void *
open_uri(const prov_service *service, const char *text)
{
	static prov_uri uri;
	void	   *state = NULL;

	memset(&failure, 0, sizeof(failure));
	if (prov_uri_parse(text, &uri, &failure) != PROV_OK ||
		service->open(&uri, &state, &failure) != PROV_OK)
		return NULL;
	return state;
}

static void
is_refused(const prov_service *service, const char *text)
{
	void	   *state = open_uri(service, text);

	if (ok(state == NULL, "%s: refused", text))
		is_failure(&failure, PROV_MISCONFIGURED, "", text);
	else
		service->close(state);
}

static void
aws_is(const char *text, const char *endpoint)
{
	prov_aws   *aws = open_uri(&prov_aws_service, text);

	if (!ok(aws != NULL, "%s: understood", text))
		return;
	is_text(aws->endpoint, endpoint, "%s: endpoint", text);
	prov_aws_service.close(aws);
}

static void
test_aws(void)
{
	static const char *const bad[] = {
		"awskms:",
		"awskms:1234abcd-12ab",
		"awskms:alias/x",
		"awskms:arn:aws:kms:eu-central-1:111122223333:alias/x",
		"awskms:arn:aws:kms:eu-central-1:111122223333:key/",
		"awskms:arn:aws:kms:eu-central-1:111122223333:key/a/b",
		"awskms:" ARN ":x",
		"awskms:arn:aws:kms:evil.test/:111122223333:key/x",
		"awskms:arn:aws:kms:evil.test:111122223333:key/x",
		"awskms:arn:aws:kms:%65vil@test:111122223333:key/x",
		"awskms:arn:aws:kms::111122223333:key/x",
		"awskms:arn:aws:s3:eu-central-1:111122223333:key/x",
		"awskms:arn:mars:kms:eu-central-1:111122223333:key/x",
		"awskms://" ARN,
		"awskms:" ARN "?secret-key=sesame",
		"awskms:" ARN "?ca-file=relative",
	};

	aws_is("awskms:" ARN, "https://kms.eu-central-1.amazonaws.com/");
	aws_is("awskms:" ARN "?fips=true",
		   "https://kms-fips.eu-central-1.amazonaws.com/");
	aws_is("awskms:" ARN "?endpoint=https://vpce.test",
		   "https://vpce.test/");
	aws_is("awskms:arn:aws-cn:kms:cn-north-1:111122223333:key/mrk-1",
		   "https://kms.cn-north-1.amazonaws.com.cn/");
	aws_is("awskms:arn:aws-us-gov:kms:us-gov-west-1:111122223333:key/x",
		   "https://kms.us-gov-west-1.amazonaws.com/");
	aws_is("awskms:arn:mars:kms:m-1:111122223333:key/x?"
		   "endpoint=https://kms.mars/",
		   "https://kms.mars/");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		is_refused(&prov_aws_service, bad[i]);
}

static void
test_gcp(void)
{
	static const char *const bad[] = {
		"gcpkms:" KEY,
		"gcpkms://" KEY "/cryptoKeyVersions/1",
		"gcpkms://projects/p/locations/l/keyRings/r/cryptoKeys",
		"gcpkms://projects/p/locations/l/keyRings/r/cryptoKeys/",
		"gcpkms://projects/p/locations/l/keyRings//cryptoKeys/k",
		"gcpkms://projects/p/locations/../keyRings/r/cryptoKeys/k",
		"gcpkms://projects/p/locations/l/keyRings/r/cryptoKeys/k%2fx",
		"gcpkms://projects/p/locations/l/keyRings/r/cryptoKeys/k%3ax",
		"gcpkms://projects/p/locations/l/keyrings/r/cryptoKeys/k",
		"gcpkms://organizations/p/locations/l/keyRings/r/cryptoKeys/k",
		"gcpkms://projects:443/p/locations/l/keyRings/r/cryptoKeys/k",
		"gcpkms://" KEY "?token=sesame",
	};
	prov_gcp   *gcp = open_uri(&prov_gcp_service,
							   "gcpkms://" KEY "?endpoint=https://x.test/");

	if (ok(gcp != NULL, "gcpkms: understood"))
	{
		is_text(gcp->name, KEY, "gcpkms: name");
		is_text(gcp->short_name, "k", "gcpkms: short name");
		is_text(gcp->endpoint, "https://x.test", "gcpkms: endpoint");
		prov_gcp_service.close(gcp);
	}
	gcp = open_uri(&prov_gcp_service,
				   "gcpkms://projects/example.com:p/locations/global/"
				   "keyRings/r/cryptoKeys/k_1");
	if (ok(gcp != NULL, "gcpkms: a project of a domain"))
		prov_gcp_service.close(gcp);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		is_refused(&prov_gcp_service, bad[i]);
}

static void
azure_is(const char *text, const char *origin, const char *algorithm,
		 const char *resource, const char *authority)
{
	prov_azure *azure = open_uri(&prov_azure_service, text);

	if (!ok(azure != NULL, "%s: understood", text))
		return;
	is_text(azure->origin, origin, "%s: origin", text);
	is_text(azure->algorithm, algorithm, "%s: algorithm", text);
	is_text(azure->resource, resource, "%s: resource", text);
	is_text(azure->authority, authority, "%s: authority", text);
	prov_azure_service.close(azure);
}

static void
test_azure(void)
{
	static const char *const bad[] = {
		"azurekv:keys/app",
		"azurekv://v.vault.azure.net.evil.test/keys/app",
		"azurekv://evilvault.azure.net/keys/app",
		"azurekv://vault.azure.net/keys/app",
		"azurekv://v.vault.azure.net",
		"azurekv://v.vault.azure.net/keys",
		"azurekv://v.vault.azure.net/keys/",
		"azurekv://v.vault.azure.net/keys/a_b",
		"azurekv://v.vault.azure.net/keys/a/",
		"azurekv://v.vault.azure.net/keys/a/b/c",
		"azurekv://v.vault.azure.net/secrets/a",
		"azurekv://v.vault.azure.net/keys/a%2fb",
		"azurekv://v.vault.azure.net/keys/a?algorithm=RSA1_5",
		"azurekv://v.vault.azure.net/keys/a?client-secret=sesame",
	};
	char		longest[400];

	azure_is("azurekv://v.vault.azure.net/keys/app",
			 "https://v.vault.azure.net", "RSA-OAEP-256",
			 "https://vault.azure.net", "https://login.microsoftonline.com");
	azure_is("azurekv://h.managedhsm.azure.net/keys/app/0123",
			 "https://h.managedhsm.azure.net", "A256KW",
			 "https://managedhsm.azure.net",
			 "https://login.microsoftonline.com");
	azure_is("azurekv://v.vault.azure.cn/keys/app",
			 "https://v.vault.azure.cn", "RSA-OAEP-256",
			 "https://vault.azure.cn", "https://login.chinacloudapi.cn");
	azure_is("azurekv://h.managedhsm.usgovcloudapi.net/keys/app",
			 "https://h.managedhsm.usgovcloudapi.net", "A256KW",
			 "https://managedhsm.usgovcloudapi.net",
			 "https://login.microsoftonline.us");
	azure_is("azurekv://localhost:8443/keys/app?algorithm=A256KW&"
			 "resource=https://r.test&authority=login.test/",
			 "https://localhost:8443", "A256KW", "https://r.test",
			 "https://login.test");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		is_refused(&prov_azure_service, bad[i]);

	/* What is cut would be another host, which gets a secret. */
	snprintf(longest, sizeof(longest),
			 "azurekv://v.vault.azure.net/keys/a?authority=https://%0250d", 0);
	is_refused(&prov_azure_service, longest);
}

/*
 * A version of the key may be an RSA key, from before it was an AES key.  Who
 * has its public key could bring a KEK of his own.
 */
static void
test_downgrade(void)
{
	uint8_t		plaintext[ENVL_SEALED_PLAINTEXT_LEN];
	void	   *state = open_uri(&prov_azure_service,
								 "azurekv://h.managedhsm.azure.net/keys/k?"
								 "timeout=200");

	setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://127.0.0.1:1", 1);
	is_category(prov_azure_service.unseal(
					state, "0123456789ab/1",
					ENVL_LITERAL("azurekv:v1:RSA-OAEP-256:0123:QUJD"),
					plaintext, &failure),
				PROV_INTEGRITY, "azurekv: RSA where the root key is AES");
	is_category(prov_azure_service.unseal(
					state, "0123456789ab/1",
					ENVL_LITERAL("azurekv:v1:A256KW:0123:QUJD"), plaintext,
					&failure),
				PROV_UNAVAILABLE, "azurekv: and AES is asked for");
	prov_azure_service.close(state);
}

int
main(void)
{
	test_aws();
	test_gcp();
	test_azure();
	test_downgrade();
	return done_testing();
}
