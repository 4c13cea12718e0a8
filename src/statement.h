/*-------------------------------------------------------------------------
 *
 * statement.h
 *	  What may be kept of the text of a statement.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_STATEMENT_H
#define LEAKWATCH_STATEMENT_H

/* Bytes kept of a statement: the middle of a longer one is left out. */
#define STATEMENT_SIZE	512

/* What stands for a text, or for the rest of a command. */
#define STATEMENT_NOT_SHOWN	"<not shown: it may contain a password>"

/* What stands for the middle of a long text. */
#define STATEMENT_GAP	" ... "

extern size_t statement_copy(char *copy, const char *text, size_t length, int encoding);
extern int	statement_gap(const char *copy, size_t length);
extern bool statement_is_followed_by(const char *rest);
extern bool statement_is_preceded(const char *text, size_t length);
extern bool statement_contains(const char *text, size_t length, const char *word);
extern bool statement_has_secret_word(const char *text, size_t length);
extern bool statement_is_suspect(const char *text);

/* Is there another statement in a string, after one that ends here? */
static inline bool
statement_is_followed(const char *rest)
{
	if (rest[0] == '\0' || (rest[0] == ';' && rest[1] == '\0'))
		return false;
	return statement_is_followed_by(rest);
}

#endif							/* LEAKWATCH_STATEMENT_H */
