/*
 * test_prov_file.c
 *	  Key files: what is read, and which files are refused.
 *
 * Most cases are asked of the careful reader itself; that a provider gives
 * its answers on is shown by a few.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "providers/local/prov_file.h"
#include "providers/local/prov_local.h"
#include "scratch.h"
#include "unit.h"

#define KEY "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="

static prov_file_line line;
static prov_failure failure;

static prov_category
read_file(const char *path, const char *data_directory)
{
	prov_root	root = scratch_root(PROV_FILE, path);

	memset(&line, 0xFF, sizeof(line));
	memset(&failure, 0, sizeof(failure));
	return prov_file_read(&root, data_directory, &line, &failure);
}

static void
is_read(const char *path, const char *want, const char *name)
{
	if (!is_category(read_file(path, NULL), PROV_OK, name))
		note("%s (%s)", failure.reason, failure.detail);
	is_bytes((envl_view) {line.bytes, line.len}, text_view(want),
			 "%s: the line", name);
}

static void
is_refused(const char *path, const char *data_directory, prov_category want,
		   const char *reason, const char *name)
{
	read_file(path, data_directory);
	is_failure(&failure, want, reason, name);
	ok(all_zero(&line, sizeof(line)), "%s: nothing is left", name);
}

static void
test_contents(void)
{
	char		text[PROV_FILE_LINE_MAX + 3];

	is_read(scratch_file("key", KEY "\n", 0600), KEY, "a line");
	is_read(scratch_file("key", KEY, 0600), KEY, "without newline");
	is_read(scratch_file("key", " x ", 0600), " x ", "blanks are kept");

	memset(text, 'x', sizeof(text));
	text[PROV_FILE_LINE_MAX] = '\0';
	is_read(scratch_file("key", text, 0600), text, "the longest line");
	strcpy(text + PROV_FILE_LINE_MAX, "\n");
	scratch_file("key", text, 0600);
	text[PROV_FILE_LINE_MAX] = '\0';
	is_read(scratch_path("key"), text, "the longest line and a newline");
	strcpy(text + PROV_FILE_LINE_MAX, "x");
	is_refused(scratch_file("key", text, 0600), NULL, PROV_MISCONFIGURED,
			   "one line", "one byte too long");
	strcpy(text + PROV_FILE_LINE_MAX, "x\n");
	is_refused(scratch_file("key", text, 0600), NULL, PROV_MISCONFIGURED,
			   "one line", "one byte too long and a newline");

	is_refused(scratch_file("key", "", 0600), NULL, PROV_MISCONFIGURED,
			   "empty", "an empty file");
	is_refused(scratch_file("key", "\n", 0600), NULL, PROV_MISCONFIGURED,
			   "empty", "an empty line");
	is_refused(scratch_file("key", KEY "\n\n", 0600), NULL,
			   PROV_MISCONFIGURED, "one line", "two newlines");
	is_refused(scratch_file("key", KEY "\n" KEY, 0600), NULL,
			   PROV_MISCONFIGURED, "one line", "two lines");
	is_refused(scratch_file("key", KEY "\r\n", 0600), NULL,
			   PROV_MISCONFIGURED, "one line", "a carriage return");
	is_refused("/dev/zero", NULL, PROV_MISCONFIGURED, "regular file",
			   "a device");
}

static void
test_modes(void)
{
	static const struct
	{
		mode_t		mode;
		bool		for_user;
		bool		for_root;
	} cases[] = {
		{0600, true, true},
		{0400, true, true},
		{0640, false, true},
		{0440, false, true},
		{0660, false, false},
		{0620, false, false},
		{0644, false, false},
		{0604, false, false},
		{0602, false, false},
		{0606, false, false},
		{0700, false, false},
		{0610, false, false},
		{0601, false, false},
		{04600, false, false},
		{02640, false, false},
		{01600, false, false},
	};
	bool		is_root = (geteuid() == 0);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		const char *path = scratch_file("key", KEY, cases[i].mode);
		char		name[32];

		snprintf(name, sizeof(name), "mode %04o",
				 (unsigned) cases[i].mode);
		if (is_root ? cases[i].for_root : cases[i].for_user)
			is_read(path, KEY, name);
		else
			is_refused(path, NULL, PROV_MISCONFIGURED, "mode", name);
	}
}

static void
test_owners(void)
{
	const char *path = scratch_file("key", KEY, 0600);

	if (geteuid() == 0)
	{
		if (chown(path, 12345, (gid_t) -1) != 0)
			note("could not give the file away");
		is_refused(path, NULL, PROV_MISCONFIGURED, "owned by",
				   "another user's file");
	}
	else
	{
		is_refused("/etc/passwd", NULL, PROV_MISCONFIGURED, "mode",
				   "a file that root lets everybody read");
		scratch_file("key", KEY, 0000);
		is_refused(path, NULL, PROV_MISCONFIGURED, "cannot be opened",
				   "a file that cannot be read");
	}
}

static void
test_kinds(void)
{
	const char *fifo = scratch_path("fifo");
	const char *link = scratch_path("link");
	const char *loop = scratch_path("loop");

	is_refused(scratch_path("missing"), NULL, PROV_NOT_FOUND,
			   "does not exist", "a missing file");
	scratch_file("key", KEY, 0600);
	is_refused(scratch_path("key/x"), NULL, PROV_NOT_FOUND, "does not exist",
			   "a file for a directory");
	is_refused(scratch_path("."), NULL, PROV_MISCONFIGURED, "regular file",
			   "a directory");

	/* Opening it must not wait for a writer. */
	if (mkfifo(fifo, 0600) != 0)
		note("could not make a FIFO");
	is_refused(fifo, NULL, PROV_MISCONFIGURED, "regular file", "a FIFO");

	if (symlink("key", link) != 0 || symlink("loop", loop) != 0)
		note("could not make links");
	is_read(link, KEY, "a symbolic link");
	scratch_file("key", KEY, 0644);
	is_refused(link, NULL, PROV_MISCONFIGURED, "mode",
			   "the mode counts that the link leads to");
	is_refused(loop, NULL, PROV_MISCONFIGURED, "cannot be opened",
			   "a link to itself");
	unlink(scratch_path("key"));
	is_refused(link, NULL, PROV_NOT_FOUND, "does not exist",
			   "a dangling link");
}

static void
test_data_directory(void)
{
	const char *data = scratch_path("data");
	const char *alias = scratch_path("alias");
	const char *inside = scratch_path("inside");

	mkdir(data, 0700);
	mkdir(scratch_path("data/sub"), 0700);
	mkdir(scratch_path("data2"), 0700);
	scratch_file("data/key", KEY, 0600);
	scratch_file("data/sub/key", KEY, 0600);
	scratch_file("data2/key", KEY, 0600);
	if (symlink("data", alias) != 0 || symlink("data/key", inside) != 0)
		note("could not make links");

	is_refused(scratch_path("data/key"), data, PROV_MISCONFIGURED,
			   "data directory", "in the data directory");
	is_refused(scratch_path("data/sub/key"), data, PROV_MISCONFIGURED,
			   "data directory", "below it");
	is_refused(scratch_path("data2/../data/key"), data, PROV_MISCONFIGURED,
			   "data directory", "by way of ..");
	is_refused(inside, data, PROV_MISCONFIGURED, "data directory",
			   "by way of a link");
	is_refused(scratch_path("data/key"), alias, PROV_MISCONFIGURED,
			   "data directory", "with a link as data directory");
	is_refused(scratch_path("data/key"), "/", PROV_MISCONFIGURED,
			   "data directory", "the root as data directory");
	is_refused(scratch_path("data2/key"), scratch_path("gone"),
			   PROV_NOT_FOUND, "does not exist", "no data directory");

	is_category(read_file(scratch_path("data2/key"), data), PROV_OK,
				"a directory whose name only starts alike");
	is_category(read_file(scratch_path("data/key"), NULL), PROV_OK,
				"no data directory to mind");
}

static void
test_keys(void)
{
	static const struct
	{
		const char *content;
		const char *name;
	} bad[] = {
		{"AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHw==", "31 bytes"},
		{"AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyAh", "33 bytes"},
		{"AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA", "no padding"},
		{"AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyB=", "bits behind it"},
		{"-_IDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=", "URL alphabet"},
		{" " KEY, "a leading blank"},
		{KEY " ", "a trailing blank"},
		{"0102030405060708090a0b0c0d0e0f10"
		 "1112131415161718191a1b1c1d1e1f20",
		 "hexadecimal"},
		{"*QIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=", "not base64"},
	};
	const prov_kek kek = {"k", 1, 1};
	const uint8_t plaintext[ENVL_SEALED_PLAINTEXT_LEN] = {0};
	prov_root	root = scratch_root(PROV_FILE, scratch_path("key"));
	prov_sealed sealed;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
	{
		scratch_file("key", bad[i].content, 0600);
		prov_local_seal(&root, NULL, &kek, plaintext, &sealed, &failure);
		is_failure(&failure, PROV_MISCONFIGURED, "exactly 32 bytes",
				   bad[i].name);
		ok(all_zero(&sealed, sizeof(sealed)), "nothing is sealed");
	}

	scratch_file("key", KEY, 0644);
	prov_local_seal(&root, NULL, &kek, plaintext, &sealed, &failure);
	is_failure(&failure, PROV_MISCONFIGURED, "mode",
			   "the provider gives the reader's refusal on");
	unlink(root.location);
	prov_local_seal(&root, NULL, &kek, plaintext, &sealed, &failure);
	is_failure(&failure, PROV_NOT_FOUND, "does not exist",
			   "a missing key is not made");
	ok(access(root.location, F_OK) != 0, "there is still none");
}

int
main(void)
{
	umask(0);
	test_contents();
	test_modes();
	test_owners();
	test_kinds();
	test_data_directory();
	test_keys();
	return done_testing();
}
