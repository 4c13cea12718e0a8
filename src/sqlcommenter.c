/*-------------------------------------------------------------------------
 *
 * sqlcommenter.c
 *	  The tags that an application puts into the comments of its statements.
 *
 * Pure: text in, tags out, without a server.  The format is that of the
 * sqlcommenter specification: key='value' pairs, separated by commas, keys
 * and values URL-encoded, meta characters escaped with a backslash, in a
 * comment at the end of the statement.  Here also at its start, and in any
 * of several comments there.
 *
 * The other form is that of marginalia and of the legacy format of Active
 * Record's QueryLogs: key:value pairs, separated by commas, as they are.
 * Nothing marks it as such, so a comment is only read so when all of it is:
 * see is_plain_pair().
 *
 * Comments are found from both ends of the text, without reading what is
 * between: it may be a statement that lost its middle.  Each byte is looked
 * at a fixed number of times at most, and only in so many comments.
 *
 *-------------------------------------------------------------------------
 */
#include "c.h"

#include "sqlcommenter.h"

/* At each end of the text. */
#define MAX_COMMENTS		16

/* In bytes: a longer comment carries no tags. */
#define MAX_COMMENT_SIZE	65536

typedef struct Span
{
	const char *start;
	const char *end;
} Span;

static bool
is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static Span
trim(Span span)
{
	while (span.start < span.end && is_space(*span.start))
		span.start++;
	while (span.end > span.start && is_space(span.end[-1]))
		span.end--;
	return span;
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/*
 * Undo the escapes and the URL encoding, into out, which has room for as much
 * as there is.  What is no encoding of a character stays as it is; so does
 * %00, because no text can hold that.  Returns the length.
 */
static size_t
decode(Span span, char *out)
{
	char	   *start = out;
	const char *in = span.start;

	while (in < span.end)
	{
		char		c = *in++;

		if (c == '\\' && in < span.end)
			c = *in++;
		else if (c == '%' && span.end - in >= 2)
		{
			int			high = hex_digit(in[0]);
			int			low = hex_digit(in[1]);

			if (high >= 0 && low >= 0 && high + low > 0)
			{
				c = (char) (high * 16 + low);
				in += 2;
			}
		}
		*out++ = c;
	}
	return out - start;
}

/*
 * One part of a comment between commas: a tag if it is key='value', nothing
 * otherwise.  Returns which.
 */
static bool
parse_pair(Span pair, char *scratch, sqlcommenter_tag tag, void *state)
{
	const char *equals;
	Span		key;
	Span		value;
	size_t		key_length;
	size_t		value_length;

	pair = trim(pair);
	equals = memchr(pair.start, '=', pair.end - pair.start);
	if (equals == NULL)
		return false;

	key.start = pair.start;
	key.end = equals;
	key = trim(key);
	value.start = equals + 1;
	value.end = pair.end;
	value = trim(value);
	if (key.start == key.end || value.end - value.start < 2 ||
		*value.start != '\'' || value.end[-1] != '\'')
		return false;
	for (const char *c = key.start; c < key.end; c++)
	{
		if (is_space(*c) || *c == '\'')
			return false;
	}
	value.start++;
	value.end--;

	/* the quote that closes it is neither escaped nor followed by anything */
	for (const char *c = value.start; c < value.end; c++)
	{
		if (*c == '\'')
			return false;
		if (*c == '\\' && ++c == value.end)
			return false;
	}

	key_length = decode(key, scratch);
	value_length = decode(value, scratch + key_length);
	tag(state, scratch, key_length, scratch + key_length, value_length);
	return true;
}

/* Take key='value' pairs; returns whether there are any. */
static bool
parse_quoted(Span comment, char *scratch, sqlcommenter_tag tag, void *state)
{
	Span		pair = comment;
	bool		quoted = false;
	bool		found = false;

	for (const char *c = comment.start; c < comment.end; c++)
	{
		if (*c == '\\' && quoted && c + 1 < comment.end)
			c++;
		else if (*c == '\'')
			quoted = !quoted;
		else if (*c == ',' && !quoted)
		{
			pair.end = c;
			found |= parse_pair(pair, scratch, tag, state);
			pair.start = c + 1;
		}
	}
	pair.end = comment.end;
	return parse_pair(pair, scratch, tag, state) || found;
}

static bool
is_key(Span key)
{
	if (key.start == key.end || *key.start < 'a' || *key.start > 'z')
		return false;
	for (const char *c = key.start; c < key.end; c++)
	{
		if (!((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
			  (*c >= '0' && *c <= '9') || *c == '_' || *c == '-' || *c == '.'))
			return false;
	}
	return true;
}

/*
 * Is this key:value?  The key is a name that starts with a small letter, and
 * right after the colon comes the value, which is one word.  So neither prose
 * ("TODO: this", "note:see there"), nor a time of day, an address (//...), a
 * path of Windows or a cast is taken for a tag.  Only of the key "line" may the
 * value have spaces: Ruby writes "line:/app/a.rb:7:in `block in b'".
 */
static bool
is_plain_pair(Span pair, Span *key, Span *value)
{
	const char *colon;

	pair = trim(pair);
	colon = memchr(pair.start, ':', pair.end - pair.start);
	if (colon == NULL)
		return false;
	*key = (Span)
	{
		pair.start, colon
	};
	*value = (Span)
	{
		colon + 1, pair.end
	};
	if (!is_key(*key) || value->start == value->end || is_space(*value->start) ||
		*value->start == ':' || *value->start == '\\' ||
		(value->end - value->start >= 2 && value->start[0] == '/' && value->start[1] == '/'))
		return false;
	if (key->end - key->start == 4 && memcmp(key->start, "line", 4) == 0)
		return true;
	for (const char *c = value->start; c < value->end; c++)
	{
		if (is_space(*c))
			return false;
	}
	return true;
}

/* Take off the part before the first comma. */
static Span
take_part(Span *rest)
{
	const char *comma = memchr(rest->start, ',', rest->end - rest->start);
	Span		part = {rest->start, comma != NULL ? comma : rest->end};

	rest->start = comma != NULL ? comma + 1 : NULL;
	return part;
}

/* Take key:value pairs, if the comment has nothing else. */
static void
parse_plain(Span comment, char *scratch, sqlcommenter_tag tag, void *state)
{
	Span		key;
	Span		value;

	for (Span rest = comment; rest.start != NULL;)
	{
		if (!is_plain_pair(take_part(&rest), &key, &value))
			return;
	}
	for (Span rest = comment; rest.start != NULL;)
	{
		size_t		key_length;
		size_t		value_length;

		is_plain_pair(take_part(&rest), &key, &value);
		key_length = key.end - key.start;
		value_length = value.end - value.start;
		memcpy(scratch, key.start, key_length);
		memcpy(scratch + key_length, value.start, value_length);
		tag(state, scratch, key_length, scratch + key_length, value_length);
	}
}

/* What is between the delimiters of a comment. */
static void
parse_comment(Span comment, char *scratch, sqlcommenter_tag tag, void *state)
{
	if (comment.end - comment.start <= MAX_COMMENT_SIZE &&
		!parse_quoted(comment, scratch, tag, state))
		parse_plain(comment, scratch, tag, state);
}

/* Take the comment off that the text starts with. */
static bool
take_first(Span *text, Span *comment)
{
	*text = trim(*text);
	if (text->end - text->start < 4 || text->start[0] != '/' || text->start[1] != '*')
		return false;
	for (const char *c = text->start + 2; c + 1 < text->end; c++)
	{
		if (c[0] == '*' && c[1] == '/')
		{
			comment->start = text->start + 2;
			comment->end = c;
			text->start = c + 2;
			return true;
		}
	}
	return false;
}

/* Take the comment off that the text ends with. */
static bool
take_last(Span *text, Span *comment)
{
	while (text->end > text->start && (is_space(text->end[-1]) || text->end[-1] == ';'))
		text->end--;
	if (text->end - text->start < 4 || text->end[-1] != '/' || text->end[-2] != '*')
		return false;
	for (size_t at = text->end - text->start - 3; at-- > 0;)
	{
		const char *c = text->start + at;

		if (c[0] == '/' && c[1] == '*')
		{
			comment->start = c + 2;
			comment->end = text->end - 2;
			text->end = c;
			return true;
		}
	}
	return false;
}

/*
 * Call tag() for each tag in the text, in their order.  A key may come more
 * than once: then the last counts.  scratch has room for length bytes.
 */
void
sqlcommenter_parse(const char *text, size_t length, char *scratch,
				   sqlcommenter_tag tag, void *state)
{
	Span		rest = {text, text + length};
	Span		comment;
	Span		last[MAX_COMMENTS];
	int			nlast = 0;

	for (int i = 0; i < MAX_COMMENTS && take_first(&rest, &comment); i++)
		parse_comment(comment, scratch, tag, state);
	while (nlast < MAX_COMMENTS && take_last(&rest, &last[nlast]))
		nlast++;
	while (nlast > 0)
		parse_comment(last[--nlast], scratch, tag, state);
}
