/*
 * test_kms_refusals.c
 *	  Which answers are believed when they refuse.
 *
 * "denied", "not_found" and "disabled" cost keys in the cache their grace, so
 * what a proxy says, a page of a web server, a metadata service without a
 * role or a key store that has lost its connection must not be one of them,
 * and what the service itself says must.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answering.h"
#include "providers/gcp/prov_gcp.h"
#include "providers/gcp/prov_gcp_credentials.h"
#include "providers/http/kms_services.h"
#include "scratch.h"
#include "unit.h"

#define ARN "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab"
#define KEY "projects/p/locations/l/keyRings/r/cryptoKeys/k"

#define PAGE "<html><body>No</body></html>"
#define ERRORS "{\"errors\":[]}"
#define TOKEN(end) \
	REPLY("200 OK", "", "{\"access_token\":\"t\",\"expires_in\":" end "}")
#define LOGIN \
	REPLY("200 OK", "", "{\"auth\":{\"client_token\":\"t\"}}")
#define STATE(words) \
	REPLY("400 No", "", \
		  "{\"__type\":\"KMSInvalidStateException\"," \
		  "\"message\":\"" ARN " " words "\"}")

typedef struct refusal
{
	const char *name;
	const prov_service *service;
	const char *uri;			/* %s: the server's URL */
	const char *sealed;
	const char *answers[3];
	prov_category category;
} refusal;

#define AWS &prov_aws_service, "awskms:" ARN "?timeout=1000&endpoint=%s", \
			"awskms:v1:QUJD"
#define GCP &prov_gcp_service, "gcpkms://" KEY "?timeout=1000&endpoint=%s", \
			"gcpkms:v1:QUJD"
#define MACHINE &prov_azure_service, \
				"azurekv://x.vault.azure.net/keys/k?timeout=1000", \
				"azurekv:v1:A256KW:1:QUJD"
#define VAULT &prov_vault_http, "vault+%stransit/keys/k?timeout=1000", \
			  "vault:v1:QUJD"
#define APPROLE &prov_vault_http, \
				"vault+%stransit/keys/k?timeout=1000&auth=approle&role-id=r", \
				"vault:v1:QUJD"

/* With credentials of the environment. */
static const refusal services[] = {
	{"AWS, a page: 403", AWS, {REPLY("403 No", "", PAGE)}, PROV_UNAVAILABLE},
	{"AWS, a page: 404", AWS, {REPLY("404 No", "", PAGE)}, PROV_UNAVAILABLE},
	{"AWS, nothing: 403", AWS, {REPLY("403 No", "", "")}, PROV_UNAVAILABLE},
	{"AWS: 403", AWS, {REPLY("403 No", "", "{}")}, PROV_DENIED},
	{"AWS, a header",
	 AWS,
	 {REPLY("400 No", "x-amzn-ErrorType: AccessDeniedException:x\r\n", "")},
	 PROV_DENIED},
	{"AWS, XML",
	 AWS,
	 {REPLY("403 No", "", "<E><Error><Code>AccessDenied</Code></Error></E>")},
	 PROV_DENIED},
	{"AWS, deletion", AWS, {STATE("is pending deletion.")}, PROV_DISABLED},
	{"AWS, key store", AWS, {STATE("is unavailable.")}, PROV_UNAVAILABLE},
	{"Google, a page: 403",
	 GCP,
	 {TOKEN("3600"), REPLY("403 No", "", PAGE)},
	 PROV_UNAVAILABLE},
	{"Google, a page: 404",
	 GCP,
	 {TOKEN("3600"), REPLY("404 No", "", PAGE)},
	 PROV_UNAVAILABLE},
	{"Google: 404",
	 GCP,
	 {TOKEN("3600"),
	  REPLY("404 No", "", "{\"error\":{\"status\":\"NOT_FOUND\"}}")},
	 PROV_NOT_FOUND},
	{"Vault, a page: 403",
	 VAULT,
	 {BAD("403"), REPLY("403 No", "", PAGE)},
	 PROV_UNAVAILABLE},
	{"Vault, a page: 404",
	 VAULT,
	 {BAD("403"), REPLY("404 No", "", PAGE)},
	 PROV_UNAVAILABLE},
	{"Vault, another's JSON: 404",
	 VAULT,
	 {BAD("403"), REPLY("404 No", "", "{\"error\":\"no route\"}")},
	 PROV_UNAVAILABLE},
	{"Vault: 403",
	 VAULT,
	 {BAD("403"), REPLY("403 No", "", ERRORS)},
	 PROV_DENIED},
	{"Vault: 404",
	 VAULT,
	 {BAD("403"), REPLY("404 No", "", ERRORS)},
	 PROV_NOT_FOUND},
	{"Vault, login, a page: 403",
	 APPROLE,
	 {REPLY("403 No", "", PAGE)},
	 PROV_UNAVAILABLE},
	{"Vault, login: 400", APPROLE, {REPLY("400 No", "", ERRORS)}, PROV_DENIED},
};

/* Of who gives credentials; the service itself is never asked. */
static const refusal givers[] = {
	{"container, a page: 404",
	 AWS,
	 {REPLY("404 No", "", PAGE)},
	 PROV_UNAVAILABLE},
	{"container: 404", AWS, {REPLY("404 No", "", "{}")}, PROV_MISCONFIGURED},
	{"container: 403", AWS, {REPLY("403 No", "", "{}")}, PROV_DENIED},
	{"Google's machine, a page: 404",
	 GCP,
	 {REPLY("404 No", "", PAGE)},
	 PROV_UNAVAILABLE},
	{"Google's machine: 404",
	 GCP,
	 {REPLY("404 No", "", "{}")},
	 PROV_MISCONFIGURED},
	{"Azure's machine, while it is updated: 410",
	 MACHINE,
	 {REPLY("410 Gone", "", "{}")},
	 PROV_UNAVAILABLE},
	{"Azure's machine, while it starts: 404",
	 MACHINE,
	 {REPLY("404 No", "", "{}")},
	 PROV_UNAVAILABLE},
};

static prov_failure failure;

static void *
open_uri(const refusal *tried, const char *url)
{
	static prov_uri uri;
	char		text[1024];
	void	   *state = NULL;

	snprintf(text, sizeof(text), tried->uri, url);
	if (prov_uri_parse(text, &uri, &failure) != PROV_OK ||
		tried->service->open(&uri, &state, &failure) != PROV_OK)
		return NULL;
	return state;
}

/* Points everything that gives credentials to the server. */
static void
set_givers(const char *url)
{
	char		host[ANSWERING_URL_SIZE];

	snprintf(host, sizeof(host), "%s", url + strlen("http://"));
	host[strcspn(host, "/")] = '\0';
	setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url, 1);
	setenv("GCE_METADATA_HOST", host, 1);
	setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", url, 1);
}

static void
try_refusal(const refusal *tried)
{
	uint8_t		plaintext[ENVL_SEALED_PLAINTEXT_LEN];
	char		url[ANSWERING_URL_SIZE];
	pid_t		pid = answering_start(tried->answers, url);
	void	   *state;

	set_givers(url);
	memset(&failure, 0, sizeof(failure));
	state = open_uri(tried, url);
	if (ok(state != NULL, "%s: understood", tried->name))
	{
		prov_category got = tried->service->unseal(state, "0123456789ab/1",
												   text_view(tried->sealed),
												   plaintext, &failure);

		if (!is_category(got, tried->category, tried->name))
			note("%s (%s)", failure.reason, failure.detail);
		tried->service->close(state);
	}
	answering_stop(pid);
}

/*
 * A policy that denies must not cost a login for each request, which would be
 * a lease each, and perhaps the last use of a secret id.
 */
static void
test_logins(void)
{
	static const char *const answers[] = {
		LOGIN, REPLY("403 No", "", ERRORS),
		LOGIN, REPLY("403 No", "", ERRORS),
		REPLY("403 No", "", ERRORS), LOGIN, NULL};
	const refusal tried = {"a policy that denies", APPROLE, {NULL}, PROV_DENIED};
	uint8_t		plaintext[ENVL_SEALED_PLAINTEXT_LEN];
	char		url[ANSWERING_URL_SIZE];
	pid_t		pid = answering_start(answers, url);
	void	   *state = open_uri(&tried, url);

	for (int i = 0; i < 2; i++)
	{
		is_category(tried.service->unseal(state, "0123456789ab/1",
										  text_view(tried.sealed), plaintext,
										  &failure),
					PROV_DENIED, tried.name);
		ok(strstr(failure.reason, "policies") != NULL,
		   "by the policy, not by a login");
	}
	tried.service->close(state);
	answering_stop(pid);
}

/* A service that says that its token lasts for ever, or rubbish. */
static void
test_ends(void)
{
	static const struct
	{
		const char *answers[2];
		int64_t		lasts;		/* seconds, at the most */
	} cases[] = {
		{{TOKEN("3600")}, 3600},
		{{TOKEN("9223372036854775807")}, 2 * 86400},
		{{TOKEN("-9223372036854775807")}, 0},
		{{TOKEN("\"?\",\"expires_on\":9223372036854775807")}, 2 * 86400},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		const refusal tried = {.uri = "gcpkms://" KEY "?timeout=1000",
							   .service = &prov_gcp_service};
		char		url[ANSWERING_URL_SIZE];
		pid_t		pid = answering_start(cases[i].answers, url);
		prov_gcp   *gcp = open_uri(&tried, url);
		int64_t		now = prov_clock_seconds();

		set_givers(url);
		prov_http_begin(gcp->http);
		is_category(prov_gcp_get_token(gcp, &failure), PROV_OK, "a token");
		ok(gcp->token.expires >= now + cases[i].lasts &&
			   gcp->token.expires <= now + cases[i].lasts + 10,
		   "lasts %lld s", (long long) cases[i].lasts);
		prov_gcp_service.close(gcp);
		answering_stop(pid);
	}
}

int
main(void)
{
	static const char *const unset[] = {
		"AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE", "HOME",
		"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "IDENTITY_ENDPOINT",
		"AWS_CONTAINER_AUTHORIZATION_TOKEN",
		"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "AWS_SESSION_TOKEN",
		"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "AWS_CA_BUNDLE",
		"AZURE_CLIENT_SECRET", "AZURE_FEDERATED_TOKEN_FILE",
		"GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_QUOTA_PROJECT",
		"VAULT_NAMESPACE", "BAO_NAMESPACE", "VAULT_CACERT", "BAO_CACERT",
		"VAULT_CLIENT_CERT", "VAULT_CLIENT_KEY"};

	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < sizeof(unset) / sizeof(unset[0]); i++)
		unsetenv(unset[i]);
	setenv("VAULT_TOKEN", "t", 1);
	setenv("AWS_ACCESS_KEY_ID", "AKIA", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "sesame", 1);
	for (size_t i = 0; i < sizeof(services) / sizeof(services[0]); i++)
		try_refusal(&services[i]);
	unsetenv("AWS_ACCESS_KEY_ID");
	for (size_t i = 0; i < sizeof(givers) / sizeof(givers[0]); i++)
		try_refusal(&givers[i]);
	test_logins();
	test_ends();
	return done_testing();
}
