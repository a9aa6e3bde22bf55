/*
 * test_prov_serve.c
 *	  The helper's side of the protocol, with a service made up here; and
 *	  reading the files of credentials.
 *
 * The program is this one, forked, and spoken to over pipes.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "providers/serve/prov_serve.h"
#include "scratch.h"
#include "unit.h"

#define PLAIN \
	"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4v"
#define LOUD "sealed for 0123456789ab/1"
#define LOUD_BASE64 "c2VhbGVkIGZvciAwMTIzNDU2Nzg5YWIvMQ=="

static int	opened;				/* times, in the program */

/* Fails at first, and for the path "never" always. */
static prov_category
open_double(const prov_uri *uri, void **state, prov_failure *failure)
{
	if (++opened == 1 || strcmp(uri->path, "never") == 0)
		return prov_fail(failure, PROV_UNAVAILABLE, "Not yet.", "Try\n%s.",
						 "again");
	*state = &opened;
	return PROV_OK;
}

/* What the double's credential says of its end. */
static int64_t expires;

static prov_category
seal_double(void *state, const char *key, const uint8_t *plaintext,
			prov_sealed *sealed, prov_failure *failure)
{
	(void) state;
	(void) failure;
	if (plaintext[47] != 47)
		return prov_fail(failure, PROV_DENIED, "No.", NULL);
	sealed->len = (size_t) snprintf((char *) sealed->bytes,
									sizeof(sealed->bytes), "sealed for %s",
									key);
	strcpy(sealed->root_key, "root");
	return PROV_OK;
}

static prov_category
unseal_double(void *state, const char *key, envl_view sealed,
			  uint8_t *plaintext, prov_failure *failure)
{
	(void) state;
	(void) key;
	if (!envl_view_equal(sealed, ENVL_LITERAL(LOUD)))
		return prov_fail(failure, PROV_INTEGRITY, "It does not open.", "%s",
						 "x\x01y\xFFz");
	for (int i = 0; i < ENVL_SEALED_PLAINTEXT_LEN; i++)
		plaintext[i] = (uint8_t) i;
	return PROV_OK;
}

static prov_category
check_double(void *state, prov_check *check, prov_failure *failure)
{
	(void) state;
	(void) failure;
	strcpy(check->root_key, "root:v2");
	check->expires = expires;
	return PROV_OK;
}

static void
close_double(void *state)
{
	(void) state;
}

static const prov_service service = {
	.scheme = "double",
	.open = open_double,
	.seal = seal_double,
	.unseal = unseal_double,
	.check = check_double,
	.close = close_double,
};

/* Runs the program over some input; returns its exit code and output. */
static int
run(const char *uri, const void *input, size_t len, char *output, size_t size)
{
	static const prov_service *const services[] = {&service, NULL};
	char	   *arguments[] = {(char *) "helper", (char *) uri, NULL};
	int			to[2];
	int			from[2];
	int			status;
	size_t		got = 0;
	ssize_t		more;
	pid_t		pid;

	fflush(stdout);
	if (pipe(to) != 0 || pipe(from) != 0 || (pid = fork()) < 0)
		exit(EXIT_FAILURE);
	if (pid == 0)
	{
		dup2(to[0], STDIN_FILENO);
		dup2(from[1], STDOUT_FILENO);
		close(to[1]);
		close(from[0]);
		dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
		opened = 0;
		_exit(prov_serve_main(2, arguments, services));
	}
	close(to[0]);
	close(from[1]);
	if (write(to[1], input, len) != (ssize_t) len)
		note("the input was not taken whole");
	close(to[1]);
	while (got < size - 1 &&
		   (more = read(from[0], output + got, size - 1 - got)) > 0)
		got += (size_t) more;
	output[got] = '\0';
	close(from[0]);
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void
is_answered(const char *input, const char *want, int code, const char *name)
{
	char		output[16384];

	is(run("double:x", input, strlen(input), output, sizeof(output)), code,
	   "%s: exit code", name);
	is_text(output, want, "%s: output", name);
}

/* The first request finds the service closed, so it is one to be failed. */
#define FIRST "check 1 m\n"
#define FIRST_REPLY "error 1 unavailable Not yet. Try?again.\n"

static void
test_requests(void)
{
	is_answered("", "", 0, "nothing");
	is_answered(FIRST, FIRST_REPLY, 0, "a service that does not open");
	is_answered(FIRST "check 2 m\n", FIRST_REPLY "ok 2 cm9vdDp2Mg==\n", 0,
				"is opened at the next request");
	is_answered(FIRST "seal 18446744073709551615 m 0123456789ab/1 " PLAIN
					  "\n",
				FIRST_REPLY
				"ok 18446744073709551615 " LOUD_BASE64 " cm9vdA==\n",
				0, "seal");
	is_answered(FIRST "unseal 3 m 0123456789ab/65535 " LOUD_BASE64 "\n",
				FIRST_REPLY "ok 3 " PLAIN "\n", 0, "unseal");
	is_answered(FIRST "unseal 3 m 0123456789ab/1 AAAA\n",
				FIRST_REPLY "error 3 integrity It does not open. x?y?z\n", 0,
				"what does not open");
	is_answered(FIRST "check 2 m\ncheck 3 m\ncheck 4 m",
				FIRST_REPLY "ok 2 cm9vdDp2Mg==\nok 3 cm9vdDp2Mg==\n", 0,
				"several, the last of which is not whole");
}

static void
test_bad_requests(void)
{
	static const char *const unknown[] = {
		"rewrap 2 m",
		"seal 2 m",
		"seal 2",
		"check 2",
		"check 2 m more",
		"check 2 ",
		"check 2  m",
		"seal 2 m 0123456789ab/1 " PLAIN " ",
		"seal 2 m 0123456789ab/1 " PLAIN " x",
		"seal 2 m 0123456789ab/1  " PLAIN,
		"seal 2 m 0123456789AB/1 " PLAIN,
		"seal 2 m 0123456789ab " PLAIN,
		"seal 2 m 0123456789ab/ " PLAIN,
		"seal 2 m 0123456789ab/x " PLAIN,
		"seal 2 m 0123456789ab/123456 " PLAIN,
		"seal 2 m 0123456789ab1/1 " PLAIN,
		"seal 2 m \"/1 " PLAIN,
		"unseal 2 m 0123456789ab/1",
		"unseal 2 m 0123456789ab/1 ",
	};
	static const char *const hopeless[] = {
		"\n", "check\n", "check \n", "check 0 m\n", "check 01 m\n",
		"check x m\n", "check -1 m\n", "check 123456789012345678901 m\n",
		" check 2 m\n", "check\t2\tm\n"};
	char		line[200];

	expires = 999999999999;
	is_answered(FIRST "check 2 m\n",
				FIRST_REPLY "ok 2 cm9vdDp2Mg== 999999999999\n", 0,
				"a credential that ends");
	expires++;
	is_answered(FIRST "check 2 m\n", FIRST_REPLY "ok 2 cm9vdDp2Mg==\n", 0,
				"one whose end has too many digits for the protocol");
	expires = -1;
	is_answered(FIRST "check 2 m\n", FIRST_REPLY "ok 2 cm9vdDp2Mg==\n", 0,
				"one that has ended before 1970");
	expires = 0;

	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
	{
		snprintf(line, sizeof(line), "%s%s\ncheck 3 m\n", FIRST, unknown[i]);
		is_answered(line,
					FIRST_REPLY
					"error 2 misconfigured The request is not known.\n"
					"ok 3 cm9vdDp2Mg==\n",
					0, unknown[i]);
	}
	for (size_t i = 0; i < sizeof(hopeless) / sizeof(hopeless[0]); i++)
	{
		snprintf(line, sizeof(line), "%s%scheck 3 m\n", FIRST, hopeless[i]);
		is_answered(line, FIRST_REPLY, 1, hopeless[i]);
	}
	is_answered(FIRST "seal 2 m 0123456789ab/1 AAAA\n",
				FIRST_REPLY "error 2 misconfigured The request does not "
							"hold a key to be sealed.\n",
				0, "too short a key");
	is_answered(FIRST "unseal 2 m 0123456789ab/1 A\n",
				FIRST_REPLY "error 2 integrity The request does not hold a "
							"sealed key.\n",
				0, "no base64");
}

static void
test_lines(void)
{
	static char input[9000];
	static char output[16384];
	static const char *const want[] = {"It does not open", "does not hold"};
	size_t		len;

	/* The longest sealed KEK, and one byte more. */
	for (int extra = 0; extra < 2; extra++)
	{
		size_t		base64_len = extra == 0 ? 5464 : 5468;

		len = (size_t) sprintf(input, FIRST "unseal 2 m 0123456789ab/1 ");
		memset(input + len, 'A', base64_len);
		len += base64_len;
		if (extra == 0)
			memcpy(input + len - 2, "==", 2);
		input[len++] = '\n';
		is(run("double:x", input, len, output, sizeof(output)), 0,
		   "a long line, %d", extra);
		ok(strstr(output, want[extra]) != NULL, "%s", output);
	}

	len = (size_t) sprintf(input, FIRST);
	memset(input + len, 'x', 8192);
	is(run("double:x", input, len + 8192, output, sizeof(output)), 1,
	   "too long a line ends it");
	is_text(output, FIRST_REPLY, "without an answer");
	is(run("double:x", "check 1 m\0\n", 11, output, sizeof(output)), 1,
	   "so does a NUL");
}

static void
test_uris(void)
{
	char		output[1024];

	is(run("double:never", FIRST "check 2 m\n", 20, output, sizeof(output)),
	   0, "a service that never opens");
	is_text(output, FIRST_REPLY "error 2 unavailable Not yet. Try?again.\n",
			"is asked each time");
	is(run("single:x", FIRST, strlen(FIRST), output, sizeof(output)), 0,
	   "an unknown scheme");
	ok(strstr(output, "error 1 misconfigured ") == output, "%s", output);
	is(run("double:%", FIRST, strlen(FIRST), output, sizeof(output)), 0,
	   "a broken URI");
	ok(strstr(output, "error 1 misconfigured ") == output, "%s", output);
	is(run("--help", FIRST, strlen(FIRST), output, sizeof(output)), 2,
	   "an option");
	is_text(output, "", "is answered elsewhere");
}

/* ---------------------------------------------------------------- */
/* The files of credentials                                         */
/* ---------------------------------------------------------------- */

static prov_secret secret;
static prov_failure failure;

static void
is_secret(const char *path, bool mounted, const char *want, const char *name)
{
	is_category(prov_secret_read(path, "The file", mounted, &secret,
								 &failure),
				PROV_OK, name);
	is_text(secret.text, want, "%s: its text", name);
	is((long long) secret.len, (long long) strlen(want), "its length");
}

static void
is_no_secret(const char *path, bool mounted, const char *reason,
			 const char *name)
{
	memset(&secret, 0xFF, sizeof(secret));
	prov_secret_read(path, "The file", mounted, &secret, &failure);
	is_failure(&failure, PROV_MISCONFIGURED, reason, name);
	ok(all_zero(&secret, sizeof(secret)), "%s: nothing is left", name);
}

static void
test_secrets(void)
{
	static char text[PROV_SECRET_MAX + 2];
	bool		is_root = geteuid() == 0;

	is_secret(scratch_file("s", "a\nb\n", 0600), false, "a\nb", "two lines");
	is_secret(scratch_file("s", "a\n\n", 0400), false, "a\n", "two newlines");
	is_secret(scratch_file("s", "a", 0644), true, "a", "mounted");
	is_no_secret(scratch_file("s", "a", 0644), false, "mode",
				 "others can read it");
	is_no_secret(scratch_file("s", "a", 0660), true, "written",
				 "mounted, and its group can write it");
	is_no_secret(scratch_file("s", "a", 0602), true, "written",
				 "mounted, and others can write it");
	if (is_root)
		is_secret(scratch_file("s", "a", 0640), false, "a", "root's");
	else
		is_no_secret(scratch_file("s", "a", 0640), false, "mode",
					 "its group can read it");
	is_no_secret(scratch_file("s", "", 0600), false, "empty", "empty");
	is_no_secret(scratch_file("s", "\n", 0600), false, "empty", "a newline");
	is_no_secret("/nonexistent/s", false, "cannot be read", "missing");
	is_no_secret("s", false, "absolute", "a relative path");
	is_no_secret(scratch_path(""), false, "regular", "a directory");
	is_no_secret("/dev/null", false, "regular", "a device");
	mkfifo(scratch_path("fifo"), 0600);
	is_no_secret(scratch_path("fifo"), false, "regular", "a FIFO");
	unlink(scratch_path("fifo"));
	is_text(failure.reason, "The file is not a regular file.", "in words");

	memset(text, 'x', PROV_SECRET_MAX);
	is_secret(scratch_file("s", text, 0600), false, text, "the longest");
	text[PROV_SECRET_MAX] = 'x';
	is_no_secret(scratch_file("s", text, 0600), false, "too long",
				 "one byte more");

	is_category(prov_secret_read_line(scratch_file("s", "a b\n", 0600),
									  "The file", false, &secret, &failure),
				PROV_OK, "one line");
	prov_secret_read_line(scratch_file("s", "a\nb", 0600), "The file", false,
						  &secret, &failure);
	is_failure(&failure, PROV_MISCONFIGURED, "one line", "two lines");
	ok(all_zero(&secret, sizeof(secret)), "nothing is left");
	prov_secret_read_line(scratch_file("s", "a\r\n", 0600), "The file", false,
						  &secret, &failure);
	is_failure(&failure, PROV_MISCONFIGURED, "one line", "a carriage return");
}

int
main(void)
{
	/* A program that ends early leaves input unread. */
	signal(SIGPIPE, SIG_IGN);
	test_requests();
	test_bad_requests();
	test_lines();
	test_uris();
	test_secrets();
	return done_testing();
}
