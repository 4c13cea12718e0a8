/*-------------------------------------------------------------------------
 *
 * statement_test.c
 *	  Shows what is kept of a statement's text, without a server.
 *
 * Prints TAP.
 *
 *-------------------------------------------------------------------------
 */
#include "c.h"

#include <stdlib.h>
#include <time.h>

#include "mb/pg_wchar.h"
#include "statement.h"
#include "tap.h"

/* A text of pieces, longer than is kept. */
static void
copies(const char *piece, int encoding, const char *what)
{
	size_t		size = strlen(piece);
	size_t		length = 3 * STATEMENT_SIZE / size * size;
	char	   *text = malloc(length);
	char		copy[STATEMENT_SIZE + 1];
	const char *gap;
	size_t		copied;
	size_t		tail;

	if (text == NULL)
		abort();
	for (size_t i = 0; i < length; i++)
		text[i] = piece[i % size];
	copied = statement_copy(copy, text, length, encoding);
	gap = strstr(copy, " ... ");
	tail = gap == NULL ? 0 : strlen(gap + 5);
	ok(statement_gap(copy, copied) == (int) (gap - copy), "the gap is found: %s", what);
	ok(copied == strlen(copy) && copied <= STATEMENT_SIZE && copied > STATEMENT_SIZE - 8 &&
	   gap != NULL && (gap - copy) % size == 0 && tail % size == 0 && tail > copied / 2 &&
	   memcmp(copy, text, gap - copy) == 0 && memcmp(gap + 5, text + length - tail, tail) == 0,
	   "%s", what);
	free(text);
}

static void
copies_whole(size_t length)
{
	char	   *text = malloc(length + 1);
	char		copy[STATEMENT_SIZE + 1];

	if (text == NULL)
		abort();
	memset(text, 'a', length);
	text[length] = '\0';
	ok(statement_copy(copy, text, length, PG_UTF8) == length && strcmp(copy, text) == 0,
	   "what has room is kept whole");
	ok(statement_gap(copy, length) < 0, "and has no gap");
	free(text);
}

static void
suspect(const char *text)
{
	ok(statement_is_suspect(text), text);
}

static void
clear(const char *text)
{
	ok(!statement_is_suspect(text), text);
}

/* A text of one repeated piece is looked through in time that grows with its length. */
static void
is_quick(const char *piece)
{
	size_t		size = strlen(piece);
	size_t		length = 8 * 1024 * 1024 / size * size;
	char	   *text = malloc(length + 1);
	clock_t		start;

	if (text == NULL)
		abort();
	for (size_t i = 0; i < length; i++)
		text[i] = piece[i % size];
	text[length] = '\0';
	start = clock();
	statement_is_suspect(text);
	statement_has_secret_word(text, length);
	ok((clock() - start) / (double) CLOCKS_PER_SEC < 2, piece);
	free(text);
}

int
main(void)
{
	copies_whole(0);
	copies_whole(STATEMENT_SIZE);
	copies("a", PG_SQL_ASCII, "a long text of single bytes");
	copies("\303\244", PG_UTF8, "of characters of two bytes");
	copies("\342\202\254", PG_UTF8, "of three");
	copies("\360\237\220\230", PG_UTF8, "of four");
	copies("\344", PG_LATIN1, "in LATIN1");

	suspect("ALTER ROLE app PASSWORD 'x'");
	suspect("alter role app password 'x'");
	suspect("create user mapping for app server s options (token 'x')");
	suspect("CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p");
	suspect("ALTER SERVER s OPTIONS (SET a 'x')");
	suspect("EXECUTE p('x')");
	suspect("EXPLAIN ANALYZE EXECUTE p('x')");
	suspect("CREATE TABLE t AS EXECUTE p('x')");
	suspect("SET app.password = 'x'");
	suspect("DO $$BEGIN PERFORM 'password'; END$$");
	suspect("ALTR ROLE app PASSWORD 'x'");
	suspect("PASSWORD");
	suspect("xEXECUTE");
	suspect("SELECT 1; ALTER ROLE app PASSWORD 'x'");
	suspect("SELECT 1 ALTER ROLE app PASSWORD 'x'");
	suspect("SELECT 1 EXECUTE p('x')");
	suspect("SELECT password FROM t; SELECT 2");
	suspect("/* SELECT */ ALTER ROLE app PASSWORD 'x'");
	suspect("-- SELECT\nALTER ROLE app PASSWORD 'x'");
	suspect("/* /* */ SELECT */ ALTER ROLE app PASSWORD 'x'");
	suspect("/* password");
	suspect("selection password");

	clear("");
	clear("SELECT 1");
	clear("ALTER ROLE app CREATEDB");
	clear("SELECT password FROM t");
	clear("select password from t;");
	clear("  (SELECT password FROM t) ; \n");
	clear("/* a /* b */ */ -- c\nUPDATE t SET password = 'x'");
	clear("WITH t AS (SELECT 1 AS options) SELECT * FROM t");
	clear("SELECT created_at, password, altered FROM t");
	clear("passwor");
	clear("assword");
	clear("ptions subscriptio execut");

	ok(!statement_is_followed("; \n;"), "followed by nothing");
	ok(statement_is_followed("; a"), "followed by a statement");
	ok(!statement_is_preceded(" /* a; */ -- b\r\n", 16), "preceded by comments");
	ok(statement_is_preceded("-- a\rb; ", 8), "preceded by a statement after a comment");
	ok(statement_is_preceded("/* a */; ", 9), "preceded by an empty statement");
	ok(statement_contains("a PassWord", 10, "password"), "contains a word at its end");
	ok(!statement_contains("a PassWord", 9, "password"), "but not beyond");

	is_quick("p");
	is_quick("passwor");
	is_quick("option");
	is_quick("x");
	is_quick("execut");
	is_quick("/*");
	is_quick("select password ");
	is_quick("alter_ password ");
	is_quick("--\n");

	return done_testing();
}
