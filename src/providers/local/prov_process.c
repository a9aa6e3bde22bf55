/*
 * prov_process.c
 *	  Running a helper program with pipes to its standard input and output.
 *
 * The child must not inherit what this process has: signal handlers, blocked
 * signals, open files, the working directory (the data directory), or its
 * lifetime.  Between fork and exec it calls only what is safe in a signal
 * handler, because locks of the parent may stay held in the child for ever.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "providers/local/prov_process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* The longest waits for a program's start and for its end. */
#define EXEC_TIMEOUT_MS 2000
#define REAP_TIMEOUT_MS 1000

/* Pairs of pipe(2): [0] is read, [1] is written; -1 when closed. */
typedef struct process_pipes
{
	int			request[2];
	int			reply[2];
	int			status[2];		/* exec closes it; otherwise it receives the
								 * errno */
} process_pipes;

static prov_category check_program(const char *path, prov_failure *failure);
static bool open_pipes(process_pipes *pipes);
static bool open_pipe(int *pair);
static void close_pipes(process_pipes *pipes);
static void close_end(int *fd);
static pid_t fork_child(const char *path, const char *argument,
						const process_pipes *pipes);
static void run_child(const char *path, const char *argument,
					  const process_pipes *pipes, pid_t parent)
			__attribute__((noreturn));
static void close_above(int last_fd);
static int	await_exec(int status_fd);
static bool wait_readable(int fd, int timeout_ms);
static prov_category fail_start(prov_failure *failure, const char *path,
								int error);
static void kill_and_reap(pid_t pid);
static int64_t now_ms(void);

prov_category
prov_process_start(const char *path, const char *argument,
				   prov_process *process, prov_failure *failure)
{
	process_pipes pipes;
	prov_category category;
	pid_t		pid = -1;
	int			error;

	category = check_program(path, failure);
	if (category != PROV_OK)
		return category;
	if (open_pipes(&pipes))
		pid = fork_child(path, argument, &pipes);
	error = errno;
	if (pid > 0)
	{
		close_end(&pipes.request[0]);
		close_end(&pipes.reply[1]);
		close_end(&pipes.status[1]);
		error = await_exec(pipes.status[0]);
		if (error != 0)
			kill_and_reap(pid);
		else
		{
			process->pid = pid;
			process->to_fd = pipes.request[1];
			process->from_fd = pipes.reply[0];
			close_end(&pipes.status[0]);
			return PROV_OK;
		}
	}
	close_pipes(&pipes);
	return fail_start(failure, path, error);
}

/* Whoever can write the program can get every key that it unseals. */
static prov_category
check_program(const char *path, prov_failure *failure)
{
	const char *refusal = NULL;
	struct stat status;

	if (stat(path, &status) != 0)
		return fail_start(failure, path, errno);
	if (!S_ISREG(status.st_mode))
		refusal = "The provider's helper program is not a regular file.";
	else if (status.st_uid != 0 && status.st_uid != geteuid())
		refusal = "The provider's helper program is owned by neither root "
				  "nor the server's user.";
	else if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		refusal = "The provider's helper program can be written by others "
				  "than its owner.";
	else if (faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) != 0)
		refusal = "The provider's helper program is not executable.";
	if (refusal != NULL)
		return prov_fail(failure, PROV_MISCONFIGURED, refusal,
						 "The program is \"%s\", its mode %04o, its owner "
						 "%lu.",
						 path, (unsigned) status.st_mode & 07777,
						 (unsigned long) status.st_uid);
	return PROV_OK;
}

/* On failure some pipes may be open; the caller calls close_pipes. */
static bool
open_pipes(process_pipes *pipes)
{
	for (int i = 0; i < 2; i++)
		pipes->request[i] = pipes->reply[i] = pipes->status[i] = -1;
	return open_pipe(pipes->request) && open_pipe(pipes->reply) &&
		open_pipe(pipes->status) &&
		fcntl(pipes->request[1], F_SETFL, O_NONBLOCK) == 0 &&
		fcntl(pipes->reply[0], F_SETFL, O_NONBLOCK) == 0;
}

/*
 * Opens a pipe above the standard descriptors, which this process may have
 * closed.
 */
static bool
open_pipe(int *pair)
{
	if (pipe2(pair, O_CLOEXEC) != 0)
		return false;
	for (int i = 0; i < 2; i++)
	{
		if (pair[i] <= STDERR_FILENO)
		{
			int			above = fcntl(pair[i], F_DUPFD_CLOEXEC,
									  STDERR_FILENO + 1);

			if (above < 0)
				return false;
			close(pair[i]);
			pair[i] = above;
		}
	}
	return true;
}

static void
close_pipes(process_pipes *pipes)
{
	for (int i = 0; i < 2; i++)
	{
		close_end(&pipes->request[i]);
		close_end(&pipes->reply[i]);
		close_end(&pipes->status[i]);
	}
}

static void
close_end(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/*
 * Blocks signals around the fork: a handler of this process that ran in the
 * child would act on shared memory in this process's name.
 */
static pid_t
fork_child(const char *path, const char *argument,
		   const process_pipes *pipes)
{
	sigset_t	all;
	sigset_t	before;
	pid_t		parent = getpid();
	pid_t		pid;
	int			error;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	pid = fork();
	if (pid == 0)
		run_child(path, argument, pipes, parent);
	error = errno;
	sigprocmask(SIG_SETMASK, &before, NULL);
	errno = error;
	return pid;
}

static void
run_child(const char *path, const char *argument, const process_pipes *pipes,
		  pid_t parent)
{
	char *const arguments[] = {(char *) path, (char *) argument, NULL};
	const struct sigaction by_default = {.sa_handler = SIG_DFL};
	const struct rlimit nothing = {0, 0};
	int			status_fd = pipes->status[1];
	sigset_t	empty;
	int			error;

	/* Die with the parent, even if it has died since the fork. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent ||
		setpgid(0, 0) != 0)
		goto failed;

	/*
	 * If descriptor 2 were closed, the first file that the program opens would
	 * receive its error messages.
	 */
	if (dup2(pipes->request[0], STDIN_FILENO) < 0 ||
		dup2(pipes->reply[1], STDOUT_FILENO) < 0 ||
		(fcntl(STDERR_FILENO, F_GETFD) < 0 &&
		 open("/dev/null", O_WRONLY) < 0))
		goto failed;

	/* Keep status_fd, which exec closes, and no other descriptor. */
	if (status_fd != STDERR_FILENO + 1)
	{
		if (dup3(status_fd, STDERR_FILENO + 1, O_CLOEXEC) < 0)
			goto failed;
		status_fd = STDERR_FILENO + 1;
	}
	close_above(status_fd);

	/* The program handles keys: no core dump. */
	if (chdir("/") != 0 || setrlimit(RLIMIT_CORE, &nothing) != 0)
		goto failed;

	/*
	 * Ignored signals would stay ignored.  The C library reserves two of them.
	 */
	for (int i = 1; i < NSIG; i++)
		(void) sigaction(i, &by_default, NULL);
	sigemptyset(&empty);
	sigprocmask(SIG_SETMASK, &empty, NULL);
	execv(path, arguments);

failed:
	error = errno;
	if (write(status_fd, &error, sizeof(error)) < 0)
		_exit(126);
	_exit(127);
}

/* Kernels before 5.9, and some sandboxes, lack close_range. */
static void
close_above(int last_fd)
{
	struct rlimit limit;
	rlim_t		count = 65536;

#ifdef SYS_close_range
	if (syscall(SYS_close_range, (unsigned) last_fd + 1, ~0U, 0) == 0)
		return;
#endif
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 &&
		limit.rlim_cur != RLIM_INFINITY)
		count = limit.rlim_cur;
	for (rlim_t fd = (rlim_t) last_fd + 1; fd < count; fd++)
		close((int) fd);
}

/*
 * Returns 0, or the errno with which the child failed before its exec. A file
 * system that does not answer is ETIMEDOUT.
 */
static int
await_exec(int status_fd)
{
	int			error = 0;
	ssize_t		got;

	if (!wait_readable(status_fd, EXEC_TIMEOUT_MS))
		return ETIMEDOUT;
	do
		got = read(status_fd, &error, sizeof(error));
	while (got < 0 && errno == EINTR);
	if (got == 0)
		return 0;
	return (got == sizeof(error) && error != 0) ? error : EIO;
}

/* Waits until fd is readable or at its end.  False on a timeout. */
static bool
wait_readable(int fd, int timeout_ms)
{
	struct pollfd wanted = {.fd = fd, .events = POLLIN};
	int64_t		deadline = now_ms() + timeout_ms;
	int			ready;

	do
	{
		int64_t		left = deadline - now_ms();

		ready = poll(&wanted, 1, left > 0 ? (int) left : 0);
	} while (ready < 0 && errno == EINTR);
	return ready > 0;
}

static int64_t
now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* A shortage on this machine may pass. */
static prov_category
fail_start(prov_failure *failure, const char *path, int error)
{
	switch (error)
	{
		case EAGAIN:
		case ENOMEM:
		case EMFILE:
		case ENFILE:
		case EIO:
		case ETXTBSY:
		case ETIMEDOUT:
			return prov_fail(failure, PROV_UNAVAILABLE,
							 "The provider's helper program could not be "
							 "started.",
							 "The program is \"%s\": %s.", path,
							 strerror(error));
		default:
			return prov_fail(failure, PROV_MISCONFIGURED,
							 "The provider's helper program cannot be "
							 "executed.",
							 "The program is \"%s\": %s.", path,
							 strerror(error));
	}
}

bool
prov_process_ended(pid_t pid, char *text, size_t size)
{
	siginfo_t	info = {0};

	if (waitid(P_PID, (id_t) pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
		info.si_pid == 0)
		return false;
	if (info.si_code == CLD_EXITED)
		snprintf(text, size, "Its exit code is %d.", info.si_status);
	else
		snprintf(text, size, "It was ended by signal %d.", info.si_status);
	return true;
}

void
prov_process_stop(const prov_process *process)
{
	kill_and_reap(process->pid);
	close(process->to_fd);
	close(process->from_fd);
}

/*
 * Does not wait for a process that is in an uninterruptible system call: it
 * becomes a zombie when that call ends.
 */
static void
kill_and_reap(pid_t pid)
{
	int64_t		deadline = now_ms() + REAP_TIMEOUT_MS;
	pid_t		reaped;

	/* Its children are in its group unless they have left it. */
	kill(-pid, SIGKILL);
	kill(pid, SIGKILL);
	for (;;)
	{
		reaped = waitpid(pid, NULL, WNOHANG);
		if (reaped == pid || (reaped < 0 && errno != EINTR) ||
			now_ms() >= deadline)
			return;
		(void) poll(NULL, 0, 1);
	}
}
