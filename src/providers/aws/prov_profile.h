/*
 * prov_profile.h
 *	  Reading the profile files of AWS: INI, as the vendor's tools read it.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PROV_PROFILE_H
#define PROV_PROFILE_H

#include "core/envl_bytes.h"

/*
 * Finds a setting of a profile; *value is a view into text, without the
 * white space around it.  With setting NULL: whether there is such a profile,
 * and *value is untouched.  The profile is a section [NAME], or
 * [profile NAME] as the config file spells all but the default one.  Of
 * settings that are repeated the last counts.  Lines that are indented (they
 * belong to a setting that is a list) and lines without a "=" are passed
 * over: other tools keep settings of theirs in the same file.
 */
extern bool prov_profile_find(envl_view text, const char *profile,
							  const char *setting, envl_view *value);

#endif							/* PROV_PROFILE_H */
