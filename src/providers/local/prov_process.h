/*
 * prov_process.h
 *	  Running a helper program with pipes to its standard input and output.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PROV_PROCESS_H
#define PROV_PROCESS_H

#include <sys/types.h>

#include "providers/prov.h"

/* Our ends are non-blocking and closed by exec. */
typedef struct prov_process
{
	pid_t		pid;
	int			to_fd;
	int			from_fd;
} prov_process;

/*
 * Runs the program at path, with argument unless that is NULL, which all
 * users of the machine can see: no shell, our environment, "/" as
 * working directory, its own process group, every signal as by default, no
 * descriptor but 0, 1 and 2, no core dump.  The kernel kills it when the
 * calling thread ends.  Waits for the exec, at most two seconds, not for the
 * program.
 */
extern prov_category prov_process_start(const char *path,
										const char *argument,
										prov_process *process,
										prov_failure *failure);

/* Writes how it ended into text, if it has; leaves it to be reaped. */
extern bool prov_process_ended(pid_t pid, char *text, size_t size);

/* Kills the process group, reaps the process and closes our ends. */
extern void prov_process_stop(const prov_process *process);

#endif							/* PROV_PROCESS_H */
