/*
 * pge_mention.h
 *	  Whether a text leads to a function of ours that meets plaintexts.
 *
 * For the server's log, where nothing but the text may be known: what is asked
 * here reads no catalog, takes no lock, allocates nothing and raises nothing,
 * so it can be asked of anything, in any process, at any time.  Doubt is a
 * yes: a line too many is hidden.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#ifndef PGE_MENTION_H
#define PGE_MENTION_H

/* Our functions, as a regular expression: what they are given, or give, is
 * plaintext, or a credential. */
#define PGE_MENTIONED \
	"env_(encrypt|encrypt_column|decrypt|decrypt_bytea|verify|reencrypt" \
	"|rebind|to_jwe|from_jwe|bind_session)"

/*
 * True of a text that has one of our functions' names as a word, also in a
 * string or a comment, or the name of a prepared statement that has; or what
 * the server has learned of.  text may be NULL.
 */
extern bool pge_mentions(const char *text);

/*
 * Has the server know that a function or view of this name leads to us; of a
 * table, that writing to it does.
 */
extern void pge_mention_learn(const char *name);
extern void pge_mention_learn_table(const char *name);

/*
 * The same of a statement that called us: another one with the same words, but
 * for its constants, is known from now on.
 */
extern void pge_mention_learn_statement(const char *text);

/* Called from _PG_init, in the postmaster. */
extern void pge_mention_init(void);

#endif							/* PGE_MENTION_H */
