/*-------------------------------------------------------------------------
 *
 * excerpt_test.c
 *	  Shows which of the uses of a busy pool are looked at, without a server.
 *
 * Prints TAP.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "evidence.h"
#include "excerpt.h"
#include "tap.h"

#define SEC		INT64CONST(1000000)
#define START	(1000 * SEC)
#define PACE	(60 * SEC)
#define LOOK	(10 * SEC)

static SuspectGroup group;
static SuspectMember members[2];
static Excerpt excerpt;
static int64 last;

/* Two sessions that have just been used, and a look that is over. */
static void
begin(void)
{
	suspect_group_init(&group);
	for (int i = 0; i < lengthof(members); i++)
	{
		suspect_join(&group, &members[i], START, START);
		members[i].free_since = START;
	}
	group.uses = 1000;
	excerpt_init(&excerpt, START);
	last = START;
}

/* A look after so many uses, evenly spread; how many of them it took. */
static int
look(int uses, bool missed)
{
	int			taken = 0;

	excerpt_begin(&excerpt, &group, last, last + LOOK, PACE, missed);
	for (int i = 1; i <= uses; i++)
		taken += excerpt_takes(&excerpt, last + LOOK * i / uses);
	last += LOOK;
	return taken;
}

/* All sessions are used until the look that was. */
static void
keep_busy(void)
{
	for (int i = 0; i < lengthof(members); i++)
		members[i].free_since = last;
}

static void
test_seldom(void)
{
	begin();
	for (int i = 0; i < 20; i++)
	{
		keep_busy();
		if (look(5, false) != 5)
			break;
	}
	ok(last == START + 20 * LOOK, "of a pool that is used seldom, all uses are looked at");
	members[0].free_since = START;
	ok(look(80, false) == 80 && look(80, false) == 80, "and of a busier one, while somebody is idle for long");
}

static void
test_busy(void)
{
	begin();
	ok(look(300, false) == 300, "as long as it is not known how busy it is, all are");
	keep_busy();
	ok(look(300, false) == 6, "if nobody is idle for long, a few are, at the end");
	ok(excerpt.from > last - SEC && group.last_event == excerpt.from,
	   "and nothing is held against anybody for the time before");
	keep_busy();
	members[1].free_since = last - 13 * SEC;
	ok(look(300, false) == 86, "more are when somebody is");
	members[1].free_since = 0;
	members[0].free_since = last;
	look(2, false);
	ok(look(2, false) == 2, "and all again when it is not busy any more");

	begin();
	group.uses = 10;
	look(300, false);
	keep_busy();
	ok(look(300, false) == 86, "nor are they few as long as little is known of it");
}

static void
test_missed(void)
{
	begin();
	look(300, false);
	keep_busy();
	ok(look(300, true) == 6 && excerpt.from == 0, "if uses were missed, it is those that came first");
}

static void
test_asked(void)
{
	int			taken = 0;

	begin();
	look(300, false);
	for (int i = 0; i < 10; i++)
	{
		keep_busy();
		excerpt_begin(&excerpt, &group, last, last + SEC, PACE, false);
		for (int j = 1; j <= 30; j++)
			taken += excerpt_takes(&excerpt, last + SEC * j / 30);
		last += SEC;
	}
	ok(taken > 5 && taken < 20, "looks that come more often take no more in all");
	excerpt_begin(&excerpt, &group, last, last, PACE, false);
	ok(excerpt_takes(&excerpt, last), "one at the same time as another takes what there is");
}

static void
test_came_back(void)
{
	begin();
	members[0].strong_at = START + SEC;
	members[0].suspected = true;
	suspect_came_back(&group, &members[0], START + 100 * SEC, PACE);
	ok(group.refuted == 1 && group.longest == 99 * SEC,
	   "that one came back who was suspected is learned, though the use is not looked at");
	ok(members[0].free_since == 0 && !members[0].suspected && evidence_of(&members[0]) == 0,
	   "and nothing is held against it any more");
	suspect_came_back(&group, &members[1], START + 100 * SEC, PACE);
	ok(group.returns == 1, "of others it only is that they are in use");
}

int
main(void)
{
	test_seldom();
	test_busy();
	test_missed();
	test_asked();
	test_came_back();
	return done_testing();
}
