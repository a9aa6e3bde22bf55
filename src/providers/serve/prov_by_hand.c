/*
 * prov_by_hand.c
 *	  What a person sees of a helper: --check, and failures as text.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "providers/serve/prov_by_hand.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include <openssl/rand.h>

static prov_category try_round_trip(const prov_service *service, void *state,
									prov_sealed *sealed,
									prov_failure *failure);
static void print_check(const prov_check *check);

int
prov_by_hand(const prov_service *service, void *state)
{
	prov_failure failure = {0};
	prov_check	check = {0};
	prov_sealed sealed = {0};

	if (service->check(state, &check, &failure) != PROV_OK)
		return prov_by_hand_failed("check", &failure);
	print_check(&check);
	if (try_round_trip(service, state, &sealed, &failure) != PROV_OK)
		return prov_by_hand_failed("seal and unseal", &failure);
	printf("seal and unseal: ok, %d bytes sealed into %zu by %s\n",
		   ENVL_SEALED_PLAINTEXT_LEN, sealed.len,
		   sealed.root_key[0] != '\0' ? sealed.root_key : "the root key");
	return fflush(stdout) == 0 ? 0 : 1;
}

int
prov_by_hand_failed(const char *step, const prov_failure *failure)
{
	char		text[sizeof(failure->reason) + sizeof(failure->detail) + 2];

	prov_describe(failure, text, sizeof(text));
	fflush(stdout);
	fprintf(stderr, "%s: %s: %s\n", step,
			prov_category_name(failure->category), text);
	return 1;
}

/* Seals and unseals random bytes, for a key id that cannot exist. */
static prov_category
try_round_trip(const prov_service *service, void *state, prov_sealed *sealed,
			   prov_failure *failure)
{
	const char *key = "000000000000/0";
	uint8_t		before[ENVL_SEALED_PLAINTEXT_LEN];
	uint8_t		after[ENVL_SEALED_PLAINTEXT_LEN] = {0};
	envl_view	blob;
	prov_category category;

	if (RAND_bytes(before, sizeof(before)) != 1)
		return prov_fail(failure, PROV_UNAVAILABLE,
						 "The cryptographic library failed.", NULL);
	category = service->seal(state, key, before, sealed, failure);
	blob = (envl_view) {sealed->bytes, sealed->len};
	if (category == PROV_OK)
		category = service->unseal(state, key, blob, after,
								   failure);
	if (category == PROV_OK && memcmp(before, after, sizeof(before)) != 0)
		category = prov_fail(failure, PROV_INTEGRITY,
							 "What was unsealed is not what was sealed.",
							 NULL);
	envl_wipe(before, sizeof(before));
	envl_wipe(after, sizeof(after));
	return category;
}

static void
print_check(const prov_check *check)
{
	time_t		expires = (time_t) check->expires;
	struct tm	when;
	char		text[32] = "";

	printf("root key: %s\n",
		   check->root_key[0] != '\0' ? check->root_key : "has no name");
	if (check->expires != 0 && gmtime_r(&expires, &when) != NULL)
		strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &when);
	printf("credential: %s, %s%s\n",
		   check->credential[0] != '\0' ? check->credential : "none",
		   text[0] != '\0' ? "expires " : "does not say when it expires",
		   text);
	if (check->warning[0] != '\0')
		printf("warning: %s\n", check->warning);
}

/* Reason and detail in one line of printable ASCII, cut if too long. */
void
prov_describe(const prov_failure *failure, char *text, size_t size)
{
	size_t		len = strnlen(failure->reason, size - 1);

	memcpy(text, failure->reason, len);
	if (failure->detail[0] != '\0' && len < size - 1)
	{
		size_t		more = strnlen(failure->detail, size - 2 - len);

		text[len++] = ' ';
		memcpy(text + len, failure->detail, more);
		len += more;
	}
	text[len] = '\0';
	for (char *c = text; *c != '\0'; c++)
	{
		if (*c < 0x20 || *c > 0x7E)
			*c = '?';
	}
}
