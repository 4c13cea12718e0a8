/*-------------------------------------------------------------------------
 *
 * presence_test.c
 *	  Shows when a prepared transaction of which only the number is known may be
 *	  over a limit, and when what is open is warned about again, without a server.
 *
 * Prints TAP.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "reminder.h"
#include "presence.h"
#include "tap.h"

#define SEC		INT64CONST(1000000)
#define START	(1000 * SEC)

static void
test_presence(void)
{
	Presence	presence = {0};

	ok(!presence_note(&presence, 0, 0, START), "nobody is there, as before");
	ok(presence_note(&presence, 700, 0, START), "somebody is");
	ok(presence.seen_at == START && presence_earliest(&presence, 0) == DT_NOBEGIN,
	   "who is there at the first look may be of any age");
	ok(presence_earliest(&presence, START - SEC) == START - SEC,
	   "unless a list does not have it");
	ok(!presence_note(&presence, 700, START, START + 10 * SEC), "the same is there");
	ok(presence.seen_at == START, "since then");
	ok(presence_note(&presence, 701, START + 10 * SEC, START + 20 * SEC), "another is there");
	ok(presence_earliest(&presence, 0) == START + 10 * SEC,
	   "it was not when the look before was taken");
	ok(presence_earliest(&presence, START) == START + 10 * SEC, "which says more than an older list");
	ok(presence_earliest(&presence, START + 15 * SEC) == START + 15 * SEC, "and less than a newer one");

	presence_jump(&presence, 3600 * SEC);
	ok(presence_earliest(&presence, 0) == START + 3610 * SEC && presence.seen_at == START + 3620 * SEC &&
	   presence.gained == 3600 * SEC, "a jump of the clock makes nobody older");
	ok(presence_note(&presence, 0, START + 20 * SEC, START + 30 * SEC), "it is gone");
	presence_jump(&presence, SEC);
	ok(presence.gained == 0, "and a jump is of nobody's");
	ok(presence_note(&presence, 702, 0, START), "one at the first look");
	presence_jump(&presence, -SEC);
	ok(presence.not_before == DT_NOBEGIN, "stays of unknown age");
}

static void
test_reminder(void)
{
	TimestampTz at = START;

	ok(reminder_at(START, 0, 0) == DT_NOEND, "no repetition, no reminder");
	ok(reminder_at(START, 60, 0) == START + 60 * SEC, "the first after the time that is set");
	ok(reminder_at(START, 60, 3) == START + 480 * SEC, "the time doubles with each");
	ok(reminder_at(START, 60, 20) == DT_NOEND, "and at last there is no more");

	for (int count = 0; count < 20; count++)
	{
		ok(reminder_count(START, at, 60) == count, "%d are known by their times", count);
		at = reminder_at(at, 60, count);
	}
	ok(reminder_count(START, at, 60) == 20, "and all");
	ok(reminder_count(START, START + 100 * SEC, 60) == 1, "one that came late is one");
	ok(reminder_count(START, START + 100 * SEC, 0) == 0, "none without repetition");
}

int
main(void)
{
	test_presence();
	test_reminder();
	return done_testing();
}
