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
 * Finds a setting of a profile; *value is a view into text, without the white
 * space around it.  With setting NULL it only says whether the profile exists,
 * and *value is untouched. A profile is a section [NAME] or, as the config
 * file spells all but the default one, [profile NAME].  The last of repeated
 * settings counts.  Indented lines (items of a setting that is a list) and
 * lines without a "=" are skipped, because other tools keep their settings in
 * the same file.
 */
extern bool prov_profile_find(envl_view text, const char *profile,
							  const char *setting, envl_view *value);

#endif							/* PROV_PROFILE_H */
