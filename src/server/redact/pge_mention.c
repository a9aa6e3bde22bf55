/*
 * pge_mention.c
 *	  Whether a text leads to a function of ours that meets plaintexts.
 *
 * A text is read word by word.  Strings and comments are not told from code:
 * a DO block, a function's body and a dynamic statement are strings.
 *
 * A statement can call us without naming us: through a function of the user's,
 * a view, or a trigger.  What has been seen to is remembered, as hashes, in a
 * table that all processes share and nobody locks: the names of functions,
 * views and tables, and the words of statements.  A hash that is lost, or
 * overwritten by another when there is no room, is learned again.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include <ctype.h>
#include <sys/mman.h>

#include "commands/prepare.h"
#include "common/hashfn.h"
#include "port/atomics.h"

#include "base/pge_compat.h"
#include "redact/pge_mention.h"

/* Of each kind; powers of two. */
#define NAMES 4096
#define STATEMENTS 8192

/* Places where a hash may be. */
#define PROBES 16

/*
 * Bytes of prepared statements that are read for one text.  A text may name
 * one a million times, and nothing interrupts who writes to the log.
 */
#define PREPARED_MAX (1024 * 1024)

/* What a hash is of; part of it. */
typedef enum Kind
{
	KIND_NAME = 1,
	KIND_TABLE,
	KIND_STATEMENT
} Kind;

typedef struct Known
{
	pg_atomic_uint64 names[NAMES];	/* of both kinds; 0: free */
	pg_atomic_uint64 statements[STATEMENTS];
} Known;

static Known *known;

/* Where in a text the reader is; for the words of a statement only. */
typedef enum Place
{
	PLACE_CODE,
	PLACE_STRING,
	PLACE_LINE_COMMENT,
	PLACE_BLOCK_COMMENT
} Place;

typedef struct Reader
{
	Place		place;
	bool		is_ours;		/* a name of ours: no need to read on */
	bool		has_table;		/* a table with a trigger of ours */
	bool		has_write;		/* a word for writing to it */
	bool		expects_prepared;	/* after EXECUTE */
	bool		is_prepared;	/* reading a prepared statement's text */
	size_t		prepared_len;	/* of such texts that were read */
	int			words;			/* outside strings and comments */
	uint64		hash;			/* of those words */
} Reader;

static const char *const our_names[] = {
	"env_encrypt", "env_encrypt_column", "env_decrypt", "env_decrypt_bytea",
	"env_verify", "env_reencrypt", "env_rebind", "env_to_jwe", "env_from_jwe",
	"env_bind_session"};

static const char *const write_words[] = {
	"insert", "update", "merge", "copy", "execute"};

static void read_text(Reader *reader, const char *text);

/* ---------------------------------------------------------------- */
/* What has been learned                                            */
/* ---------------------------------------------------------------- */

static uint64
hash_of(Kind kind, const char *name)
{
	uint64		hash = hash_bytes_extended((const unsigned char *) name,
										   (int) strlen(name), kind);

	return hash != 0 ? hash : 1;
}

static pg_atomic_uint64 *
place_of(Kind kind, uint64 hash, int probe)
{
	if (kind == KIND_STATEMENT)
		return &known->statements[(hash + probe) % STATEMENTS];
	return &known->names[(hash + probe) % NAMES];
}

static bool
is_known(Kind kind, uint64 hash)
{
	/* A text without a word has no hash. */
	if (known == NULL || hash == 0)
		return false;
	for (int i = 0; i < PROBES; i++)
	{
		uint64		found = pg_atomic_read_u64(place_of(kind, hash, i));

		if (found == hash)
			return true;
		if (found == 0)
			return false;
	}
	return false;
}

static void
learn(Kind kind, uint64 hash)
{
	if (known == NULL)
		return;
	for (int i = 0; i < PROBES; i++)
	{
		uint64		found = 0;

		if (pg_atomic_compare_exchange_u64(place_of(kind, hash, i), &found,
										   hash) ||
			found == hash)
			return;
	}
	pg_atomic_write_u64(place_of(kind, hash, (int) ((hash >> 32) % PROBES)),
						hash);
}

/* ---------------------------------------------------------------- */
/* Reading                                                          */
/* ---------------------------------------------------------------- */

static bool
is_one_of(const char *word, const char *const *list, int count)
{
	for (int i = 0; i < count; i++)
	{
		if (strcmp(word, list[i]) == 0)
			return true;
	}
	return false;
}

/*
 * Whether a prepared statement leads to us, or there have been so many that it
 * is not known.  This is a look into a table.
 */
static bool
is_prepared_ours(Reader *caller, const char *name)
{
	PreparedStatement *prepared = FetchPreparedStatement(name, false);
	Reader		reader = {.is_prepared = true};

	if (prepared == NULL || prepared->plansource->query_string == NULL)
		return false;
	caller->prepared_len += strlen(prepared->plansource->query_string);
	if (caller->prepared_len > PREPARED_MAX)
		return true;
	read_text(&reader, prepared->plansource->query_string);
	return reader.is_ours;
}

static void
take_name(Reader *reader, const char *name)
{
	if (strncmp(name, "env_", 4) == 0 &&
		is_one_of(name, our_names, lengthof(our_names)))
		reader->is_ours = true;
	else if (is_known(KIND_NAME, hash_of(KIND_NAME, name)))
		reader->is_ours = true;
	else if (is_known(KIND_TABLE, hash_of(KIND_TABLE, name)))
		reader->has_table = true;
	if (reader->expects_prepared && !reader->is_prepared &&
		is_prepared_ours(reader, name))
		reader->is_ours = true;
	reader->expects_prepared = false;
}

static bool
is_word_character(char c)
{
	return isalnum((unsigned char) c) || c == '_' || c == '$' ||
		IS_HIGHBIT_SET(c);
}

/* Takes the word that begins here; returns its end. */
static const char *
take_word(Reader *reader, const char *text)
{
	char		word[NAMEDATALEN];
	int			len = 0;
	const char *end = text;

	for (; is_word_character(*end); end++)
	{
		if (len < NAMEDATALEN - 1)
			word[len++] = (*end >= 'A' && *end <= 'Z') ? *end - 'A' + 'a' :
														 *end;
	}
	word[len] = '\0';

	/* An identifier that would have to be decoded: taken to be ours. */
	if (strcmp(word, "u") == 0 && end[0] == '&' && end[1] == '"')
		reader->is_ours = true;
	take_name(reader, word);
	if (is_one_of(word, write_words, lengthof(write_words)))
		reader->has_write = true;
	reader->expects_prepared = strcmp(word, "execute") == 0;
	if (reader->place == PLACE_CODE && !isdigit((unsigned char) word[0]))
	{
		reader->words++;
		reader->hash = hash_combine64(reader->hash,
									  hash_of(KIND_STATEMENT, word));
	}
	return end;
}

/* Tries what follows a double quote as an identifier, if it can be one. */
static void
try_quoted(Reader *reader, const char *text)
{
	char		name[NAMEDATALEN];
	int			len = 0;

	for (; *text != '\0' && len < NAMEDATALEN - 1; text++)
	{
		if (*text == '"')
		{
			if (text[1] != '"')
				break;
			text++;
		}
		name[len++] = *text;
	}
	name[len] = '\0';
	if (len > 0)
		take_name(reader, name);
}

/* Keeps track of where the reader is; returns the next character. */
static const char *
take_other(Reader *reader, const char *text)
{
	switch (reader->place)
	{
		case PLACE_CODE:
			if (text[0] == '\'')
				reader->place = PLACE_STRING;
			else if (text[0] == '-' && text[1] == '-')
				reader->place = PLACE_LINE_COMMENT;
			else if (text[0] == '/' && text[1] == '*')
				reader->place = PLACE_BLOCK_COMMENT;
			break;
		case PLACE_STRING:
			if (text[0] == '\'')
				reader->place = PLACE_CODE;
			break;
		case PLACE_LINE_COMMENT:
			if (text[0] == '\n')
				reader->place = PLACE_CODE;
			break;
		case PLACE_BLOCK_COMMENT:
			if (text[0] == '*' && text[1] == '/')
				reader->place = PLACE_CODE;
			break;
	}
	if (text[0] == '"')
	{
		bool		expects_prepared = reader->expects_prepared;

		try_quoted(reader, text + 1);
		reader->expects_prepared = expects_prepared;
	}
	return text + 1;
}

static void
read_text(Reader *reader, const char *text)
{
	while (*text != '\0' && !reader->is_ours)
	{
		if (is_word_character(*text))
			text = take_word(reader, text);
		else
			text = take_other(reader, text);
	}
	if (reader->has_table && reader->has_write)
		reader->is_ours = true;
}

/* ---------------------------------------------------------------- */
/* For others                                                       */
/* ---------------------------------------------------------------- */

bool
pge_mentions(const char *text)
{
	Reader		reader = {PLACE_CODE};

	if (text == NULL)
		return false;
	read_text(&reader, text);
	return reader.is_ours || is_known(KIND_STATEMENT, reader.hash);
}

void
pge_mention_learn(const char *name)
{
	learn(KIND_NAME, hash_of(KIND_NAME, name));
}

void
pge_mention_learn_table(const char *name)
{
	learn(KIND_TABLE, hash_of(KIND_TABLE, name));
}

void
pge_mention_learn_statement(const char *text)
{
	Reader		reader = {PLACE_CODE};

	if (text == NULL)
		return;
	read_text(&reader, text);

	/* One word, such as COMMIT, says nothing. */
	if (!reader.is_ours && reader.words > 1 && reader.hash != 0)
		learn(KIND_STATEMENT, reader.hash);
}

/*
 * A mapping of its own: PostgreSQL's shared memory is not there in all
 * processes, nor at all times, that write to the log.
 */
void
pge_mention_init(void)
{
	void	   *memory = mmap(NULL, sizeof(Known), PROT_READ | PROT_WRITE,
							  MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		ereport(FATAL,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("could not map shared memory for pgenvelope: %m")));
	known = memory;
	for (int i = 0; i < NAMES; i++)
		pg_atomic_init_u64(&known->names[i], 0);
	for (int i = 0; i < STATEMENTS; i++)
		pg_atomic_init_u64(&known->statements[i], 0);
}
