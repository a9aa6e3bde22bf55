/*
 * prov_secret.c
 *	  Reading the file of a credential, and refusing careless ones.
 *
 * The rules are those of prov_file.c, with one more case: a file that an
 * orchestrator mounts into a container is often readable by everyone in it.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "providers/prov_secret.h"

static prov_category read_open_file(int fd, const char *path,
									const char *what, bool mounted,
									prov_secret *secret,
									prov_failure *failure);
static const char *refusal_of(const struct stat *status, bool mounted);
static prov_category fail_file(prov_failure *failure, prov_category category,
							   const char *what, const char *wrong,
							   const char *path);
static prov_category fail_errno(prov_failure *failure, const char *what,
								const char *path, int error);

prov_category
prov_secret_read(const char *path, const char *what, bool mounted,
				 prov_secret *secret, prov_failure *failure)
{
	prov_category category;
	int			fd;

	envl_wipe(secret, sizeof(*secret));
	if (path[0] != '/')
		return fail_file(failure, PROV_MISCONFIGURED, what,
						 "must be given by an absolute path", path);

	/* O_NONBLOCK: do not wait for the writer of a FIFO. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return fail_errno(failure, what, path, errno);
	category = read_open_file(fd, path, what, mounted, secret, failure);
	close(fd);
	if (category != PROV_OK)
		envl_wipe(secret, sizeof(*secret));
	return category;
}

static prov_category
read_open_file(int fd, const char *path, const char *what, bool mounted,
			   prov_secret *secret, prov_failure *failure)
{
	const char *refusal;
	struct stat status;

	if (fstat(fd, &status) != 0)
		return fail_errno(failure, what, path, errno);
	refusal = refusal_of(&status, mounted);
	if (refusal != NULL)
		return fail_file(failure, PROV_MISCONFIGURED, what, refusal, path);

	/* Read one byte beyond the limit, to notice a longer file. */
	while (secret->len <= PROV_SECRET_MAX)
	{
		ssize_t		got = read(fd, secret->text + secret->len,
							   PROV_SECRET_MAX + 1 - secret->len);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return fail_errno(failure, what, path, errno);
		if (got == 0)
			break;
		secret->len += (size_t) got;
	}
	if (secret->len > PROV_SECRET_MAX)
		return fail_file(failure, PROV_MISCONFIGURED, what, "is too long",
						 path);
	if (secret->len > 0 && secret->text[secret->len - 1] == '\n')
		secret->len--;
	secret->text[secret->len] = '\0';
	if (secret->len == 0)
		return fail_file(failure, PROV_MISCONFIGURED, what, "is empty", path);
	if (memchr(secret->text, '\0', secret->len) != NULL)
		return fail_file(failure, PROV_MISCONFIGURED, what,
						 "is not a text file", path);
	return PROV_OK;
}

prov_category
prov_secret_trust(const char *path, const char *what, prov_failure *failure)
{
	const char *refusal;
	struct stat status;

	if (stat(path, &status) != 0)
		return fail_errno(failure, what, path, errno);
	refusal = refusal_of(&status, true);
	if (refusal != NULL)
		return fail_file(failure, PROV_MISCONFIGURED, what, refusal, path);
	return PROV_OK;
}

/* Why this file must not hold a secret; NULL if it may. */
static const char *
refusal_of(const struct stat *status, bool mounted)
{
	mode_t		others = (status->st_uid == 0) ? 0640 : 0600;

	if (!S_ISREG(status->st_mode))
		return "is not a regular file";
	if (status->st_uid != 0 && status->st_uid != geteuid())
		return "is owned by neither root nor the server's user";
	if ((status->st_mode & 0022) != 0)
		return "can be written by others than its owner";
	if (!mounted && (status->st_mode & 07777 & ~others) != 0)
		return "has too wide a mode: 0600 is right, or 0640 if root owns it";
	return NULL;
}

prov_category
prov_secret_read_line(const char *path, const char *what, bool mounted,
					  prov_secret *secret, prov_failure *failure)
{
	prov_category category = prov_secret_read(path, what, mounted, secret,
											  failure);

	if (category != PROV_OK)
		return category;
	for (size_t i = 0; i < secret->len; i++)
	{
		unsigned char c = (unsigned char) secret->text[i];

		if (c < 0x20 || c == 0x7F)
		{
			envl_wipe(secret, sizeof(*secret));
			return fail_file(failure, PROV_MISCONFIGURED, what,
							 "must hold one line of text", path);
		}
	}
	return PROV_OK;
}

/* "The token file is empty." */
static prov_category
fail_file(prov_failure *failure, prov_category category, const char *what,
		  const char *wrong, const char *path)
{
	char		reason[sizeof(failure->reason)];

	snprintf(reason, sizeof(reason), "%s %s.", what, wrong);
	return prov_fail(failure, category, reason, "It is \"%s\".", path);
}

/*
 * A missing file may be mounted later, but someone has to do it.  Any other
 * error may pass.
 */
static prov_category
fail_errno(prov_failure *failure, const char *what, const char *path,
		   int error)
{
	char		reason[sizeof(failure->reason)];
	bool		passing = error == EIO || error == EMFILE ||
		error == ENFILE || error == ENOMEM || error == ESTALE;

	snprintf(reason, sizeof(reason), "%s %s be read.", what,
			 passing ? "could not" : "cannot");
	return prov_fail(failure, passing ? PROV_UNAVAILABLE : PROV_MISCONFIGURED,
					 reason, "It is \"%s\": %s.", path, strerror(error));
}
