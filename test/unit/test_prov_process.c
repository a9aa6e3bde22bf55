/*
 * test_prov_process.c
 *	  How a helper program is run: what is refused, what it inherits, and that
 *	  it and its children end.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "providers/local/prov_process.h"
#include "scratch.h"
#include "unit.h"

#define PATIENCE_MS 20000

static prov_failure failure;

/* Descriptors that this process has open. */
static int
count_descriptors(void)
{
	DIR		   *directory = opendir("/proc/self/fd");
	int			count = 0;

	while (directory != NULL && readdir(directory) != NULL)
		count++;
	closedir(directory);
	return count;
}

/* Runs a shell script and collects what it writes, up to its end. */
static bool
run_script(const char *script, char *output, size_t size)
{
	prov_process process;
	size_t		len = 0;

	scratch_file("script", script, 0700);
	if (prov_process_start(scratch_path("script"), NULL, &process,
						   &failure) != PROV_OK)
		return false;
	for (;;)
	{
		struct pollfd wait_for = {process.from_fd, POLLIN, 0};
		ssize_t		got;

		if (poll(&wait_for, 1, PATIENCE_MS) != 1)
			break;
		got = read(process.from_fd, output + len, size - 1 - len);
		if (got <= 0)
			break;
		len += (size_t) got;
	}
	output[len] = '\0';
	prov_process_stop(&process);
	return true;
}

static void
is_refused(const char *path, prov_category want, const char *reason,
		   const char *name)
{
	prov_process process;

	memset(&failure, 0, sizeof(failure));
	prov_process_start(path, NULL, &process, &failure);
	is_failure(&failure, want, reason, name);
}

static void
test_refusals(void)
{
	const char *program = scratch_path("program");
	const char *text = "#!/bin/sh\n";
	prov_process process;
	int			fd;

	is_refused(scratch_path("missing"), PROV_MISCONFIGURED,
			   "cannot be executed", "a missing program");
	is_refused(scratch_path("."), PROV_MISCONFIGURED, "regular file",
			   "a directory");
	is_refused("/dev/null", PROV_MISCONFIGURED, "regular file", "a device");
	scratch_file("program", text, 0720);
	is_refused(program, PROV_MISCONFIGURED, "written by others",
			   "writable by its group");
	scratch_file("program", text, 0702);
	is_refused(program, PROV_MISCONFIGURED, "written by others",
			   "writable by everybody");
	scratch_file("program", text, 0600);
	is_refused(program, PROV_MISCONFIGURED, "not executable",
			   "not executable");
	scratch_file("program", "no program", 0700);
	is_refused(program, PROV_MISCONFIGURED, "cannot be executed",
			   "a text that is no script is not given to a shell");
	scratch_file("program", "#!/no/such/interpreter\n", 0700);
	is_refused(program, PROV_MISCONFIGURED, "cannot be executed",
			   "an interpreter that is missing");
	if (geteuid() == 0)
	{
		scratch_file("program", text, 0755);
		if (chown(program, 12345, (gid_t) -1) != 0)
			note("could not give the program away");
		is_refused(program, PROV_MISCONFIGURED, "owned by neither",
				   "another user's program");
	}

	scratch_copy("program", "/bin/true", 0755);
	if (symlink("program", scratch_path("link")) != 0)
		note("could not make a link");
	is_category(prov_process_start(scratch_path("link"), NULL, &process,
								   &failure),
				PROV_OK, "a symbolic link");
	prov_process_stop(&process);

	/* Being written to passes. */
	fd = open(program, O_WRONLY | O_CLOEXEC);
	is_refused(program, PROV_UNAVAILABLE, "could not be started",
			   "a program that is being written");
	close(fd);
}

/* The value of a line of /proc/self/status. */
static bool
has_line(const char *status, const char *name, const char *value)
{
	const char *line = strstr(status, name);
	bool		same;

	if (line == NULL)
		return false;
	line += strlen(name) + strspn(line + strlen(name), ":\t ");
	same = strncmp(line, value, strlen(value)) == 0;
	if (!same)
		note("%s: %.*s, not %s", name, (int) strcspn(line, "\n"), line,
			 value);
	return same;
}

static void
ignore(int signal_number)
{
	(void) signal_number;
}

/* The worst that a PostgreSQL process would leave to a child. */
static void
test_inheritance(void)
{
	char		output[8192];
	char		want[64];
	sigset_t	all;
	sigset_t	before;
	int			leaked = dup(STDERR_FILENO);
	struct rlimit core = {0, 0};

	signal(SIGUSR1, ignore);
	signal(SIGHUP, SIG_IGN);
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	getrlimit(RLIMIT_CORE, &core);

	ok(run_script("#!/bin/sh\nexec cat /proc/self/status\n", output,
				  sizeof(output)),
	   "a script runs");
	ok(has_line(output, "SigBlk", "0000000000000000"),
	   "no signal is blocked");
	/* Whoever starts us by posix_spawn ignores the C library's own 32, 33. */
	ok(has_line(output, "SigIgn", "0000000000000000") ||
		   has_line(output, "SigIgn", "0000000080000000") ||
		   has_line(output, "SigIgn", "0000000180000000"),
	   "no signal is ignored");
	snprintf(want, sizeof(want), "%ld\n", (long) getpid());
	ok(has_line(output, "PPid", want), "it is our child");

	/* ls has its own descriptor of the directory. */
	run_script("#!/bin/sh\nexec ls /proc/self/fd\n", output, sizeof(output));
	is_text(output, "0\n1\n2\n3\n", "it has three descriptors");
	run_script("#!/bin/sh\npwd; ulimit -c; echo $#\n", output,
			   sizeof(output));
	is_text(output, "/\n0\n0\n",
			"working directory, core dumps, arguments");
	run_script("#!/bin/sh\nps -o pid=,pgid= -p \"$$\" | "
			   "awk '{print $1 == $2}'\n",
			   output, sizeof(output));
	if (output[0] == '\0')
		ok(true, "process group # SKIP needs ps");
	else
		is_text(output, "1\n", "it leads its process group");

	sigprocmask(SIG_SETMASK, NULL, &all);
	ok(sigismember(&all, SIGTERM) == 1, "our signals are as they were");
	sigprocmask(SIG_SETMASK, &before, NULL);
	close(leaked);
}

/* Runs a check in a child of ours, whose state it may ruin. */
static bool
in_child(bool (*check)(void))
{
	pid_t		pid;
	int			status;

	fflush(NULL);
	pid = fork();
	if (pid == 0)
		_exit(check() ? 0 : 1);
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
		WEXITSTATUS(status) == 0;
}

static bool
sees_three_descriptors(void)
{
	char		output[256];

	return run_script("#!/bin/sh\nexec ls /proc/self/fd\n", output,
					  sizeof(output)) &&
		strcmp(output, "0\n1\n2\n3\n") == 0;
}

/* A daemon may have closed its standard descriptors. */
static bool
without_standard_descriptors(void)
{
	close(STDIN_FILENO);
	close(STDOUT_FILENO);
	close(STDERR_FILENO);
	return sees_three_descriptors();
}

/* As on a kernel before 5.9. */
static bool
without_close_range(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
				 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_close_range, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof(filter) / sizeof(filter[0]), filter};
	struct rlimit limit = {1000, 1000};

	if (dup2(STDERR_FILENO, 900) < 0 ||
		setrlimit(RLIMIT_NOFILE, &limit) != 0 ||
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
		prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
		return false;
	return sees_three_descriptors();
}

/* Room for two of three pipes: a failure that may pass, and no leak. */
static bool
without_room(void)
{
	const struct rlimit limit = {STDERR_FILENO + 1 + 4, STDERR_FILENO + 1 + 4};
	prov_process process;
	int			before;

	for (int fd = STDERR_FILENO + 1; fd < 1024; fd++)
		close(fd);
	before = count_descriptors();
	return setrlimit(RLIMIT_NOFILE, &limit) == 0 &&
		prov_process_start("/bin/true", NULL, &process,
						   &failure) == PROV_UNAVAILABLE &&
		count_descriptors() == before;
}

/* How a process ended that has become our child. */
static bool
was_killed(pid_t pid)
{
	int			status;

	return waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) &&
		WTERMSIG(status) == SIGKILL;
}

/* A helper whose starter dies is killed, though it does nothing. */
static void
test_parent_death(void)
{
	int			pair[2];
	pid_t		starter;
	pid_t		pid = 0;
	prov_process process;

	scratch_file("script", "#!/bin/sh\nexec sleep 1000\n", 0700);
	if (pipe2(pair, O_CLOEXEC) != 0)
		note("could not make a pipe");
	fflush(NULL);
	starter = fork();
	if (starter == 0)
	{
		if (prov_process_start(scratch_path("script"), NULL, &process,
							   &failure) != PROV_OK ||
			write(pair[1], &process.pid, sizeof(pid)) < 0)
			_exit(1);
		/* Its input stays open: only the signal tells it. */
		dup(process.to_fd);
		_exit(0);
	}
	waitpid(starter, NULL, 0);
	if (read(pair[0], &pid, sizeof(pid)) != sizeof(pid))
		note("it was not started");
	ok(pid > 0 && was_killed(pid), "a helper dies with its starter");
	close(pair[0]);
	close(pair[1]);
}

/* What a helper has started ends with it. */
static void
test_grandchild(void)
{
	prov_process process;
	struct pollfd wait_for = {.events = POLLIN};
	char		text[32] = "";

	scratch_file("script", "#!/bin/sh\ntrap '' TERM INT HUP\n"
						   "sleep 1000 &\necho $!\nwait\n",
				 0700);
	if (prov_process_start(scratch_path("script"), NULL, &process,
						   &failure) != PROV_OK)
		note("it was not started");
	wait_for.fd = process.from_fd;
	poll(&wait_for, 1, PATIENCE_MS);
	if (read(process.from_fd, text, sizeof(text) - 1) <= 0)
		note("it did not say whom it started");
	prov_process_stop(&process);
	ok(atoi(text) > 0 && was_killed(atoi(text)),
	   "a helper's children end with it");
}

/* Takes the place of libc's: a program on a file system that hangs. */
int
execv(const char *path, char *const arguments[])
{
	while (strstr(path, "hangs") != NULL)
		pause();
	return execve(path, arguments, environ);
}

/* The caller is not kept waiting by a program that cannot be read. */
static void
test_hanging_exec(void)
{
	prov_process process;
	struct timespec start;
	struct timespec end;

	scratch_file("hangs", "#!/bin/sh\n", 0700);
	clock_gettime(CLOCK_MONOTONIC, &start);
	ok(prov_process_start(scratch_path("hangs"), NULL, &process, &failure) ==
		   PROV_UNAVAILABLE,
	   "a program that does not start in time");
	clock_gettime(CLOCK_MONOTONIC, &end);
	ok(end.tv_sec - start.tv_sec < 10, "is not waited for");
}

int
main(void)
{
	int			before;

	/* Orphans of this test become its children, so it sees them end. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	umask(022);
	(void) scratch_path("");
	before = count_descriptors();

	test_refusals();
	test_inheritance();
	ok(in_child(without_standard_descriptors),
	   "standard descriptors that are closed");
	ok(in_child(without_close_range), "a kernel without close_range");
	ok(in_child(without_room), "no descriptors left");
	test_parent_death();
	test_grandchild();
	test_hanging_exec();

	is(count_descriptors(), before, "no descriptor has leaked");
	ok(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD,
	   "no process is left");
	return done_testing();
}
