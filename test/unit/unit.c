/*
 * unit.c
 *	  Tests that report in the Test Anything Protocol.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#define SHOWN_MAX 64			/* bytes of a difference that are printed */

static unsigned int run_count;
static unsigned int failed_count;

static bool
report(bool passed, const char *name, va_list arguments)
{
	run_count++;
	if (!passed)
		failed_count++;
	printf("%s %u - ", passed ? "ok" : "not ok", run_count);
	vprintf(name, arguments);
	putchar('\n');

	/* If the program dies, what it died after is known. */
	fflush(stdout);
	return passed;
}

bool
ok(bool passed, const char *name, ...)
{
	va_list		arguments;

	va_start(arguments, name);
	report(passed, name, arguments);
	va_end(arguments);
	return passed;
}

bool
is(long long got, long long want, const char *name, ...)
{
	va_list		arguments;

	va_start(arguments, name);
	report(got == want, name, arguments);
	va_end(arguments);
	if (got != want)
		note("got %lld, want %lld", got, want);
	return got == want;
}

bool
is_status(envl_status got, envl_status want, const char *name, ...)
{
	va_list		arguments;

	va_start(arguments, name);
	report(got == want, name, arguments);
	va_end(arguments);
	if (got != want)
		note("got %s, want %s", envl_status_name(got),
			 envl_status_name(want));
	return got == want;
}

static void
show_bytes(const char *what, envl_view bytes)
{
	printf("# %s, %zu bytes: ", what, bytes.len);
	for (size_t i = 0; i < bytes.len && i < SHOWN_MAX; i++)
		printf("%02x", bytes.data[i]);
	puts(bytes.len > SHOWN_MAX ? "..." : "");
}

bool
is_bytes(envl_view got, envl_view want, const char *name, ...)
{
	va_list		arguments;
	bool		same = envl_view_equal(got, want);

	va_start(arguments, name);
	report(same, name, arguments);
	va_end(arguments);
	if (!same)
	{
		show_bytes("got", got);
		show_bytes("want", want);
	}
	return same;
}

bool
is_text(const char *got, const char *want, const char *name, ...)
{
	va_list		arguments;
	bool		same = strcmp(got, want) == 0;

	va_start(arguments, name);
	report(same, name, arguments);
	va_end(arguments);
	if (!same)
		note("got \"%s\", want \"%s\"", got, want);
	return same;
}

void
note(const char *text, ...)
{
	va_list		arguments;

	fputs("# ", stdout);
	va_start(arguments, text);
	vprintf(text, arguments);
	va_end(arguments);
	putchar('\n');
}

int
done_testing(void)
{
	printf("1..%u\n", run_count);
	if (failed_count > 0)
		note("%u of %u failed", failed_count, run_count);
	return run_count > 0 && failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

envl_view
text_view(const char *text)
{
	return (envl_view) {(const uint8_t *) text, strlen(text)};
}

envl_status
check_policy(envl_view policy, envl_view context, envl_view *member)
{
	static envl_spelled wanted[ENVL_MEMBERS_MAX];
	static envl_spelled given[ENVL_MEMBERS_MAX];
	size_t		wanted_count;
	size_t		given_count;

	*member = (envl_view) {NULL, 0};
	if (envl_policy_read(policy, wanted, &wanted_count) != ENVL_OK ||
		envl_context_read(context, given, &given_count) != ENVL_OK)
		return ENVL_MALFORMED;
	return envl_policy_check(wanted, wanted_count, given, given_count, member);
}

bool
all_zero(const void *memory, size_t len)
{
	const uint8_t *bytes = memory;

	for (size_t i = 0; i < len; i++)
	{
		if (bytes[i] != 0)
			return false;
	}
	return true;
}

static int
hex_value(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	if (digit >= 'a' && digit <= 'f')
		return digit - 'a' + 10;
	if (digit >= 'A' && digit <= 'F')
		return digit - 'A' + 10;
	return -1;
}

size_t
from_hex(const char *hex, uint8_t *out, size_t size)
{
	size_t		len = strlen(hex);

	if (len % 2 != 0 || len / 2 > size)
	{
		note("not hexadecimal of at most %zu bytes: %.40s", size, hex);
		exit(EXIT_FAILURE);
	}
	for (size_t i = 0; i < len / 2; i++)
	{
		int			high = hex_value(hex[2 * i]);
		int			low = hex_value(hex[2 * i + 1]);

		if (high < 0 || low < 0)
		{
			note("not hexadecimal: %.40s", hex);
			exit(EXIT_FAILURE);
		}
		out[i] = (uint8_t) (high << 4 | low);
	}
	return len / 2;
}
