/*
 * prov_profile.c
 *	  Reading the profile files of AWS: INI, as the vendor's tools read it.
 *
 * People edit this file and other tools share it, so unknown lines are
 * tolerated where they do not matter.  It holds credentials, so no message
 * ever quotes it.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "providers/aws/prov_profile.h"

#include <string.h>
#include <strings.h>

static bool next_line(envl_view *rest, envl_view *line);
static bool is_section(envl_view line, envl_view *name);
static bool is_setting(envl_view line, const char *setting,
					   envl_view *value);
static envl_view trim_blanks(envl_view text);
static bool is_blank(uint8_t c);
static bool equals_text(envl_view view, const char *text);

bool
prov_profile_find(envl_view text, const char *profile, const char *setting,
				  envl_view *value)
{
	bool		inside = false;
	bool		found = false;
	envl_view	line;
	envl_view	name;

	while (next_line(&text, &line))
	{
		if (is_section(line, &name))
		{
			inside = equals_text(name, profile);
			if (inside && setting == NULL)
				return true;
		}
		else if (inside && setting != NULL &&
				 is_setting(line, setting, value))
			found = true;
	}
	return found;
}

/* Takes the next line, without its newline and trailing white space. */
static bool
next_line(envl_view *rest, envl_view *line)
{
	const uint8_t *newline;

	if (rest->len == 0)
		return false;
	newline = memchr(rest->data, '\n', rest->len);
	*line = *rest;
	if (newline == NULL)
		rest->len = 0;
	else
	{
		line->len = (size_t) (newline - rest->data);
		rest->len -= line->len + 1;
		rest->data = newline + 1;
	}
	while (line->len > 0 && is_blank(line->data[line->len - 1]))
		line->len--;
	return true;
}

/* Matches [NAME], [profile NAME] or [profile "NAME"]; a comment may follow. */
static bool
is_section(envl_view line, envl_view *name)
{
	static const char word[] = "profile";
	const uint8_t *end;

	if (line.len == 0 || line.data[0] != '[' ||
		(end = memchr(line.data, ']', line.len)) == NULL)
		return false;
	name->data = line.data + 1;
	name->len = (size_t) (end - name->data);
	*name = trim_blanks(*name);
	if (name->len > sizeof(word) - 1 &&
		memcmp(name->data, word, sizeof(word) - 1) == 0 &&
		is_blank(name->data[sizeof(word) - 1]))
	{
		name->data += sizeof(word) - 1;
		name->len -= sizeof(word) - 1;
		*name = trim_blanks(*name);
	}
	if (name->len >= 2 && name->data[0] == '"' &&
		name->data[name->len - 1] == '"')
	{
		name->data++;
		name->len -= 2;
	}
	return true;
}

/* Matches NAME = VALUE; the case of the name does not matter. */
static bool
is_setting(envl_view line, const char *setting, envl_view *value)
{
	const uint8_t *equals;
	envl_view	name;

	if (line.len == 0 || is_blank(line.data[0]) || line.data[0] == '#' ||
		line.data[0] == ';' ||
		(equals = memchr(line.data, '=', line.len)) == NULL)
		return false;
	name.data = line.data;
	name.len = (size_t) (equals - line.data);
	name = trim_blanks(name);
	if (name.len != strlen(setting) ||
		strncasecmp((const char *) name.data, setting, name.len) != 0)
		return false;
	value->data = equals + 1;
	value->len = line.len - (size_t) (value->data - line.data);
	*value = trim_blanks(*value);
	return true;
}

static envl_view
trim_blanks(envl_view text)
{
	while (text.len > 0 && is_blank(text.data[0]))
	{
		text.data++;
		text.len--;
	}
	while (text.len > 0 && is_blank(text.data[text.len - 1]))
		text.len--;
	return text;
}

static bool
is_blank(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static bool
equals_text(envl_view view, const char *text)
{
	return view.len == strlen(text) &&
		memcmp(view.data, text, view.len) == 0;
}
