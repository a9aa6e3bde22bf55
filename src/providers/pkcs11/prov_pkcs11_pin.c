/*
 * prov_pkcs11_pin.c
 *	  The token's PIN: reading it, and never sending a refused PIN twice.
 *
 * The command for a PIN is run as the keeper runs helpers: a regular file that
 * only its owner can write, without a shell, without arguments.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "providers/pkcs11/prov_pkcs11_pin.h"

#include <errno.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <poll.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "providers/local/prov_process.h"

/* Half of the keeper's default timeout for a request. */
#define COMMAND_TIMEOUT_MS 2500

/* No PIN is longer. */
#define PIN_MAX 255

/* How long a PIN is not sent after a login that failed without a cause. */
#define FIRST_DOUBT_MS (INT64_C(60) * 1000)
#define LONGEST_DOUBT_MS (INT64_C(3600) * 1000)

static prov_category run_command(const char *path, prov_secret *pin,
								 prov_failure *failure);
static const char *read_output(int fd, int64_t deadline_ms, prov_secret *pin);
static const char *await_end(pid_t pid, int64_t deadline_ms);
static bool is_line(prov_secret *pin);
static bool wait_until(int fd, int64_t deadline_ms);
static bool is_last(const prov_pkcs11_pin_memory *memory,
					const prov_secret *pin);
static void digest_of(const prov_pkcs11_pin_memory *memory,
					  const prov_secret *pin, uint8_t *digest);

prov_category
prov_pkcs11_pin_read(const prov_pkcs11_uri *uri, prov_secret *pin,
					 prov_failure *failure)
{
	prov_category category;

	switch (uri->pin_source)
	{
		case PROV_PKCS11_PIN_FILE:
			category = prov_secret_read_line(uri->pin_path, "The PIN's file",
											 false, pin, failure);
			break;
		case PROV_PKCS11_PIN_COMMAND:
			category = run_command(uri->pin_path, pin, failure);
			break;
		default:
			category = prov_fail(failure, PROV_MISCONFIGURED,
								 "The token requires a PIN, but the pkcs11: "
								 "URI has no pin-source.",
								 NULL);
			break;
	}
	if (category == PROV_OK && (pin->len == 0 || pin->len > PIN_MAX))
		category = prov_fail(failure, PROV_MISCONFIGURED,
							 "The PIN is empty, or longer than 255 bytes.",
							 NULL);
	if (category != PROV_OK)
		envl_wipe(pin, sizeof(*pin));
	return category;
}

static prov_category
run_command(const char *path, prov_secret *pin, prov_failure *failure)
{
	int64_t		deadline_ms = prov_clock_ms() + COMMAND_TIMEOUT_MS;
	prov_process process;
	const char *trouble;

	envl_wipe(pin, sizeof(*pin));
	if (prov_process_start(path, NULL, &process, failure) != PROV_OK)
	{
		char		detail[sizeof(failure->detail)];

		memcpy(detail, failure->detail, sizeof(detail));
		return prov_fail(failure, failure->category,
						 "The PIN command could not be run, or its owner or "
						 "mode is wrong.",
						 "%s", detail);
	}
	trouble = read_output(process.from_fd, deadline_ms, pin);
	if (trouble == NULL)
		trouble = await_end(process.pid, deadline_ms);
	prov_process_stop(&process);
	if (trouble == NULL && !is_line(pin))
		trouble = "It printed something other than one line.";
	if (trouble != NULL)
		return prov_fail(failure, PROV_UNAVAILABLE,
						 "The PIN command did not give a PIN.", "%s", trouble);
	return PROV_OK;
}

/* Reads to the end.  Returns NULL, or what went wrong. */
static const char *
read_output(int fd, int64_t deadline_ms, prov_secret *pin)
{
	for (;;)
	{
		ssize_t		got;

		if (!wait_until(fd, deadline_ms))
			return "It did not end in time.";
		got = read(fd, pin->text + pin->len, PIN_MAX + 2 - pin->len);
		if (got == 0)
			return NULL;
		if (got < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (got < 0)
			return "Its output could not be read.";
		pin->len += (size_t) got;
		if (pin->len > PIN_MAX + 1)
			return "It printed too much.";
	}
}

/*
 * Waits for the command and its exit code: one that failed may have printed
 * half a PIN.
 */
static const char *
await_end(pid_t pid, int64_t deadline_ms)
{
	siginfo_t	info;

	for (;;)
	{
		memset(&info, 0, sizeof(info));
		if (waitid(P_PID, (id_t) pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0)
			return "It could not be waited for.";
		if (info.si_pid != 0)
			break;
		if (prov_clock_ms() >= deadline_ms)
			return "It did not end in time.";
		(void) poll(NULL, 0, 5);
	}
	if (info.si_code != CLD_EXITED || info.si_status != 0)
		return "It failed.";
	return NULL;
}

/* Strips the newline and adds a NUL. */
static bool
is_line(prov_secret *pin)
{
	if (pin->len > 0 && pin->text[pin->len - 1] == '\n')
		pin->len--;
	pin->text[pin->len] = '\0';
	for (size_t i = 0; i < pin->len; i++)
	{
		unsigned char byte = (unsigned char) pin->text[i];

		if (byte < 0x20 || byte == 0x7F)
			return false;
	}
	return pin->len > 0;
}

static bool
wait_until(int fd, int64_t deadline_ms)
{
	struct pollfd wanted = {.fd = fd, .events = POLLIN};
	int			ready;

	do
	{
		int64_t		left = deadline_ms - prov_clock_ms();

		ready = poll(&wanted, 1, left > 0 ? (int) left : 0);
	} while (ready < 0 && errno == EINTR);
	return ready > 0;
}

prov_pkcs11_pin_state
prov_pkcs11_pin_ask(prov_pkcs11_pin_memory *memory, const prov_secret *pin,
					int64_t now_ms)
{
	if (!memory->has_salt)
		memory->has_salt = RAND_bytes(memory->salt,
									  sizeof(memory->salt)) == 1;
	if (!memory->has_salt)
		return PROV_PKCS11_PIN_NO_RANDOM;
	if (!is_last(memory, pin))
		return PROV_PKCS11_PIN_MAY_BE_SENT;
	if (memory->is_refused)
		return PROV_PKCS11_PIN_REFUSED;
	return now_ms < memory->retry_ms ? PROV_PKCS11_PIN_IN_DOUBT :
									   PROV_PKCS11_PIN_MAY_BE_SENT;
}

/* Whether this PIN is the one that failed last. */
static bool
is_last(const prov_pkcs11_pin_memory *memory, const prov_secret *pin)
{
	uint8_t		digest[sizeof(memory->digest)];

	if (!memory->has_failed)
		return false;
	digest_of(memory, pin, digest);
	return envl_secret_equal(digest, memory->digest, sizeof(digest));
}

void
prov_pkcs11_pin_refused(prov_pkcs11_pin_memory *memory,
						const prov_secret *pin)
{
	digest_of(memory, pin, memory->digest);
	memory->has_failed = true;
	memory->is_refused = true;
}

void
prov_pkcs11_pin_doubted(prov_pkcs11_pin_memory *memory,
						const prov_secret *pin, int64_t now_ms)
{
	int64_t		wait_ms = FIRST_DOUBT_MS;

	if (!is_last(memory, pin))
		memory->doubts = 0;
	for (unsigned i = 0; i < memory->doubts && wait_ms < LONGEST_DOUBT_MS; i++)
		wait_ms *= 2;
	digest_of(memory, pin, memory->digest);
	memory->has_failed = true;
	memory->is_refused = false;
	memory->doubts++;
	memory->retry_ms = now_ms +
		(wait_ms < LONGEST_DOUBT_MS ? wait_ms : LONGEST_DOUBT_MS);
}

void
prov_pkcs11_pin_accepted(prov_pkcs11_pin_memory *memory)
{
	memory->has_failed = false;
	memory->is_refused = false;
	memory->doubts = 0;
}

/* Hashes salt and PIN, so that no table of PINs can find the PIN. */
static void
digest_of(const prov_pkcs11_pin_memory *memory, const prov_secret *pin,
		  uint8_t *digest)
{
	uint8_t		bytes[sizeof(memory->salt) + PIN_MAX];

	memcpy(bytes, memory->salt, sizeof(memory->salt));
	memcpy(bytes + sizeof(memory->salt), pin->text, pin->len);
	SHA256(bytes, sizeof(memory->salt) + pin->len, digest);
	envl_wipe(bytes, sizeof(bytes));
}
