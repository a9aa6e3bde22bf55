/*
 * prov_curl.c
 *	  One try of one HTTP call.
 *
 * The handle lives as long as the program and keeps its connection.  Its
 * options are set anew for each try, so that nothing of one call (a header
 * with a token, a body) can leak into another.  Certificates and keys are read
 * for each try as well, because they are renewed while the program runs.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "providers/http/prov_curl.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "providers/http/prov_memory.h"
#include "providers/serve/prov_serve.h"

struct prov_curl
{
	CURL	   *handle;
	prov_curl_files files;
	prov_secret cert;			/* filled in only during a try */
	prov_secret key;
	char		error[CURL_ERROR_SIZE];
};

/* Where a reply goes. */
typedef struct sink
{
	prov_http_reply *reply;
	size_t		headers_len;
	bool		too_long;
} sink;

static prov_category check_url(const prov_http_request *request, bool *direct,
							   prov_failure *failure);
static bool is_loopback(const char *host);
static bool is_metadata(const char *host);
static prov_category read_files(prov_curl *curl, prov_failure *failure);
static bool set_options(prov_curl *curl, const prov_http_request *request,
						bool direct, int64_t timeout_ms, sink *to,
						struct curl_slist *headers);
static bool set_files(prov_curl *curl);
static bool set_method(CURL *handle, const prov_http_request *request);
static struct curl_slist *make_headers(const char *const *headers);
static void free_headers(struct curl_slist *headers);
static bool is_one_line(const char *text);
static size_t count_header(char *data, size_t size, size_t count, void *to);
static size_t take_body(char *data, size_t size, size_t count, void *to);
static void take_headers(CURL *handle, const prov_http_request *request,
						 prov_http_reply *reply);
static prov_category fail_curl(prov_curl *curl, CURLcode code, const sink *to,
							   bool *passing, prov_failure *failure);

prov_curl *
prov_curl_open(const prov_curl_files *files)
{
	static bool prepared = false;
	prov_curl  *curl;

	if (!prepared &&
		curl_global_init_mem(CURL_GLOBAL_DEFAULT, prov_memory_alloc,
							 prov_memory_free, prov_memory_resize,
							 prov_memory_copy, prov_memory_zeroed) != CURLE_OK)
		return NULL;
	prepared = true;
	curl = prov_memory_zeroed(1, sizeof(*curl));
	if (curl == NULL)
		return NULL;
	curl->files = *files;
	curl->handle = curl_easy_init();
	if (curl->handle == NULL)
	{
		prov_memory_free(curl);
		return NULL;
	}
	return curl;
}

void
prov_curl_close(prov_curl *curl)
{
	curl_easy_cleanup(curl->handle);
	prov_memory_free(curl);
}

prov_category
prov_curl_try(prov_curl *curl, const prov_http_request *request,
			  int64_t timeout_ms, prov_http_reply *reply,
			  int64_t *retry_after_ms, bool *passing, prov_failure *failure)
{
	sink		to = {reply, 0, false};
	struct curl_slist *headers = NULL;
	curl_off_t	retry_after = 0;
	bool		direct;
	prov_category category;

	*passing = false;
	*retry_after_ms = 0;
	envl_wipe(reply, sizeof(*reply));
	category = check_url(request, &direct, failure);
	if (category == PROV_OK)
		category = read_files(curl, failure);
	if (category != PROV_OK)
	{
		envl_wipe(&curl->cert, sizeof(curl->cert));
		return category;
	}

	headers = make_headers(request->headers);
	curl->error[0] = '\0';
	if (!set_options(curl, request, direct, timeout_ms, &to, headers))
		category = prov_fail(failure, PROV_UNAVAILABLE,
							 "The request could not be prepared.", NULL);
	else
	{
		CURLcode	code = curl_easy_perform(curl->handle);

		if (code != CURLE_OK)
			category = fail_curl(curl, code, &to, passing, failure);
	}
	if (category == PROV_OK)
	{
		curl_easy_getinfo(curl->handle, CURLINFO_RESPONSE_CODE,
						  &reply->status);
		curl_easy_getinfo(curl->handle, CURLINFO_RETRY_AFTER, &retry_after);
		if (retry_after > 86400)
			retry_after = 86400;
		*retry_after_ms = (int64_t) retry_after * 1000;
		take_headers(curl->handle, request, reply);
	}
	else
		envl_wipe(reply, sizeof(*reply));

	/* This also frees the handle's copies of headers and files. */
	curl_easy_reset(curl->handle);
	free_headers(headers);
	envl_wipe(&curl->cert, sizeof(curl->cert));
	envl_wipe(&curl->key, sizeof(curl->key));
	return category;
}

/*
 * Allows https to any host.  Allows http to this machine and, if the request
 * asks for one, to a metadata service.  *direct: use no proxy.
 */
static prov_category
check_url(const prov_http_request *request, bool *direct,
		  prov_failure *failure)
{
	CURLU	   *url = curl_url();
	char	   *scheme = NULL;
	char	   *host = NULL;
	char	   *user = NULL;
	bool		good = false;

	*direct = false;
	if (url != NULL && strlen(request->url) < PROV_HTTP_URL_MAX &&
		curl_url_set(url, CURLUPART_URL, request->url, 0) == CURLUE_OK &&
		curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
		curl_url_get(url, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
		curl_url_get(url, CURLUPART_USER, &user, 0) != CURLUE_OK)
	{
		bool		near = is_loopback(host) ||
			(request->metadata && is_metadata(host));

		*direct = near;
		good = strcasecmp(scheme, "https") == 0 ||
			(near && strcasecmp(scheme, "http") == 0);
	}
	curl_free(user);
	curl_free(host);
	curl_free(scheme);
	curl_url_cleanup(url);
	if (good)
		return PROV_OK;
	return prov_fail(failure, PROV_MISCONFIGURED,
					 "The service's URL is not https, nor http to this "
					 "machine.",
					 NULL);
}

/* libcurl resolves "localhost" only to loopback addresses. */
static bool
is_loopback(const char *host)
{
	struct in_addr address;

	if (strcasecmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0)
		return true;
	return inet_pton(AF_INET, host, &address) == 1 &&
		ntohl(address.s_addr) >> 24 == 127;
}

/* Link-local addresses, and the two IPv6 addresses of EC2. */
static bool
is_metadata(const char *host)
{
	struct in_addr address;

	if (strcasecmp(host, "metadata.google.internal") == 0 ||
		strcasecmp(host, "[fd00:ec2::254]") == 0 ||
		strcasecmp(host, "[fd00:ec2::23]") == 0)
		return true;
	return inet_pton(AF_INET, host, &address) == 1 &&
		ntohl(address.s_addr) >> 16 == (169 << 8 | 254);
}

/*
 * Whoever can write the trusted certificates can pose as the service.  The
 * client's certificate may be public; the rules for secrets apply to its key.
 */
static prov_category
read_files(prov_curl *curl, prov_failure *failure)
{
	prov_category category = PROV_OK;

	if (curl->files.ca[0] != '\0')
		category = prov_secret_trust(curl->files.ca,
									 "The file of trusted certificates",
									 failure);
	if (category == PROV_OK && curl->files.cert[0] != '\0')
		category = prov_secret_read(curl->files.cert,
									"The client certificate's file", true,
									&curl->cert, failure);
	if (category == PROV_OK && curl->files.key[0] != '\0')
		category = prov_secret_read(curl->files.key,
									"The client key's file", false,
									&curl->key, failure);
	return category;
}

static bool
set_options(prov_curl *curl, const prov_http_request *request, bool direct,
			int64_t timeout_ms, sink *to, struct curl_slist *headers)
{
	CURL	   *handle = curl->handle;
	long		total = timeout_ms > 0 ? (long) timeout_ms : 1;
	bool		good = true;

	/*
	 * Only half of the time may go into connecting: the address may be dead.
	 */
	long		connecting = total > 200 ? total / 2 : total;

#define SET(option, value) \
	(good = good && curl_easy_setopt(handle, option, value) == CURLE_OK)
	SET(CURLOPT_URL, request->url);
	SET(CURLOPT_PROTOCOLS_STR, direct ? "http,https" : "https");
	SET(CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1);
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_NOSIGNAL, 1L);

	/*
	 * Otherwise libcurl would wait for a hanging name lookup beyond any
	 * timeout.
	 */
	SET(CURLOPT_QUICK_EXIT, 1L);
	SET(CURLOPT_TIMEOUT_MS, total);
	SET(CURLOPT_CONNECTTIMEOUT_MS, connecting);
	SET(CURLOPT_ERRORBUFFER, curl->error);
	SET(CURLOPT_USERAGENT, "pgenvelope");
	SET(CURLOPT_HEADERFUNCTION, count_header);
	SET(CURLOPT_HEADERDATA, to);
	SET(CURLOPT_WRITEFUNCTION, take_body);
	SET(CURLOPT_WRITEDATA, to);
	SET(CURLOPT_SSLVERSION, (long) CURL_SSLVERSION_TLSv1_2);
	SET(CURLOPT_SSL_VERIFYPEER, 1L);
	SET(CURLOPT_SSL_VERIFYHOST, 2L);
	SET(CURLOPT_HTTPHEADER, headers);
	if (direct)
		SET(CURLOPT_NOPROXY, "*");
	if (request->sigv4 != NULL)
	{
		good = good && is_one_line(request->access_key);
		SET(CURLOPT_AWS_SIGV4, request->sigv4);
		SET(CURLOPT_USERNAME, request->access_key);
		SET(CURLOPT_PASSWORD, request->secret_key);
	}
#undef SET
	return good && set_files(curl) && set_method(handle, request) &&
		(headers != NULL || request->headers == NULL);
}

static bool
set_files(prov_curl *curl)
{
	CURL	   *handle = curl->handle;
	struct curl_blob cert = {curl->cert.text, curl->cert.len,
							 CURL_BLOB_COPY};
	struct curl_blob key = {curl->key.text, curl->key.len, CURL_BLOB_COPY};

	/* A configured file replaces all of the system's certificates. */
	if (curl->files.ca[0] != '\0' &&
		(curl_easy_setopt(handle, CURLOPT_CAINFO, curl->files.ca) !=
			 CURLE_OK ||
		 curl_easy_setopt(handle, CURLOPT_CAPATH, NULL) != CURLE_OK))
		return false;
	if (curl_easy_setopt(handle, CURLOPT_CA_CACHE_TIMEOUT, 0L) != CURLE_OK)
		return false;
	if (cert.len > 0 &&
		curl_easy_setopt(handle, CURLOPT_SSLCERT_BLOB, &cert) != CURLE_OK)
		return false;
	return key.len == 0 ||
		curl_easy_setopt(handle, CURLOPT_SSLKEY_BLOB, &key) == CURLE_OK;
}

static bool
set_method(CURL *handle, const prov_http_request *request)
{
	const char *body = request->body.len > 0 ?
		(const char *) request->body.data :
		"";

	if (strcmp(request->method, "GET") == 0)
		return curl_easy_setopt(handle, CURLOPT_HTTPGET, 1L) == CURLE_OK;
	if (curl_easy_setopt(handle, CURLOPT_POST, 1L) != CURLE_OK ||
		curl_easy_setopt(handle, CURLOPT_POSTFIELDS, body) != CURLE_OK ||
		curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE,
						 (long) request->body.len) != CURLE_OK)
		return false;
	return strcmp(request->method, "POST") == 0 ||
		curl_easy_setopt(handle, CURLOPT_CUSTOMREQUEST, request->method) ==
		CURLE_OK;
}

/* NULL for an empty list, and if there is no memory. */
static struct curl_slist *
make_headers(const char *const *headers)
{
	struct curl_slist *list = NULL;

	for (size_t i = 0; headers != NULL && headers[i] != NULL; i++)
	{
		struct curl_slist *longer = NULL;

		if (is_one_line(headers[i]))
			longer = curl_slist_append(list, headers[i]);
		if (longer == NULL)
		{
			free_headers(list);
			return NULL;
		}
		list = longer;
	}
	return list;
}

/* A line break would start another header or another request. */
static bool
is_one_line(const char *text)
{
	return strpbrk(text, "\r\n") == NULL;
}

/* Some headers hold tokens; libcurl frees them through functions that wipe. */
static void
free_headers(struct curl_slist *headers)
{
	curl_slist_free_all(headers);
}

/* libcurl keeps all headers and sets no limit on their number. */
static size_t
count_header(char *data, size_t size, size_t count, void *to)
{
	sink	   *into = to;
	size_t		len = size * count;

	(void) data;
	into->headers_len += len;
	into->too_long = into->headers_len > PROV_HTTP_BODY_MAX;
	return into->too_long ? 0 : len;
}

static size_t
take_body(char *data, size_t size, size_t count, void *to)
{
	sink	   *into = to;
	size_t		len = size * count;

	if (len > PROV_HTTP_BODY_MAX - into->reply->body_len)
	{
		into->too_long = true;
		return 0;
	}
	memcpy(into->reply->body + into->reply->body_len, data, len);
	into->reply->body_len += len;
	into->reply->body[into->reply->body_len] = '\0';
	return len;
}

static void
take_headers(CURL *handle, const prov_http_request *request,
			 prov_http_reply *reply)
{
	for (size_t i = 0; i < PROV_HTTP_WANTED_MAX && request->wanted != NULL &&
		 request->wanted[i] != NULL;
		 i++)
	{
		struct curl_header *header;
		char	   *to = reply->headers[i];

		if (curl_easy_header(handle, request->wanted[i], 0, CURLH_HEADER, -1,
							 &header) != CURLHE_OK)
			continue;
		snprintf(to, PROV_HTTP_HEADER_MAX, "%s", header->value);
		for (; *to != '\0'; to++)
		{
			if (*to < 0x20 || *to > 0x7E)
				*to = '?';
		}
	}
}

/* Translates libcurl's codes for the administrator. */
static prov_category
fail_curl(prov_curl *curl, CURLcode code, const sink *to, bool *passing,
		  prov_failure *failure)
{
	const char *reason;
	prov_category category = PROV_UNAVAILABLE;

	if (to->too_long)
		return prov_fail(failure, PROV_UNAVAILABLE,
						 "The service's reply is too long.", NULL);
	switch (code)
	{
		case CURLE_PEER_FAILED_VERIFICATION:
			reason = "The service's certificate is not trusted.";
			category = PROV_MISCONFIGURED;
			break;
		case CURLE_SSL_CACERT_BADFILE:
		case CURLE_SSL_CERTPROBLEM:
		case CURLE_SSL_CIPHER:
			reason = "A certificate file cannot be used.";
			category = PROV_MISCONFIGURED;
			break;
		case CURLE_COULDNT_RESOLVE_HOST:
		case CURLE_COULDNT_RESOLVE_PROXY:
			reason = "The service's host name was not found.";
			break;
		case CURLE_COULDNT_CONNECT:
			reason = "The service does not accept connections.";
			break;
		case CURLE_OPERATION_TIMEDOUT:
			reason = "The service did not answer in time.";
			break;
		case CURLE_SSL_CONNECT_ERROR:
			reason = "No TLS connection could be made to the service.";
			break;
		default:
			reason = "The service's reply is broken.";
			break;
	}
	*passing = category == PROV_UNAVAILABLE;

	/*
	 * libcurl's messages may quote what was received, except those about TLS.
	 */
	if (category == PROV_MISCONFIGURED || code == CURLE_SSL_CONNECT_ERROR)
	{
		const char *words = curl->error;

		if (words[0] == '\0')
			words = curl_easy_strerror(code);
		return prov_fail(failure, category, reason, "%s.", words);
	}
	return prov_fail(failure, category, reason, "libcurl's error %d.",
					 (int) code);
}
