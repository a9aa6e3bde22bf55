/*
 * prov_crc32c.c
 *	  CRC-32C (Castagnoli).
 *
 * Computed bit by bit without a table: some of the bytes are a key, and a
 * table lookup would leak them through the cache.  There are only few bytes.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "providers/gcp/prov_crc32c.h"

#define POLYNOMIAL 0x82F63B78U	/* 0x1EDC6F41, reflected */

uint32_t
prov_crc32c(envl_view bytes)
{
	uint32_t	crc = 0xFFFFFFFFU;

	for (size_t i = 0; i < bytes.len; i++)
	{
		crc ^= bytes.data[i];
		for (int bit = 0; bit < 8; bit++)
			crc = (crc >> 1) ^ (POLYNOMIAL & (0U - (crc & 1U)));
	}
	return ~crc;
}
