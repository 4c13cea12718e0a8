/*-------------------------------------------------------------------------
 *
 * sqlcommenter_test.c
 *	  Shows how tags are read from comments, without a server.
 *
 * Prints TAP.
 *
 *-------------------------------------------------------------------------
 */
#include "c.h"

#include <stdlib.h>
#include <time.h>

#include "sqlcommenter.h"
#include "tap.h"

static char found[1024];

static void
collect(void *state pg_attribute_unused(), const char *key, size_t key_length, const char *value,
		size_t value_length)
{
	size_t		used = strlen(found);

	snprintf(found + used, sizeof(found) - used, "[%.*s=%.*s]",
			 (int) key_length, key, (int) value_length, value);
}

static void
parse(const char *text, size_t length)
{
	char	   *scratch = malloc(length + 1);

	found[0] = '\0';
	if (scratch == NULL)
		abort();
	sqlcommenter_parse(text, length, scratch, collect, NULL);
	free(scratch);
}

static void
is(const char *text, const char *expected, const char *what)
{
	parse(text, strlen(text));
	ok(strcmp(found, expected) == 0, what);
}

/* A text of one repeated piece is read in time that grows with its length. */
static void
is_quick(const char *piece, const char *what)
{
	size_t		size = strlen(piece);
	size_t		length = 8 * 1024 * 1024 / size * size;
	char	   *text = malloc(length + 1);
	clock_t		start;

	if (text == NULL)
		abort();
	for (size_t i = 0; i < length; i++)
		text[i] = piece[i % size];
	start = clock();
	parse(text, length);
	ok((clock() - start) / (double) CLOCKS_PER_SEC < 2, what);
	free(text);
}

int
main(void)
{
	is("", "", "nothing");
	is("SELECT 1", "", "no comment");
	is("SELECT 1 /*a='b'*/", "[a=b]", "a tag");
	is("SELECT 1 /* a = 'b' , c='d' */ ;\n", "[a=b][c=d]", "space around");
	is("/*a='b'*/ SELECT 1", "[a=b]", "at the start");
	is("/*a='b'*/ SELECT 1 /*c='d'*/", "[a=b][c=d]", "at both ends");
	is("/*a='1'*//*b='2'*/ SELECT 1 /*c='3'*/ /* text */ /*d='4'*/;",
	   "[a=1][b=2][c=3][d=4]", "several comments");
	is("/*a='b'*/", "[a=b]", "nothing else, once");
	is("SELECT /*a='b'*/ 1", "", "not in the middle");
	is("/*+ SeqScan(t) */ SELECT 1 /*a='b'*/", "[a=b]", "a hint is none");
	is("SELECT 1 /*route='%2Fapi%2Fr%C3%A9sum%c3%a9'*/", "[route=/api/r\303\251sum\303\251]",
	   "URL-encoded value");
	is("SELECT 1 /*my%20key='b'*/", "[my key=b]", "URL-encoded key");
	is("SELECT 1 /*a='DROP TABLE \\'x\\', y'*/", "[a=DROP TABLE 'x', y]", "escaped quotes and a comma");
	is("SELECT 1 /*a='it%27s'*/", "[a=it's]", "an encoded quote");
	is("SELECT 1 /*a='1+1'*/", "[a=1+1]", "a plus is a plus");
	is("SELECT 1 /*a='100%', b='%zz', c='%4', d='%00'*/", "[a=100%][b=%zz][c=%4][d=%00]",
	   "what is no URL encoding stays");
	is("SELECT 1 /*a=''*/", "[a=]", "an empty value");
	is("SELECT 1 /*a='1',a='2'*/", "[a=1][a=2]", "a key twice");
	is("SELECT 1 /*a, b=, =c, d='e, f='g'*/", "", "malformed");
	is("SELECT 1 /*a='1', broken, b=2, c='3'*/", "[a=1][c=3]", "malformed ones between others");
	is("SELECT 1 /*a='b\\'*/", "", "an escaped closing quote");
	is("SELECT 1 /*a='b'c'*/", "", "a quote within");
	is("SELECT 1 /*two words='b'*/", "", "a key of two words");
	is("SELECT 1 /* don't ask, really: it's fine */", "", "prose");
	is("/*", "", "open");
	is("/*/", "", "barely open");
	is("*/", "", "closed only");
	is("/**/", "", "empty comment");
	is("SELECT 1 /*a='b'", "", "never closed");
	is("SELECT ' ... id = 1 /*a='b'*/", "[a=b]", "a text that lost its middle");

	is("SELECT 1 /*application:Blog,controller:posts,action:show*/",
	   "[application=Blog][controller=posts][action=show]", "key:value");
	is("/*application:Blog*/ SELECT 1", "[application=Blog]", "one, at the start");
	is("SELECT 1 /* application:Blog , job:Mail */;", "[application=Blog][job=Mail]",
	   "key:value with space around");
	is("SELECT 1 /*controller_with_namespace:Admin::PostsController,line:/app/a.rb:7:in `block in b'*/",
	   "[controller_with_namespace=Admin::PostsController][line=/app/a.rb:7:in `block in b']",
	   "colons in a value, and a line of Ruby");
	is("SELECT 1 /*route:%2Fa+b,db_host:10.0.0.1*/", "[route=%2Fa+b][db_host=10.0.0.1]",
	   "nothing is decoded");
	is("SELECT 1 /*a='b',c:d*/", "[a=b]", "one form in a comment");
	is("SELECT 1 /*a='b'*/ /*c:d*/", "[a=b][c=d]", "and the other in another");
	is("SELECT 1 /*traceparent='00-a:b'*/", "[traceparent=00-a:b]", "a colon in quotes");
	is("SELECT 1 /* TODO: fix this, later: that */", "", "prose with a colon");
	is("SELECT 1 /*TODO:fix*/", "", "a shouted word");
	is("SELECT 1 /*note:fix this*/", "", "a value of two words");
	is("SELECT 1 /*see:a, b*/", "", "not only pairs");
	is("SELECT 1 /*a:b,*/", "", "nothing after a comma");
	is("SELECT 1 /*a:*/", "", "a key alone");
	is("SELECT 1 /* 12:30:00 */", "", "a time of day");
	is("SELECT 1 /*+ SeqScan(t) */", "", "a hint at the end");
	is("SELECT 1 /*+ Rows(a b #10) Set(x:y) */", "", "a hint with a colon");
	is("SELECT 1 /* https://example.com/a */", "", "an address");
	is("SELECT 1 /* c:\\a */", "", "a path of Windows");
	is("SELECT 1 /*x::int*/", "", "a cast");
	is("SELECT 1 /*{\"a\":1}*/", "", "JSON");

	is_quick("/*", "many comments that open");
	is_quick("/*a:b*/", "with plain tags");
	is_quick("a:b,", "only plain pairs");
	is_quick("*/", "that close");
	is_quick("/**/", "empty ones");
	is_quick("/*a='b'*/", "with tags");
	is_quick("/*a='b',", "within each other");
	is_quick(" ;", "only ends");

	return done_testing();
}
