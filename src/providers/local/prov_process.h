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

/* Our ends of the pipes are non-blocking, and exec closes them. */
typedef struct prov_process
{
	pid_t		pid;
	int			to_fd;
	int			from_fd;
} prov_process;

/*
 * Runs the program at path, with argument unless that is NULL.  All users of
 * the machine can see the argument.  The program gets no shell, our
 * environment, "/" as working directory, a process group of its own, default
 * signal handling, no descriptor but 0, 1 and 2, and no core dump.  The kernel
 * kills it when the calling thread ends.  Waits at most two seconds for the
 * exec, and not for the program.
 */
extern prov_category prov_process_start(const char *path,
										const char *argument,
										prov_process *process,
										prov_failure *failure);

/*
 * If the process has ended, writes how into text and returns true.  It still
 * has to be reaped.
 */
extern bool prov_process_ended(pid_t pid, char *text, size_t size);

/*
 * Kills the process group, reaps the process and closes our ends of the pipes.
 */
extern void prov_process_stop(const prov_process *process);

#endif							/* PROV_PROCESS_H */
