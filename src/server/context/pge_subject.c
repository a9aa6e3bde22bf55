/*
 * pge_subject.c
 *	  The members of an encryption context that the audit shows.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "base/pge_compat.h"
#include "context/pge_subject.h"

uint64		pge_subject_epoch = 1;

/* The setting's names, as views into its value. */
static envl_view names[PGE_SUBJECT_MEMBERS];
static int	name_count;
static bool shown;				/* pgenvelope.audit logs uses at all */

/*
 * Takes the next name from a list.  No name needs an escape, so it can be
 * compared with spelled names directly.
 */
static bool
next_name(const char **cursor, envl_view *name)
{
	const char *start = *cursor + strspn(*cursor, ", ");
	size_t		len = strcspn(start, ",");

	*cursor = start + len;
	while (len > 0 && start[len - 1] == ' ')
		len--;
	*name = (envl_view) {(const uint8 *) start, len};
	return len > 0;
}

static bool
is_plain(envl_view name)
{
	for (size_t i = 0; i < name.len; i++)
	{
		if (name.data[i] < 0x20 || name.data[i] > 0x7e ||
			name.data[i] == '"' || name.data[i] == '\\')
			return false;
	}
	return name.len <= PGE_SUBJECT_NAME_MAX;
}

bool
pge_check_audit_context(char **newval, void **extra, GucSource source)
{
	const char *cursor = *newval;
	envl_view	name;
	int			count = 0;

	while (next_name(&cursor, &name))
	{
		if (!is_plain(name))
		{
			GUC_check_errdetail("The name of a member is printable ASCII of at most %d bytes, without quotes and backslashes.",
								PGE_SUBJECT_NAME_MAX);
			return false;
		}
		if (++count > PGE_SUBJECT_MEMBERS)
		{
			GUC_check_errdetail("At most %d members can be audited.",
								PGE_SUBJECT_MEMBERS);
			return false;
		}
	}
	return true;
}

void
pge_assign_audit_context(const char *newval, void *extra)
{
	const char *cursor = newval;

	name_count = 0;
	while (name_count < PGE_SUBJECT_MEMBERS &&
		   next_name(&cursor, &names[name_count]))
		name_count++;
	pge_subject_epoch++;
}

void
pge_subject_show(bool is_shown)
{
	shown = is_shown;
	pge_subject_epoch++;
}

/* Appends a member; of a long value only its length. */
static char *
put_member(char *out, const envl_spelled *member)
{
	*out++ = '"';
	memcpy(out, member->name.data, member->name.len);
	out += member->name.len;
	*out++ = '"';
	*out++ = ':';
	if (member->value.len > PGE_SUBJECT_VALUE_MAX)
		return out + sprintf(out, "{\"bytes\":%d}", (int) member->value.len);
	memcpy(out, member->value.data, member->value.len);
	return out + member->value.len;
}

size_t
pge_subject_write(const envl_spelled *members, size_t count, char *out)
{
	char	   *end = out;

	if (!shown)
		return 0;
	for (int i = 0; i < name_count; i++)
	{
		for (size_t j = 0; j < count; j++)
		{
			if (!envl_view_equal(members[j].name, names[i]))
				continue;
			if (end > out)
				*end++ = ',';
			end = put_member(end, &members[j]);
		}
	}
	return (size_t) (end - out);
}
