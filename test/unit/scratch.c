/*
 * scratch.c
 *	  A directory for the files of one unit program.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "scratch.h"
#include "unit.h"

#define PATHS 32

static char directory[PATH_MAX];
static pid_t owner;

static void
give_up(const char *what, const char *path)
{
	note("could not %s %s", what, path);
	exit(EXIT_FAILURE);
}

static int
remove_one(const char *path, const struct stat *status, int type,
		   struct FTW *place)
{
	(void) status;
	(void) type;
	(void) place;
	return remove(path);
}

/* Also runs in forked children that call exit, which must not. */
static void
remove_directory(void)
{
	if (getpid() == owner)
		nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

const char *
scratch_path(const char *name)
{
	static char paths[PATHS][PATH_MAX + 64];
	static unsigned next;
	char	   *path = paths[next++ % PATHS];

	if (directory[0] == '\0')
	{
		const char *parent = getenv("TMPDIR");

		snprintf(directory, sizeof(directory), "%s/pgenvelope-XXXXXX",
				 parent != NULL ? parent : "/tmp");
		if (mkdtemp(directory) == NULL)
			give_up("make", directory);
		owner = getpid();
		atexit(remove_directory);
	}
	snprintf(path, PATH_MAX + 64, "%s/%s", directory, name);
	return path;
}

static const char *
write_file(const char *name, const char *content, size_t len, mode_t mode)
{
	const char *path = scratch_path(name);
	char		fresh[PATH_MAX + 80];
	FILE	   *file;

	/* By rename, so that whoever reads it sees the old or the new one. */
	snprintf(fresh, sizeof(fresh), "%s.new", path);
	file = fopen(fresh, "we");
	if (file == NULL || fwrite(content, 1, len, file) != len ||
		fclose(file) != 0 || chmod(fresh, mode) != 0 ||
		rename(fresh, path) != 0)
		give_up("write", path);
	return path;
}

const char *
scratch_file(const char *name, const char *content, mode_t mode)
{
	return write_file(name, content, strlen(content), mode);
}

const char *
scratch_copy(const char *name, const char *source, mode_t mode)
{
	static char content[65536];
	FILE	   *file = fopen(source, "re");
	size_t		len;

	if (file == NULL)
		give_up("open", source);
	len = fread(content, 1, sizeof(content), file);
	if (len == 0 || len == sizeof(content))
		give_up("read", source);
	fclose(file);
	return write_file(name, content, len, mode);
}

prov_root
scratch_root(prov_kind kind, const char *location)
{
	prov_root	root = {.name = "main", .kind = kind};

	snprintf(root.location, sizeof(root.location), "%s", location);
	return root;
}

bool
is_category(prov_category got, prov_category want, const char *name)
{
	return is_text(prov_category_name(got), prov_category_name(want), "%s",
				   name);
}

bool
is_failure(const prov_failure *failure, prov_category want,
		   const char *reason, const char *name)
{
	bool		same = failure->category == want &&
		strstr(failure->reason, reason) != NULL;

	if (!ok(same, "%s: %s", name, prov_category_name(want)))
		note("got %s: %s (%s)", prov_category_name(failure->category),
			 failure->reason, failure->detail);
	return same;
}
