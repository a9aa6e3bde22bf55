/*
 * test_kms_residue.c
 *	  No KEK and no token stays behind in the program's memory.
 *
 * All that can be written of this process is searched after a request, while
 * the service goes on: stack, heap, and the buffers of libcurl, jansson and
 * libcrypto.  What is looked for is in memory that cannot be written.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answering.h"
#include "providers/http/prov_memory.h"
#include "providers/http/kms_services.h"
#include "scratch.h"
#include "unit.h"

/* 48 bytes, whose base64 is BASE64, and a token: any third of it counts. */
#define PLAINTEXT "a KEK of thirty-two bytes, and its binding of 16"
#define BASE64 "YSBLRUsgb2YgdGhpcnR5LXR3byBieXRlcywgYW5kIGl0cyBiaW5kaW5nIG9mIDE2"
#define TOKEN "hvs.a-token-that-nobody-may-find-afterwards-anywhere"
#define PIECE 16

/* Larger mappings are a sanitizer's own. */
#define MAPPING_MAX ((size_t) 64 * 1024 * 1024)

#define LOGIN \
	REPLY("200 OK", "", "{\"auth\":{\"client_token\":\"" TOKEN "\"}}")
#define OPENED REPLY("200 OK", "", "{\"data\":{\"plaintext\":\"" BASE64 "\"}}")
#define FACTS \
	REPLY("200 OK", "", \
		  "{\"data\":{\"latest_version\":1,\"type\":\"aes256-gcm96\"}}")
#define SEALED \
	REPLY("200 OK", "", "{\"data\":{\"ciphertext\":\"vault:v1:QUJD\"}}")

static prov_failure failure;
static char url[ANSWERING_URL_SIZE];

/* Without the C library: sanitizers look at what that reads. */
__attribute__((no_sanitize("address"))) static bool
holds(const uint8_t *from, size_t len, const char *secret)
{
	size_t		pieces = strlen(secret) / PIECE;

	for (const uint8_t *at = from; at + PIECE <= from + len; at++)
	{
		for (size_t i = 0; i < pieces; i++)
		{
			size_t		same = 0;

			while (same < PIECE &&
				   at[same] == (uint8_t) secret[i * PIECE + same])
				same++;
			if (same == PIECE)
				return true;
		}
	}
	return false;
}

/* Where in this process's memory it is, or NULL. */
static const char *
find(const char *secret)
{
	static char line[512];
	FILE	   *maps = fopen("/proc/self/maps", "re");
	const char *found = NULL;

	while (maps != NULL && found == NULL && fgets(line, sizeof(line), maps))
	{
		uintptr_t	start;
		uintptr_t	end;
		char		access[8];

		if (sscanf(line, "%lx-%lx %7s", &start, &end, access) == 3 &&
			access[0] == 'r' && access[1] == 'w' &&
			strstr(line, "[v") == NULL && end - start < MAPPING_MAX &&
			holds((const uint8_t *) start, end - start, secret))
			found = line;
	}
	if (maps != NULL)
		fclose(maps);
	return found;
}

static void
is_gone(const char *secret, const char *name)
{
	const char *where = find(secret);

	if (!ok(where == NULL, "%s", name))
		note("%s", where);
}

static void *
open_vault(const char *login)
{
	static prov_uri uri;
	char		text[512];
	void	   *state = NULL;

	snprintf(text, sizeof(text), "vault+%stransit/keys/k?timeout=1000&%s",
			 url, login);
	if (prov_uri_parse(text, &uri, &failure) != PROV_OK ||
		prov_vault_http.open(&uri, &state, &failure) != PROV_OK)
		exit(EXIT_FAILURE);
	return state;
}

static void
test_search(void)
{
	char	   *copy = strdup(PLAINTEXT);

	ok(find(PLAINTEXT) != NULL, "what is in memory is found");
	envl_wipe(copy, strlen(copy));
	free(copy);
	is_gone(PLAINTEXT, "and what was wiped is not");
}

static void
test_unseal(void)
{
	static const char *const answers[] = {LOGIN, OPENED, NULL};
	uint8_t		plaintext[ENVL_SEALED_PLAINTEXT_LEN];
	pid_t		pid = answering_start(answers, url);
	void	   *state = open_vault("auth=approle&role-id=r");

	is_category(prov_vault_http.unseal(state, "0123456789ab/1",
									   ENVL_LITERAL("vault:v1:QUJD"),
									   plaintext, &failure),
				PROV_OK, "an unseal");
	ok(memcmp(plaintext, PLAINTEXT, sizeof(plaintext)) == 0, "of the key");
	envl_wipe(plaintext, sizeof(plaintext));
	is_gone(PLAINTEXT, "leaves no key");
	is_gone(BASE64, "nor its base64");
	prov_vault_http.close(state);
	is_gone(TOKEN, "and its end no token");
	answering_stop(pid);
}

static void
test_seal(void)
{
	static const char *const answers[] = {LOGIN, FACTS, SEALED, NULL};
	static prov_sealed sealed;
	pid_t		pid = answering_start(answers, url);
	void	   *state = open_vault("auth=approle&role-id=r");

	is_category(prov_vault_http.seal(state, "0123456789ab/1",
									 (const uint8_t *) PLAINTEXT, &sealed,
									 &failure),
				PROV_OK, "a seal");
	is_gone(PLAINTEXT, "leaves no key");
	is_gone(BASE64, "nor its base64");
	prov_vault_http.close(state);
	is_gone(TOKEN, "and its end no token");
	answering_stop(pid);
}

int
main(void)
{
	prov_memory_install();
	signal(SIGPIPE, SIG_IGN);
	test_search();
	test_unseal();
	test_seal();
	return done_testing();
}
