/*
 * prov_serve.c
 *	  The helper's side of the helper protocol.
 *
 * The caller is the keeper, which keeps to the protocol; a line that does not
 * is somebody at a terminal or a mistake, and ends the program where it cannot
 * be answered.  Keys pass through two buffers, the line that came and the one
 * that goes, which are wiped after each request; read(2) and write(2) are
 * used, because stdio would keep copies.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "prov_serve.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "prov_by_hand.h"

/* As in prov_helper.h, of which a helper shares nothing else. */
#define LINE_MAX_LEN 8192
#define TEXT_MAX 240

#define IDLE_MAX_MS 3600000

/* Twelve digits.  A service may say anything; the protocol knows no more. */
#define EXPIRES_MAX INT64_C(999999999999)

/* Base64 of the longest sealed KEK, the longest name, and the rest. */
#define REPLY_MAX LINE_MAX_LEN

typedef struct server
{
	const prov_service *const *services;	/* ends with NULL */
	const char *text;			/* the URI */
	const prov_service *service;	/* NULL: not open */
	void	   *state;
} server;

/* A request, as views into its line. */
typedef struct request
{
	envl_view	verb;
	envl_view	id;
	envl_view	root;
	char		key[24];		/* "" for a check */
	envl_view	payload;		/* base64 */
} request;

/* What has come; the first line of it is being worked on. */
typedef struct input
{
	size_t		len;
	size_t		line_len;		/* without its newline */
	uint8_t		bytes[LINE_MAX_LEN];
} input;

static int	serve(server *self);
static bool read_line(server *self, input *in, bool *good);
static void await_input(server *self);
static bool parse_request(envl_view line, request *out, bool *known);
static bool is_id(envl_view id);
static bool is_key(envl_view key);
static void answer(server *self, const request *asked, char *reply);
static prov_category do_seal(server *self, const request *asked, char *reply,
							 prov_failure *failure);
static prov_category do_unseal(server *self, const request *asked,
							   char *reply, prov_failure *failure);
static prov_category do_check(server *self, const request *asked,
							  char *reply, prov_failure *failure);
static prov_category open_service(server *self, prov_failure *failure);
static void close_service(server *self);
static void begin_reply(const char *word, envl_view id, char *reply);
static void add_field(char *reply, envl_view bytes);
static void add_root_key(char *reply, const char *root_key);
static void add_check(char *reply, const prov_check *check);
static bool write_all(const char *bytes, size_t len);
static int	check_by_hand(server *self);
static int	usage(const char *program, const prov_service *const *services);
static void forbid_core_dumps(void);

int
prov_serve_main(int argc, char **argv, const prov_service *const *services)
{
	server		self = {services, NULL, NULL, NULL};
	int			code;

	/* Of connections too: libcurl is told to leave signals alone. */
	signal(SIGPIPE, SIG_IGN);
	forbid_core_dumps();
	if (argc == 2 && argv[1][0] != '-')
	{
		self.text = argv[1];
		code = serve(&self);
	}
	else if (argc == 3 && strcmp(argv[1], "--check") == 0)
	{
		self.text = argv[2];
		code = check_by_hand(&self);
	}
	else
		code = usage(argv[0], services);
	close_service(&self);
	return code;
}

/* Keys and tokens are in this process: nobody reads its memory but root. */
static void
forbid_core_dumps(void)
{
	const struct rlimit nothing = {0, 0};

	(void) setrlimit(RLIMIT_CORE, &nothing);
	(void) prctl(PR_SET_DUMPABLE, 0);
}

/* Answers line by line.  Ends with standard input, or where it is no use. */
static int
serve(server *self)
{
	input		in = {0};
	char		reply[REPLY_MAX];
	request		asked;
	bool		known;
	bool		good = true;

	while (good && read_line(self, &in, &good))
	{
		good = parse_request((envl_view) {in.bytes, in.line_len}, &asked,
							 &known);
		if (!good)
			break;
		if (known)
			answer(self, &asked, reply);
		else
		{
			begin_reply("error", asked.id, reply);
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
 * Wipes the line before and waits for the next one.  False at the end; *good
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

/* Lets the service do what is due as long as nothing comes. */
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

/*
 * VERB ID ROOT [KEY BASE64].  False if there is no id to answer to; *known
 * is whether it is a request that the protocol has.
 */
static bool
parse_request(envl_view line, request *out, bool *known)
{
	envl_view	key;
	bool		check;

	*known = false;
	memset(out, 0, sizeof(*out));
	if (memchr(line.data, '\0', line.len) != NULL ||
		!prov_uri_next_part(&line, ' ', &out->verb) ||
		!prov_uri_next_part(&line, ' ', &out->id) || !is_id(out->id))
		return false;

	check = envl_view_equal(out->verb, ENVL_LITERAL("check"));
	if ((!check && !envl_view_equal(out->verb, ENVL_LITERAL("seal")) &&
		 !envl_view_equal(out->verb, ENVL_LITERAL("unseal"))) ||
		!prov_uri_next_part(&line, ' ', &out->root) || out->root.len == 0)
		return true;
	if (!check)
	{
		if (!prov_uri_next_part(&line, ' ', &key) || !is_key(key) ||
			!prov_uri_next_part(&line, ' ', &out->payload) ||
			out->payload.len == 0)
			return true;
		memcpy(out->key, key.data, key.len);
	}
	*known = line.data == NULL;
	return true;
}

static bool
is_id(envl_view id)
{
	for (size_t i = 0; i < id.len; i++)
	{
		if (id.data[i] < (i == 0 ? '1' : '0') || id.data[i] > '9')
			return false;
	}
	return id.len > 0 && id.len <= 20;
}

/* 12 hexadecimal digits, "/", 1 to 5 digits: it goes into other systems. */
static bool
is_key(envl_view key)
{
	if (key.len < 14 || key.len > 18 || key.data[12] != '/')
		return false;
	for (size_t i = 0; i < key.len; i++)
	{
		uint8_t		c = key.data[i];
		bool		digit = c >= '0' && c <= '9';

		if (i != 12 && !digit && !(i < 12 && c >= 'a' && c <= 'f'))
			return false;
	}
	return true;
}

/* Does what is asked and writes the reply, without its newline. */
static void
answer(server *self, const request *asked, char *reply)
{
	prov_failure failure = {0};
	prov_category category;
	char		text[TEXT_MAX + 1];

	category = open_service(self, &failure);
	if (category == PROV_OK)
	{
		begin_reply("ok", asked->id, reply);
		if (asked->verb.data[0] == 's')
			category = do_seal(self, asked, reply, &failure);
		else if (asked->verb.data[0] == 'u')
			category = do_unseal(self, asked, reply, &failure);
		else
			category = do_check(self, asked, reply, &failure);
	}
	if (category == PROV_OK)
		return;

	envl_wipe(reply, REPLY_MAX);
	begin_reply("error", asked->id, reply);
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
do_seal(server *self, const request *asked, char *reply,
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
	add_field(reply, (envl_view) {sealed.bytes, sealed.len});
	add_root_key(reply, sealed.root_key);
	return PROV_OK;
}

static prov_category
do_unseal(server *self, const request *asked, char *reply,
		  prov_failure *failure)
{
	uint8_t		sealed[LINE_MAX_LEN];
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
		add_field(reply, (envl_view) {plaintext, sizeof(plaintext)});
	envl_wipe(plaintext, sizeof(plaintext));
	return category;
}

static prov_category
do_check(server *self, const request *asked, char *reply,
		 prov_failure *failure)
{
	prov_check	check = {0};
	prov_category category;

	(void) asked;
	category = self->service->check(self->state, &check, failure);
	if (category == PROV_OK)
		add_check(reply, &check);
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

static void
begin_reply(const char *word, envl_view id, char *reply)
{
	snprintf(reply, REPLY_MAX, "%s %.*s", word, (int) id.len,
			 (const char *) id.data);
}

/* A space and base64: 4096 bytes and a name fit into a reply. */
static void
add_field(char *reply, envl_view bytes)
{
	size_t		len = strlen(reply);
	size_t		more = envl_base64_encoded_len(ENVL_BASE64_STANDARD,
											   bytes.len);

	if (len + 1 + more + 2 > REPLY_MAX)
		return;
	reply[len] = ' ';
	envl_base64_encode(ENVL_BASE64_STANDARD, bytes, reply + len + 1);
	reply[len + 1 + more] = '\0';
}

static void
add_root_key(char *reply, const char *root_key)
{
	envl_view	name = {(const uint8_t *) root_key, strlen(root_key)};

	if (name.len > 0)
		add_field(reply, name);
}

/* A root key without a name is "-" where something follows. */
static void
add_check(char *reply, const prov_check *check)
{
	add_root_key(reply, check->root_key);
	if (check->expires <= 0 || check->expires > EXPIRES_MAX)
		return;
	if (check->root_key[0] == '\0')
		strcat(reply, " -");
	snprintf(reply + strlen(reply), REPLY_MAX - strlen(reply), " %lld",
			 (long long) check->expires);
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
usage(const char *program, const prov_service *const *services)
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
