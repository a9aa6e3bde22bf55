/*
 * fuzz_provider.c
 *	  Any bytes as the setting pgenvelope.providers, as a helper program's
 *	  reply, and as a sealed KEK of the local providers.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"
#include "providers/local/prov_helper.h"
#include "providers/local/prov_jwe.h"

static void
check_failure(const prov_failure *failure, prov_category category)
{
	CHECK(category > PROV_OK && category < PROV_CATEGORIES);
	CHECK(failure->category == category);
	CHECK(memchr(failure->reason, 0, sizeof(failure->reason)) != NULL);
	CHECK(memchr(failure->detail, 0, sizeof(failure->detail)) != NULL);
	CHECK(failure->reason[0] != '\0');
}

/* What was understood, written again, is understood the same way. */
static void
check_root(const prov_root *root)
{
	static const char *const schemes[] = {
		[PROV_FILE] = "file://",
		[PROV_PASSPHRASE] = "passphrase://",
		[PROV_COMMAND] = "command:",
		[PROV_KMS] = "",
		[PROV_PKCS11] = ""};
	char		entry[sizeof(prov_root) + 32];
	const char *cursor = entry;
	prov_root	again;
	prov_failure failure;
	bool		found;

	CHECK(root->name[0] != '\0');
	CHECK(root->kind >= PROV_KMS || root->location[0] == '/');
	CHECK(memchr(root->name, 0, sizeof(root->name)) != NULL);
	CHECK(memchr(root->database, 0, sizeof(root->database)) != NULL);
	CHECK(memchr(root->location, 0, sizeof(root->location)) != NULL);
	snprintf(entry, sizeof(entry), "%s%s%s=%s%s", root->name,
			 root->database[0] != '\0' ? "@" : "", root->database,
			 schemes[root->kind], root->location);
	CHECK(prov_root_next(&cursor, &again, &found, &failure) == PROV_OK);
	CHECK(found && *cursor == '\0');
	CHECK(memcmp(root, &again, sizeof(again)) == 0);
}

static void
try_setting(envl_view input)
{
	char	   *setting = fuzz_alloc(input.len + 1);
	const char *cursor = setting;
	prov_root	root;
	prov_failure failure;
	bool		found;

	memcpy(setting, input.data, input.len);
	setting[input.len] = '\0';
	do
	{
		const char *before = cursor;
		prov_category category = prov_root_next(&cursor, &root, &found,
												&failure);

		if (category != PROV_OK)
		{
			check_failure(&failure, category);
			CHECK(!found);
			break;
		}
		CHECK(cursor >= before && cursor <= setting + strlen(setting));
		CHECK(!found || cursor > before);
		if (found)
			check_root(&root);
	} while (found);
	free(setting);
}

/* A helper that has written these bytes, and then hangs or is gone. */
static void
start_helper(prov_helper *helper, envl_view written, bool gone)
{
	int			fds[2];

	CHECK(pipe2(fds, O_NONBLOCK | O_CLOEXEC) == 0);
	CHECK(write(fds[1], written.data, written.len) == (ssize_t) written.len);
	memset(helper, 0, sizeof(*helper));
	helper->from_fd = fds[0];
	helper->to_fd = fds[1];
	if (gone)
	{
		close(fds[1]);
		helper->to_fd = -1;
	}

	/* Nobody's child: there is nothing to learn of how it ended. */
	helper->pid = getpid();
}

static void
close_helper(prov_helper *helper)
{
	close(helper->from_fd);
	if (helper->to_fd >= 0)
		close(helper->to_fd);
}

static bool
is_zero(const void *memory, size_t len)
{
	const uint8_t *bytes = memory;

	while (len > 0 && bytes[len - 1] == 0)
		len--;
	return len == 0;
}

/* A reply that was taken is one whole line, and all that was written. */
static void
check_reply(const prov_helper *helper, envl_view written,
			const prov_reply *reply)
{
	CHECK(written.len > 0 && written.len <= PROV_LINE_MAX);
	CHECK(memchr(written.data, '\n', written.len) ==
		  written.data + written.len - 1);
	CHECK(helper->request == 0 && !helper->broken && helper->line_len == 0);
	CHECK(is_zero(helper->line, sizeof(helper->line)));
	CHECK(memchr(reply->sealed.root_key, 0, PROV_ROOT_KEY_MAX) != NULL);
	if (helper->verb == PROV_SEAL)
		CHECK(reply->sealed.len > 0 && reply->sealed.len <= PROV_SEALED_MAX);
	else
		CHECK(reply->sealed.len == 0);
	if (helper->verb != PROV_UNSEAL)
		CHECK(is_zero(reply->plaintext, sizeof(reply->plaintext)));
}

/* The first byte says what the helper was asked, the rest is its reply. */
static void
try_reply(envl_view input)
{
	static const uint64_t requests[] = {1, 7, 4096, UINT64_MAX};
	static prov_helper helper;
	static prov_reply reply;
	envl_view	written;
	prov_failure failure;
	prov_category category;
	bool		done;

	if (input.len < 1 || input.len > 2 * PROV_LINE_MAX)
		return;
	written = (envl_view) {input.data + 1, input.len - 1};
	start_helper(&helper, written, (input.data[0] & 0x10) != 0);
	helper.verb = (input.data[0] & 3) % 3;
	helper.last_request = requests[input.data[0] >> 2 & 3];
	if ((input.data[0] & 0x80) == 0)
		helper.request = helper.last_request;

	category = prov_helper_receive(&helper, &done, &reply, &failure);
	if (!done)
		CHECK(category == PROV_OK && !helper.broken);
	else if (category == PROV_OK)
		check_reply(&helper, written, &reply);
	else
	{
		check_failure(&failure, category);
		CHECK(helper.request == 0 && helper.line_len == 0);
		CHECK(is_zero(helper.line, sizeof(helper.line)));
		CHECK(is_zero(&reply, sizeof(reply)));
	}
	close_helper(&helper);
}

static void
try_sealed(envl_view input)
{
	static prov_sealed sealed;
	static prov_sealed again;
	static prov_jwe jwe;
	static char kid[ENVL_KID_SIZE];

	if (input.len > PROV_SEALED_MAX)
		return;
	memcpy(sealed.bytes, input.data, input.len);
	sealed.len = input.len;
	if (!prov_jwe_decode(&sealed, &jwe, kid))
		return;
	CHECK(memchr(kid, 0, sizeof(kid)) != NULL);
	prov_jwe_encode(&jwe, &again);
	CHECK(envl_view_equal((envl_view) {again.bytes, again.len}, input));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	envl_view	input = {data, size};

	try_setting(input);
	try_reply(input);
	try_sealed(input);
	return 0;
}
