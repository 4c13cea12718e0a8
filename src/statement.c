/*-------------------------------------------------------------------------
 *
 * statement.c
 *	  What may be kept of the text of a statement.
 *
 * Pure: text in, text and answers out, without a server.
 *
 * Passwords stand in the text of some commands, and values in that of
 * EXECUTE.  Where the command is known, command.c tells which they are.  Where
 * only the text is known, because it could not be parsed, has several
 * statements or is another session's, the words in it tell: each of these
 * commands has one of four.  A text without them can be shown.
 *
 * Each byte is looked at a fixed number of times at most.
 *
 *-------------------------------------------------------------------------
 */
#include "c.h"

#include "mb/pg_wchar.h"
#include "port/pg_bitutils.h"
#include "statement.h"

/* Its beginning; the end gets twice as much, because tags stand there. */
#define HEAD_SIZE	((STATEMENT_SIZE - (int) sizeof(STATEMENT_GAP) + 1) / 3)

/* A word in lower case, and the letter in it by which it is found. */
typedef struct Word
{
	const char *text;
	int			length;
	int			letter;
} Word;

#define WORD(text, letter)	{text, sizeof(text) - 1, letter}

/*
 * PASSWORD of roles and in code, EXECUTE, OPTIONS of foreign servers and user
 * mappings, SUBSCRIPTION with its connection.  Few letters of a statement are
 * a P or an X.
 */
static const Word secret_words[] = {
	WORD("password", 0), WORD("options", 1), WORD("subscription", 7), WORD("execute", 1)
};

/* ---------- copying ---------- */

static bool
is_continuation(char c)
{
	return ((unsigned char) c & 0xC0) == 0x80;
}

/* How much of the text makes up its beginning, in whole characters. */
static int
head_length(const char *text, int encoding)
{
	int			length = HEAD_SIZE;

	if (encoding == PG_UTF8)
	{
		while (length > HEAD_SIZE - MAX_MULTIBYTE_CHAR_LEN && is_continuation(text[length]))
			length--;
	}
	else if (pg_encoding_max_length(encoding) > 1)
	{
		int			next = 0;

		while (next <= HEAD_SIZE)
		{
			length = next;
			next += pg_encoding_mblen(encoding, text + next);
		}
	}
	return length;
}

/* The first place at or after this that does not split a character. */
static const char *
next_character(const char *text, const char *end, int encoding)
{
	if (encoding == PG_UTF8)
	{
		while (text < end && is_continuation(*text))
			text++;
	}
	else if (pg_encoding_max_length(encoding) > 1)
	{
		/* only from the start of the text could one tell better */
		while (text < end && IS_HIGHBIT_SET(*text))
			text++;
	}
	return text;
}

/*
 * Copy a text, without its middle if it is long, and end it with a NUL; copy
 * has room for STATEMENT_SIZE + 1 bytes.  Returns the length of the copy.
 */
size_t
statement_copy(char *copy, const char *text, size_t length, int encoding)
{
	const char *end = text + length;
	const char *tail;
	int			head;

	if (length <= STATEMENT_SIZE)
	{
		memcpy(copy, text, length);
		copy[length] = '\0';
		return length;
	}

	head = head_length(text, encoding);
	tail = next_character(end - (STATEMENT_SIZE - HEAD_SIZE - strlen(STATEMENT_GAP)), end, encoding);
	memcpy(copy, text, head);
	memcpy(copy + head, STATEMENT_GAP, strlen(STATEMENT_GAP));
	head += strlen(STATEMENT_GAP);
	memcpy(copy + head, tail, end - tail);
	copy[head + (end - tail)] = '\0';
	return head + (end - tail);
}

/*
 * Where its middle was, in a copy that has lost it; -1 in one that is whole.
 * It is where that must be, so that the same in a whole text means nothing,
 * but for one chance in very many.
 */
int
statement_gap(const char *copy, size_t length)
{
	if (length > STATEMENT_SIZE || length < STATEMENT_SIZE - 2 * MAX_MULTIBYTE_CHAR_LEN)
		return -1;
	for (int at = HEAD_SIZE; at > HEAD_SIZE - 2 * MAX_MULTIBYTE_CHAR_LEN; at--)
	{
		if (memcmp(copy + at, STATEMENT_GAP, strlen(STATEMENT_GAP)) == 0)
			return at;
	}
	return -1;
}

/* ---------- words ---------- */

static bool
is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool
is_in_name(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		c == '_' || c == '$' || IS_HIGHBIT_SET(c);
}

/* The same where more follows than the semicolon that ends it. */
bool
statement_is_followed_by(const char *rest)
{
	while (*rest == ';' || is_space(*rest))
		rest++;
	return *rest != '\0';
}

/* Does the text contain this word, which is in lower case? */
bool
statement_contains(const char *text, size_t length, const char *word)
{
	size_t		word_length = strlen(word);

	for (; length >= word_length; text++, length--)
	{
		if ((*text | 0x20) == *word && pg_strncasecmp(text, word, word_length) == 0)
			return true;
	}
	return false;
}

/* Does it contain this word by itself? */
static bool
has_keyword(const char *text, size_t length, const char *word)
{
	const char *end = text + length;
	const char *start = text;
	size_t		word_length = strlen(word);

	for (; (size_t) (end - text) >= word_length; text++)
	{
		if ((*text | 0x20) == *word && pg_strncasecmp(text, word, word_length) == 0 &&
			(text == start || !is_in_name(text[-1])) &&
			(text + word_length == end || !is_in_name(text[word_length])))
			return true;
	}
	return false;
}

/* Is one of the words around this letter of the text? */
static bool
is_in_secret_word(const char *letter, const char *text, const char *end)
{
	for (size_t i = 0; i < lengthof(secret_words); i++)
	{
		const Word *word = &secret_words[i];
		const char *start = letter - word->letter;

		if (letter - text >= word->letter && end - start >= word->length &&
			(*start | 0x20) == *word->text &&
			pg_strncasecmp(start, word->text, word->length) == 0)
			return true;
	}
	return false;
}

/* Is a secret word around this letter of the text?  In each, few come next. */
static inline bool
has_secret_word_at(const char *c, const char *text, const char *end)
{
	char		letter = *c | 0x20;
	char		next;

	if ((letter != 'p' && letter != 'x') || end - c < 2)
		return false;
	next = c[1] | 0x20;
	return (letter == 'p' ? next == 'a' || next == 't' : next == 'e') &&
		is_in_secret_word(c, text, end);
}

#define EACH_BYTE(c)	(UINT64CONST(0x0101010101010101) * (c))

/*
 * Which of these eight bytes may be a P or an X, by their high bits?  None that
 * is one is missing.
 */
static inline uint64
find_letters(uint64 bytes)
{
	uint64		no_p = (bytes | EACH_BYTE(0x20)) ^ EACH_BYTE('p');
	uint64		no_x = (bytes | EACH_BYTE(0x20)) ^ EACH_BYTE('x');

	/*
	 * the high bit is set in each byte that was 0, and perhaps in one above
	 * it
	 */
	return (((no_p - EACH_BYTE(1)) & ~no_p) | ((no_x - EACH_BYTE(1)) & ~no_x)) &
		EACH_BYTE(0x80);
}

/*
 * Does the text contain a word of a command that may hold a secret?  Asked for
 * whole messages, so eight bytes are looked at at once.
 */
bool
statement_has_secret_word(const char *text, size_t length)
{
	const char *end = text + length;
	const char *c = text;
	uint64		bytes;

	for (; (size_t) (end - c) >= sizeof(bytes); c += sizeof(bytes))
	{
		memcpy(&bytes, c, sizeof(bytes));
		for (uint64 found = find_letters(bytes); unlikely(found != 0); found &= found - 1)
		{
			int			byte = pg_rightmost_one_pos64(found) / BITS_PER_BYTE;

#ifdef WORDS_BIGENDIAN
			byte = sizeof(bytes) - 1 - byte;
#endif
			if (has_secret_word_at(c + byte, text, end))
				return true;
		}
	}
	for (; c < end; c++)
	{
		if (has_secret_word_at(c, text, end))
			return true;
	}
	return false;
}

/* Past the space, the comments and the parentheses that a text starts with. */
static const char *
first_word(const char *text, const char *end)
{
	while (text < end)
	{
		if (is_space(*text) || *text == '(')
			text++;
		else if (end - text >= 2 && text[0] == '-' && text[1] == '-')
		{
			while (text < end && *text != '\n' && *text != '\r')
				text++;
		}
		else if (end - text >= 2 && text[0] == '/' && text[1] == '*')
		{
			int			depth = 0;

			do
			{
				int			step = 2;

				if (end - text < 2)
					return end;
				if (text[0] == '/' && text[1] == '*')
					depth++;
				else if (text[0] == '*' && text[1] == '/')
					depth--;
				else
					step = 1;
				text += step;
			} while (depth > 0);
		}
		else
			break;
	}
	return text;
}

/*
 * Is there another statement in a string, before one that starts this far in?
 * 18 and later leave out what space and comments a statement begins with.
 */
bool
statement_is_preceded(const char *text, size_t length)
{
	return first_word(text, text + length) < text + length;
}

/*
 * Does it start as one that reads or changes rows?  In none of these is a
 * password told from any other value.
 */
static bool
is_of_rows(const char *text, const char *end)
{
	static const char *const words[] = {
		"select", "insert", "update", "delete", "merge", "with", "values", "table", "fetch"
	};

	text = first_word(text, end);
	for (size_t i = 0; i < lengthof(words); i++)
	{
		size_t		length = strlen(words[i]);

		if ((size_t) (end - text) >= length && pg_strncasecmp(text, words[i], length) == 0 &&
			(text + length == end || !is_in_name(text[length])))
			return true;
	}
	return false;
}

/* May anything follow a semicolon in it?  One within quotes counts, too. */
static bool
has_several(const char *text, const char *end)
{
	const char *c = memchr(text, ';', end - text);

	if (c == NULL)
		return false;
	while (c < end && (*c == ';' || is_space(*c)))
		c++;
	return c < end;
}

/*
 * May there be a secret in this text, of which nothing is known but the text?
 * It is when it has a word of such a command, unless it is a single statement
 * that reads or changes rows.  If it could not be parsed, it may be two with
 * nothing between them.
 */
bool
statement_is_suspect(const char *text)
{
	size_t		length = strlen(text);
	const char *end = text + length;

	if (!statement_has_secret_word(text, length))
		return false;
	return !is_of_rows(text, end) || has_several(text, end) ||
		has_keyword(text, length, "alter") || has_keyword(text, length, "create") ||
		has_keyword(text, length, "execute");
}
