/*
 * prov_serve.c
 *	  The helper's side of the helper protocol.
 *
 * The keeper, our caller, keeps to the protocol.  A line that does not comes
 * from a terminal or a mistake; if it cannot be answered, the program ends.
 * Keys pass through two buffers, the request's line and the reply's, which are
 * wiped after each request.  Both use read(2) and write(2), because stdio
 * would keep copies.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "providers/serve/prov_serve.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "providers/serve/prov_by_hand.h"
#include "providers/serve/prov_line.h"

#define TEXT_MAX 240
#define IDLE_MAX_MS 3600000

typedef struct server
{
	const prov_service *const *services;	/* ends with NULL */
	const char *text;			/* the URI */
	const prov_service *service;	/* NULL: not open */
	void	   *state;
} server;

/* What has been received; its first line is the current request. */
typedef struct input
{
	size_t		len;
	size_t		line_len;		/* without its newline */
	uint8_t		bytes[PROV_LINE_MAX];
} input;

static int	serve_lines(server *self);
static bool read_line(server *self, input *in, bool *good);
static void await_input(server *self);
static void answer_line(server *self, const prov_line_request *asked,
						char *reply);
static prov_category do_seal(server *self, const prov_line_request *asked,
							 char *reply, prov_failure *failure);
static prov_category do_unseal(server *self, const prov_line_request *asked,
							   char *reply, prov_failure *failure);
static prov_category do_check(server *self, const prov_line_request *asked,
							  char *reply, prov_failure *failure);
static prov_category open_service(server *self, prov_failure *failure);
static void close_service(server *self);
static bool write_all(const char *bytes, size_t len);
static int	check_by_hand(server *self);
static int	print_usage(const char *program,
						const prov_service *const *services);
static void guard_memory(void);

int
prov_serve_main(int argc, char **argv, const prov_service *const *services)
{
	server		self = {services, NULL, NULL, NULL};
	int			code;

	/* Also for network connections: libcurl must not touch signals. */
	signal(SIGPIPE, SIG_IGN);
	guard_memory();
	if (argc == 2 && argv[1][0] != '-')
	{
		self.text = argv[1];
		code = serve_lines(&self);
	}
	else if (argc == 3 && strcmp(argv[1], "--check") == 0)
	{
		self.text = argv[2];
		code = check_by_hand(&self);
	}
	else
		code = print_usage(argv[0], services);
	close_service(&self);
	return code;
}

/*
 * Keys and tokens are in this process.  No one but root can read its memory,
 * and none of it is swapped out if the process may lock all it will ever use.
 * Under a lower limit, locking everything would make allocations fail.
 */
static void
guard_memory(void)
{
	const struct rlimit nothing = {0, 0};
	struct rlimit lockable;

	(void) setrlimit(RLIMIT_CORE, &nothing);
	(void) prctl(PR_SET_DUMPABLE, 0);
	if (getrlimit(RLIMIT_MEMLOCK, &lockable) == 0 &&
		lockable.rlim_cur == RLIM_INFINITY)
		(void) mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
}

/*
 * Answers line by line, until standard input ends or a line cannot be
 * answered.
 */
static int
serve_lines(server *self)
{
	input		in = {0};
	char		reply[PROV_LINE_MAX];
	prov_line_request asked;
	bool		known;
	bool		good = true;

	while (good && read_line(self, &in, &good))
	{
		good = prov_line_parse((envl_view) {in.bytes, in.line_len}, &asked,
							   &known);
		if (!good)
			break;
		if (known)
			answer_line(self, &asked, reply);
		else
		{
			prov_line_begin("error", asked.id, reply);
			strcat(reply, " misconfigured The request is not known.");
		}
		strcat(reply, "\n");
		good = write_all(reply, strlen(reply));
		envl_wipe(reply, sizeof(reply));
	}
	envl_wipe(&in, sizeof(in));
	if (good)
		return 0;
	fputs("pgenvelope: a request could not be understood or answered\n",
		  stderr);
	return 1;
}

/*
 * Wipes the previous line and waits for the next.  False at the end; *good is
 * false if a line is too long.
 */
static bool
read_line(server *self, input *in, bool *good)
{
	uint8_t    *newline;

	if (in->len > 0)
	{
		size_t		taken = in->line_len + 1;

		memmove(in->bytes, in->bytes + taken, in->len - taken);
		in->len -= taken;
		envl_wipe(in->bytes + in->len, taken);
	}
	while ((newline = memchr(in->bytes, '\n', in->len)) == NULL)
	{
		ssize_t		got;

		*good = in->len < sizeof(in->bytes);
		if (!*good)
			return false;
		await_input(self);
		got = read(STDIN_FILENO, in->bytes + in->len,
				   sizeof(in->bytes) - in->len);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		in->len += (size_t) got;
	}
	in->line_len = (size_t) (newline - in->bytes);
	return true;
}

/* While no request comes, lets the service do its periodic work. */
static void
await_input(server *self)
{
	struct pollfd wanted = {.fd = STDIN_FILENO, .events = POLLIN};

	while (self->service != NULL && self->service->idle != NULL)
	{
		int64_t		wait = self->service->idle(self->state);

		if (wait < 0 || wait > IDLE_MAX_MS)
			wait = IDLE_MAX_MS;
		if (poll(&wanted, 1, (int) wait) != 0)
			return;
	}
}

/* Executes the request and writes the reply, without its newline. */
static void
answer_line(server *self, const prov_line_request *asked, char *reply)
{
	prov_failure failure = {0};
	prov_category category;
	char		text[TEXT_MAX + 1];

	category = open_service(self, &failure);
	if (category == PROV_OK)
	{
		prov_line_begin("ok", asked->id, reply);
		if (asked->verb.data[0] == 's')
			category = do_seal(self, asked, reply, &failure);
		else if (asked->verb.data[0] == 'u')
			category = do_unseal(self, asked, reply, &failure);
		else
			category = do_check(self, asked, reply, &failure);
	}
	if (category == PROV_OK)
		return;

	envl_wipe(reply, PROV_LINE_MAX);
	prov_line_begin("error", asked->id, reply);
	strcat(reply, " ");
	strcat(reply, prov_category_name(category));
	prov_describe(&failure, text, sizeof(text));
	if (text[0] != '\0')
	{
		strcat(reply, " ");
		strcat(reply, text);
	}
}

static prov_category
do_seal(server *self, const prov_line_request *asked, char *reply,
		prov_failure *failure)
{
	uint8_t		plaintext[ENVL_SEALED_PLAINTEXT_LEN + 3];
	size_t		len = 0;
	prov_sealed sealed;
	prov_category category;

	if (asked->payload.len !=
			envl_base64_encoded_len(ENVL_BASE64_STANDARD,
									ENVL_SEALED_PLAINTEXT_LEN) ||
		envl_base64_decode(ENVL_BASE64_STANDARD, asked->payload, plaintext,
						   &len) != ENVL_OK ||
		len != ENVL_SEALED_PLAINTEXT_LEN)
	{
		envl_wipe(plaintext, sizeof(plaintext));
		return prov_fail(failure, PROV_MISCONFIGURED,
						 "The request does not hold a key to be sealed.",
						 NULL);
	}
	memset(&sealed, 0, sizeof(sealed));
	category = self->service->seal(self->state, asked->key, plaintext,
								   &sealed, failure);
	envl_wipe(plaintext, sizeof(plaintext));
	if (category != PROV_OK)
		return category;
	prov_line_add(reply, (envl_view) {sealed.bytes, sealed.len});
	prov_line_add_root_key(reply, sealed.root_key);
	return PROV_OK;
}

static prov_category
do_unseal(server *self, const prov_line_request *asked, char *reply,
		  prov_failure *failure)
{
	uint8_t		sealed[PROV_LINE_MAX];
	uint8_t		plaintext[ENVL_SEALED_PLAINTEXT_LEN];
	size_t		len = 0;
	prov_category category;

	if (envl_base64_decode(ENVL_BASE64_STANDARD, asked->payload, sealed,
						   &len) != ENVL_OK ||
		len == 0 || len > PROV_SEALED_MAX)
		return prov_fail(failure, PROV_INTEGRITY,
						 "The request does not hold a sealed key.", NULL);
	category = self->service->unseal(self->state, asked->key,
									 (envl_view) {sealed, len}, plaintext,
									 failure);
	if (category == PROV_OK)
		prov_line_add(reply, (envl_view) {plaintext, sizeof(plaintext)});
	envl_wipe(plaintext, sizeof(plaintext));
	return category;
}

static prov_category
do_check(server *self, const prov_line_request *asked, char *reply,
		 prov_failure *failure)
{
	prov_check	check = {0};
	prov_category category;

	(void) asked;
	category = self->service->check(self->state, &check, failure);
	if (category == PROV_OK)
		prov_line_add_check(reply, &check);
	return category;
}

static prov_category
open_service(server *self, prov_failure *failure)
{
	prov_uri	uri;
	prov_category category;

	if (self->service != NULL)
		return PROV_OK;
	category = prov_uri_parse(self->text, &uri, failure);
	if (category != PROV_OK)
		return category;
	for (size_t i = 0; self->services[i] != NULL; i++)
	{
		const prov_service *service = self->services[i];

		if (strcmp(uri.scheme, service->scheme) != 0)
			continue;
		category = service->open(&uri, &self->state, failure);
		if (category == PROV_OK)
			self->service = service;
		return category;
	}
	return prov_fail(failure, PROV_MISCONFIGURED,
					 "This program does not know the URI's scheme.", NULL);
}

static void
close_service(server *self)
{
	if (self->service != NULL)
		self->service->close(self->state);
	self->service = NULL;
}

static bool
write_all(const char *bytes, size_t len)
{
	while (len > 0)
	{
		ssize_t		sent = write(STDOUT_FILENO, bytes, len);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent <= 0)
			return false;
		bytes += sent;
		len -= (size_t) sent;
	}
	return true;
}

static int
check_by_hand(server *self)
{
	prov_failure failure = {0};

	if (open_service(self, &failure) != PROV_OK)
		return prov_by_hand_failed("URI", &failure);
	return prov_by_hand(self->service, self->state);
}

static int
print_usage(const char *program, const prov_service *const *services)
{
	const char *slash = strrchr(program, '/');
	const char *name = slash != NULL ? slash + 1 : program;

	fprintf(stderr,
			"Usage: %s URI          serves the helper protocol\n"
			"       %s --check URI  tries a root key once\n"
			"Schemes:",
			name, name);
	for (; *services != NULL; services++)
		fprintf(stderr, " %s", (*services)->scheme);
	fputs("\nThe server runs it for entries of pgenvelope.providers; see"
		  " docs/providers.md.\n",
		  stderr);
	return 2;
}

int64_t
prov_clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t
prov_clock_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t) now.tv_sec;
}
