/*-------------------------------------------------------------------------
 *
 * shape_test.c
 *	  Shows what is the same of a statement, without a server.
 *
 * The tokens of these texts are what stands between spaces, and of STATEMENT_GAP
 * that itself; test/sql/normalized.sql has those of the server's lexer.
 *
 * Prints TAP.
 *
 *-------------------------------------------------------------------------
 */
#include "c.h"

#include <stdlib.h>

#include "shape.h"
#include "tap.h"

#define MAX_TOKENS	1000

static int
find_tokens(const char *text, Slice *slices)
{
	int			count = 0;
	const char *c = text;

	while (*c != '\0')
	{
		const char *end;

		if (strncmp(c, STATEMENT_GAP, strlen(STATEMENT_GAP)) == 0)
			end = c + strlen(STATEMENT_GAP);
		else if (*c == ' ')
		{
			c++;
			continue;
		}
		else
			end = c + strcspn(c, " ");
		if (count == MAX_TOKENS)
			abort();
		slices[count].start = c - text;
		slices[count++].length = end - c;
		c = end;
	}
	return count;
}

static char out[10000];
static char scratch[SHAPE_SCRATCH(MAX_TOKENS)];

static const char *
show(const char *text)
{
	Slice		slices[MAX_TOKENS];

	shape_show(text, slices, find_tokens(text, slices), scratch, out);
	return out;
}

static const char *
key(const char *text)
{
	Slice		slices[MAX_TOKENS];

	shape_key(text, slices, find_tokens(text, slices), scratch, out);
	return out;
}

static void
is(const char *got, const char *expected, const char *what)
{
	ok(strcmp(got, expected) == 0, "%s: %s", what, got);
}

static void
same(const char *a, const char *b, const char *what)
{
	char	   *first = strdup(key(a));

	ok(first != NULL && strcmp(first, key(b)) == 0, "%s: %s", what, first);
	free(first);
}

static void
differ(const char *a, const char *b, const char *what)
{
	char	   *first = strdup(key(a));

	ok(first != NULL && strcmp(first, key(b)) != 0, "%s: %s", what, first);
	free(first);
}

static void
test_show(void)
{
	is(show("select a from t where b = 'x' and c > 5"),
	   "select a from t where b = $1 and c > $2", "constants are numbered");
	is(show("select a where b = $7 and c = $3"),
	   "select a where b = $1 and c = $2", "and parameters, anew");
	is(show("in ( 1 , -2 )"), "in ( $1, -2 )", "what is one token is no sign");
	is(show("in ( 1 , - 2 , + 3 )"), "in ( $1 )", "a list is one, with its signs");
	is(show("values ( 1 , 2 ) , ( 3 , 4 ) , ( 5 , 6 )"), "values ( $1 )", "so is a list of rows");
	is(show("values ( 1 , a ) , ( 3 , a )"), "values ( $1, a ), ( $2, a )",
	   "but not one with something else in it");
	is(show("a - 1"), "a - $1", "an operator is no sign");
	is(show("a = - 1"), "a = $1", "a sign is part of its constant");
	is(show("x is null or y = null"), "x is null or y = $1", "NULL is a value where one can stand");
	is(show("'a' :: text , 'b' :: text"), "$1:: text", "a cast goes with its constant");
	is(show("limit 5 ... b"), "limit $1 ... b", "the gap is shown");
	is(show(""), "", "nothing comes of nothing");
}

static void
test_key(void)
{
	is(key("SELECT \"a\" . \"B\" FROM t WHERE ( x = 'X' ) ;"), "select a \"b\" from t where x = ? ",
	   "a key has neither spelling nor punctuation");
	same("in ( 1 , 2 )", "in ( 3 )", "lists of any length");
	same("in ( 1 , 2 ... 3 )", "in ( 3 )", "also where the gap is in them");
	same("values ( 1 , 2 ) , ( ... , 4 ) , ( 5 , 6 )", "values ( 1 , 'a' )", "and of rows");
	same("a = 1", "a = $1", "a constant and a parameter");
	same("a = - 1", "a = 1", "a sign");
	differ("a = a - 1", "a = a + 1", "an operator");
	differ("select a from t", "select a from u", "names");
	differ("x is null", "x is not null", "the absence of a value and its presence");
	differ("select \"A\"", "select \"a b\"", "quoted names");
	same("select aaa , bb ... cc , dd", "select aaa , bbb ... c , dd",
		 "words next to the gap, which may be cut");
}

/* A long statement, cut at different places. */
static void
test_long(void)
{
	char		whole[4000] = "select ";
	char		cut[4000];
	char	   *first;

	for (int i = 0; i < 100; i++)
		strcat(whole, "column_a , ");
	strcat(whole, "b from t where c = 5 and d in ( 1 , 2 )");
	first = strdup(key(whole));
	if (first == NULL)
		abort();
	ok(strlen(first) <= SHAPE_KEY_HEAD + SHAPE_KEY_TAIL, "a key is of limited length");
	for (int head = 150; head < 160; head++)
	{
		snprintf(cut, sizeof(cut), "%.*s" STATEMENT_GAP "%s", head, whole,
				 whole + strlen(whole) - 330 + head - 150);
		ok(strcmp(key(cut), first) == 0, "cut at %d, the key is that of the whole", head);
	}
	free(first);
}

int
main(void)
{
	test_show();
	test_key();
	test_long();
	return done_testing();
}
