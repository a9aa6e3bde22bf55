/*
 * prov_file.c
 *	  Reading a file that holds one secret line, and refusing careless ones.
 *
 * The path is resolved first and the resolved path opened, so that the file
 * that was checked to lie outside the data directory is the one that is read.
 * All other checks use the open file.  read(2) puts the bytes into the
 * caller's buffer and nowhere else; stdio would leave a copy behind.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "providers/local/prov_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static prov_category open_file(const char *path, const char *data_directory,
							   int *fd, prov_failure *failure);
static bool is_inside(const char *path, const char *directory);
static const char *refusal_of(const struct stat *status);
static prov_category read_line(int fd, const char *path,
							   prov_file_line *line, prov_failure *failure);
static prov_category fail_errno(prov_failure *failure, const char *path,
								int error);

prov_category
prov_file_read(const prov_root *root, const char *data_directory,
			   prov_file_line *line, prov_failure *failure)
{
	const char *path = root->location;
	const char *refusal;
	struct stat status;
	prov_category category;
	int			fd;

	envl_wipe(line, sizeof(*line));
	category = open_file(path, data_directory, &fd, failure);
	if (category != PROV_OK)
		return category;

	if (fstat(fd, &status) != 0)
		category = fail_errno(failure, path, errno);
	else if ((refusal = refusal_of(&status)) != NULL)
		category = prov_fail(failure, PROV_MISCONFIGURED, refusal,
							 "The file is \"%s\", its mode %04o, its owner "
							 "%lu.",
							 path, (unsigned) status.st_mode & 07777,
							 (unsigned long) status.st_uid);
	else
		category = read_line(fd, path, line, failure);

	close(fd);
	if (category != PROV_OK)
		envl_wipe(line, sizeof(*line));
	return category;
}

static prov_category
open_file(const char *path, const char *data_directory, int *fd,
		  prov_failure *failure)
{
	char		resolved[PATH_MAX];
	char		directory[PATH_MAX];

	if (realpath(path, resolved) == NULL)
		return fail_errno(failure, path, errno);

	if (data_directory != NULL)
	{
		if (realpath(data_directory, directory) == NULL)
			return fail_errno(failure, data_directory, errno);
		if (is_inside(resolved, directory))
			return prov_fail(failure, PROV_MISCONFIGURED,
							 "The root key's file is in the data directory, "
							 "where every base backup would take it along.",
							 "The file is \"%s\".", path);
	}

	/* O_NONBLOCK: do not wait for the writer of a FIFO. */
	*fd = open(resolved,
			   O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW);
	if (*fd < 0)
		return fail_errno(failure, path, errno);
	return PROV_OK;
}

/* Both paths are resolved: absolute, without links, "." and "..". */
static bool
is_inside(const char *path, const char *directory)
{
	size_t		len = strlen(directory);

	if (strncmp(path, directory, len) != 0)
		return false;
	return len == 1 || path[len] == '/' || path[len] == '\0';
}

/* Why this file must not hold a secret; NULL if it may. */
static const char *
refusal_of(const struct stat *status)
{
	mode_t		allowed = (status->st_uid == 0) ? 0640 : 0600;

	if (!S_ISREG(status->st_mode))
		return "The root key's file is not a regular file.";
	if (status->st_uid != 0 && status->st_uid != geteuid())
		return "The root key's file is owned by neither root nor the "
			   "server's user.";
	if ((status->st_mode & 07777 & ~allowed) != 0)
		return "The root key's file has too wide a mode: 0600 is right, or "
			   "0640 if root owns it.";
	return NULL;
}

static prov_category
read_line(int fd, const char *path, prov_file_line *line,
		  prov_failure *failure)
{
	while (line->len < sizeof(line->bytes))
	{
		ssize_t		got = read(fd, line->bytes + line->len,
							   sizeof(line->bytes) - line->len);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return fail_errno(failure, path, errno);
		if (got == 0)
			break;
		line->len += (size_t) got;
	}

	if (line->len > 0 && line->bytes[line->len - 1] == '\n')
		line->bytes[--line->len] = '\0';
	if (line->len == 0)
		return prov_fail(failure, PROV_MISCONFIGURED,
						 "The root key's file is empty.",
						 "The file is \"%s\".", path);
	if (line->len > PROV_FILE_LINE_MAX ||
		memchr(line->bytes, '\n', line->len) != NULL ||
		memchr(line->bytes, '\r', line->len) != NULL ||
		memchr(line->bytes, '\0', line->len) != NULL)
		return prov_fail(failure, PROV_MISCONFIGURED,
						 "The root key's file must hold one line of text of "
						 "at most 1024 bytes, with or without a newline.",
						 "The file is \"%s\".", path);
	return PROV_OK;
}

/* A missing file or permission lasts; anything else may pass. */
static prov_category
fail_errno(prov_failure *failure, const char *path, int error)
{
	switch (error)
	{
		case ENOENT:
		case ENOTDIR:
			return prov_fail(failure, PROV_NOT_FOUND,
							 "The root key's file does not exist.",
							 "The file is \"%s\".", path);
		case EACCES:
		case EPERM:
		case ELOOP:
		case ENAMETOOLONG:
		case ENXIO:
		case ENODEV:
			return prov_fail(failure, PROV_MISCONFIGURED,
							 "The root key's file cannot be opened.",
							 "The file is \"%s\": %s.", path,
							 strerror(error));
		default:
			return prov_fail(failure, PROV_UNAVAILABLE,
							 "The root key's file could not be read.",
							 "The file is \"%s\": %s.", path,
							 strerror(error));
	}
}
