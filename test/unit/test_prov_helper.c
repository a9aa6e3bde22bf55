/*
 * test_prov_helper.c
 *	  The helper protocol, and every way in which a helper can break it.
 *
 * The helpers are the scripted double (test/perl/helper_double.py) and the
 * example of the documentation (docs/examples/helper.sh).
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "providers/local/prov_helper.h"
#include "scratch.h"
#include "unit.h"

/* Long enough for a loaded machine, short enough to wait for. */
#define PATIENCE_MS 20000
#define NO_ANSWER_MS 300

static const prov_kek kek = {"customers", 0x0123456789AB, 3};
static uint8_t plaintext[ENVL_SEALED_PLAINTEXT_LEN];
static prov_root root;
static const char *directory = "/nonexistent";	/* of our programs */
static prov_helper helper;
static prov_reply reply;
static prov_failure failure;

static void
set_behaviour(const char *behaviour)
{
	scratch_file("helper.control", behaviour, 0600);
}

static long
now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* What the keeper does, with a deadline; false if it passed. */
static bool
await_reply(prov_category *category, int patience_ms)
{
	const long	deadline = now_ms() + patience_ms;

	memset(&failure, 0, sizeof(failure));
	for (;;)
	{
		struct pollfd wait_for = {helper.from_fd, POLLIN, 0};
		long		left = deadline - now_ms();
		bool		done;

		*category = prov_helper_receive(&helper, &done, &reply, &failure);
		if (done)
			return true;
		if (left <= 0)
			return false;
		poll(&wait_for, 1, (int) left);
	}
}

/* One call, whatever becomes of it. */
static prov_category
call(prov_verb verb, envl_view bytes)
{
	prov_category category;

	category = prov_helper_send(&helper, verb, &root, &kek, bytes, &failure);
	if (category == PROV_OK && !await_reply(&category, PATIENCE_MS))
		return prov_fail(&failure, PROV_UNAVAILABLE, "No answer.", NULL);
	return category;
}

static prov_category
call_seal(void)
{
	return call(PROV_SEAL, (envl_view) {plaintext, sizeof(plaintext)});
}

static prov_category
call_unseal(const prov_sealed *sealed)
{
	return call(PROV_UNSEAL, (envl_view) {sealed->bytes, sealed->len});
}

static void
start(void)
{
	if (prov_helper_start(&helper, &root, directory, &failure) != PROV_OK)
	{
		note("%s (%s)", failure.reason, failure.detail);
		exit(EXIT_FAILURE);
	}
}

/* Lines of the double's record that start so. */
static int
count_calls(const char *what)
{
	FILE	   *file = fopen(scratch_path("helper.calls"), "re");
	char		line[512];
	int			count = 0;

	if (file == NULL)
		return -1;
	while (fgets(line, sizeof(line), file) != NULL)
		count += strncmp(line, what, strlen(what)) == 0;
	fclose(file);
	return count;
}

static void
test_round_trip(const char *name)
{
	prov_sealed sealed;
	char		root_key[PROV_ROOT_KEY_MAX];

	start();
	note("%s", name);
	is_category(call(PROV_CHECK, (envl_view) {NULL, 0}), PROV_OK, "check");
	ok(reply.sealed.root_key[0] != '\0', "the root key has a name: %s",
	   reply.sealed.root_key);
	strcpy(root_key, reply.sealed.root_key);
	is_category(call_seal(), PROV_OK, "seal");
	sealed = reply.sealed;
	is_text(sealed.root_key, root_key, "sealed by the same root key");
	ok(all_zero(reply.plaintext, sizeof(reply.plaintext)),
	   "a reply holds what was asked for only");
	is_category(call_unseal(&sealed), PROV_OK, "unseal");
	ok(memcmp(reply.plaintext, plaintext, sizeof(plaintext)) == 0,
	   "it is what was sealed");
	ok(all_zero(helper.line, sizeof(helper.line)), "the line is wiped");
	sealed.bytes[sealed.len - 1] ^= 1;
	call_unseal(&sealed);
	is_failure(&failure, PROV_INTEGRITY, "could not open", "altered");
	ok(!helper.broken, "the helper is still in step");
	sealed.bytes[sealed.len - 1] ^= 1;
	is_category(call_unseal(&sealed), PROV_OK, "and goes on");
	prov_helper_stop(&helper);
	is(helper.pid, 0, "stopped");
	prov_helper_stop(&helper);
}

/* Answers that a helper is free to give. */
static void
test_errors(void)
{
	start();
	for (int i = PROV_OK + 1; i < PROV_CATEGORIES; i++)
	{
		const char *word = prov_category_name((prov_category) i);
		char		control[64];

		snprintf(control, sizeof(control), "fail %s", word);
		set_behaviour(control);
		is_category(call_seal(), (prov_category) i, "an error's category");
		ok(failure.reason[0] != '\0' && failure.detail[0] == '\0' &&
			   !helper.broken,
		   "without text");
	}
	set_behaviour("fail denied a text of the helper");
	call_seal();
	is_failure(&failure, PROV_DENIED, "The provider denied the request.",
			   "what a client is told");
	is_text(failure.detail, "The helper program says: a text of the helper",
			"what the log is told");
	set_behaviour("fail denied tab\t esc\x1b[2J \xC3\xA4");
	call_seal();
	is_text(failure.detail, "The helper program says: tab? esc?[2J ??",
			"only printable ASCII of it");
	set_behaviour("ok");
	is_category(call_seal(), PROV_OK, "the helper is still in step");
	prov_helper_stop(&helper);
}

/* Each is a failure of its own request, and the next helper works. */
static void
test_breaches(void)
{
	static const struct
	{
		const char *behaviour;
		bool		unseal;
		prov_category category;
		bool		broken;
		const char *reason;
	} cases[] = {
		{"exit 0", false, PROV_UNAVAILABLE, true, "has ended"},
		{"exit 3", false, PROV_UNAVAILABLE, true, "has ended"},
		{"kill", false, PROV_UNAVAILABLE, true, "has ended"},
		{"close", false, PROV_UNAVAILABLE, true, "has ended"},
		{"flood", false, PROV_UNAVAILABLE, true, "broke the protocol"},
		{"long", false, PROV_UNAVAILABLE, true, "broke the protocol"},
		{"extra", false, PROV_UNAVAILABLE, true, "broke the protocol"},
		{"rubbish", false, PROV_UNAVAILABLE, true, "broke the protocol"},
		{"nul", false, PROV_UNAVAILABLE, true, "broke the protocol"},
		{"wrong_word", false, PROV_UNAVAILABLE, true, "broke the protocol"},
		{"wrong_category", false, PROV_UNAVAILABLE, true,
		 "broke the protocol"},
		{"fail ok", false, PROV_UNAVAILABLE, true, "broke the protocol"},
		{"wrong_id", false, PROV_UNAVAILABLE, true, "broke the protocol"},
		{"bad_base64", false, PROV_UNAVAILABLE, true, "broke the protocol"},
		{"bad_base64", true, PROV_UNAVAILABLE, true, "broke the protocol"},
		{"short", false, PROV_UNAVAILABLE, true, "broke the protocol"},
		{"short", true, PROV_INTEGRITY, false, "not a key encryption key"},
	};
	prov_sealed sealed;

	set_behaviour("ok");
	start();
	call_seal();
	sealed = reply.sealed;
	prov_helper_stop(&helper);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		set_behaviour(cases[i].behaviour);
		start();
		if (cases[i].unseal)
			call_unseal(&sealed);
		else
			call_seal();
		is_failure(&failure, cases[i].category, cases[i].reason,
				   cases[i].behaviour);
		is(helper.broken, cases[i].broken, "%s: out of step or not",
		   cases[i].behaviour);
		ok(all_zero(&reply, sizeof(reply)) &&
			   all_zero(helper.line, sizeof(helper.line)),
		   "%s: nothing is left", cases[i].behaviour);
		set_behaviour("ok");
		is_category(call_unseal(&sealed),
					cases[i].broken ? PROV_UNAVAILABLE : PROV_OK,
					"a broken helper is not asked again");
		prov_helper_stop(&helper);
	}

	start();
	is_category(call_unseal(&sealed), PROV_OK, "the next helper works");
	prov_helper_stop(&helper);
}

/* The detail says how a helper ended, once it is known. */
static void
test_exit_codes(void)
{
	static const struct
	{
		const char *behaviour;
		const char *detail;
	} cases[] = {
		{"exit 3", "Its exit code is 3."},
		{"kill", "It was ended by signal 15."},
	};

	for (size_t i = 0; i < 2; i++)
	{
		siginfo_t	info;
		prov_category category;

		set_behaviour(cases[i].behaviour);
		start();
		prov_helper_send(&helper, PROV_SEAL, &root, &kek,
						 (envl_view) {plaintext, sizeof(plaintext)},
						 &failure);
		waitid(P_PID, (id_t) helper.pid, &info, WEXITED | WNOWAIT);
		await_reply(&category, PATIENCE_MS);
		is_text(failure.detail, cases[i].detail, "%s",
				cases[i].behaviour);
		prov_helper_stop(&helper);
	}
	set_behaviour("ok");
}

/* The right length and the wrong bytes: what the binding is for. */
static void
test_wrong_blob(void)
{
	envl_key	key = {{1, 2, 3}};
	envl_key	opened;
	prov_sealed sealed;

	prov_kek_bind(&kek, &key, plaintext, &failure);
	start();
	call_seal();
	sealed = reply.sealed;
	set_behaviour("unseal wrong_blob");
	is_category(call_unseal(&sealed), PROV_OK, "a lie in good form");
	is_category(prov_kek_check(&kek, reply.plaintext, &opened, &failure),
				PROV_INTEGRITY, "is found by the binding");
	set_behaviour("seal wrong_blob");
	call_seal();
	sealed = reply.sealed;
	set_behaviour("ok");
	call_unseal(&sealed);
	is_category(prov_kek_check(&kek, reply.plaintext, &opened, &failure),
				PROV_INTEGRITY, "also if it was told when sealing");
	set_behaviour("seal wrong_key");
	call_seal();
	sealed = reply.sealed;
	set_behaviour("ok");
	is_category(call_unseal(&sealed), PROV_INTEGRITY,
				"a seal under another root key");
	prov_helper_stop(&helper);
}

/* The deadline is the caller's; until then nothing is decided. */
static void
test_hangs(void)
{
	static const char *const behaviours[] = {"hang", "half"};
	prov_category category;

	for (size_t i = 0; i < 2; i++)
	{
		long		before;

		set_behaviour(behaviours[i]);
		start();
		prov_helper_send(&helper, PROV_SEAL, &root, &kek,
						 (envl_view) {plaintext, sizeof(plaintext)},
						 &failure);
		ok(!await_reply(&category, NO_ANSWER_MS) && category == PROV_OK,
		   "%s: no answer", behaviours[i]);
		is_category(prov_helper_send(&helper, PROV_CHECK, &root, NULL,
									 (envl_view) {NULL, 0}, &failure),
					PROV_UNAVAILABLE, "one request at a time");
		before = now_ms();
		prov_helper_stop(&helper);
		ok(now_ms() - before < PATIENCE_MS / 2, "it is stopped at once");
	}

	set_behaviour("slow 0.2");
	start();
	is_category(call_seal(), PROV_OK, "a slow answer is an answer");
	prov_helper_stop(&helper);
	set_behaviour("ok");
}

/* A helper whose input is closed, or that does not read it. */
static void
test_input(bool is_closed)
{
	char		filler[4096] = {0};
	int			pair[2];
	int			to_fd;

	start();
	call(PROV_CHECK, (envl_view) {NULL, 0});

	/* Stays open: a helper whose input has ended ends, too. */
	to_fd = helper.to_fd;
	if (pipe2(pair, O_CLOEXEC | O_NONBLOCK) != 0)
		note("could not make a pipe");
	if (is_closed)
		close(pair[0]);
	else
	{
		while (write(pair[1], filler, sizeof(filler)) > 0)
			;
	}
	helper.to_fd = pair[1];
	call_seal();
	is_failure(&failure, PROV_UNAVAILABLE,
			   is_closed ? "has ended" : "broke the protocol",
			   is_closed ? "its input is closed" : "its input is full");
	ok(helper.broken, "the helper is out of step");
	close(to_fd);
	prov_helper_stop(&helper);
	if (!is_closed)
		close(pair[0]);
}

/* Output, or the end of it, between two requests. */
static void
test_idle(void)
{
	prov_category category;
	bool		done;

	start();
	is_category(prov_helper_receive(&helper, &done, &reply, &failure),
				PROV_OK, "nothing yet");
	ok(!done, "nothing is decided");
	set_behaviour("late");
	is_category(call_seal(), PROV_OK, "an answer");
	ok(await_reply(&category, PATIENCE_MS) &&
		   category == PROV_UNAVAILABLE && helper.broken,
	   "and a line without request");
	prov_helper_stop(&helper);

	set_behaviour("late");
	start();
	call_seal();
	for (struct pollfd fd = {helper.from_fd, POLLIN, 0}; fd.revents == 0;)
		poll(&fd, 1, PATIENCE_MS);
	is_category(call_seal(), PROV_UNAVAILABLE,
				"it is seen before the next request is sent");
	prov_helper_stop(&helper);

	set_behaviour("ok");
	start();
	kill(helper.pid, SIGKILL);
	ok(await_reply(&category, PATIENCE_MS), "a helper is killed");
	is_failure(&failure, PROV_UNAVAILABLE, "has ended", "while idle");
	prov_helper_stop(&helper);

	test_input(true);
	test_input(false);
}

static void
test_limits(void)
{
	uint8_t		bytes[PROV_SEALED_MAX + 1] = {0};

	start();
	call(PROV_UNSEAL, (envl_view) {bytes, sizeof(bytes)});
	is_failure(&failure, PROV_INTEGRITY, "wrong length", "too long a blob");
	call(PROV_UNSEAL, (envl_view) {bytes, 0});
	is_failure(&failure, PROV_INTEGRITY, "wrong length", "an empty one");
	ok(!helper.broken, "it was not sent");
	memset(root.name, 'n', PROV_NAME_SIZE - 1);
	call(PROV_UNSEAL, (envl_view) {bytes, PROV_SEALED_MAX});
	is_failure(&failure, PROV_INTEGRITY, "could not open",
			   "the longest line goes through");
	strcpy(root.name, "main");
	prov_helper_stop(&helper);
	is_category(call_seal(), PROV_UNAVAILABLE, "there is no helper");
}

static void
test_counts(void)
{
	unlink(scratch_path("helper.calls"));
	start();
	call_seal();
	call_seal();
	call(PROV_CHECK, (envl_view) {NULL, 0});
	prov_helper_stop(&helper);
	is(count_calls("start "), 1, "the double counts starts");
	is(count_calls("seal "), 2, "and seals");
	is(count_calls("seal 2 main 0123456789ab/3 ok"), 1, "with their fields");
	is(count_calls("check 3 main - ok"), 1, "and checks");
	is(count_calls("unseal "), 0, "and nothing else");
}

/* A program of ours is found in its directory and told the URI. */
static void
test_programs(void)
{
	static const struct
	{
		prov_kind	kind;
		const char *program;
		const char *uri;
	} cases[] = {
		{PROV_KMS, "pgenvelope-kms", "vault://host/transit/keys/a?x=$(id)"},
		{PROV_PKCS11, "pgenvelope-pkcs11", "pkcs11:token=a b;object='c'"},
	};
	/* Says what it was told, as if that were wrong. */
	static const char script[] =
		"#!/bin/sh\n"
		"while read -r verb id rest; do\n"
		"  echo \"error $id denied $# <$1> <${0##*/}>\"\n"
		"done\n";

	directory = scratch_path(".");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		char		want[200];

		scratch_file(cases[i].program, script, 0700);
		root = scratch_root(cases[i].kind, cases[i].uri);
		start();
		call_seal();
		is_category(failure.category, PROV_DENIED, cases[i].program);
		snprintf(want, sizeof(want), "says: 1 <%s> <%s>", cases[i].uri,
				 cases[i].program);
		ok(strstr(failure.detail, want) != NULL, "it is told the URI: %s",
		   failure.detail);
		prov_helper_stop(&helper);
	}
	directory = "/nonexistent";
	prov_helper_start(&helper, &root, directory, &failure);
	is_failure(&failure, PROV_MISCONFIGURED, "cannot be executed",
			   "a program of ours that is not installed");
}

/* What a check may be answered with besides a root key. */
static void
test_check_fields(void)
{
	static const struct
	{
		const char *behaviour;
		int64_t		expires;	/* -1: no reply */
		const char *root_key;
	} cases[] = {
		{"check fields cm9vdA==", 0, "root"},
		{"check fields cm9vdA== 1", 1, "root"},
		{"check fields cm9vdA== 1795600000", 1795600000, "root"},
		{"check fields - 999999999999", 999999999999, ""},
		{"check fields -", 0, ""},
		{"check fields cm9vdA== 0", -1, ""},
		{"check fields cm9vdA== 01", -1, ""},
		{"check fields cm9vdA== -1", -1, ""},
		{"check fields cm9vdA== 9999999999999", -1, ""},
		{"check fields cm9vdA== 1 1", -1, ""},
		{"check fields cm9vdA== 1x", -1, ""},
		{"check fields 1795600000", -1, ""},
		{"check fields - cm9vdA==", -1, ""}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		bool		good = cases[i].expires >= 0;

		start();
		set_behaviour(cases[i].behaviour);
		is_category(call(PROV_CHECK, (envl_view) {NULL, 0}),
					good ? PROV_OK : PROV_UNAVAILABLE, cases[i].behaviour);
		is(reply.expires, good ? cases[i].expires : 0, "expires");
		is_text(reply.sealed.root_key, cases[i].root_key, "root key");
		set_behaviour("ok");
		prov_helper_stop(&helper);
	}
}

int
main(void)
{
	/* As PostgreSQL does: a helper that is gone must not end its user. */
	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < sizeof(plaintext); i++)
		plaintext[i] = (uint8_t) (i * 5);

	root = scratch_root(PROV_COMMAND,
						scratch_copy("helper",
									 TEST_DIR "/perl/helper_double.py",
									 0700));
	test_round_trip("the double");
	test_errors();
	test_breaches();
	test_exit_codes();
	test_wrong_blob();
	test_hangs();
	test_idle();
	test_limits();
	test_counts();

	test_programs();

	if (system("command -v openssl >/dev/null") != 0)
	{
		ok(true, "the example of the documentation # SKIP no openssl");
		test_check_fields();
		return done_testing();
	}
	root = scratch_root(PROV_COMMAND,
						scratch_copy("example.sh",
									 TEST_DIR "/../docs/examples/helper.sh",
									 0700));
	setenv("HELPER_KEYS", scratch_path(""), 1);
	start();
	call_seal();
	is_failure(&failure, PROV_NOT_FOUND, "does not have the root key",
			   "the example without a root key");
	prov_helper_stop(&helper);
	is(system("cd \"$HELPER_KEYS\" && umask 077 && exec 2>/dev/null && "
			  "openssl req -x509 -newkey ec "
			  "-pkeyopt ec_paramgen_curve:P-256 -nodes -keyout main.key "
			  "-out main.crt -days 36500 -subj /CN=main"),
	   0,
	   "a root key of the example is made");
	test_round_trip("the example of the documentation");
	return done_testing();
}
