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

/* Longest line, without its newline. */
#define PROV_FILE_LINE_MAX 1024

/* Whoever holds one wipes it. */
typedef struct prov_file_line
{
	size_t		len;
	/* The newline, and a byte more by which a longer file shows. */
	uint8_t		bytes[PROV_FILE_LINE_MAX + 2];
} prov_file_line;

/*
 * Reads the one line of a secret's file, without its newline.  Symbolic links
 * are followed (secrets are mounted that way); what they lead to must be a
 * regular file outside data_directory (unless NULL), owned by root or this
 * process's user, with mode 0600 or, if root owns it, 0640, or stricter.
 * Carriage returns and NUL bytes are refused.  On failure the line is wiped.
 */
extern prov_category prov_file_read(const prov_root *root,
									const char *data_directory,
									prov_file_line *line,
									prov_failure *failure);

#endif							/* PROV_FILE_H */
