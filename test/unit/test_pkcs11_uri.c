/*
 * test_pkcs11_uri.c
 *	  pkcs11: URIs: what is understood, and that everything else is refused.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <stdio.h>
#include <string.h>

#include "providers/pkcs11/prov_pkcs11_uri.h"
#include "scratch.h"
#include "unit.h"

#define MODULE "module-path=/usr/lib/module.so"
#define LONG_32 "12345678901234567890123456789012"
#define ID_64 "%00%01%02%03%04%05%06%07%08%09%0a%0b%0c%0d%0e%0f" \
			  "%10%11%12%13%14%15%16%17%18%19%1a%1b%1c%1d%1e%1f" \
			  "%20%21%22%23%24%25%26%27%28%29%2a%2b%2c%2d%2e%2f" \
			  "%30%31%32%33%34%35%36%37%38%39%3a%3b%3c%3d%3e%3f"

static prov_pkcs11_uri uri;
static prov_failure failure;

static prov_category
parse(const char *text)
{
	static prov_uri parts;
	prov_category category;

	memset(&uri, 0xFF, sizeof(uri));
	memset(&failure, 0, sizeof(failure));
	category = prov_uri_parse(text, &parts, &failure);
	if (category == PROV_OK)
		category = prov_pkcs11_uri_parse(&parts, &uri, &failure);
	return category;
}

static void
is_parsed(const char *text)
{
	if (!is_category(parse(text), PROV_OK, text))
		note("%s", failure.reason);
}

/* Nothing of a URI is in a reason: it might be a PIN. */
static void
is_refused(const char *text, const char *reason)
{
	parse(text);
	is_failure(&failure, PROV_MISCONFIGURED, reason, text);
	ok(strstr(failure.reason, "sesame") == NULL &&
		   strstr(failure.detail, "sesame") == NULL,
	   "%s: is not quoted", text);
}

static void
test_attributes(void)
{
	static const uint8_t id[] = {0x01, 0x00, 0xFF, 'a'};

	is_parsed("pkcs11:object=root?" MODULE);
	is_text(uri.object, "root", "the object");
	is_text(uri.token, "", "no token");
	is_text(uri.module_path, "/usr/lib/module.so", "the module");
	is(uri.has_id, false, "no id");
	is(uri.type, PROV_PKCS11_ANY_KEY, "no type");
	is(uri.pin_source, PROV_PKCS11_NO_PIN, "no PIN");
	is(uri.mechanism, PROV_PKCS11_NO_MECHANISM, "no mechanism");
	is(uri.gcm_params_short, false, "long parameters");
	is(uri.gcm_iv_by_token, false, "IVs of ours");
	is(uri.has_previous_id, false, "no previous id");

	is_parsed("pkcs11:token=My%20token;manufacturer=M;model=Mo;serial=0001;"
			  "object=a%3Bb%3D;id=%01%00%ffa;type=private?" MODULE);
	is_text(uri.token, "My token", "the token, decoded");
	is_text(uri.manufacturer, "M", "the manufacturer");
	is_text(uri.model, "Mo", "the model");
	is_text(uri.serial, "0001", "the serial number");
	is_text(uri.object, "a;b=", "encoded separators separate nothing");
	is_bytes((envl_view) {uri.id.bytes, uri.id.len},
			 (envl_view) {id, sizeof(id)}, "the id is bytes");
	is(uri.type, PROV_PKCS11_PRIVATE_KEY, "a private key");

	is_parsed("pkcs11:id=" ID_64 ";type=secret-key?" MODULE);
	is((long long) uri.id.len, 64, "the longest id");
	is(uri.type, PROV_PKCS11_SECRET_KEY, "a secret key");
	is_parsed("pkcs11:object=o;token=" LONG_32 "?" MODULE);
	is_text(uri.token, LONG_32, "the longest token label");
	is_parsed("pkcs11:object=a=b?" MODULE);
	is_text(uri.object, "a=b", "a value may have an equals sign");
}

static void
test_bad_attributes(void)
{
	is_refused("pkcs11:?" MODULE, "no value");
	is_refused("pkcs11:token=t?" MODULE, "neither");
	is_refused("pkcs11:sesame=x;object=o?" MODULE, "not known");
	is_refused("pkcs11:Object=sesame?" MODULE, "not known");
	is_refused("pkcs11:slot-id=1;object=o?" MODULE, "not known");
	is_refused("pkcs11:pin-value=sesame;object=o?" MODULE, "not known");
	is_refused("pkcs11:object=o;?" MODULE, "no value");
	is_refused("pkcs11:;object=o?" MODULE, "no value");
	is_refused("pkcs11:object=o;;id=%01?" MODULE, "no value");
	is_refused("pkcs11:object?" MODULE, "no value");
	is_refused("pkcs11:=sesame?" MODULE, "not known");
	is_refused("pkcs11:object=?" MODULE, "empty");
	is_refused("pkcs11:object=o;id=?" MODULE, "empty");
	is_refused("pkcs11:object=o;object=sesame?" MODULE, "twice");
	is_refused("pkcs11:token=t;object=o;token=t?" MODULE, "twice");
	is_refused("pkcs11:id=%01;id=%02?" MODULE, "twice");
	is_refused("pkcs11:object=o;type=private;type=private?" MODULE, "twice");
	is_refused("pkcs11:object=o;type=public?" MODULE, "secret-key or private");
	is_refused("pkcs11:object=o;type=cert?" MODULE, "secret-key or private");
	is_refused("pkcs11:object=o;type=?" MODULE, "secret-key or private");
	is_refused("pkcs11:object=o;token=" LONG_32 "3?" MODULE, "too long");
	is_refused("pkcs11:object=o;serial=12345678901234567?" MODULE, "too long");
	is_refused("pkcs11:id=" ID_64 "%40?" MODULE, "too long");
	is_refused("pkcs11:object=a%00b?" MODULE, "encoded");
	is_refused("pkcs11:object=a%0ab?" MODULE, "encoded");
	is_refused("pkcs11:object=%zz?" MODULE, "escape");
	is_refused("pkcs11:object=%4?" MODULE, "escape");
	is_refused("pkcs11://host/object=o?" MODULE, "no host");
	is_refused("pkcs11:/object=o?" MODULE, "no directory");
}

static void
test_words(void)
{
	static const uint8_t id[] = {0x0A, 0xFF};
	static const char *const names[] = {"aes-gcm", "aes-kw", "aes-kwp",
										"rsa-oaep-sha256", "rsa-oaep-sha1"};
	char		text[128];

	is_parsed("pkcs11:object=o?" MODULE "&pin-source=file:/run/pin");
	is(uri.pin_source, PROV_PKCS11_PIN_FILE, "a PIN in a file");
	is_text(uri.pin_path, "/run/pin", "the PIN's file");
	is_parsed("pkcs11:object=o?" MODULE "&pin-source=file:///run/pin");
	is_text(uri.pin_path, "/run/pin", "the PIN's file, with an empty host");
	is_parsed("pkcs11:object=o?pin-source=/run/pin&" MODULE);
	is(uri.pin_source, PROV_PKCS11_PIN_FILE, "a path is a file's");
	is_text(uri.pin_path, "/run/pin", "the path");
	is_parsed("pkcs11:object=o?" MODULE "&pin-source=%7C/usr/bin/pin");
	is(uri.pin_source, PROV_PKCS11_PIN_COMMAND, "a command");
	is_text(uri.pin_path, "/usr/bin/pin", "its path");

	for (int i = 0; i < 5; i++)
	{
		snprintf(text, sizeof(text), "pkcs11:object=o?" MODULE "&mechanism=%s",
				 names[i]);
		is_parsed(text);
		is_text(prov_pkcs11_mechanism_name(uri.mechanism), names[i],
				"the mechanism %s", names[i]);
	}
	is_parsed("pkcs11:object=o?" MODULE "&gcm-params=short&gcm-iv=token"
			  "&previous-id=0aFF");
	is(uri.gcm_params_short, true, "short parameters");
	is(uri.gcm_iv_by_token, true, "IVs of the token");
	is(uri.has_previous_id, true, "a previous id");
	is_bytes((envl_view) {uri.previous_id.bytes, uri.previous_id.len},
			 (envl_view) {id, sizeof(id)}, "the previous id");
}

static void
test_bad_words(void)
{
	char		path[600];
	char		text[700];

	is_refused("pkcs11:object=o", "no module-path");
	is_refused("pkcs11:object=o?module-path=module.so", "absolute");
	is_refused("pkcs11:object=o?module-path=", "word=value");
	is_refused("pkcs11:object=o?module-path=//usr/lib/module.so", "absolute");
	is_refused("pkcs11:object=o?module-name=softhsm&" MODULE, "not know");
	is_refused("pkcs11:object=o?" MODULE "&pin-value=sesame", "pin-source");
	is_refused("pkcs11:object=o?" MODULE "&pin-source=sesame", "neither");
	is_refused("pkcs11:object=o?" MODULE "&pin-source=file:sesame",
			   "neither");
	is_refused("pkcs11:object=o?" MODULE "&pin-source=file://host/sesame",
			   "neither");
	is_refused("pkcs11:object=o?" MODULE "&pin-source=%7Csesame", "neither");
	is_refused("pkcs11:object=o?" MODULE "&pin-source=", "word=value");
	is_refused("pkcs11:object=o?" MODULE "&pin-source=|/sesame", "encoded");
	is_refused("pkcs11:object=o?" MODULE "&mechanism=sesame", "known");
	is_refused("pkcs11:object=o?" MODULE "&mechanism=", "word=value");
	is_refused("pkcs11:object=o?" MODULE "&mechanism=AES-GCM", "known");
	is_refused("pkcs11:object=o?" MODULE "&gcm-params=long", "short");
	is_refused("pkcs11:object=o?" MODULE "&gcm-iv=random", "token");
	is_refused("pkcs11:object=o?" MODULE "&previous-id=", "word=value");
	is_refused("pkcs11:object=o?" MODULE "&previous-id=0", "hexadecimal");
	is_refused("pkcs11:object=o?" MODULE "&previous-id=0g", "hexadecimal");
	is_refused("pkcs11:object=o?" MODULE "&slot=1", "not know");
	is_refused("pkcs11:object=o?" MODULE "&" MODULE, "");

	memset(path, 'p', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	path[0] = '/';
	snprintf(text, sizeof(text), "pkcs11:object=o?module-path=%s", path);
	is_refused(text, "");
}

int
main(void)
{
	test_attributes();
	test_bad_attributes();
	test_words();
	test_bad_words();
	return done_testing();
}
