/*
 * prov_aws_credentials.c
 *	  Finding AWS credentials where users of AWS expect them.
 *
 * The order is that of AWS's own tools.  If the URI names a profile, only that
 * profile counts; else
 *
 *	  1. AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (AWS_SESSION_TOKEN)
 *	  2. AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN
 *	  3. the profile AWS_PROFILE or "default" of the files
 *	  4. AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or .._FULL_URI
 *	  5. the instance's metadata service, version 2 only
 *
 * If a configured source fails, the search fails too.  The next source would
 * give credentials that nobody meant, which AWS would at best refuse.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "providers/aws/prov_aws.h"
#include "providers/aws/prov_aws_call.h"
#include "providers/aws/prov_aws_credentials.h"
#include "providers/aws/prov_aws_metadata.h"
#include "providers/aws/prov_aws_sts.h"
#include "providers/aws/prov_profile.h"
#include "providers/http/prov_cloud.h"
#include "providers/serve/prov_serve.h"

/* The longest chain of source profiles; a longer one is a loop. */
#define PROFILES_DEEP 5

/* The two files; absent ones are empty. */
typedef struct profile_files
{
	prov_secret credentials;
	prov_secret config;
} profile_files;

static prov_category from_environment(prov_aws_credentials *out,
									  prov_failure *failure);
static prov_category from_profile(prov_aws *aws, const char *profile,
								  bool must_exist, bool *found,
								  prov_aws_credentials *out,
								  prov_failure *failure);
static prov_category read_file(const prov_aws *aws, const char *word,
							   const char *variable, const char *name,
							   prov_secret *out, prov_failure *failure);
static prov_category use_profile(prov_aws *aws, const profile_files *files,
								 const char *profile, int deep, bool *found,
								 prov_aws_credentials *out,
								 prov_failure *failure);
static prov_category use_role(prov_aws *aws, const profile_files *files,
							  const char *profile, const char *role, int deep,
							  prov_aws_credentials *out,
							  prov_failure *failure);
static prov_category use_source(prov_aws *aws, const profile_files *files,
								const char *profile, int deep,
								prov_aws_credentials *out,
								prov_failure *failure);
static bool take_keys(envl_view text, const char *profile, bool *half,
					  prov_aws_credentials *out);
static bool copy_setting(envl_view text, const char *profile,
						 const char *setting, char *out, size_t size);
static envl_view view_of(const prov_secret *secret);
static const char *get_variable(const char *name);
static prov_category from_container(prov_aws *aws, bool *found,
									prov_aws_credentials *out,
									prov_failure *failure);

prov_category
prov_aws_find_credentials(prov_aws *aws, prov_aws_credentials *out,
						  prov_failure *failure)
{
	const char *profile = prov_uri_word(&aws->uri, "profile");
	const char *token_file = get_variable("AWS_WEB_IDENTITY_TOKEN_FILE");
	const char *role = get_variable("AWS_ROLE_ARN");
	bool		found;
	prov_category category;

	memset(out, 0, sizeof(*out));
	if (profile != NULL)
		return from_profile(aws, profile, true, &found, out, failure);
	if (get_variable("AWS_ACCESS_KEY_ID") != NULL)
		return from_environment(out, failure);
	if (token_file != NULL && role != NULL)
		return prov_aws_web_identity(aws, role,
									 get_variable("AWS_ROLE_SESSION_NAME"),
									 token_file, out, failure);

	profile = get_variable("AWS_PROFILE");
	category = from_profile(aws, profile != NULL ? profile : "default",
							profile != NULL, &found, out, failure);
	if (category == PROV_OK && !found)
		category = from_container(aws, &found, out, failure);
	if (category != PROV_OK || found)
		return category;
	if (prov_aws_is_true(get_variable("AWS_EC2_METADATA_DISABLED")))
		return prov_fail(failure, PROV_MISCONFIGURED,
						 "There are no AWS credentials in the environment, "
						 "in a profile or from a container.",
						 NULL);
	return prov_aws_instance(aws, out, failure);
}

static prov_category
from_environment(prov_aws_credentials *out, prov_failure *failure)
{
	const char *secret_key = get_variable("AWS_SECRET_ACCESS_KEY");
	const char *session_token = get_variable("AWS_SESSION_TOKEN");
	const char *access_key = get_variable("AWS_ACCESS_KEY_ID");

	if (secret_key == NULL)
		return prov_fail(failure, PROV_MISCONFIGURED,
						 "AWS_ACCESS_KEY_ID is set, and "
						 "AWS_SECRET_ACCESS_KEY is not.",
						 NULL);
	if (strlen(access_key) >= sizeof(out->access_key) ||
		strlen(secret_key) >= sizeof(out->secret_key) ||
		(session_token != NULL &&
		 strlen(session_token) >= sizeof(out->session_token)))
		return prov_cloud_too_long(failure);
	strcpy(out->access_key, access_key);
	strcpy(out->secret_key, secret_key);
	if (session_token != NULL)
		strcpy(out->session_token, session_token);
	strcpy(out->kind, "environment");
	return PROV_OK;
}

/* ---------------------------------------------------------------------- */

static prov_category
from_profile(prov_aws *aws, const char *profile, bool must_exist, bool *found,
			 prov_aws_credentials *out, prov_failure *failure)
{
	profile_files *files = calloc(1, sizeof(*files));
	prov_category category;

	*found = false;
	if (files == NULL)
		return prov_cloud_no_memory(failure);
	category = read_file(aws, "credentials-file",
						 "AWS_SHARED_CREDENTIALS_FILE", "credentials",
						 &files->credentials, failure);
	if (category == PROV_OK)
		category = read_file(aws, "config-file", "AWS_CONFIG_FILE", "config",
							 &files->config, failure);
	if (category == PROV_OK)
		category = use_profile(aws, files, profile, 0, found, out, failure);
	envl_wipe(files, sizeof(*files));
	free(files);
	if (category == PROV_OK && must_exist && !*found)
		return prov_fail(failure, PROV_MISCONFIGURED,
						 "The AWS profile has no credentials, or is not in "
						 "the files.",
						 "The profile is \"%s\".", profile);
	return category;
}

/* Reads a file.  It may be absent unless a setting names it. */
static prov_category
read_file(const prov_aws *aws, const char *word, const char *named_by,
		  const char *name, prov_secret *out, prov_failure *failure)
{
	const char *path = prov_uri_setting_of(&aws->uri, word, named_by);
	const char *home = get_variable("HOME");
	char		usual[PROV_LOCATION_SIZE];
	int			len;

	if (path == NULL)
	{
		if (home == NULL)
			return PROV_OK;
		len = snprintf(usual, sizeof(usual), "%s/.aws/%s", home, name);
		if (len < 0 || (size_t) len >= sizeof(usual) ||
			access(usual, F_OK) != 0)
			return PROV_OK;
		path = usual;
	}
	return prov_secret_read(path, "The AWS profile file", false, out,
							failure);
}

/* Looks for a role before keys, since the keys may be the role's source. */
static prov_category
use_profile(prov_aws *aws, const profile_files *files, const char *profile,
			int deep, bool *found, prov_aws_credentials *out,
			prov_failure *failure)
{
	envl_view	credentials = view_of(&files->credentials);
	envl_view	config = view_of(&files->config);
	char		role[512];
	bool		half = false;

	*found = true;
	if (copy_setting(config, profile, "role_arn", role, sizeof(role)) ||
		copy_setting(credentials, profile, "role_arn", role, sizeof(role)))
		return use_role(aws, files, profile, role, deep, out, failure);
	if (take_keys(credentials, profile, &half, out) ||
		(!half && take_keys(config, profile, &half, out)))
	{
		snprintf(out->kind, sizeof(out->kind), "profile \"%.64s\"", profile);
		return PROV_OK;
	}
	*found = false;
	if (half)
		return prov_fail(failure, PROV_MISCONFIGURED,
						 "The AWS profile has half of a key pair, or one "
						 "that is too long.",
						 "The profile is \"%s\".", profile);
	if (prov_profile_find(config, profile, "credential_process",
						  &credentials) ||
		prov_profile_find(config, profile, "sso_account_id", &credentials))
		return prov_fail(failure, PROV_MISCONFIGURED,
						 "The AWS profile gets its credentials from a program "
						 "or a login, which is not supported.",
						 "The profile is \"%s\".", profile);
	return PROV_OK;
}

static prov_category
use_role(prov_aws *aws, const profile_files *files, const char *profile,
		 const char *role, int deep, prov_aws_credentials *out,
		 prov_failure *failure)
{
	envl_view	config = view_of(&files->config);
	char		session[128];
	char		external_id[1280];
	char		token_file[PROV_LOCATION_SIZE];
	const char *session_name = NULL;
	const char *external = NULL;
	prov_aws_credentials source = {0};
	prov_category category;

	if (copy_setting(config, profile, "role_session_name", session,
					 sizeof(session)))
		session_name = session;
	if (copy_setting(config, profile, "external_id", external_id,
					 sizeof(external_id)))
		external = external_id;
	if (copy_setting(config, profile, "web_identity_token_file", token_file,
					 sizeof(token_file)))
		return prov_aws_web_identity(aws, role, session_name, token_file, out,
									 failure);
	category = use_source(aws, files, profile, deep, &source, failure);
	if (category == PROV_OK)
		category = prov_aws_assume_role(aws, role, session_name, external,
										&source, out, failure);
	envl_wipe(&source, sizeof(source));
	return category;
}

/* Finds the credentials with which a profile's role is requested. */
static prov_category
use_source(prov_aws *aws, const profile_files *files, const char *profile,
		   int deep, prov_aws_credentials *out, prov_failure *failure)
{
	envl_view	config = view_of(&files->config);
	char		name[128];
	bool		found = false;
	bool		half = false;
	prov_category category = PROV_OK;

	if (copy_setting(config, profile, "source_profile", name, sizeof(name)))
	{
		/* A profile may be its own source: its keys request its role. */
		if (strcmp(name, profile) == 0)
			found = take_keys(view_of(&files->credentials), name, &half, out);
		else if (deep < PROFILES_DEEP)
			category = use_profile(aws, files, name, deep + 1, &found, out,
								   failure);
	}
	else if (copy_setting(config, profile, "credential_source", name,
						  sizeof(name)))
	{
		if (strcmp(name, "Ec2InstanceMetadata") == 0)
			return prov_aws_instance(aws, out, failure);
		if (strcmp(name, "Environment") == 0)
			return from_environment(out, failure);
		if (strcmp(name, "EcsContainer") == 0)
			category = from_container(aws, &found, out, failure);
	}
	if (category == PROV_OK && !found)
		return prov_fail(failure, PROV_MISCONFIGURED,
						 "The AWS profile's role has no source of "
						 "credentials.",
						 "The profile is \"%s\".", profile);
	return category;
}

/* *half: the profile has a key, but no usable pair. */
static bool
take_keys(envl_view text, const char *profile, bool *half,
		  prov_aws_credentials *out)
{
	envl_view	value;

	if (!prov_profile_find(text, profile, "aws_access_key_id", &value))
		return false;
	*half = !copy_setting(text, profile, "aws_access_key_id", out->access_key,
						  sizeof(out->access_key)) ||
		!copy_setting(text, profile, "aws_secret_access_key", out->secret_key,
					  sizeof(out->secret_key));
	if (prov_profile_find(text, profile, "aws_session_token", &value) &&
		value.len > 0 &&
		!copy_setting(text, profile, "aws_session_token", out->session_token,
					  sizeof(out->session_token)))
		*half = true;
	if (*half)
		envl_wipe(out, sizeof(*out));
	return !*half;
}

/* Copies a setting.  False also if it is empty or does not fit. */
static bool
copy_setting(envl_view text, const char *profile, const char *setting,
			 char *out, size_t size)
{
	envl_view	value;

	if (!prov_profile_find(text, profile, setting, &value) ||
		value.len == 0 || value.len >= size ||
		memchr(value.data, '\0', value.len) != NULL)
		return false;
	prov_cloud_copy(value, out);
	return true;
}

static envl_view
view_of(const prov_secret *secret)
{
	return (envl_view) {(const uint8_t *) secret->text, secret->len};
}

/* An environment variable; NULL if it is unset or empty. */
static const char *
get_variable(const char *name)
{
	const char *value = getenv(name);

	return value != NULL && *value != '\0' ? value : NULL;
}

static prov_category
from_container(prov_aws *aws, bool *found, prov_aws_credentials *out,
			   prov_failure *failure)
{
	const char *relative = get_variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
	const char *full = get_variable("AWS_CONTAINER_CREDENTIALS_FULL_URI");
	char		url[PROV_LOCATION_SIZE];
	int			len;

	*found = (relative != NULL || full != NULL);
	if (!*found)
		return PROV_OK;
	if (relative != NULL)
		len = snprintf(url, sizeof(url), "http://169.254.170.2%s%s",
					   relative[0] == '/' ? "" : "/", relative);
	else
		len = snprintf(url, sizeof(url), "%s", full);
	if (len < 0 || (size_t) len >= sizeof(url))
		return prov_cloud_too_long(failure);
	return prov_aws_container(aws, url, out, failure);
}
