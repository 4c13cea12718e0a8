/*-------------------------------------------------------------------------
 *
 * waiting_test.c
 *	  Shows since when a session waits for its client, without a server.
 *
 * Prints TAP.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "tap.h"
#include "waiting.h"

#define SEC			INT64CONST(1000000)
#define START		(INT64CONST(800000000) * SEC)
#define STATEMENT	START
#define WAITING		(SINCE_WAITING - NUM_SERVER_CLOCKS)

/* A look at this second, in which the client has moved so much. */
static void
look(Observation *seen, int second, ClientWait waiting, uint64 moved)
{
	Sighting	sighting = {
		.at = START + second * SEC,
		.statement = STATEMENT,
		.waiting = waiting,
		.told = true,
		.moved = moved,
	};

	waiting_note(seen, &sighting);
}

/* The same where nobody can tell what the client does. */
static void
look_untold(Observation *seen, int second, ClientWait waiting)
{
	Sighting	sighting = {
		.at = START + second * SEC,
		.statement = STATEMENT,
		.waiting = waiting,
	};

	waiting_note(seen, &sighting);
}

/* The second in which the clock has started, -1 if it does not run. */
static int
since(const Observation *seen)
{
	if (seen->since[WAITING] == 0)
		return -1;
	return (int) ((seen->since[WAITING] - START) / SEC);
}

static void
test_clock(void)
{
	Observation seen = {0};

	look(&seen, 1, CLIENT_NOTHING, 0);
	ok(since(&seen) == -1, "who works does not wait");
	look(&seen, 2, CLIENT_READ, 7);
	ok(since(&seen) == 2, "the clock starts with the first look");
	look(&seen, 3, CLIENT_READ, 7);
	look(&seen, 4, CLIENT_READ, 7);
	ok(since(&seen) == 2, "and runs while each finds it so");
	look(&seen, 5, CLIENT_NOTHING, 7);
	ok(since(&seen) == -1, "one that finds it at work stops it");
	look(&seen, 6, CLIENT_READ, 7);
	ok(since(&seen) == 6, "and it starts anew");
	look(&seen, 7, CLIENT_WRITE, 7);
	ok(since(&seen) == 7, "also when it waits for something else");
}

static void
test_moving(void)
{
	Observation seen = {0};

	look(&seen, 1, CLIENT_WRITE, 100);
	look(&seen, 2, CLIENT_WRITE, 200);
	ok(since(&seen) == 2, "a client that reads is not waited for");
	look(&seen, 3, CLIENT_WRITE, 300);
	look(&seen, 4, CLIENT_WRITE, 300);
	look(&seen, 5, CLIENT_WRITE, 300);
	ok(since(&seen) == 3, "one that has stopped is, from then on");
	seen.gained[WAITING] = 9 * SEC;
	look(&seen, 6, CLIENT_WRITE, 299);
	ok(since(&seen) == 6 && seen.gained[WAITING] == 0, "whatever the count is, a change is one");
}

static void
test_untold(void)
{
	Observation seen = {0};

	look_untold(&seen, 1, CLIENT_WRITE);
	look_untold(&seen, 2, CLIENT_WRITE);
	ok(since(&seen) == -1, "nobody is accused of not reading on a guess");
	look_untold(&seen, 3, CLIENT_READ);
	look_untold(&seen, 4, CLIENT_READ);
	ok(since(&seen) == 3, "that nothing comes can be told by what the server waits for");
}

static void
test_statement(void)
{
	Observation seen = {0};
	Sighting	next = {
		.at = START + 9 * SEC,
		.statement = START + 8 * SEC,
		.waiting = CLIENT_READ,
		.told = true,
	};

	look(&seen, 1, CLIENT_READ, 0);
	look(&seen, 2, CLIENT_READ, 0);
	waiting_note(&seen, &next);
	ok(since(&seen) == 9, "another statement is another wait");
	waiting_note_client(&seen, true, true, START + 10 * SEC);
	waiting_begin(&seen, START + 11 * SEC);
	ok(since(&seen) == -1 && !seen.client_suspected, "and nothing is left of the one before");
	seen.waiting = CLIENT_READ;
	waiting_begin(&seen, START + 11 * SEC);
	ok(seen.waiting == CLIENT_READ, "in the same one everything is");
}

static void
test_gone(void)
{
	Observation seen = {0};

	waiting_begin(&seen, STATEMENT);
	waiting_note_client(&seen, true, true, START + 1 * SEC);
	ok(!seen.client_gone && since(&seen) == -1, "one answer is not enough");
	waiting_note_client(&seen, true, false, START + 2 * SEC);
	waiting_note_client(&seen, true, true, START + 3 * SEC);
	ok(!seen.client_gone, "nor are two that are not in a row");
	waiting_note_client(&seen, false, true, START + 4 * SEC);
	waiting_note_client(&seen, true, true, START + 5 * SEC);
	ok(!seen.client_gone && !seen.client_unknown, "nor one that is none");
	waiting_note_client(&seen, true, true, START + 6 * SEC);
	ok(seen.client_gone && since(&seen) == 6, "two in a row are");
	waiting_note_client(&seen, true, true, START + 7 * SEC);
	look(&seen, 8, CLIENT_NOTHING, 0);
	ok(since(&seen) == 6, "and it stays so, whatever the session does");
	waiting_note_client(&seen, true, false, START + 9 * SEC);
	ok(!seen.client_gone && since(&seen) == -1, "until there is a client after all");
	waiting_note_client(&seen, false, false, START + 10 * SEC);
	ok(seen.client_unknown, "that nothing is known is known");
}

int
main(void)
{
	test_clock();
	test_moving();
	test_untold();
	test_statement();
	test_gone();
	return done_testing();
}
