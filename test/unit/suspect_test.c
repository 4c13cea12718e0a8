/*-------------------------------------------------------------------------
 *
 * suspect_test.c
 *	  Shows whom src/suspect.c suspects, without a server.
 *
 * Each sign by a small made-up pool, then recordings of real pools with the
 * exact outcome.  Prints TAP.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "../suspicion/recording.h"
#include "evidence.h"
#include "kin.h"
#include "tap.h"

#define SEC		INT64CONST(1000000)
#define MS		INT64CONST(1000)
#define MANY	40

/* A made-up application: when each of its sessions became free, 0: in use. */
typedef struct World
{
	SuspectGroup group;
	SuspectMember members[MANY];
	int64		free_since[MANY];
	int			count;
	int64		now;
	int64		stagger;		/* between uses that run at a time */
	SuspectLast last;			/* with what uses end */
	uint32		seed;
} World;

static World world;
static int64 pace = 5 * SEC;

static void
tell(int who, SuspectEventKind kind, uint32 print)
{
	SuspectEvent event = {
		.kind = kind,
		.at = world.now,
		.print = print,
		.last = world.last,
		.work = true,
	};

	suspect_event(&world.group, &world.members[who], &event, pace);
}

static int
random_below(int limit)
{
	world.seed = world.seed * 1103515245 + 12345;
	return (world.seed >> 16) % limit;
}

static int
connect_one(void)
{
	tell(world.count, SUSPECT_CONNECT, 0);
	return world.count++;
}

static void
begin_use(int who, uint32 print)
{
	tell(who, SUSPECT_TAKEN, print);
	world.free_since[who] = 0;
}

static void
end_use(int who, uint32 print)
{
	tell(who, SUSPECT_FREED, print);
	world.free_since[who] = world.now;
}

static void
use(int who, uint32 print)
{
	begin_use(who, print);
	world.now += 30 * MS;
	end_use(who, print);
}

static void
begin_world(int sessions)
{
	memset(&world, 0, sizeof(world));
	world.now = EPOCH;
	world.last = SUSPECT_LAST_WORK;
	suspect_group_init(&world.group);
	for (int i = 0; i < sessions; i++)
	{
		world.now += 10 * MS;
		connect_one();
	}
	for (int i = 0; i < sessions; i++)
	{
		world.now += SEC;
		use(i, 7);
	}
}

/* The free one that is so for longest, or for least, but for those lost. */
static int
next_one(PoolOrder order, uint64 lost)
{
	int			best = -1;

	for (int i = 0; i < world.count; i++)
	{
		if (world.free_since[i] == 0 || (lost >> i & 1))
			continue;
		if (best < 0 || (order == POOL_OLDEST ? world.free_since[i] < world.free_since[best] : world.free_since[i] > world.free_since[best]))
			best = i;
	}
	return best;
}

/* So many rounds of one to three uses at a time, in an order. */
static void
run(PoolOrder order, int rounds, int depth, uint64 lost)
{
	for (int round = 0; round < rounds; round++)
	{
		int			busy[MANY];
		int			n = 1 + random_below(depth);

		world.now += 250 * MS;
		for (int i = 0; i < n; i++)
		{
			world.now += world.stagger;
			busy[i] = next_one(order, lost);
			if (busy[i] < 0)
				n = i;
			else
				begin_use(busy[i], 7);
		}
		for (int i = n - 1; i >= 0; i--)
		{
			world.now += 120 * MS;
			end_use(busy[i], 7);
		}
	}
}

static bool
suspects(int who)
{
	Suspicion	suspicion;

	return suspect_judge(&world.group, &world.members[who], world.now, pace, &suspicion);
}

static int
suspects_of(uint64 whom)
{
	int			count = 0;

	for (int i = 0; i < world.count; i++)
		count += (whom >> i & 1) && suspects(i);
	return count;
}

static void
test_orders(void)
{
	begin_world(6);
	run(POOL_OLDEST, 200, 3, 0);
	ok(world.group.orders[POOL_OLDEST] > 0.8 * pool_orders(&world.group), "a pool that takes the oldest is seen to");
	ok(suspects_of(~UINT64CONST(0)) == 0, "and none of it is suspected");
	run(POOL_OLDEST, 200, 3, 1);
	ok(suspects(0), "one that it passes over is");
	ok(suspects_of(~UINT64CONST(1)) == 0, "and no other");

	begin_world(8);
	run(POOL_NEWEST, 300, 3, 0);
	ok(world.group.orders[POOL_NEWEST] > 0.8 * pool_orders(&world.group), "a pool that takes the newest is seen to");
	ok(suspects_of(~UINT64CONST(0)) == 0, "and the deep ones that it leaves alone are not suspected");
	begin_use(next_one(POOL_NEWEST, 0), 7);
	world.now += 120 * MS;
	for (int i = 0; i < world.count; i++)
	{
		if (world.free_since[i] == 0)
		{
			end_use(i, 7);
			run(POOL_NEWEST, 100, 5, UINT64CONST(1) << i);
			ok(suspects(i), "one that older ones are taken in place of is");
			ok(suspects_of(~(UINT64CONST(1) << i)) == 0, "and no other");
			break;
		}
	}
}

/* What clients do takes no longer where the pace is a minute. */
static void
test_as_shipped(void)
{
	pace = 60 * SEC;
	begin_world(3);
	run(POOL_OLDEST, 300, 2, 0);
	ok(world.group.orders[POOL_OLDEST] > 0.8 * pool_orders(&world.group), "at the pace of a minute too, the order of a fast pool is seen");
	run(POOL_OLDEST, 500, 2, 1);
	ok(suspects(0), "who was lost soon after its first uses is suspected");
	ok(suspects_of(~UINT64CONST(1)) == 0, "and no other");
	pace = 5 * SEC;
}

/* Of what was seen little tells of an order, but all fits the newest first. */
static void
test_deep(void)
{
	double		newest = -99;
	int			deep;

	begin_world(2);
	run(POOL_OLDEST, 80, 1, 0);
	deep = next_one(POOL_OLDEST, 0);
	for (int order = 0; order < NUM_POOL_ORDERS; order++)
		world.group.orders[order] = 100;
	world.group.always_newest = 0;
	run(POOL_NEWEST, 40, 1, 0);
	ok(evidence_of(&world.members[deep]) > EVIDENCE_STRONG, "by a mixture of orders, one is passed over");
	ok(!suspects(deep), "but not if the newest may always be taken");
	world.now += 100 * pace;
	ok(suspects_of(~UINT64CONST(0)) == 0, "nor when nothing moves any more");
	world.now -= 100 * pace;
	world.group.always_newest = -12;
	ok(suspects(deep), "it is, if that can't be");

	begin_world(10);
	run(POOL_OLDEST, 200, 3, 0);
	for (int lost = 1; lost < 9; lost++)
	{
		run(POOL_OLDEST, 1, 3, (UINT64CONST(1) << lost) - 1);
		newest = Max(newest, world.group.always_newest);
	}
	ok(newest < -EVIDENCE_STRONG, "which does not come to be possible when one after the other is lost");
}

/* Another pool under the old name: an application that was deployed anew. */
static void
test_changed_order(PoolOrder before, PoolOrder after)
{
	begin_world(6);
	run(before, 30000, 3, 0);
	for (int i = 0; i < 6; i++)
	{
		tell(i, SUSPECT_DISCONNECT, 0);
		world.free_since[i] = 0;
	}
	for (int i = 0; i < 6; i++)
	{
		world.now += SEC;
		use(connect_one(), 7);
	}
	run(after, 1000, 3, 0);
	ok(world.group.orders[after] > 0.5 * pool_orders(&world.group), "after months of another order, the new one is learned");
}

static void
test_back(void)
{
	int64		held;

	begin_world(6);
	run(POOL_OLDEST, 200, 3, 0);
	run(POOL_OLDEST, 100, 3, 1);
	ok(suspects(0), "one is suspected");
	held = world.now - world.members[0].strong_at;
	use(0, 7);
	ok(!suspects(0) && world.group.refuted == 1, "until it comes back, which is counted");
	ok(world.group.longest == held, "and remembered as long as it was");
	run(POOL_OLDEST, 20, 3, 2);
	ok(!suspects(1), "the group is more careful then");
	run(POOL_OLDEST, 600, 3, 2);
	ok(suspects(1), "but not for ever");
}

static void
test_silence(void)
{
	begin_world(6);
	run(POOL_OLDEST, 200, 3, 0);
	world.now += 600 * SEC;
	ok(suspects_of(~UINT64CONST(0)) == 0, "silence says nothing, however long");
}

static void
test_own_work(void)
{
	int			scheduler;

	begin_world(6);
	run(POOL_OLDEST, 200, 3, 0);
	scheduler = connect_one();
	world.now += SEC;
	use(scheduler, 99);
	run(POOL_OLDEST, 200, 3, UINT64CONST(1) << scheduler);
	ok(!suspects(scheduler), "a session that does other work is not of the pool");
}

static void
test_reset(void)
{
	begin_world(6);
	world.last = SUSPECT_LAST_RESET;
	run(POOL_NEWEST, 200, 3, 0);
	world.last = SUSPECT_LAST_WORK;
	use(0, 7);
	ok(world.members[0].sign[SUSPECT_UNMARKED] > 3, "a use without the pool's reset speaks against it");
	world.last = SUSPECT_LAST_RESET;
	use(1, 7);
	ok(world.members[1].sign[SUSPECT_UNMARKED] < -3, "and one with it for it");
}

static void
test_opened(void)
{
	begin_world(4);
	run(POOL_OLDEST, 200, 3, 0);
	for (int i = 1; i < 4; i++)
		begin_use(i, 7);
	for (int i = 0; i < 3; i++)
	{
		int			more;

		world.now += SEC;
		more = connect_one();
		world.now += 20 * MS;
		begin_use(more, 7);
	}
	ok(world.members[0].opened == 3 && world.members[0].sign[SUSPECT_OPENED] > 5,
	   "connections that are opened while it is free speak against it");
}

static void
test_closing(void)
{
	begin_world(12);
	run(POOL_NEWEST, 100, 3, 0);
	world.now += 2 * SEC;
	for (int i = 1; i < 7; i++)
		use(i, 7);
	world.now += 10 * SEC;
	for (int i = 1; i < 7; i++)
	{
		world.now += 30 * MS;
		tell(i, SUSPECT_DISCONNECT, 0);
		world.free_since[i] = 0;
	}
	ok(pool_closing_age(&world.group, pace) > 9 * SEC && pool_closing_age(&world.group, pace) < 11 * SEC,
	   "the age at which free ones are closed is learned");
	ok(world.members[11].spared > 0 && world.members[11].sign[SUSPECT_SPARED] > 2, "one free for longer that stays is noted");
	world.now += 10 * SEC;
	suspects(11);
	ok(world.members[11].sign[SUSPECT_OUTLIVED] > 0, "and so that it outlives them");
}

static void
test_gap(void)
{
	begin_world(6);
	run(POOL_OLDEST, 200, 3, 0);
	run(POOL_OLDEST, 100, 3, 1);
	suspect_gap(&world.group, world.now, world.now + SEC);
	suspect_resync(&world.group, &world.members[0], true, world.now, pace);
	world.now += 11 * SEC;
	ok(!suspects(0), "after events were missed it is judged by what comes then");
	suspect_leave(&world.group, &world.members[0]);
	tell(0, SUSPECT_TAKEN, 7);
	ok(world.members[0].seat < 0 && world.group.seats[0] == NULL, "one that has left is of the group no more");
}

/* So many rounds of two processes at once, of which the one has the even ones. */
static void
run_two(PoolOrder order, int rounds, uint64 lost)
{
	const uint64 even = UINT64CONST(0x5555555555555555);

	for (int round = 0; round < rounds; round++)
	{
		int			busy[6];
		int			n = 0;

		world.now += 250 * MS;
		for (int i = 0; i < 6; i++)
		{
			uint64		others = i % 2 == 0 ? ~even : even;
			int			who = random_below(2) ? next_one(order, lost | others) : -1;

			if (who < 0)
				continue;
			world.now += 20 * MS;
			begin_use(who, 7);
			busy[n++] = who;
		}
		while (n > 0)
		{
			int			i = random_below(n);

			world.now += 120 * MS;
			end_use(busy[i], 7);
			busy[i] = busy[--n];
		}
	}
}

static bool
is_told_apart(void)
{
	for (int i = 0; i < world.count; i++)
	{
		for (int j = 0; j < i; j++)
		{
			double		likely = kin_likely(&world.group, &world.members[i], &world.members[j]);

			if ((i - j) % 2 == 0 ? likely < 0.9 : likely > 0.1)
				return false;
		}
	}
	return world.group.structured && world.group.pools == 2;
}

static void
test_two_processes(PoolOrder order)
{
	const uint64 all = ~UINT64CONST(0);
	const uint64 odd = UINT64CONST(0xAAAAAAAAAAAAAAAA);

	begin_world(6);
	run_two(order, 600, 0);
	ok(is_told_apart(), "two pools of one name are told apart");
	ok(suspects_of(all) == 0, "and none of them is suspected");
	run_two(order, 400, odd);
	ok(suspects_of(all) == 0, "nor when the one falls silent");
	if (order != POOL_OLDEST)
		return;
	run_two(order, 50, 0);
	run_two(order, 400, odd | 1);
	ok(suspects(0) && suspects_of(all) == 1, "but one that its own pool passes over then is");
}

/* Its kin has gone since, and new ones have come. */
static void
test_remembered(void)
{
	begin_world(6);
	run_two(POOL_OLDEST, 600, 0);
	run_two(POOL_OLDEST, 4, 1);
	for (int i = 2; i < 6; i++)
	{
		world.now += SEC;
		use(connect_one(), 7);
		run_two(POOL_OLDEST, 60, 1);
		tell(i, SUSPECT_DISCONNECT, 0);
		world.free_since[i] = 0;
	}
	run_two(POOL_OLDEST, 100, 1);
	ok(world.group.structured && kin_likely(&world.group, &world.members[0], &world.members[8]) > 0.9 &&
	   kin_likely(&world.group, &world.members[0], &world.members[7]) < 0.1, "of which pool it is, is remembered");
	ok(suspects(0), "and so it is suspected");
}

static void
test_exhausted(void)
{
	begin_world(6);
	run(POOL_OLDEST, 200, 3, 0);
	for (int i = 0; i < 6; i++)
	{
		use(i, 7);
		run(POOL_OLDEST, 6, 3, (UINT64CONST(2) << i) - 1);
	}
	world.now += 11 * SEC;
	ok(suspects_of(~UINT64CONST(0)) < 6, "what little there is against each is not enough");
	world.now += 10 * SEC;
	for (int i = 0; i < 6; i++)
		suspects(i);
	ok(suspects_of(~UINT64CONST(0)) == 6, "but when nothing moves any more, all that are left are suspected with it");
}

/* What is not needed is left alone, and what is needed is not. */
static void
test_queued(void)
{
	bool		wrongly = false;
	int			deep;

	begin_world(2);
	run(POOL_NEWEST, 20, 2, 0);
	for (int i = 0; i < 1000; i++)
	{
		int			who = next_one(POOL_NEWEST, 0);

		world.now += 100 * MS;
		begin_use(who, 7);
		world.now += (50 + random_below(100)) * MS;
		end_use(who, 7);
		wrongly |= suspects_of(~UINT64CONST(0)) > 0;
	}
	ok(!wrongly, "of an application that does one thing at a time, one that it leaves alone is not suspected");

	begin_world(3);
	world.stagger = 100 * MS;
	run(POOL_NEWEST, 200, 3, 0);
	deep = next_one(POOL_OLDEST, 0);
	run(POOL_NEWEST, 200, 3, UINT64CONST(1) << deep);
	ok(world.members[deep].sign[SUSPECT_QUEUED] > EVIDENCE_STRONG, "but where uses come while others are in use, one is needed");
	ok(suspects(deep), "and suspected when it is not taken");
}

static void
test_bounds(void)
{
	static SuspectMember crowd[SUSPECT_SEATS + 10];
	Suspicion	suspicion;
	SuspectEvent event = {
		.kind = SUSPECT_CONNECT,
		.at = EPOCH,
	};

	begin_world(0);
	for (int i = 0; i < lengthof(crowd); i++)
		suspect_event(&world.group, &crowd[i], &event, pace);
	ok(crowd[SUSPECT_SEATS - 1].seat == SUSPECT_SEATS - 1 && crowd[SUSPECT_SEATS].seat < 0, "a group has room for so many");
	event.kind = SUSPECT_FREED;
	event.print = 7;
	suspect_event(&world.group, &crowd[SUSPECT_SEATS], &event, pace);
	ok(!suspect_judge(&world.group, &crowd[SUSPECT_SEATS], EPOCH + 100 * SEC, pace, &suspicion), "who is over it is never suspected");
	ok(sizeof(SuspectMember) <= 120 && sizeof(SuspectGroup) <= 12 * 1024 && sizeof(Suspicion) == 12, "the state is as small as stated");
}

static void
says(Suspicion suspicion, const char *expected)
{
	char		buffer[SUSPECT_REASON_SIZE];

	suspect_reason(&suspicion, buffer, sizeof(buffer));
	ok(strcmp(buffer, expected) == 0, "%s", buffer);
}

static void
test_words(void)
{
	Suspicion	suspicion = {
		.confidence = 99,
		.sign = SUSPECT_SPARED,
		.others = 9,
		.opened = 14,
		.uses = 230,
		.ms = 10000,
	};

	says(suspicion, "its application has opened 14 connections and used 9 others 230 times since this one was last used; its pool closes free connections after 10 s");
	suspicion.opened = 0;
	suspicion.others = 1;
	suspicion.uses = 1;
	suspicion.ms = 0;
	suspicion.sign = SUSPECT_FAILED;
	says(suspicion, "its application has used 1 other 1 time since this one was last used; its last use ended with a failed statement");
	suspicion.others = 0;
	suspicion.uses = 49;
	suspicion.sign = SUSPECT_PASSED;
	says(suspicion, "its application has used others 49 times since this one was last used");
	suspicion.uses = 0;
	suspicion.sign = SUSPECT_EXHAUSTED;
	says(suspicion, "its application has used no other since this one was last used; most of the other connections are suspected too, and none is used any more");
}

/* Replays a recording; each suspicion is counted once a spell. */
static void
replay(const char *name, int right, int wrong, int missed)
{
	static Recording recording;
	static SuspectGroup groups[MAX_APPLICATIONS];
	static SuspectMember members[MAX_SESSIONS];
	static bool said[MAX_SESSIONS];
	static bool found[MAX_SESSIONS];
	char		path[MAXPGPATH];
	int64		tick = EPOCH;
	int			got[3] = {0, 0, 0};

	memset(members, 0, sizeof(members));
	memset(said, 0, sizeof(said));
	memset(found, 0, sizeof(found));
	for (int i = 0; i < MAX_APPLICATIONS; i++)
		suspect_group_init(&groups[i]);
	snprintf(path, sizeof(path), "test/suspicion/recordings/%s.ev.gz", name);
	if (!recording_load(&recording, path, pace, 0))
	{
		ok(false, "%s can't be read", path);
		return;
	}
	for (int i = 0; i < recording.nevents; i++)
	{
		int			who = recording.events[i].session;

		for (; tick <= recording.events[i].event.at && tick <= recording.end; tick += SEC / 4)
		{
			for (int j = 0; j < recording.nsessions; j++)
			{
				const Heard *heard = &recording.sessions[j];
				Suspicion	suspicion;

				if (said[j] || heard->listens || !suspect_judge(&groups[heard->application], &members[j], tick, pace, &suspicion))
					continue;
				said[j] = true;
				found[j] = heard->leak != 0 && tick >= heard->leak;
				got[found[j] ? 0 : 1]++;
			}
		}
		said[who] &= recording.events[i].event.kind != SUSPECT_TAKEN;
		suspect_event(&groups[recording.sessions[who].application], &members[who], &recording.events[i].event, pace);
	}
	for (int i = 0; i < recording.nsessions; i++)
		got[2] += recording.sessions[i].leak != 0 && recording.sessions[i].leak <= recording.end - 5 * pace && !found[i];
	ok(got[0] == right && got[1] == wrong && got[2] == missed, "%s: %d right, %d wrong, %d missed", name, got[0], got[1], got[2]);
}

int
main(void)
{
	test_orders();
	test_as_shipped();
	test_deep();
	test_changed_order(POOL_OLDEST, POOL_NEWEST);
	test_changed_order(POOL_NEWEST, POOL_OLDEST);
	test_back();
	test_silence();
	test_own_work();
	test_reset();
	test_opened();
	test_closing();
	test_gap();
	test_two_processes(POOL_OLDEST);
	test_two_processes(POOL_NEWEST);
	test_remembered();
	test_exhausted();
	test_queued();
	test_bounds();
	test_words();
	replay("pg_slow-leak_212", 3, 0, 1);
	replay("hikari_slow-leak_212", 4, 0, 0);
	replay("sqlalchemy_slow-leak_212", 4, 0, 0);
	replay("psycopg_errors-leak_208", 5, 0, 0);
	replay("pg_night_100", 0, 0, 0);
	replay("hikari_starved_101", 0, 0, 0);
	replay("knex_bursty_91026", 0, 0, 0);
	return done_testing();
}
