/*
 * replay.c
 *	  Runs a fuzz target over files, without libFuzzer.
 *
 *		replay_TARGET FILE-OR-DIRECTORY...
 *
 * Prints the Test Anything Protocol: a line for every file that the target
 * came back from.  Hidden files and documentation (*.md) are passed over.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

#include "fuzz.h"

static int	replayed;

static void
fail(const char *path)
{
	perror(path);
	exit(1);
}

/* Reads a whole file into memory of exactly its size. */
static uint8_t *
read_file(const char *path, size_t *size)
{
	FILE	   *file = fopen(path, "rb");
	struct stat status;
	uint8_t    *data;

	if (file == NULL || fstat(fileno(file), &status) != 0)
		fail(path);
	*size = (size_t) status.st_size;
	data = fuzz_alloc(*size);
	if (fread(data, 1, *size, file) != *size)
		fail(path);
	fclose(file);
	return data;
}

static void
replay_file(const char *path)
{
	size_t		size;
	uint8_t    *data = read_file(path, &size);

	(void) LLVMFuzzerTestOneInput(data, size);
	free(data);
	printf("ok %d - %s\n", ++replayed, path);
	fflush(stdout);
}

static int
is_input(const struct dirent *entry)
{
	const char *dot = strrchr(entry->d_name, '.');

	return entry->d_name[0] != '.' &&
		(dot == NULL || strcmp(dot, ".md") != 0);
}

static void
replay_directory(const char *path)
{
	struct dirent **entries;
	int			count = scandir(path, &entries, is_input, alphasort);

	if (count < 0)
		fail(path);
	for (int i = 0; i < count; i++)
	{
		char		file[4096];

		snprintf(file, sizeof(file), "%s/%s", path, entries[i]->d_name);
		replay_file(file);
		free(entries[i]);
	}
	free(entries);
}

int
main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
	{
		struct stat status;

		if (stat(argv[i], &status) != 0)
			fail(argv[i]);
		if (S_ISDIR(status.st_mode))
			replay_directory(argv[i]);
		else
			replay_file(argv[i]);
	}
	printf("1..%d\n", replayed);
	return replayed > 0 ? 0 : 1;
}
