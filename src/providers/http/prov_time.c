/*
 * prov_time.c
 *	  Parsing the times that services send: when a credential expires.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "providers/http/prov_time.h"

#include <string.h>

static bool read_number(envl_reader *reader, size_t digits, int lowest,
						int highest, int *out);
static bool read_mark(envl_reader *reader, const char *marks, uint8_t *mark);
static bool read_offset(envl_reader *reader, int *minutes);

bool
prov_time_parse(envl_view text, time_t *out)
{
	envl_reader reader = envl_reader_over(text);
	struct tm	parts = {0};
	struct tm	again;
	uint8_t		mark;
	int			offset;

	if (!read_number(&reader, 4, 1970, 9999, &parts.tm_year) ||
		!read_mark(&reader, "-", &mark) ||
		!read_number(&reader, 2, 1, 12, &parts.tm_mon) ||
		!read_mark(&reader, "-", &mark) ||
		!read_number(&reader, 2, 1, 31, &parts.tm_mday) ||
		!read_mark(&reader, "Tt ", &mark) ||
		!read_number(&reader, 2, 0, 23, &parts.tm_hour) ||
		!read_mark(&reader, ":", &mark) ||
		!read_number(&reader, 2, 0, 59, &parts.tm_min) ||
		!read_mark(&reader, ":", &mark) ||
		!read_number(&reader, 2, 0, 60, &parts.tm_sec) ||
		!read_offset(&reader, &offset) || envl_reader_left(&reader) > 0)
		return false;
	parts.tm_year -= 1900;
	parts.tm_mon -= 1;

	/*
	 * timegm accepts the 31st of every month, so check that the month stayed.
	 */
	again = parts;
	*out = timegm(&again);
	if (again.tm_mon != parts.tm_mon && parts.tm_sec != 60)
		return false;
	*out -= (time_t) offset * 60;
	return true;
}

/* [.digits] then Z or +hh:mm or -hh:mm */
static bool
read_offset(envl_reader *reader, int *minutes)
{
	uint8_t		mark;
	int			hours;
	int			rest;
	int			digit;

	if (!read_mark(reader, ".Zz+-", &mark))
		return false;
	if (mark == '.')
	{
		if (!read_number(reader, 1, 0, 9, &digit))
			return false;
		while (read_number(reader, 1, 0, 9, &digit))
			;
		if (!read_mark(reader, "Zz+-", &mark))
			return false;
	}
	*minutes = 0;
	if (mark == 'Z' || mark == 'z')
		return true;
	*minutes = (mark == '-') ? -1 : 1;
	if (!read_number(reader, 2, 0, 23, &hours) ||
		!read_mark(reader, ":", &mark) ||
		!read_number(reader, 2, 0, 59, &rest))
		return false;
	*minutes *= hours * 60 + rest;
	return true;
}

static bool
read_number(envl_reader *reader, size_t digits, int lowest, int highest,
			int *out)
{
	envl_reader before = *reader;
	envl_view	view;

	*out = 0;
	if (!envl_read_view(reader, digits, &view))
		return false;
	for (size_t i = 0; i < digits; i++)
	{
		if (view.data[i] < '0' || view.data[i] > '9')
		{
			*reader = before;
			return false;
		}
		*out = *out * 10 + (view.data[i] - '0');
	}
	return *out >= lowest && *out <= highest;
}

/* Reads one of several characters. */
static bool
read_mark(envl_reader *reader, const char *marks, uint8_t *mark)
{
	return envl_read_u8(reader, mark) && *mark != '\0' &&
		strchr(marks, *mark) != NULL;
}
