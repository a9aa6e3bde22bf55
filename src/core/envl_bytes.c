/*
 * envl_bytes.c
 *	  Bounds-checked reading and writing of bytes, and strict base64.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include <string.h>

#include "envl_bytes.h"

/*
 * What a character decodes to: six bits of value, and one bit for each
 * alphabet that has the character.  Zero means that neither has it.
 */
#define IN_URL 0x40
#define IN_STANDARD 0x80
#define SIX_BITS 0x3F
#define BOTH(value) (IN_URL | IN_STANDARD | (value))

/* clang-format off */
static const uint8_t base64_values[256] = {
	['+'] = IN_STANDARD | 62,
	['-'] = IN_URL | 62,
	['/'] = IN_STANDARD | 63,
	['_'] = IN_URL | 63,
	['0'] = BOTH(52), BOTH(53), BOTH(54), BOTH(55), BOTH(56),
	BOTH(57), BOTH(58), BOTH(59), BOTH(60), BOTH(61),
	['A'] = BOTH(0), BOTH(1), BOTH(2), BOTH(3), BOTH(4), BOTH(5), BOTH(6),
	BOTH(7), BOTH(8), BOTH(9), BOTH(10), BOTH(11), BOTH(12), BOTH(13),
	BOTH(14), BOTH(15), BOTH(16), BOTH(17), BOTH(18), BOTH(19), BOTH(20),
	BOTH(21), BOTH(22), BOTH(23), BOTH(24), BOTH(25),
	['a'] = BOTH(26), BOTH(27), BOTH(28), BOTH(29), BOTH(30), BOTH(31),
	BOTH(32), BOTH(33), BOTH(34), BOTH(35), BOTH(36), BOTH(37), BOTH(38),
	BOTH(39), BOTH(40), BOTH(41), BOTH(42), BOTH(43), BOTH(44), BOTH(45),
	BOTH(46), BOTH(47), BOTH(48), BOTH(49), BOTH(50), BOTH(51)
};
/* clang-format on */

static const char base64_url_alphabet[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
static const char base64_standard_alphabet[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

bool
envl_view_equal(envl_view a, envl_view b)
{
	/* memcmp must not get NULL, which an empty view may hold. */
	return a.len == b.len &&
		(a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

envl_reader
envl_reader_over(envl_view bytes)
{
	envl_reader reader = {bytes.data, bytes.data};

	/* Adding even zero to NULL is undefined. */
	if (bytes.len > 0)
		reader.end += bytes.len;
	return reader;
}

size_t
envl_reader_left(const envl_reader *reader)
{
	return (size_t) (reader->end - reader->next);
}

/* Reads an integer of len bytes. */
static bool
read_integer(envl_reader *reader, size_t len, uint64_t *out)
{
	uint64_t	value = 0;
	envl_view	bytes;

	*out = 0;
	if (!envl_read_view(reader, len, &bytes))
		return false;
	for (size_t i = 0; i < len; i++)
		value = value << 8 | bytes.data[i];
	*out = value;
	return true;
}

bool
envl_read_u8(envl_reader *reader, uint8_t *out)
{
	uint64_t	value;
	bool		read = read_integer(reader, 1, &value);

	*out = (uint8_t) value;
	return read;
}

bool
envl_read_u16(envl_reader *reader, uint16_t *out)
{
	uint64_t	value;
	bool		read = read_integer(reader, 2, &value);

	*out = (uint16_t) value;
	return read;
}

bool
envl_read_u48(envl_reader *reader, uint64_t *out)
{
	return read_integer(reader, 6, out);
}

bool
envl_read_view(envl_reader *reader, size_t len, envl_view *out)
{
	out->data = NULL;
	out->len = 0;
	if (len > envl_reader_left(reader))
		return false;
	out->data = reader->next;
	out->len = len;
	if (len > 0)
		reader->next += len;
	return true;
}

envl_writer
envl_writer_into(uint8_t *buffer, size_t size)
{
	envl_writer writer = {buffer, buffer, buffer, false};

	if (size > 0)
		writer.end += size;
	return writer;
}

/* Reserves len bytes.  NULL if they do not fit. */
static uint8_t *
writer_advance(envl_writer *writer, size_t len)
{
	uint8_t    *place = writer->next;

	if (writer->overflow || len > (size_t) (writer->end - writer->next))
	{
		writer->overflow = true;
		return NULL;
	}
	writer->next += len;
	return place;
}

static void
write_integer(envl_writer *writer, size_t len, uint64_t value)
{
	uint8_t    *place = writer_advance(writer, len);

	if (place == NULL)
		return;
	for (size_t i = len; i > 0; i--)
	{
		place[i - 1] = (uint8_t) value;
		value >>= 8;
	}
}

void
envl_write_u8(envl_writer *writer, uint8_t value)
{
	uint8_t    *place = writer_advance(writer, 1);

	if (place != NULL)
		*place = value;
}

void
envl_write_u16(envl_writer *writer, uint16_t value)
{
	write_integer(writer, 2, value);
}

void
envl_write_u48(envl_writer *writer, uint64_t value)
{
	write_integer(writer, 6, value);
}

void
envl_write_view(envl_writer *writer, envl_view bytes)
{
	uint8_t    *place;

	if (bytes.len == 0)
		return;
	place = writer_advance(writer, bytes.len);

	/* Ciphertext is made in place; then there is nothing to copy. */
	if (place != NULL && place != bytes.data)
		memmove(place, bytes.data, bytes.len);
}

bool
envl_writer_ok(const envl_writer *writer)
{
	return !writer->overflow;
}

size_t
envl_writer_len(const envl_writer *writer)
{
	return (size_t) (writer->next - writer->start);
}

size_t
envl_base64_encoded_len(envl_base64 kind, size_t len)
{
	size_t		rest = len % 3;

	if (kind == ENVL_BASE64_STANDARD)
		return len / 3 * 4 + (rest > 0 ? 4 : 0);
	return len / 3 * 4 + (rest > 0 ? rest + 1 : 0);
}

void
envl_base64_encode(envl_base64 kind, envl_view in, char *out)
{
	const char *alphabet = base64_standard_alphabet;
	const uint8_t *next = in.data;
	size_t		left = in.len;
	uint32_t	bits;

	if (kind == ENVL_BASE64_URL)
		alphabet = base64_url_alphabet;
	for (; left >= 3; left -= 3)
	{
		bits = (uint32_t) next[0] << 16 | (uint32_t) next[1] << 8 | next[2];
		out[0] = alphabet[bits >> 18];
		out[1] = alphabet[bits >> 12 & SIX_BITS];
		out[2] = alphabet[bits >> 6 & SIX_BITS];
		out[3] = alphabet[bits & SIX_BITS];
		next += 3;
		out += 4;
	}
	if (left == 0)
		return;

	bits = (uint32_t) next[0] << 16;
	if (left == 2)
		bits |= (uint32_t) next[1] << 8;
	*out++ = alphabet[bits >> 18];
	*out++ = alphabet[bits >> 12 & SIX_BITS];
	if (left == 2)
		*out++ = alphabet[bits >> 6 & SIX_BITS];
	else if (kind == ENVL_BASE64_STANDARD)
		*out++ = '=';
	if (kind == ENVL_BASE64_STANDARD)
		*out = '=';
}

size_t
envl_base64_decoded_max(size_t len)
{
	return len / 4 * 3 + len % 4 * 3 / 4;
}

/*
 * Removes the padding of standard base64.  False if the text is not made of
 * whole groups.  A '=' that is left is not in the alphabet, so decoding fails.
 */
static bool
base64_unpad(envl_view *in)
{
	if (in->len % 4 != 0)
		return false;
	for (int i = 0; i < 2; i++)
	{
		if (in->len > 0 && in->data[in->len - 1] == '=')
			in->len--;
	}
	return true;
}

envl_status
envl_base64_decode(envl_base64 kind, envl_view in, uint8_t *out,
				   size_t *out_len)
{
	uint8_t		alphabet = kind == ENVL_BASE64_URL ? IN_URL : IN_STANDARD;
	uint8_t		common = alphabet;	/* alphabets that have every character */
	uint8_t		spare = 0;		/* bits of the last character beyond a byte */
	uint8_t    *start = out;
	const uint8_t *next;
	size_t		left;

	*out_len = 0;
	if (kind == ENVL_BASE64_STANDARD && !base64_unpad(&in))
		return ENVL_MALFORMED;

	/*
	 * Checked once at the end: a branch per character would halve the speed.
	 */
	next = in.data;
	for (left = in.len; left >= 4; left -= 4)
	{
		uint8_t		a = base64_values[next[0]];
		uint8_t		b = base64_values[next[1]];
		uint8_t		c = base64_values[next[2]];
		uint8_t		d = base64_values[next[3]];

		common &= a & b & c & d;
		out[0] = (uint8_t) (a << 2 | (b & SIX_BITS) >> 4);
		out[1] = (uint8_t) (b << 4 | (c & SIX_BITS) >> 2);
		out[2] = (uint8_t) (c << 6 | (d & SIX_BITS));
		next += 4;
		out += 3;
	}

	if (left == 1)
		return ENVL_MALFORMED;
	if (left >= 2)
	{
		uint8_t		a = base64_values[next[0]];
		uint8_t		b = base64_values[next[1]];

		common &= a & b;
		*out++ = (uint8_t) (a << 2 | (b & SIX_BITS) >> 4);
		spare = b & 0x0F;
		if (left == 3)
		{
			uint8_t		c = base64_values[next[2]];

			common &= c;
			*out++ = (uint8_t) (b << 4 | (c & SIX_BITS) >> 2);
			spare = c & 0x03;
		}
	}

	if (common == 0 || spare != 0)
		return ENVL_MALFORMED;
	*out_len = (size_t) (out - start);
	return ENVL_OK;
}
