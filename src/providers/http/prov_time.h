/*
 * prov_time.h
 *	  Parsing the times that services send: when a credential expires.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PROV_TIME_H
#define PROV_TIME_H

#include <time.h>

#include "core/envl_bytes.h"

/*
 * Parses a time of RFC 3339: 2026-11-26T01:32:20Z, with a fraction (dropped)
 * or another offset.  False for anything else, and for years outside 1970 to
 * 9999.
 */
extern bool prov_time_parse(envl_view text, time_t *out);

#endif							/* PROV_TIME_H */
