/*
 * prov_file.h
 *	  Reading a file that holds one secret line: a root key or a passphrase.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PROV_FILE_H
#define PROV_FILE_H

#include "providers/prov.h"

/* The longest line, without its newline. */
#define PROV_FILE_LINE_MAX 1024

/* The owner wipes it. */
typedef struct prov_file_line
{
	size_t		len;
	/* Room for the newline, and a byte that shows that the file is longer. */
	uint8_t		bytes[PROV_FILE_LINE_MAX + 2];
} prov_file_line;

/*
 * Reads the one line of a secret's file, without its newline.  Symbolic links
 * are followed, because orchestrators mount secrets through them.  The file
 * must be a regular one outside data_directory (unless NULL), owned by root or
 * this process's user, with mode 0600 or, if root owns it, 0640, or stricter.
 * Carriage returns and NUL bytes are refused.  On failure the line is wiped.
 */
extern prov_category prov_file_read(const prov_root *root,
									const char *data_directory,
									prov_file_line *line,
									prov_failure *failure);

#endif							/* PROV_FILE_H */
