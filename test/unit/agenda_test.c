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
static int	glances[SLOTS];

/* What a glance tells: since when the session does what it does; 0: nothing. */
static TimestampTz began[SLOTS];

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

static void
prefetch(int slot)
{
}

static bool
glance(int slot, Look *look, void *arg)
{
	glances[slot]++;
	if (began[slot] == 0)
		return false;
	agenda_glanced(look, began[slot], *(const TimestampTz *) arg, versions[slot]);
	return true;
}

/* Walk at this time, and every so many seconds at the latest. */
static TimestampTz
walk(TimestampTz now, int interval, bool all)
{
	Walk		w = {
		.now = now,
		.until = now + interval * SEC,
		.again = now + SEC,
		.all = all,
		.prefetch = prefetch,
		.version = version_of,
		.glance = glance,
		.visit = visit,
		.arg = &now,
	};

	memset(visits, 0, sizeof(visits));
	memset(glances, 0, sizeof(glances));
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
		session[slot].shortest_limit = session[slot].rest = shortest_limit;
		began[slot] = 0;
	}
}

static void
test_rest(void *memory)
{
	begin(memory, 60000);
	ok(walk(START, 10, false) == START + 60 * SEC, "a look is good for the shortest limit");
	ok(total() == SLOTS, "at first every slot is looked at");
	versions[3] += 2;
	ok(walk(START + 59 * SEC, 10, false) == START + 60 * SEC && total() == 0,
	   "and then none until a limit can be met, however soon that is");

	walk(START + 60 * SEC, 10, false);
	ok(visits[3] == 1 && total() == 1, "when it can, only the slot that has changed");
	ok(walk(START + 61 * SEC, 10, false) == START + 120 * SEC && total() == 0,
	   "the others have been looked at all the same");

	begin(memory, 0);
	ok(walk(START, 10, false) == DT_NOEND, "without limits there is no next look");
	walk(START + 1000000 * SEC, 10, false);
	ok(total() == 0, "ever");
	walk(START + 1000001 * SEC, 10, true);
	ok(total() == SLOTS, "unless all are asked for");
}

static void
test_along(void *memory)
{
	begin(memory, 60000);
	walk(START, 10, false);
	agenda_expect(2);
	walk(START + 9 * SEC, 10, false);
	agenda_expect(3);
	walk(START + 11 * SEC, 10, false);
	versions[2] += 2;
	versions[3] += 2;
	ok(walk(START + 60 * SEC, 10, false) == START + 71 * SEC && visits[2] == 1 && total() == 1,
	   "what is due soon after is taken along, and what is due later not");
	ok(walk(START + 71 * SEC, 10, false) == START + 120 * SEC && visits[3] == 1 && total() == 1,
	   "but in its own time");
}

static void
test_active(void *memory)
{
	begin(memory, 60000);
	session[3].active = true;
	walk(START, 10, false);
	walk(START + 59 * SEC, 10, false);
	ok(total() == 0, "an active session is looked at no more often");
	walk(START + 60 * SEC, 10, false);
	ok(visits[3] == 1 && total() == 1, "but then, though its version is as it was");
	session[3].active = false;
}

static void
test_due(void *memory)
{
	begin(memory, 60000);
	session[5].due = START + 10 * SEC;
	ok(walk(START, 10, false) == START + 10 * SEC, "the next look is when a session meets its limit");
	ok(agenda_due(5) == START + 10 * SEC, "which can be asked");
	agenda_expect(1);
	ok(walk(START + 9 * SEC + SEC / 2, 10, false) == START + 10 * SEC && visits[5] == 0,
	   "it is waited for, not looked at early when somebody else is");
	session[5].due = DT_NOEND;
	walk(START + 10 * SEC, 10, false);
	ok(visits[5] == 1 && total() == 1, "and looked at then, though it has not changed");

	begin(memory, 60000);
	session[5].due = START + 10 * SEC;
	walk(START, 10, false);
	session[5].due = DT_NOEND;
	versions[5] += 2;
	agenda_expect(1);
	ok(walk(START + 5 * SEC, 10, false) == START + 60 * SEC && visits[5] == 1,
	   "one that has gone on in time is not waited for");
}

static void
test_glance(void *memory)
{
	begin(memory, 60000);
	for (int slot = 0; slot < SLOTS; slot++)
		session[slot].begins_anew = true;
	session[6].begins_anew = false;
	session[7].followed = true;
	walk(START, 10, false);

	for (int slot = 0; slot < SLOTS; slot++)
	{
		versions[slot] += 2;
		began[slot] = START + 50 * SEC;
	}
	versions[1] -= 2;
	began[2] = 0;
	agenda_expect(3);
	ok(walk(START + 60 * SEC, 10, false) == START + 65 * SEC,
	   "a look by a glance is good for as long as another");
	ok(glances[4] == 1 && visits[4] == 0, "of a session that has only gone on no more is asked");
	ok(glances[1] == 0 && visits[1] == 0, "of one that has not, not even that");
	ok(glances[2] == 1 && visits[2] == 1, "one that has done more is visited");
	ok(glances[3] == 0 && visits[3] == 1, "so is one that is expected");
	ok(glances[6] == 0 && visits[6] == 1, "one that has limits which do not begin anew");
	ok(glances[7] == 0 && visits[7] == 1, "and one with an open incident");
	ok(agenda_due(4) == START + 110 * SEC,
	   "its limit is met no sooner than the shortest after what it began");

	session[7].followed = false;
	agenda_expect(7);
	walk(START + 61 * SEC, 10, false);
	ok(walk(START + 110 * SEC, 10, false) == START + 121 * SEC && visits[4] == 1,
	   "and if it has done nothing by then, it is visited");

	/*
	 * the times of the limits, and of the looks at who may wait for its
	 * client
	 */
	begin(memory, 60000);
	for (int slot = 0; slot < SLOTS; slot++)
	{
		session[slot].begins_anew = true;
		session[slot].rest = 30000;
	}
	walk(START, 10, false);
	versions[4] += 2;
	began[4] = START + 1 * SEC;
	ok(walk(START + 30 * SEC, 10, false) == START + 60 * SEC && glances[4] == 1 && total() == 0,
	   "looks come more often than limits where it takes them");
	walk(START + 60 * SEC, 10, false);
	ok(visits[4] == 1 && total() == 1, "by a visit, if it may have become another all the same");
}

static void
test_expected(void *memory)
{
	begin(memory, 60000);
	walk(START, 10, false);
	agenda_expect(2);
	walk(START + SEC, 10, false);
	ok(visits[2] == 1 && total() == 1, "what is expected is looked at in the next walk");
	walk(START + 2 * SEC, 10, false);
	ok(total() == 0, "once");

	/* it is changing while it is looked at */
	versions[4] = 3;
	agenda_expect(4);
	ok(walk(START + 3 * SEC, 10, false) == START + 4 * SEC, "what was changing is soon looked at again");
	walk(START + 4 * SEC, 10, false);
	ok(visits[4] == 1 && total() == 1, "in every walk");
	versions[4] = 4;
	walk(START + 5 * SEC, 10, false);
	walk(START + 6 * SEC, 10, false);
	ok(total() == 0, "until it has changed");
}

static void
test_followed(void *memory)
{
	Look		looked = {
		.at = START + 7 * SEC,
		.due = START + 8 * SEC,
		.followed = true,
	};

	begin(memory, 60000);
	session[1].followed = true;
	ok(walk(START, 10, false) == START + 5 * SEC, "one with an open incident is soon looked at again");
	ok(agenda_is_followed(1) && !agenda_is_followed(2), "it is followed");
	walk(START + 4 * SEC, 10, false);
	ok(total() == 0, "which is not to look at it in every walk");

	versions[1] += 2;
	walk(START + 5 * SEC, 10, false);
	ok(visits[1] == 1 && total() == 1, "but sooner than its limit");
	versions[1] += 2;
	agenda_expect_followed();
	walk(START + 6 * SEC, 10, false);
	ok(visits[1] == 1 && total() == 1, "or when somebody wants to see");
	agenda_expect_followed();
	walk(START + 7 * SEC, 10, false);
	ok(total() == 0, "and not if it has not changed");

	looked.version = versions[6];
	agenda_looked(6, &looked);
	ok(agenda_is_followed(6) && agenda_due(6) == START + 8 * SEC, "one can begin to be followed");
	walk(START + 8 * SEC, 10, false);
	ok(visits[6] == 1, "and is looked at when something of it is due");
}

static void
test_shortest(void *memory)
{
	TimestampTz now = START;
	Walk		w = {
		.now = START,
		.until = START + 10 * SEC,
		.again = START + SEC,
		.prefetch = prefetch,
		.version = version_of,
		.glance = glance,
		.visit = visit,
		.arg = &now,
	};

	begin(memory, 60000);
	session[7].rest = 500;
	ok(agenda_walk(&w) == START + SEC / 2 && w.shortest_rest == 500,
	   "a session's own shorter limit counts");
	w.now = now = START + SEC / 4;
	agenda_walk(&w);
	ok(w.shortest_rest == 500, "as long as there is nothing to be looked at");
	w.now = now = START + SEC / 2;
	w.until = w.now + 10 * SEC;
	agenda_walk(&w);
	ok(w.shortest_rest == 500, "and in every walk");
}

int
main(void)
{
	void	   *memory = malloc(agenda_size(SLOTS));

	if (memory == NULL)
		abort();
	test_rest(memory);
	test_along(memory);
	test_active(memory);
	test_due(memory);
	test_glance(memory);
	test_expected(memory);
	test_followed(memory);
	test_shortest(memory);
	free(memory);
	return done_testing();
}
