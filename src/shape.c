/*-------------------------------------------------------------------------
 *
 * shape.c
 *	  What is the same of a statement, whatever values stand in it.
 *
 * Pure: a text and where its tokens are in, a text out, without a server.  The
 * tokens are the server's lexer's; see normal.c.
 *
 * Constants and parameters become $1, $2 ...; a list of them, and a list of
 * rows of them, becomes one, so that it does not matter how many there are.
 * Comments are no tokens, and so are gone.
 *
 * What is shown can be taken in again, and comes out as it is.  The key is for
 * comparing alone: it has neither spelling nor punctuation.  Of a long
 * statement it has the beginning and the end, because the middle may have been
 * lost, and where a text loses it depends on the values in it.
 *
 *-------------------------------------------------------------------------
 */
#include "c.h"

#include "shape.h"

typedef enum ItemKind
{
	ITEM_WORD,
	ITEM_OPERATOR,
	ITEM_PUNCTUATION,
	ITEM_CONSTANT,
	ITEM_GAP
} ItemKind;

/* What is left of one token or several. */
typedef struct Item
{
	ItemKind	kind;
	bool		spaced;			/* there was space before it */
	Slice		slice;
	Slice		cast;			/* of a constant; empty if it has none */
} Item;

StaticAssertDecl(sizeof(Item) <= SHAPE_SCRATCH(1), "scratch is too small for an item");

/* What the items are made from, and those made so far. */
typedef struct Shape
{
	const char *text;
	const Slice *slices;
	int			nslices;
	Item	   *items;
	int			nitems;
} Shape;

/* ---------- characters and words ---------- */

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
starts_name(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || IS_HIGHBIT_SET(c);
}

static bool
is_in_name(char c)
{
	return starts_name(c) || is_digit(c) || c == '$';
}

static char
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c;
}

static bool
slice_is(const Shape *shape, int n, const char *word)
{
	const Slice *slice;

	if (n < 0 || n >= shape->nslices)
		return false;
	slice = &shape->slices[n];
	for (int i = 0; i < slice->length; i++)
	{
		if (word[i] == '\0' || lower(shape->text[slice->start + i]) != word[i])
			return false;
	}
	return word[slice->length] == '\0';
}

static bool
slice_is_any(const Shape *shape, int n, const char *const *words, int count)
{
	for (int i = 0; i < count; i++)
	{
		if (slice_is(shape, n, words[i]))
			return true;
	}
	return false;
}

/* ---------- kinds ---------- */

/*
 * What is none of SQL may be anything: a backslash, and a quoted name with a
 * single quote in it, which more likely is between two such names.
 */
static bool
is_none_of_sql(const char *text, int length)
{
	bool		quoted = text[0] == '"' ||
	(length > 2 && lower(text[0]) == 'u' && text[1] == '&' && text[2] == '"');

	return text[0] == '\\' || (quoted && memchr(text, '\'', length) != NULL);
}

/* Does it start as E'...', B'...', X'...' or U&'...'? */
static bool
starts_as_string(const char *text, int length)
{
	switch (lower(text[0]))
	{
		case 'b':
		case 'e':
		case 'x':
			return length > 1 && text[1] == '\'';
		case 'u':
			return length > 2 && text[1] == '&' && text[2] == '\'';
		default:
			return false;
	}
}

/*
 * true, false and NULL are values, but not in IS NULL; DEFAULT is one where
 * values stand.
 */
static bool
is_value_word(const Shape *shape, int n)
{
	static const char *const values[] = {"true", "false", "null"};
	static const char *const not_after[] = {"is", "not"};
	static const char *const default_after[] = {"(", ",", "="};

	if (slice_is_any(shape, n, values, lengthof(values)))
		return !slice_is_any(shape, n - 1, not_after, lengthof(not_after));
	return slice_is(shape, n, "default") &&
		slice_is_any(shape, n - 1, default_after, lengthof(default_after));
}

static ItemKind
kind_of(const Shape *shape, int n)
{
	const char *text = shape->text + shape->slices[n].start;
	int			length = shape->slices[n].length;

	if (text[0] == ' ')
		return ITEM_GAP;
	if (text[0] == '\'' || text[0] == '$' || is_digit(text[0]) ||
		(text[0] == '.' && length > 1 && is_digit(text[1])) ||
		starts_as_string(text, length) || is_none_of_sql(text, length) ||
		is_value_word(shape, n))
		return ITEM_CONSTANT;
	if (text[0] == '"' || starts_name(text[0]))
		return ITEM_WORD;
	if (length == 1 && strchr("(),;[].", text[0]) != NULL)
		return ITEM_PUNCTUATION;
	return ITEM_OPERATOR;
}

/* Is it the sign of the constant after it, and no operator between two? */
static bool
is_sign(const Shape *shape, int n)
{
	static const char *const words[] = {
		"select", "and", "or", "between", "limit", "offset", "then", "else", "when", "by",
		"return", "returning", "not", "like", "set"
	};

	if (!(slice_is(shape, n, "-") || slice_is(shape, n, "+")) || n + 1 >= shape->nslices ||
		kind_of(shape, n + 1) != ITEM_CONSTANT)
		return false;
	if (n == 0 || slice_is_any(shape, n - 1, words, lengthof(words)))
		return true;
	switch (kind_of(shape, n - 1))
	{
		case ITEM_OPERATOR:
		case ITEM_GAP:
			return true;
		case ITEM_PUNCTUATION:
			return !slice_is(shape, n - 1, ")") && !slice_is(shape, n - 1, "]");
		default:
			return false;
	}
}

/* ---------- items ---------- */

static bool
item_is(const Shape *shape, int n, char punctuation)
{
	return n >= 0 && shape->items[n].kind == ITEM_PUNCTUATION &&
		shape->text[shape->items[n].slice.start] == punctuation;
}

static bool
item_is_constant(const Shape *shape, int n)
{
	return n >= 0 && shape->items[n].kind == ITEM_CONSTANT;
}

/* Does what ends with item n consist of a constant in parentheses? */
static bool
ends_row(const Shape *shape, int n)
{
	return item_is(shape, n, ')') && item_is_constant(shape, n - 1) && item_is(shape, n - 2, '(');
}

/* One constant of a list stands for all of it, lost ones in a gap included. */
static bool
is_listed(Shape *shape)
{
	int			n = shape->nitems;

	while (n > 0 && (item_is(shape, n - 1, ',') || shape->items[n - 1].kind == ITEM_GAP))
		n--;
	if (n == shape->nitems || !item_is_constant(shape, n - 1))
		return false;
	shape->nitems = n;
	return true;
}

/* The last slice of the type that the constant in slice n is cast to, or n. */
static int
end_of_cast(const Shape *shape, int n)
{
	while (slice_is(shape, n + 1, "::") && n + 2 < shape->nslices &&
		   kind_of(shape, n + 2) == ITEM_WORD)
	{
		n += 2;
		while (slice_is(shape, n + 1, ".") && n + 2 < shape->nslices &&
			   kind_of(shape, n + 2) == ITEM_WORD)
			n += 2;
		if (slice_is(shape, n + 1, "[") && slice_is(shape, n + 2, "]"))
			n += 2;
	}
	return n;
}

/* Add the item that begins with slice n; returns the last slice that is in it. */
static int
add_item(Shape *shape, int n)
{
	const Slice *slices = shape->slices;
	Item		item = {
		.spaced = n > 0 && slices[n - 1].start + slices[n - 1].length < slices[n].start,
	};

	if (is_sign(shape, n))
		n++;
	item.kind = kind_of(shape, n);
	item.slice = slices[n];
	if (item.kind == ITEM_CONSTANT)
	{
		int			end = end_of_cast(shape, n);

		if (end > n)
		{
			item.cast.start = slices[n + 1].start;
			item.cast.length = slices[end].start + slices[end].length - item.cast.start;
		}
		if (!is_listed(shape))
			shape->items[shape->nitems++] = item;
		return end;
	}
	shape->items[shape->nitems++] = item;
	if (ends_row(shape, shape->nitems - 1) && item_is(shape, shape->nitems - 4, ',') &&
		ends_row(shape, shape->nitems - 5))
		shape->nitems -= 4;
	return n;
}

/* ---------- what is shown ---------- */

static char *
put(char *out, const char *text, size_t length)
{
	memcpy(out, text, length);
	return out + length;
}

/*
 * Is there a space between this item, which starts with a character, and the
 * one that ends with that other?  There is none where a comment was before a
 * comma; and without one, two words would be one.
 */
static bool
needs_space(const Item *item, char starts, char ended)
{
	if (ended == ' ' || starts == ',' || starts == ';')
		return false;
	return item->spaced ||
		(is_in_name(ended) && (item->kind == ITEM_CONSTANT || is_in_name(starts)));
}

static size_t
show(const Shape *shape, char *out)
{
	char	   *start = out;
	int			number = 0;

	for (int i = 0; i < shape->nitems; i++)
	{
		const Item *item = &shape->items[i];
		const char *text = shape->text + item->slice.start;

		if (item->kind == ITEM_GAP)
		{
			out = put(out, STATEMENT_GAP, strlen(STATEMENT_GAP));
			continue;
		}
		if (out > start && needs_space(item, text[0], out[-1]))
			*out++ = ' ';
		if (item->kind != ITEM_CONSTANT)
			out = put(out, text, item->slice.length);
		else
		{
			out += snprintf(out, 12, "$%d", ++number);
			out = put(out, shape->text + item->cast.start, item->cast.length);
		}
	}
	*out = '\0';
	return out - start;
}

/* ---------- the key ---------- */

/* A quoted name that needs no quotes is the same name without them. */
static Slice
unquoted(const char *text, Slice slice)
{
	Slice		inner = {slice.start + 1, slice.length - 2};

	if (slice.length < 3 || text[slice.start] != '"' ||
		!starts_name(text[inner.start]) || lower(text[inner.start]) != text[inner.start])
		return slice;
	for (int i = 0; i < inner.length; i++)
	{
		char		c = text[inner.start + i];

		if (!is_in_name(c) || lower(c) != c)
			return slice;
	}
	return inner;
}

/* Is this word next to the gap, and so perhaps only a part of one? */
static bool
touches_gap(const Shape *shape, int n)
{
	const Item *items = shape->items;

	if (items[n].kind != ITEM_WORD && items[n].kind != ITEM_OPERATOR)
		return false;
	return (n > 0 && items[n - 1].kind == ITEM_GAP) ||
		(n + 1 < shape->nitems && items[n + 1].kind == ITEM_GAP);
}

/*
 * Make of the items what counts for the key, in their places: neither
 * punctuation nor what may be half a word, and one constant for several.
 * Their slices get the key's text.
 */
static void
reduce_to_key(Shape *shape)
{
	int			kept = 0;

	/* seen from the items as they are */
	for (int n = 0; n < shape->nitems; n++)
	{
		if (shape->items[n].kind == ITEM_PUNCTUATION || touches_gap(shape, n))
			shape->items[n].slice.length = 0;
	}
	for (int n = 0; n < shape->nitems; n++)
	{
		Item		item = shape->items[n];

		if (item.slice.length == 0)
			continue;
		if (item.kind == ITEM_CONSTANT)
		{
			int			before = kept;

			while (before > 0 && shape->items[before - 1].kind == ITEM_GAP)
				before--;
			if (before > 0 && shape->items[before - 1].kind == ITEM_CONSTANT)
			{
				kept = before;
				continue;
			}
		}
		else if (item.kind == ITEM_WORD)
			item.slice = unquoted(shape->text, item.slice);
		shape->items[kept++] = item;
	}
	shape->nitems = kept;
}

/* What an item takes in the key, with the space after it. */
static int
key_length(const Item *item)
{
	return (item->kind == ITEM_CONSTANT ? 1 : item->slice.length) + 1;
}

static char *
put_key(const Shape *shape, int from, int to, char *out)
{
	for (int n = from; n < to; n++)
	{
		const Item *item = &shape->items[n];

		if (item->kind == ITEM_CONSTANT)
			*out++ = '?';
		for (int i = 0; item->kind != ITEM_CONSTANT && i < item->slice.length; i++)
			*out++ = lower(shape->text[item->slice.start + i]);
		*out++ = ' ';
	}
	return out;
}

/* How many items from the start, or from the end, have room in so many bytes. */
static int
fitting(const Shape *shape, int room, bool from_end)
{
	int			count = 0;

	for (; count < shape->nitems; count++)
	{
		const Item *item = &shape->items[from_end ? shape->nitems - 1 - count : count];

		room -= key_length(item);
		if (room < 0 || item->kind == ITEM_GAP)
			break;
	}
	return count;
}

static size_t
write_key(const Shape *shape, char *out)
{
	char	   *start = out;
	int			head = fitting(shape, SHAPE_KEY_HEAD, false);
	int			tail = shape->nitems - fitting(shape, SHAPE_KEY_TAIL, true);

	out = put_key(shape, 0, head, out);
	out = put_key(shape, Max(head, tail), shape->nitems, out);
	*out = '\0';
	return out - start;
}

/* ---------- from outside ---------- */

static Shape
shape_of(const char *text, const Slice *slices, int count, void *scratch)
{
	Shape		shape = {
		.text = text,
		.slices = slices,
		.nslices = count,
		.items = scratch,
	};

	for (int n = 0; n < count; n++)
		n = add_item(&shape, n);
	return shape;
}

/*
 * Write the statement as it was, but for values, comments and runs of space.
 * out has room for SHAPE_SIZE() of its length and the number of slices, and
 * scratch for SHAPE_SCRATCH() of that.  Returns the length.
 */
size_t
shape_show(const char *text, const Slice *slices, int count, void *scratch, char *out)
{
	Shape		shape = shape_of(text, slices, count, scratch);

	return show(&shape, out);
}

/* Write its key, likewise. */
size_t
shape_key(const char *text, const Slice *slices, int count, void *scratch, char *out)
{
	Shape		shape = shape_of(text, slices, count, scratch);

	reduce_to_key(&shape);
	return write_key(&shape, out);
}
