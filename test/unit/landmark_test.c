/*-------------------------------------------------------------------------
 *
 * landmark_test.c
 *	  Shows which tags of a statement name code, without a server.
 *
 * Prints TAP.
 *
 *-------------------------------------------------------------------------
 */
#include "c.h"

#include <stdlib.h>

#include "landmark.h"
#include "tap.h"

/* The room that each takes is exactly what is promised. */
static void
is(const char *text, const char *expected, const char *what)
{
	size_t		length = strlen(text);
	char	   *copy = malloc(length + 1);
	char	   *scratch = malloc(2 * length + 1);
	char	   *out = malloc(LANDMARK_SIZE(length));

	if (copy == NULL || scratch == NULL || out == NULL)
		abort();
	memcpy(copy, text, length);
	ok(landmark_comment(copy, length, scratch, out) == strlen(expected) && strcmp(out, expected) == 0,
	   "%s: %s", what, out);
	free(copy);
	free(scratch);
	free(out);
}

int
main(void)
{
	is("SELECT 1", "", "no tags, no comment");
	is("SELECT 1 /*controller='shop',action='pay'*/", "/*action='pay',controller='shop'*/",
	   "what names code stays, in one order");
	is("SELECT 1 /*traceparent='00-1',controller='shop',user_id='7'*/", "/*controller='shop'*/",
	   "what names a request goes");
	is("SELECT 1 /*traceparent='00-1'*/", "", "and with it the comment");
	is("/*application:Shop,line:/a.rb:7:in `b'*/ SELECT 1",
	   "/*application='Shop',line='/a.rb:0:in%20%60b%27'*/", "of either form");
	is("SELECT 1 /*route='/orders/17/v2',file='a1.js'*/", "/*file='a1.js',route='/orders/0/v2'*/",
	   "a number that stands alone is 0");
	is("SELECT 1 /*route='17'*/", "/*route='0'*/", "also at both ends");
	is("SELECT 1 /*action='a'*/ /*action='b'*/", "/*action='b'*/", "the last of a key counts");
	is("SELECT 1 /*action='%2A%2F%27'*/", "/*action='%2A/%27'*/", "no value ends the comment");
	is("SELECT 1 /*file='caf%C3%A9'*/", "/*file='caf%C3%A9'*/", "other characters are encoded");
	is("/*job:a*/", "/*job='a'*/", "the shortest tag has its room");
	return done_testing();
}
