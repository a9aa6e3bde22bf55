/*
 * prov_helper.c
 *	  Running a helper program, and speaking the helper protocol with it.
 *
 * We did not write the helper.  It may hang, die, flood or print rubbish; each
 * ends here as a failure of its own requests.  Nothing that it sends is
 * quoted, except the text of an "error" reply: printable ASCII only, in the
 * detail for the server's log.
 *
 * A helper that breaks the protocol is out of step: nobody knows which request
 * its next line would answer.  It is marked broken, and only a new process is
 * trusted again.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "providers/local/prov_helper.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "providers/local/prov_process.h"

static prov_category check_idle(prov_helper *helper, prov_failure *failure);
static size_t format_request(const prov_helper *helper, const prov_root *root,
							 const prov_kek *kek, envl_view bytes,
							 char *line);
static prov_category take_reply(prov_helper *helper, envl_view line,
								prov_reply *reply, prov_failure *failure);
static prov_category take_error(prov_helper *helper, envl_reader *reader,
								prov_failure *failure);
static prov_category take_ok(prov_helper *helper, envl_reader *reader,
							 prov_reply *reply, prov_failure *failure);
static bool take_plaintext(envl_view field, uint8_t *plaintext, size_t *len);
static bool take_sealed(envl_view field, prov_sealed *sealed);
static bool take_root_key(envl_view field, prov_sealed *sealed);
static bool take_expires(envl_view field, int64_t *expires);
static bool next_field(envl_reader *reader, envl_view *field);
static prov_category fail_broken(prov_helper *helper, prov_failure *failure,
								 const char *what);
static prov_category fail_ended(prov_helper *helper, prov_failure *failure);

/* The verbs as the protocol spells them. */
static const char *const verb_names[] = {
	[PROV_SEAL] = "seal",
	[PROV_UNSEAL] = "unseal",
	[PROV_CHECK] = "check",
};

/* What a client sees when a helper answers with an error. */
static const char *const error_reasons[PROV_CATEGORIES] = {
	[PROV_OK] = "",
	[PROV_UNAVAILABLE] = "The provider is not available.",
	[PROV_THROTTLED] = "The provider asks to be called less often.",
	[PROV_DENIED] = "The provider denied the request.",
	[PROV_NOT_FOUND] = "The provider does not have the root key.",
	[PROV_DISABLED] = "The provider's root key is disabled.",
	[PROV_INTEGRITY] = "The provider could not open the sealed key.",
	[PROV_MISCONFIGURED] = "The provider is not configured correctly.",
};

prov_category
prov_helper_start(prov_helper *helper, const prov_root *root,
				  const char *program_directory, prov_failure *failure)
{
	prov_process process;
	prov_category category;
	const char *path = root->location;
	const char *argument = NULL;
	char		program[PATH_MAX];

	memset(helper, 0, sizeof(*helper));
	helper->to_fd = helper->from_fd = -1;
	if (root->kind != PROV_COMMAND)
	{
		const char *name = "pgenvelope-kms";

		if (root->kind == PROV_PKCS11)
			name = "pgenvelope-pkcs11";
		if (snprintf(program, sizeof(program), "%s/%s", program_directory,
					 name) >= (int) sizeof(program))
			return prov_fail(failure, PROV_MISCONFIGURED,
							 "The path of the provider's helper program is "
							 "too long.",
							 NULL);
		path = program;
		argument = root->location;
	}
	category = prov_process_start(path, argument, &process, failure);
	if (category != PROV_OK)
		return category;
	helper->pid = process.pid;
	helper->to_fd = process.to_fd;
	helper->from_fd = process.from_fd;
	return PROV_OK;
}

prov_category
prov_helper_send(prov_helper *helper, prov_verb verb, const prov_root *root,
				 const prov_kek *kek, envl_view bytes, prov_failure *failure)
{
	char		line[PROV_LINE_MAX];
	size_t		len;
	ssize_t		sent;
	prov_category category;

	if (helper->pid == 0 || helper->broken || helper->request != 0)
		return prov_fail(failure, PROV_UNAVAILABLE,
						 "The provider's helper program is not ready.", NULL);
	if ((bytes.len == 0) != (verb == PROV_CHECK) ||
		bytes.len > PROV_SEALED_MAX)
		return prov_fail(failure, PROV_INTEGRITY,
						 "The sealed key encryption key has a wrong length.",
						 NULL);
	category = check_idle(helper, failure);
	if (category != PROV_OK)
		return category;

	helper->verb = verb;
	helper->last_request++;
	len = format_request(helper, root, kek, bytes, line);

	/*
	 * This does not block: the helper has answered everything, so the pipe is
	 * empty, and a pipe holds a line of this length.
	 */
	do
		sent = write(helper->to_fd, line, len);
	while (sent < 0 && errno == EINTR);
	envl_wipe(line, sizeof(line));

	if (sent < 0 && errno == EPIPE)
		return fail_ended(helper, failure);
	if (sent < 0 || (size_t) sent != len)
		return fail_broken(helper, failure, "It does not take requests.");
	helper->request = helper->last_request;
	return PROV_OK;
}

/* A helper must not have sent anything since its last reply. */
static prov_category
check_idle(prov_helper *helper, prov_failure *failure)
{
	prov_reply	reply;
	bool		done;
	prov_category category;

	category = prov_helper_receive(helper, &done, &reply, failure);
	envl_wipe(&reply, sizeof(reply));
	return category;
}

/* Writes the line, with its newline, and returns its length. */
static size_t
format_request(const prov_helper *helper, const prov_root *root,
			   const prov_kek *kek, envl_view bytes, char *line)
{
	size_t		len;

	len = (size_t) snprintf(line, PROV_LINE_MAX, "%s %llu %s",
							verb_names[helper->verb],
							(unsigned long long) helper->last_request,
							root->name);
	if (helper->verb != PROV_CHECK)
	{
		len += (size_t) snprintf(line + len, PROV_LINE_MAX - len,
								 " %012llx/%u ",
								 (unsigned long long) kek->key_id,
								 kek->version);
		envl_base64_encode(ENVL_BASE64_STANDARD, bytes, line + len);
		len += envl_base64_encoded_len(ENVL_BASE64_STANDARD, bytes.len);
	}
	line[len++] = '\n';
	return len;
}

prov_category
prov_helper_receive(prov_helper *helper, bool *done, prov_reply *reply,
					prov_failure *failure)
{
	*done = true;
	memset(reply, 0, sizeof(*reply));
	if (helper->pid == 0 || helper->broken)
		return prov_fail(failure, PROV_UNAVAILABLE,
						 "The provider's helper program is not ready.", NULL);

	while (helper->line_len < PROV_LINE_MAX)
	{
		char	   *start = helper->line + helper->line_len;
		char	   *newline;
		ssize_t		got = read(helper->from_fd, start,
							   PROV_LINE_MAX - helper->line_len);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		{
			*done = false;
			return PROV_OK;
		}
		if (got <= 0)
			return fail_ended(helper, failure);

		helper->line_len += (size_t) got;
		if (helper->request == 0)
			return fail_broken(helper, failure,
							   "It wrote without a request.");
		newline = memchr(start, '\n', (size_t) got);
		if (newline != NULL)
		{
			envl_view	line = {(const uint8_t *) helper->line,
								(size_t) (newline - helper->line)};

			if (line.len + 1 != helper->line_len)
				return fail_broken(helper, failure,
								   "It wrote more than one line.");
			return take_reply(helper, line, reply, failure);
		}
	}
	return fail_broken(helper, failure, "It wrote too long a line.");
}

/* WORD ID ..., where ID is that of the current request. */
static prov_category
take_reply(prov_helper *helper, envl_view line, prov_reply *reply,
		   prov_failure *failure)
{
	envl_reader reader = envl_reader_over(line);
	envl_view	word;
	envl_view	id;
	envl_view	expected;
	char		digits[24];
	prov_category category;

	expected.data = (const uint8_t *) digits;
	expected.len = (size_t) snprintf(digits, sizeof(digits), "%llu",
									 (unsigned long long) helper->request);
	if (memchr(line.data, '\0', line.len) != NULL ||
		!next_field(&reader, &word) || !next_field(&reader, &id))
		return fail_broken(helper, failure, "Its line is not a reply.");
	if (!envl_view_equal(id, expected))
		return fail_broken(helper, failure, "It answered another request.");

	if (envl_view_equal(word, ENVL_LITERAL("ok")))
		category = take_ok(helper, &reader, reply, failure);
	else if (envl_view_equal(word, ENVL_LITERAL("error")))
		category = take_error(helper, &reader, failure);
	else
		category = fail_broken(helper, failure, "Its line is not a reply.");

	helper->request = 0;
	helper->line_len = 0;
	envl_wipe(helper->line, sizeof(helper->line));
	if (category != PROV_OK)
		envl_wipe(reply, sizeof(*reply));
	return category;
}

/* CATEGORY [TEXT] */
static prov_category
take_error(prov_helper *helper, envl_reader *reader, prov_failure *failure)
{
	envl_view	word;
	envl_view	text;
	prov_category category;
	char		printable[240];
	size_t		len;

	if (!next_field(reader, &word) || !prov_category_parse(word, &category))
		return fail_broken(helper, failure,
						   "Its error has no category that is known.");
	if (!envl_read_view(reader, envl_reader_left(reader), &text) ||
		text.len == 0)
		return prov_fail(failure, category, error_reasons[category], NULL);

	len = text.len < sizeof(printable) ? text.len : sizeof(printable);
	for (size_t i = 0; i < len; i++)
	{
		bool		plain = text.data[i] >= 0x20 && text.data[i] < 0x7F;

		printable[i] = plain ? (char) text.data[i] : '?';
	}
	return prov_fail(failure, category, error_reasons[category],
					 "The helper program says: %.*s", (int) len, printable);
}

/*
 * Parses the reply to each verb.  A plaintext of another length means that the
 * provider opened something else; it does not break the protocol.
 */
static prov_category
take_ok(prov_helper *helper, envl_reader *reader, prov_reply *reply,
		prov_failure *failure)
{
	envl_view	field;
	size_t		plaintext_len = ENVL_SEALED_PLAINTEXT_LEN;
	bool		good = true;

	if (helper->verb != PROV_CHECK)
	{
		good = next_field(reader, &field);
		if (good && helper->verb == PROV_SEAL)
			good = take_sealed(field, &reply->sealed);
		if (good && helper->verb == PROV_UNSEAL)
			good = take_plaintext(field, reply->plaintext, &plaintext_len);
	}
	if (good && helper->verb != PROV_UNSEAL && envl_reader_left(reader) > 0)
		good = next_field(reader, &field) &&
			((helper->verb == PROV_CHECK &&
			  envl_view_equal(field, ENVL_LITERAL("-"))) ||
			 take_root_key(field, &reply->sealed));
	if (good && helper->verb == PROV_CHECK && envl_reader_left(reader) > 0)
		good = next_field(reader, &field) &&
			take_expires(field, &reply->expires);

	if (!good || envl_reader_left(reader) > 0)
		return fail_broken(helper, failure, "Its line is not a reply.");
	if (plaintext_len != ENVL_SEALED_PLAINTEXT_LEN)
		return prov_fail(failure, PROV_INTEGRITY,
						 "What the provider opened is not a key encryption "
						 "key.",
						 "It has %zu bytes, not %d.", plaintext_len,
						 ENVL_SEALED_PLAINTEXT_LEN);
	return PROV_OK;
}

static bool
take_plaintext(envl_view field, uint8_t *plaintext, size_t *len)
{
	uint8_t		decoded[PROV_LINE_MAX];
	bool		good;

	good = envl_base64_decode(ENVL_BASE64_STANDARD, field, decoded,
							  len) == ENVL_OK;
	if (good && *len == ENVL_SEALED_PLAINTEXT_LEN)
		memcpy(plaintext, decoded, *len);
	envl_wipe(decoded, sizeof(decoded));
	return good;
}

static bool
take_sealed(envl_view field, prov_sealed *sealed)
{
	/* Room for the padding of the longest blob that we accept. */
	uint8_t		decoded[PROV_SEALED_MAX + 3];

	if (field.len > envl_base64_encoded_len(ENVL_BASE64_STANDARD,
											PROV_SEALED_MAX) ||
		envl_base64_decode(ENVL_BASE64_STANDARD, field, decoded,
						   &sealed->len) != ENVL_OK ||
		sealed->len == 0 || sealed->len > PROV_SEALED_MAX)
		return false;
	memcpy(sealed->bytes, decoded, sealed->len);
	return true;
}

/*
 * The name goes into the catalog.  Printable ASCII fits every database
 * encoding.
 */
static bool
take_root_key(envl_view field, prov_sealed *sealed)
{
	uint8_t		decoded[PROV_ROOT_KEY_MAX + 3];
	size_t		len;

	if (field.len > envl_base64_encoded_len(ENVL_BASE64_STANDARD,
											PROV_ROOT_KEY_MAX) ||
		envl_base64_decode(ENVL_BASE64_STANDARD, field, decoded,
						   &len) != ENVL_OK ||
		len == 0 || len >= PROV_ROOT_KEY_MAX)
		return false;
	for (size_t i = 0; i < len; i++)
	{
		if (decoded[i] < 0x20 || decoded[i] > 0x7E)
			return false;
	}
	memcpy(sealed->root_key, decoded, len);
	sealed->root_key[len] = '\0';
	return true;
}

/* Decimal from 1 on, without leading zeros, at most 12 digits. */
static bool
take_expires(envl_view field, int64_t *expires)
{
	*expires = 0;
	if (field.len > 12 || field.data[0] == '0')
		return false;
	for (size_t i = 0; i < field.len; i++)
	{
		if (field.data[i] < '0' || field.data[i] > '9')
			return false;
		*expires = *expires * 10 + (field.data[i] - '0');
	}
	return true;
}

/*
 * Reads a field up to one space or the end, and skips the space.  False for an
 * empty field.  A space at the very end stays unread, so it is refused.
 */
static bool
next_field(envl_reader *reader, envl_view *field)
{
	size_t		left = envl_reader_left(reader);
	size_t		len = left;
	envl_view	space;
	const uint8_t *end;

	end = (left > 0) ? memchr(reader->next, ' ', left) : NULL;
	if (end != NULL)
		len = (size_t) (end - reader->next);
	if (len == 0 || !envl_read_view(reader, len, field))
		return false;
	return envl_reader_left(reader) < 2 ||
		envl_read_view(reader, 1, &space);
}

/* Marks the helper as out of step; what is one sentence for the log. */
static prov_category
fail_broken(prov_helper *helper, prov_failure *failure, const char *what)
{
	helper->broken = true;
	helper->request = 0;
	helper->line_len = 0;
	envl_wipe(helper->line, sizeof(helper->line));
	return prov_fail(failure, PROV_UNAVAILABLE,
					 "The provider's helper program broke the protocol.",
					 "%s", what);
}

static prov_category
fail_ended(prov_helper *helper, prov_failure *failure)
{
	char		how[64];

	if (!prov_process_ended(helper->pid, how, sizeof(how)))
		snprintf(how, sizeof(how), "It has closed its pipes.");
	(void) fail_broken(helper, failure, how);
	return prov_fail(failure, PROV_UNAVAILABLE,
					 "The provider's helper program has ended.", "%s", how);
}

void
prov_helper_stop(prov_helper *helper)
{
	prov_process process = {helper->pid, helper->to_fd, helper->from_fd};

	if (helper->pid > 0)
		prov_process_stop(&process);
	envl_wipe(helper, sizeof(*helper));
	helper->to_fd = helper->from_fd = -1;
}
