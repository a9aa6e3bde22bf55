/*
 * test_kms_http.c
 *	  HTTP calls: what is refused before anybody is called, deadlines and
 *	  tries, and what a status means.
 *
 * The other side is a child of this program that answers what it is told to.
 * How TLS and real servers are met is for test/providers to show.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <dlfcn.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "answering.h"
#include "providers/http/prov_http.h"
#include "providers/serve/prov_serve.h"
#include "scratch.h"
#include "unit.h"

static prov_http *http;
static prov_http_reply reply;
static prov_failure failure;
static char url[ANSWERING_URL_SIZE];

static prov_category
open_http(const char *settings)
{
	char		text[1024];
	prov_uri	uri;

	snprintf(text, sizeof(text), "a:b?%s", settings);
	if (prov_uri_parse(text, &uri, &failure) != PROV_OK)
		return failure.category;
	prov_http_close(http);
	http = NULL;
	return prov_http_open(&uri, NULL, &http, &failure);
}

static void
test_settings(void)
{
	static const char *const bad[] = {
		"timeout=99", "timeout=600001", "timeout=1s", "timeout=-100",
		"timeout=99999999999999999999", "ca-file=x", "cert-file=/x",
		"key-file=/x", "cert-file=x&key-file=/x"};
	char		longest[600];

	is_category(open_http("timeout=100"), PROV_OK, "the shortest time");
	is_category(open_http("ca-file=/x&cert-file=/y&key-file=/z"), PROV_OK,
				"files are not looked at yet");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		is_category(open_http(bad[i]), PROV_MISCONFIGURED, bad[i]);
	snprintf(longest, sizeof(longest), "ca-file=/%0511d", 0);
	is_category(open_http(longest), PROV_MISCONFIGURED, "too long a path");
}

static prov_category
call(const char *to, bool metadata)
{
	prov_http_request request = {.method = "GET", .url = to};

	request.metadata = metadata;
	request.once = true;
	prov_http_begin(http);
	memset(&failure, 0, sizeof(failure));
	return prov_http_call(http, &request, &reply, &failure);
}

/* None of them is called: that would be PROV_UNAVAILABLE. */
static void
test_urls(void)
{
	static const char *const bad[] = {
		"http://192.0.2.1/", "http://example.org/", "http://128.0.0.1/",
		"http://169.254.169.254/", "http://localhost.example.org/",
		"http://127.0.0.1.example.org/", "http://[::2]/",
		"http://metadata.google.internal/", "ftp://127.0.0.1/",
		"file:///etc/passwd", "http://u@127.0.0.1/", "https://u:p@h/",
		"127.0.0.1", "", "http://", "gopher://127.0.0.1/"};
	static const char *const bad_metadata[] = {
		"http://169.253.0.1/", "http://metadata.google.internal.x/",
		"http://[fd00:ec2::255]/"};

	is_category(open_http("timeout=200"), PROV_OK, "a client");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		is_category(call(bad[i], false), PROV_MISCONFIGURED, bad[i]);
	for (size_t i = 0; i < sizeof(bad_metadata) / sizeof(bad_metadata[0]);
		 i++)
		is_category(call(bad_metadata[i], true), PROV_MISCONFIGURED,
					bad_metadata[i]);

	/* Port 1 of this machine: nobody is there, but it is asked. */
	is_category(call("http://127.0.0.1:1/", false), PROV_UNAVAILABLE,
				"this machine");
	is_category(call("http://127.9.9.9:1/", false), PROV_UNAVAILABLE,
				"this machine too");
	is_category(call("http://LOCALHOST:1/", false), PROV_UNAVAILABLE,
				"and by its name");
	is_category(call("https://127.0.0.1:1/", false), PROV_UNAVAILABLE,
				"or by https");
}

#define GOOD REPLY("200 OK", "", "body")
#define PATIENT "timeout=5000"
#define SHORT "timeout=300"

static prov_category
classify_teapot(const prov_http_reply *got)
{
	return got->status == 418 ? PROV_THROTTLED : prov_http_category(got);
}

static void
test_tries(void)
{
	static const char *const wanted[] = {"X-One", "x-two", "X-None", NULL};
	static const struct
	{
		const char *name;
		const char *answers[4];
		const char *settings;
		prov_category category;
		long		status;
	} cases[] = {
		{"an answer",
		 {REPLY("200 OK", "X-One: 1\r\nX-Two: t\xC3wo\r\n", "body")},
		 PATIENT,
		 PROV_OK,
		 200},
		{"no connection at first", {"", "", GOOD}, PATIENT, PROV_OK, 200},
		{"500 at first", {BAD("500"), GOOD}, PATIENT, PROV_OK, 200},
		{"403 is an answer", {BAD("403"), GOOD}, PATIENT, PROV_OK, 403},
		{"418 is an answer", {BAD("418"), GOOD}, PATIENT, PROV_OK, 418},
		{"302 is an answer",
		 {REPLY("302 F", "Location: http://127.0.0.1:1/\r\n", "")},
		 PATIENT,
		 PROV_OK,
		 302},
		{"too long to wait",
		 {REPLY("429 T", "Retry-After: 9\r\n", "")},
		 PATIENT,
		 PROV_OK,
		 429},
		{"500 for ever", {BAD("500")}, SHORT, PROV_OK, 500},
		{"nothing for ever", {""}, SHORT, PROV_UNAVAILABLE, 0},
		{"silence", {"hang"}, SHORT, PROV_UNAVAILABLE, 0},
		{"rubbish", {"rubbish\r\n\r\n"}, SHORT, PROV_UNAVAILABLE, 0},
		{"a body that is cut",
		 {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbody"},
		 SHORT,
		 PROV_UNAVAILABLE,
		 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		prov_http_request request = {.method = "POST", .wanted = wanted};
		pid_t		pid = answering_start(cases[i].answers, url);
		int64_t		started;

		is_category(open_http(cases[i].settings), PROV_OK, "a client");
		request.url = url;
		request.body = ENVL_LITERAL("x");
		memset(&reply, 0xFF, sizeof(reply));
		prov_http_begin(http);
		started = prov_clock_ms();
		if (!is_category(prov_http_call(http, &request, &reply, &failure),
						 cases[i].category, cases[i].name))
			note("%s (%s)", failure.reason, failure.detail);
		ok(prov_clock_ms() - started < 6000, "%s: in time", cases[i].name);
		if (cases[i].category == PROV_OK)
			is(reply.status, cases[i].status, "%s: status", cases[i].name);
		else
			ok(all_zero(&reply, sizeof(reply)), "%s: no reply",
			   cases[i].name);
		if (cases[i].category == PROV_OK && cases[i].status == 200)
			is_text(reply.body, "body", "%s: body", cases[i].name);
		if (i == 0)
		{
			is_text(reply.headers[0], "1", "a header that is wanted");
			is_text(reply.headers[1], "t?wo", "in printable ASCII");
			is_text(reply.headers[2], "", "or nothing");
		}
		answering_stop(pid);
	}
}

/* What is tried again is for the request to say. */
static void
test_wishes(void)
{
	static const char *const teapot[] = {BAD("418"), GOOD, NULL};
	static const char *const failing[] = {BAD("500"), GOOD, NULL};
	prov_http_request request = {.method = "GET", .url = url};
	pid_t		pid = answering_start(teapot, url);

	open_http(PATIENT);
	request.classify = classify_teapot;
	is_category(prov_http_call(http, &request, &reply, &failure), PROV_OK,
				"a reply that is called passing");
	is(reply.status, 200, "is not the last");
	answering_stop(pid);

	pid = answering_start(failing, url);
	open_http(PATIENT);
	request.classify = NULL;
	request.once = true;
	is_category(prov_http_call(http, &request, &reply, &failure), PROV_OK,
				"once");
	is(reply.status, 500, "is once");
	answering_stop(pid);
}

static void
test_limits(void)
{
	static char longest[PROV_HTTP_BODY_MAX + 100];
	const char *answers[] = {longest, NULL};
	static const char *const broken[] = {"X: y\r\nZ: w", NULL};
	prov_http_request request = {.method = "GET", .url = url};
	int			len;
	pid_t		pid;

	for (int extra = 0; extra < 2; extra++)
	{
		len = sprintf(longest, REPLY("200 OK", "", ""));
		memset(longest + len, 'x', PROV_HTTP_BODY_MAX + (size_t) extra);
		longest[len + PROV_HTTP_BODY_MAX + extra] = '\0';
		pid = answering_start(answers, url);
		open_http("timeout=2000");
		is_category(call(url, false),
					extra == 0 ? PROV_OK : PROV_UNAVAILABLE,
					extra == 0 ? "the longest reply" : "a longer one");
		answering_stop(pid);
	}
	request.headers = broken;
	is_category(prov_http_call(http, &request, &reply, &failure),
				PROV_UNAVAILABLE, "a header with a line break is not sent");
	prov_http_begin_for(http, 0);
	request.headers = NULL;
	is_category(prov_http_call(http, &request, &reply, &failure),
				PROV_UNAVAILABLE, "no time left");
	is(prov_http_left_ms(http), 0, "none");
}

/*
 * Names are looked up by the C library, in a thread of libcurl's, and whoever
 * holds up the answers of DNS holds up that.
 */
int
getaddrinfo(const char *name, const char *service,
			const struct addrinfo *hints, struct addrinfo **found)
{
	int (*real)(const char *, const char *, const struct addrinfo *,
				struct addrinfo **);

	if (name != NULL && strcmp(name, "slow.test") == 0)
	{
		sleep(3);
		return EAI_AGAIN;
	}
	*(void **) &real = dlsym(RTLD_NEXT, "getaddrinfo");
	return real(name, service, hints, found);
}

static void
test_slow_names(void)
{
	int64_t		started;

	open_http(SHORT);
	started = prov_clock_ms();
	is_category(call("https://slow.test/", false), PROV_UNAVAILABLE,
				"a name that nobody answers for");
	ok(prov_clock_ms() - started < 2000, "is not waited for");
}

/* A reply of headers without end would fill the memory. */
static void
test_headers(void)
{
	static char longest[PROV_HTTP_BODY_MAX + 1000];
	const char *answers[] = {longest, NULL};
	pid_t		pid;

	for (int many = 0; many < 2; many++)
	{
		int			len = sprintf(longest, "HTTP/1.1 200 OK\r\n"
										   "Connection: close\r\n");

		while (len < (many ? PROV_HTTP_BODY_MAX : PROV_HTTP_BODY_MAX / 2))
			len += sprintf(longest + len, "X-%d: %0200d\r\n", len, 0);
		strcpy(longest + len, "\r\nbody");
		pid = answering_start(answers, url);
		open_http("timeout=2000");
		is_category(call(url, false), many ? PROV_UNAVAILABLE : PROV_OK,
					many ? "too many headers" : "many headers");
		answering_stop(pid);
	}
}

/* Whoever can write the certificates that are trusted can be the service. */
static void
test_files(void)
{
	static const struct
	{
		mode_t		mode;
		prov_category category;
		const char *reason;
		const char *name;
	} cases[] = {
		{0644, PROV_UNAVAILABLE, "connections", "trusted certificates"},
		{0664, PROV_MISCONFIGURED, "written by others", "a group's"},
		{0646, PROV_MISCONFIGURED, "written by others", "everybody's"},
	};
	char		settings[600];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		snprintf(settings, sizeof(settings), SHORT "&ca-file=%s",
				 scratch_file("ca.pem", "x", cases[i].mode));
		open_http(settings);
		is_category(call("https://127.0.0.1:1/", false), cases[i].category,
					cases[i].name);
		is_failure(&failure, cases[i].category, cases[i].reason,
				   cases[i].name);
	}
	open_http(SHORT "&ca-file=/nonexistent");
	is_category(call("https://127.0.0.1:1/", false), PROV_MISCONFIGURED,
				"none");
}

/* Credentials come from a metadata service, over plain http. */
static void
test_credentials(void)
{
	static const char *const answers[] = {GOOD, NULL};
	prov_http_request request = {.method = "POST",
								 .url = url,
								 .sigv4 = "aws:amz:eu-central-1:kms",
								 .access_key = "AKIA",
								 .secret_key = "sesame"};
	pid_t		pid = answering_start(answers, url);

	open_http(PATIENT);
	is_category(prov_http_call(http, &request, &reply, &failure), PROV_OK,
				"a request that is signed");
	request.access_key = "AKIA\r\nX-Amz-Target: TrentService.Decrypt\r\nX: ";
	is_category(prov_http_call(http, &request, &reply, &failure),
				PROV_UNAVAILABLE, "an access key brings no header along");
	answering_stop(pid);
}

static void
test_meanings(void)
{
	static const struct
	{
		long		status;
		prov_category category;
	} cases[] = {
		{200, PROV_OK},
		{204, PROV_OK},
		{301, PROV_MISCONFIGURED},
		{400, PROV_MISCONFIGURED},
		{401, PROV_DENIED},
		{403, PROV_DENIED},
		{404, PROV_NOT_FOUND},
		{405, PROV_MISCONFIGURED},
		{408, PROV_UNAVAILABLE},
		{429, PROV_THROTTLED},
		{500, PROV_UNAVAILABLE},
		{503, PROV_UNAVAILABLE},
		{0, PROV_MISCONFIGURED},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		reply.status = cases[i].status;
		is(prov_http_category(&reply), cases[i].category, "status %ld",
		   cases[i].status);
	}
	reply.status = 400;
	is_category(prov_http_fail(&failure, PROV_DENIED, "No.", &reply,
							   "Co de\n#1%s", "r/1"),
				PROV_DENIED, "a failure");
	is_text(failure.detail, "HTTP status 400, code Code#1s, request r/1.",
			"has codes, and nothing else of a reply");
	prov_http_fail(&failure, PROV_DENIED, "No.", &reply, NULL, "");
	is_text(failure.detail, "HTTP status 400.", "or none");
}

int
main(void)
{
	signal(SIGPIPE, SIG_IGN);
	test_settings();
	test_urls();
	test_tries();
	test_wishes();
	test_limits();
	test_headers();
	test_files();
	test_credentials();
	test_slow_names();
	test_meanings();
	prov_http_close(http);
	return done_testing();
}
