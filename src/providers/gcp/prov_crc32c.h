/*
 * prov_crc32c.h
 *	  CRC-32C (Castagnoli), by which Google's key service and its clients
 *	  detect damage in transit.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PROV_CRC32C_H
#define PROV_CRC32C_H

#include "core/envl_bytes.h"

/* RFC 3720, appendix B.4: reflected, initial value and final XOR all ones. */
extern uint32_t prov_crc32c(envl_view bytes);

#endif							/* PROV_CRC32C_H */
