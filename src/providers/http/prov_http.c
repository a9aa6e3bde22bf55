/*
 * prov_http.c
 *	  HTTP calls with a deadline, repeated while there is time.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "providers/http/prov_http.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/rand.h>

#include "providers/http/prov_curl.h"
#include "providers/http/prov_memory.h"
#include "providers/serve/prov_serve.h"

/* For use by hand without the setting "timeout". */
#define TIMEOUT_MS 4000
#define TIMEOUT_MIN_MS 100
#define TIMEOUT_MAX_MS 600000

/* The keeper passes its own deadline in milliseconds here (pge_call.c). */
#define CALLER_TIMEOUT "PGENVELOPE_PROVIDER_TIMEOUT"

/* Waits are random between 0 and a limit that doubles: full jitter. */
#define TRIES_MAX 6
#define FIRST_WAIT_MS 100
#define LONGEST_WAIT_MS 2000

/* Less time than this is not worth another try. */
#define SHORTEST_TRY_MS 50

const char *const prov_http_words[] = {"ca-file", "cert-file", "key-file",
									   "timeout", NULL};

struct prov_http
{
	prov_curl  *curl;
	int64_t		timeout_ms;
	int64_t		deadline_ms;
};

static bool take_file(const prov_uri *uri, const char *word,
					  const char *otherwise, char *out, size_t size);
static prov_category take_timeout(const prov_uri *uri, int64_t *timeout_ms,
								  prov_failure *failure);
static bool parse_ms(const char *text, int64_t *ms);
static int64_t next_wait_ms(int tries, int64_t retry_after_ms);
static void wait_ms(int64_t ms);
static void copy_code(const char *code, char *out, size_t size);

prov_category
prov_http_open(const prov_uri *uri, const prov_http_defaults *defaults,
			   prov_http **http, prov_failure *failure)
{
	static const prov_http_defaults none = {NULL, NULL, NULL};
	prov_curl_files files;
	int64_t		timeout_ms;
	prov_category category;

	if (defaults == NULL)
		defaults = &none;
	category = take_timeout(uri, &timeout_ms, failure);
	if (category != PROV_OK)
		return category;
	if (!take_file(uri, "ca-file", defaults->ca_file, files.ca,
				   sizeof(files.ca)) ||
		!take_file(uri, "cert-file", defaults->cert_file, files.cert,
				   sizeof(files.cert)) ||
		!take_file(uri, "key-file", defaults->key_file, files.key,
				   sizeof(files.key)))
		return prov_fail(failure, PROV_MISCONFIGURED,
						 "A certificate's file must be given by an absolute "
						 "path of less than 512 bytes.",
						 NULL);
	if ((files.cert[0] == '\0') != (files.key[0] == '\0'))
		return prov_fail(failure, PROV_MISCONFIGURED,
						 "A client certificate and its key must both be "
						 "given, as cert-file and key-file.",
						 NULL);

	*http = prov_memory_zeroed(1, sizeof(**http));
	if (*http != NULL)
	{
		(*http)->timeout_ms = timeout_ms;
		(*http)->curl = prov_curl_open(&files);
		prov_http_begin(*http);
		if ((*http)->curl != NULL)
			return PROV_OK;
	}
	prov_memory_free(*http);
	*http = NULL;
	return prov_fail(failure, PROV_UNAVAILABLE,
					 "There is not enough memory.", NULL);
}

static bool
take_file(const prov_uri *uri, const char *word, const char *otherwise,
		  char *out, size_t size)
{
	const char *value = prov_uri_word(uri, word);

	if (value == NULL)
		value = otherwise;
	if (value == NULL || value[0] == '\0')
		value = "";
	else if (value[0] != '/')
		return false;
	return snprintf(out, size, "%s", value) < (int) size;
}

/*
 * Takes at most four fifths of the keeper's deadline, at which the keeper
 * kills this process and all that it has cached.
 */
static prov_category
take_timeout(const prov_uri *uri, int64_t *timeout_ms, prov_failure *failure)
{
	const char *value = prov_uri_word(uri, "timeout");
	const char *caller = getenv(CALLER_TIMEOUT);
	int64_t		longest;
	bool		limited = caller != NULL && parse_ms(caller, &longest);

	*timeout_ms = TIMEOUT_MS;
	if (value != NULL && !parse_ms(value, timeout_ms))
		return prov_fail(failure, PROV_MISCONFIGURED,
						 "The setting \"timeout\" must be 100 to 600000 "
						 "milliseconds.",
						 NULL);
	if (limited && (value == NULL || *timeout_ms > longest * 4 / 5))
		*timeout_ms = longest * 4 / 5;
	return PROV_OK;
}

static bool
parse_ms(const char *text, int64_t *ms)
{
	char	   *end;
	long		parsed;

	errno = 0;
	parsed = strtol(text, &end, 10);
	if (errno != 0 || *end != '\0' || parsed < TIMEOUT_MIN_MS ||
		parsed > TIMEOUT_MAX_MS)
		return false;
	*ms = parsed;
	return true;
}

void
prov_http_close(prov_http *http)
{
	if (http == NULL)
		return;
	prov_curl_close(http->curl);
	prov_memory_free(http);
}

void
prov_http_begin(prov_http *http)
{
	http->deadline_ms = prov_clock_ms() + http->timeout_ms;
}

void
prov_http_begin_for(prov_http *http, int64_t ms)
{
	prov_http_begin(http);
	if (ms < http->timeout_ms)
		http->deadline_ms = prov_clock_ms() + ms;
}

int64_t
prov_http_left_ms(const prov_http *http)
{
	int64_t		left = http->deadline_ms - prov_clock_ms();

	return left > 0 ? left : 0;
}

prov_category
prov_http_call(prov_http *http, const prov_http_request *request,
			   prov_http_reply *reply, prov_failure *failure)
{
	prov_category (*classify)(const prov_http_reply *) =
		request->classify != NULL ? request->classify : prov_http_category;

	for (int tries = 1;; tries++)
	{
		int64_t		retry_after_ms;
		int64_t		wait;
		bool		passing;
		prov_category category;

		if (prov_http_left_ms(http) == 0)
		{
			envl_wipe(reply, sizeof(*reply));
			return prov_fail(failure, PROV_UNAVAILABLE,
							 "The service did not answer in time.",
							 "It was given %lld ms.",
							 (long long) http->timeout_ms);
		}
		category = prov_curl_try(http->curl, request, prov_http_left_ms(http),
								 reply, &retry_after_ms, &passing, failure);
		if (category == PROV_OK)
		{
			prov_category meaning = classify(reply);

			passing = meaning == PROV_UNAVAILABLE ||
				meaning == PROV_THROTTLED;
		}

		/* Return the last outcome. */
		wait = next_wait_ms(tries, retry_after_ms);
		if (!passing || request->once || tries == TRIES_MAX ||
			wait + SHORTEST_TRY_MS > prov_http_left_ms(http))
			return category;
		wait_ms(wait);
	}
}

/* Waits as long as the service asks for, else a random time. */
static int64_t
next_wait_ms(int tries, int64_t retry_after_ms)
{
	int64_t		limit = (int64_t) FIRST_WAIT_MS << tries;
	uint32_t	random = 0;

	if (limit > LONGEST_WAIT_MS)
		limit = LONGEST_WAIT_MS;
	if (RAND_bytes((unsigned char *) &random, sizeof(random)) != 1)
		random = 0;
	if (retry_after_ms > 0)
		return retry_after_ms + random % FIRST_WAIT_MS;
	return random % (uint32_t) limit;
}

static void
wait_ms(int64_t ms)
{
	struct timespec left = {ms / 1000, (ms % 1000) * 1000000};

	while (nanosleep(&left, &left) != 0 && errno == EINTR)
		;
}

prov_category
prov_http_category(const prov_http_reply *reply)
{
	long		status = reply->status;

	if (status >= 200 && status < 300)
		return PROV_OK;
	if (status == 401 || status == 403)
		return PROV_DENIED;
	if (status == 404)
		return PROV_NOT_FOUND;
	if (status == 429)
		return PROV_THROTTLED;
	if (status == 408 || status >= 500)
		return PROV_UNAVAILABLE;
	return PROV_MISCONFIGURED;
}

prov_category
prov_http_fail(prov_failure *failure, prov_category category,
			   const char *reason, const prov_http_reply *reply,
			   const char *code, const char *request_id)
{
	char		shown_code[81];
	char		shown_id[81];

	copy_code(code, shown_code, sizeof(shown_code));
	copy_code(request_id, shown_id, sizeof(shown_id));
	return prov_fail(failure, category, reason, "HTTP status %ld%s%s%s%s.",
					 reply->status, shown_code[0] != '\0' ? ", code " : "",
					 shown_code, shown_id[0] != '\0' ? ", request " : "",
					 shown_id);
}

/*
 * Copies a code or an id, and drops every character that has no place in one.
 */
static void
copy_code(const char *code, char *out, size_t size)
{
	static const char kept[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
							   "abcdefghijklmnopqrstuvwxyz0123456789"
							   "-_.:/+=#";
	size_t		len = 0;

	for (; code != NULL && *code != '\0' && len + 1 < size; code++)
	{
		if (strchr(kept, *code) != NULL)
			out[len++] = *code;
	}
	out[len] = '\0';
}
