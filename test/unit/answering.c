/*
 * answering.c
 *	  A server on this machine that answers what it is told to.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "answering.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

pid_t
answering_start(const char *const *answers, char *url)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t	len = sizeof(address);
	int			listener = socket(AF_INET, SOCK_STREAM, 0);
	pid_t		pid;

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (listener < 0 ||
		bind(listener, (struct sockaddr *) &address, sizeof(address)) != 0 ||
		listen(listener, 10) != 0 ||
		getsockname(listener, (struct sockaddr *) &address, &len) != 0)
		exit(EXIT_FAILURE);
	snprintf(url, ANSWERING_URL_SIZE, "http://127.0.0.1:%d/",
			 ntohs(address.sin_port));
	fflush(stdout);
	pid = fork();
	while (pid == 0)
	{
		char		request[4096];
		int			fd = accept(listener, NULL, NULL);

		if (fd < 0 || read(fd, request, sizeof(request)) < 0)
			_exit(1);
		if (strcmp(*answers, "hang") == 0)
			pause();
		if (write(fd, *answers, strlen(*answers)) < 0)
			_exit(1);
		close(fd);
		if (answers[1] != NULL)
			answers++;
	}
	close(listener);
	return pid;
}

void
answering_stop(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}
