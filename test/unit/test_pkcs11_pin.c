/*
 * test_pkcs11_pin.c
 *	  The PIN of a token: the files and commands it is read from, and the
 *	  memory of one that was refused.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <stdio.h>
#include <string.h>

#include "providers/pkcs11/prov_pkcs11_pin.h"
#include "scratch.h"
#include "unit.h"

static prov_secret pin;
static prov_failure failure;

static prov_category
read_pin(prov_pkcs11_pin_source source, const char *path)
{
	prov_pkcs11_uri uri = {.pin_source = source};

	snprintf(uri.pin_path, sizeof(uri.pin_path), "%s", path);
	memset(&pin, 0xFF, sizeof(pin));
	memset(&failure, 0, sizeof(failure));
	return prov_pkcs11_pin_read(&uri, &pin, &failure);
}

static void
is_read(prov_pkcs11_pin_source source, const char *path, const char *want,
		const char *name)
{
	if (!is_category(read_pin(source, path), PROV_OK, name))
		note("%s (%s)", failure.reason, failure.detail);
	is_text(pin.text, want, "%s: the PIN", name);
	is((long long) pin.len, (long long) strlen(want), "%s: its length", name);
}

static void
is_refused(prov_pkcs11_pin_source source, const char *path,
		   prov_category want, const char *reason, const char *name)
{
	read_pin(source, path);
	is_failure(&failure, want, reason, name);
	ok(all_zero(&pin, sizeof(pin)), "%s: nothing is left", name);
	ok(strstr(failure.detail, "1234") == NULL, "%s: is not told", name);
}

static void
test_files(void)
{
	char		text[300];

	is_read(PROV_PKCS11_PIN_FILE, scratch_file("pin", "1234\n", 0600), "1234",
			"a file");
	is_read(PROV_PKCS11_PIN_FILE, scratch_file("pin", "a b", 0400), "a b",
			"without newline");
	is_refused(PROV_PKCS11_PIN_FILE, scratch_file("pin", "1234\n", 0644),
			   PROV_MISCONFIGURED, "mode", "readable by all");
	is_refused(PROV_PKCS11_PIN_FILE, scratch_file("pin", "1234\n\n", 0600),
			   PROV_MISCONFIGURED, "one line", "two lines");
	is_refused(PROV_PKCS11_PIN_FILE, scratch_file("pin", "\n", 0600),
			   PROV_MISCONFIGURED, "empty", "an empty line");
	is_refused(PROV_PKCS11_PIN_FILE, scratch_path("missing"),
			   PROV_MISCONFIGURED, "cannot be read", "no file");
	memset(text, 'x', sizeof(text));
	text[256] = '\0';
	is_refused(PROV_PKCS11_PIN_FILE, scratch_file("pin", text, 0600),
			   PROV_MISCONFIGURED, "255 bytes", "a long PIN");
	text[255] = '\0';
	is_read(PROV_PKCS11_PIN_FILE, scratch_file("pin", text, 0600), text,
			"the longest PIN");
	is_refused(PROV_PKCS11_NO_PIN, "", PROV_MISCONFIGURED, "pin-source",
			   "no source");
}

static const char *
script(const char *body, mode_t mode)
{
	char		text[512];

	snprintf(text, sizeof(text), "#!/bin/sh\n%s\n", body);
	return scratch_file("command", text, mode);
}

static void
test_commands(void)
{
	char		text[300];

	is_read(PROV_PKCS11_PIN_COMMAND, script("echo 1234", 0700), "1234",
			"a command");
	is_read(PROV_PKCS11_PIN_COMMAND, script("printf 'a b'", 0700), "a b",
			"without newline");
	is_read(PROV_PKCS11_PIN_COMMAND, script("printf 12; exec echo 34", 0700),
			"1234", "in parts");
	is_read(PROV_PKCS11_PIN_COMMAND, script("echo \"$#$(pwd)\"", 0700), "0/",
			"without arguments, in /");
	memset(text, ' ', sizeof(text));
	strcpy(text + 254, "x");
	is_read(PROV_PKCS11_PIN_COMMAND, script("printf '%255s' x", 0700), text,
			"the longest");

	is_refused(PROV_PKCS11_PIN_COMMAND, script("printf '%256s' x", 0700),
			   PROV_MISCONFIGURED, "255 bytes", "a long PIN");
	is_refused(PROV_PKCS11_PIN_COMMAND, script("printf '%257s' x", 0700),
			   PROV_UNAVAILABLE, "did not give", "a very long PIN");
	is_refused(PROV_PKCS11_PIN_COMMAND, script("yes 1234", 0700),
			   PROV_UNAVAILABLE, "did not give", "no end of it");
	is_refused(PROV_PKCS11_PIN_COMMAND, script("echo 1234; exit 1", 0700),
			   PROV_UNAVAILABLE, "did not give", "a command that fails");
	is_refused(PROV_PKCS11_PIN_COMMAND, script("echo 1234; kill $$", 0700),
			   PROV_UNAVAILABLE, "did not give", "a command that is killed");
	is_refused(PROV_PKCS11_PIN_COMMAND, script("echo 12; echo 34", 0700),
			   PROV_UNAVAILABLE, "did not give", "two lines");
	is_refused(PROV_PKCS11_PIN_COMMAND, script("true", 0700),
			   PROV_UNAVAILABLE, "did not give", "nothing");
	is_refused(PROV_PKCS11_PIN_COMMAND, script("echo", 0700),
			   PROV_UNAVAILABLE, "did not give", "an empty line");
	is_refused(PROV_PKCS11_PIN_COMMAND, script("echo 1234; exec cat", 0700),
			   PROV_UNAVAILABLE, "did not give", "a command that waits");
	is_refused(PROV_PKCS11_PIN_COMMAND,
			   script("echo 1234; exec >&- 2>&-; exec cat", 0700),
			   PROV_UNAVAILABLE, "did not give",
			   "a command that waits, its output closed");

	is_refused(PROV_PKCS11_PIN_COMMAND, script("echo 1234", 0722),
			   PROV_MISCONFIGURED, "mode is wrong", "writable by others");
	is_refused(PROV_PKCS11_PIN_COMMAND, script("echo 1234", 0600),
			   PROV_MISCONFIGURED, "mode is wrong", "not executable");
	is_refused(PROV_PKCS11_PIN_COMMAND, scratch_path("missing"),
			   PROV_MISCONFIGURED, "could not be run", "no command");
}

static void
set_pin(const char *text)
{
	memset(&pin, 0, sizeof(pin));
	pin.len = strlen(text);
	memcpy(pin.text, text, pin.len + 1);
}

static void
is_asked(prov_pkcs11_pin_memory *memory, int64_t now_ms,
		 prov_pkcs11_pin_state want, const char *name)
{
	is(prov_pkcs11_pin_ask(memory, &pin, now_ms), want, "%s", name);
}

static void
test_refused(void)
{
	prov_pkcs11_pin_memory memory = {0};
	prov_pkcs11_pin_memory other = {0};

	set_pin("1234");
	is_asked(&memory, 0, PROV_PKCS11_PIN_MAY_BE_SENT, "a PIN");
	prov_pkcs11_pin_refused(&memory, &pin);
	is_asked(&memory, 0, PROV_PKCS11_PIN_REFUSED, "a refused PIN");
	is_asked(&memory, INT64_MAX, PROV_PKCS11_PIN_REFUSED, "for ever");
	set_pin("12345");
	is_asked(&memory, 0, PROV_PKCS11_PIN_MAY_BE_SENT, "another one");
	set_pin("123");
	is_asked(&memory, 0, PROV_PKCS11_PIN_MAY_BE_SENT, "a part of it");

	set_pin("1234");
	is_asked(&other, 0, PROV_PKCS11_PIN_MAY_BE_SENT, "another memory");
	prov_pkcs11_pin_refused(&other, &pin);
	ok(memcmp(memory.digest, other.digest, sizeof(memory.digest)) != 0,
	   "has another digest of the same PIN");
}

static void
test_doubted(void)
{
	static const int minutes[] = {1, 2, 4, 8, 16, 32, 60, 60};
	prov_pkcs11_pin_memory memory = {0};
	int64_t		now = 1000;

	set_pin("1234");
	is_asked(&memory, now, PROV_PKCS11_PIN_MAY_BE_SENT, "a PIN");
	for (size_t i = 0; i < sizeof(minutes) / sizeof(minutes[0]); i++)
	{
		prov_pkcs11_pin_doubted(&memory, &pin, now);
		now += (int64_t) minutes[i] * 60000;
		is_asked(&memory, now - 1, PROV_PKCS11_PIN_IN_DOUBT, "not yet");
		is_asked(&memory, now, PROV_PKCS11_PIN_MAY_BE_SENT, "now");
	}
	set_pin("123");
	prov_pkcs11_pin_doubted(&memory, &pin, now);
	is_asked(&memory, now + 60000, PROV_PKCS11_PIN_MAY_BE_SENT,
			 "another PIN is doubted for a minute");
	prov_pkcs11_pin_accepted(&memory);
	is_asked(&memory, now, PROV_PKCS11_PIN_MAY_BE_SENT,
			 "one that was right is not");
	prov_pkcs11_pin_refused(&memory, &pin);
	prov_pkcs11_pin_accepted(&memory);
	is_asked(&memory, now, PROV_PKCS11_PIN_MAY_BE_SENT,
			 "even if it was wrong before");
}

int
main(void)
{
	test_files();
	test_commands();
	test_refused();
	test_doubted();
	return done_testing();
}
