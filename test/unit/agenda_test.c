/*-------------------------------------------------------------------------
 *
 * agenda_test.c
 *	  Shows by when slots are looked at, without a server and without waiting.
 *
 * Prints TAP.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <stdlib.h>

#include "agenda.h"
#include "tap.h"

#define SEC		INT64CONST(1000000)
#define START	(INT64CONST(800000000) * SEC)
#define SLOTS	8

/* A server of eight slots, whose sessions are what each look shall tell. */
static int	versions[SLOTS];
static Look session[SLOTS];
static int	visits[SLOTS];

static int
version_of(int slot)
{
	return versions[slot];
}

static void
visit(int slot, void *arg)
{
	Look		look = session[slot];

	look.at = *(const TimestampTz *) arg;
	look.version = versions[slot];
	visits[slot]++;
	agenda_looked(slot, &look);
}

/* Walk at this time, and every so many seconds at the latest. */
static TimestampTz
walk(TimestampTz now, int interval, bool all)
{
	Walk		w = {
		.now = now,
		.until = now + interval * SEC,
		.all = all,
		.version = version_of,
		.visit = visit,
		.arg = &now,
	};

	memset(visits, 0, sizeof(visits));
	return agenda_walk(&w);
}

static int
total(void)
{
	int			sum = 0;

	for (int slot = 0; slot < SLOTS; slot++)
		sum += visits[slot];
	return sum;
}

/* Nobody is over a limit, and nothing is due. */
static void
begin(void *memory, int shortest_limit)
{
	agenda_init(memory, SLOTS);
	for (int slot = 0; slot < SLOTS; slot++)
	{
		versions[slot] = 2;
		memset(&session[slot], 0, sizeof(Look));
		session[slot].due = DT_NOEND;
		session[slot].shortest_limit = shortest_limit;
	}
}

static void
test_rest(void *memory)
{
	begin(memory, 60000);
	ok(walk(START, 1, false) == START + 60 * SEC, "a look is good for the shortest limit");
	ok(total() == SLOTS, "at first every slot is looked at");
	for (int second = 1; second < 59; second++)
		walk(START + second * SEC, 1, false);
	ok(total() == 0, "and then none until a limit can be met");

	versions[3] += 2;
	walk(START + 59 * SEC, 1, false);
	ok(visits[3] == 1 && total() == 1, "when it can, only the slot that has changed");
	walk(START + 60 * SEC, 1, false);
	ok(total() == 0, "the others have been looked at all the same");

	begin(memory, 0);
	ok(walk(START, 1, false) == DT_NOEND, "without limits there is no next look");
	walk(START + 1000000 * SEC, 1, false);
	ok(total() == 0, "ever");
	walk(START + 1000001 * SEC, 1, true);
	ok(total() == SLOTS, "unless all are asked for");
}

static void
test_active(void *memory)
{
	begin(memory, 60000);
	session[3].active = true;
	walk(START, 1, false);
	walk(START + 58 * SEC, 1, false);
	ok(total() == 0, "an active session is looked at no more often");
	walk(START + 59 * SEC, 1, false);
	ok(visits[3] == 1 && total() == 1, "but then, though its version is as it was");
	session[3].active = false;
}

static void
test_due(void *memory)
{
	begin(memory, 60000);
	session[5].due = START + 10 * SEC;
	ok(walk(START, 1, false) == START + 10 * SEC, "the next look is when a session meets its limit");
	ok(agenda_due(5) == START + 10 * SEC, "which can be asked");
	ok(walk(START + 9 * SEC + SEC / 2, 1, false) == START + 10 * SEC && total() == 0,
	   "it is waited for, not looked at early");
	session[5].due = DT_NOEND;
	walk(START + 10 * SEC, 1, false);
	ok(visits[5] == 1 && total() == 1, "and looked at then, though it has not changed");
}

static void
test_expected(void *memory)
{
	begin(memory, 60000);
	walk(START, 1, false);
	agenda_expect(2);
	walk(START + SEC, 1, false);
	ok(visits[2] == 1 && total() == 1, "what is expected is looked at in the next walk");
	walk(START + 2 * SEC, 1, false);
	ok(total() == 0, "once");

	/* it is changing while it is looked at */
	versions[4] = 3;
	agenda_expect(4);
	walk(START + 3 * SEC, 1, false);
	walk(START + 4 * SEC, 1, false);
	ok(visits[4] == 1 && total() == 1, "what was changing is looked at in every walk");
	versions[4] = 4;
	walk(START + 5 * SEC, 1, false);
	walk(START + 6 * SEC, 1, false);
	ok(total() == 0, "until it has changed");
}

static void
test_followed(void *memory)
{
	Look		looked = {
		.at = START + 6 * SEC,
		.due = START + 8 * SEC,
		.followed = true,
	};

	begin(memory, 60000);
	session[1].followed = true;
	walk(START, 1, false);
	ok(agenda_is_followed(1) && !agenda_is_followed(2), "one with an open incident is followed");
	for (int second = 1; second < 4; second++)
		walk(START + second * SEC, 1, false);
	ok(total() == 0, "which is not to look at it in every walk");

	versions[1] += 2;
	walk(START + 4 * SEC, 1, false);
	ok(visits[1] == 1 && total() == 1, "but sooner than its limit");
	versions[1] += 2;
	agenda_expect_followed();
	walk(START + 5 * SEC, 1, false);
	ok(visits[1] == 1 && total() == 1, "or when somebody wants to see");
	agenda_expect_followed();
	walk(START + 6 * SEC, 1, false);
	ok(total() == 0, "and not if it has not changed");

	looked.version = versions[6];
	agenda_looked(6, &looked);
	ok(agenda_is_followed(6) && agenda_due(6) == START + 8 * SEC, "one can begin to be followed");
	walk(START + 8 * SEC, 1, false);
	ok(visits[6] == 1, "and is looked at when something of it is due");
}

static void
test_shortest(void *memory)
{
	TimestampTz now = START;
	Walk		w = {
		.now = START,
		.until = START + SEC,
		.version = version_of,
		.visit = visit,
		.arg = &now,
	};

	begin(memory, 60000);
	session[7].shortest_limit = 500;
	ok(agenda_walk(&w) == START + SEC / 2 && w.shortest_limit == 500,
	   "a session's own shorter limit counts");
	w.now = now = START + SEC / 2;
	w.until = w.now + SEC;
	agenda_walk(&w);
	ok(w.shortest_limit == 500, "in every walk");
}

int
main(void)
{
	void	   *memory = malloc(agenda_size(SLOTS));

	if (memory == NULL)
		abort();
	test_rest(memory);
	test_active(memory);
	test_due(memory);
	test_expected(memory);
	test_followed(memory);
	test_shortest(memory);
	free(memory);
	return done_testing();
}
