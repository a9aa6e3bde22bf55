/*
 * answering.h
 *	  A server on this machine that answers what it is told to.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef ANSWERING_H
#define ANSWERING_H

#include <sys/types.h>

#define ANSWERING_URL_SIZE 64

/*
 * Starts a process that answers connections with texts, one after the other
 * and the last of them, before a NULL, for ever; "" closes, "hang" says
 * nothing.  url is "http://127.0.0.1:PORT/".
 */
extern pid_t answering_start(const char *const *answers, char *url);
extern void answering_stop(pid_t pid);

#define REPLY(status, headers, body) \
	"HTTP/1.1 " status "\r\nConnection: close\r\n" headers "\r\n" body
#define BAD(status) REPLY(status " No", "", "")

#endif							/* ANSWERING_H */
