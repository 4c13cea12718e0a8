/*-------------------------------------------------------------------------
 *
 * pool.c
 *	  What is known of an application's sessions, and of how it pools them.
 *
 * Owns the seats of a group and what is learned of its pool: the order in
 * which it takes, the ages at which it closes, and how often it does otherwise.
 * All of it is learned from sessions that turned out to have been in their pool,
 * because what happens to a lost one would teach that this is usual.
 *
 * Pure: nothing here calls the server.  doc/suspicion.md has the reasons.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "pool.h"

#define FORGET_COUNTS	1000.0	/* counts are halved there */
#define FORGET_LONGEST	20		/* paces in which the longest fades to 1/e */
#define LEAST_SLIP		0.02
#define MOST_SLIP		0.3
#define PRIOR_SLIPS		20.0	/* uses that the prior of one in ten is worth */
#define SEVERAL			0.4		/* connections opened while others are free */

void
pool_init(SuspectGroup *group)
{
	memset(group, 0, sizeof(*group));
	group->orders[POOL_ANY] = 0.5;
	group->orders[POOL_NEWEST] = 2;
	group->orders[POOL_OLDEST] = 1;
	group->orders[POOL_FIRST] = 0.5;
	group->slips = PRIOR_SLIPS / 10;
	group->ordered = PRIOR_SLIPS;
	group->queue_taken = 1;
	group->queue_missed = 2;
}

void
pool_seat(SuspectGroup *group, SuspectMember *member)
{
	int			seat = 0;

	member->seat = -1;
	while (seat < SUSPECT_SEATS && group->seats[seat] != NULL)
		seat++;
	if (seat == SUSPECT_SEATS)
		return;
	group->seats[seat] = member;
	group->nseats = Max(group->nseats, seat + 1);
	member->seat = (int16) seat;
}

void
pool_unseat(SuspectGroup *group, SuspectMember *member)
{
	if (member->seat < 0)
		return;
	for (int i = 0; i < SUSPECT_PRINTS; i++)
	{
		if (group->prints[i].seat == member->seat)
			group->prints[i].print = 0;
	}
	group->seats[member->seat] = NULL;
	member->seat = -1;
}

/* A pool's sessions do the same work; a scheduler's own session does its own. */
static void
count_work(SuspectMember *member, bool shared)
{
	if (shared)
		member->work_shared++;
	else
		member->work_own++;
	if (Max(member->work_shared, member->work_own) > FORGET_COUNTS)
	{
		member->work_shared /= 2;
		member->work_own /= 2;
	}
	member->shared = member->work_shared > member->work_own;
}

void
pool_note_work(SuspectGroup *group, SuspectMember *member, uint32 print)
{
	SuspectPrint *known = NULL;

	if (print == 0)
		return;
	member->worked = true;
	for (int i = 0; i < SUSPECT_PRINTS && known == NULL; i++)
	{
		if (group->prints[i].print == print)
			known = &group->prints[i];
	}
	if (known == NULL)
	{
		known = &group->prints[group->next_print];
		group->next_print = (group->next_print + 1) % SUSPECT_PRINTS;
		known->print = print;
		known->seat = (int8) member->seat;
	}
	else if (known->seat >= 0 && known->seat != member->seat)
	{
		SuspectMember *first = group->seats[known->seat];

		if (first != NULL)
		{
			first->work_own -= first->work_own > 0;
			count_work(first, true);
		}
		known->seat = -1;
	}
	count_work(member, known->seat < 0);
}

/* It was in its pool until now: what happened meanwhile is how its pool lives. */
void
pool_settle(SuspectGroup *group, const SuspectMember *member, int64 pace)
{
	for (int i = 0; i < group->ndemands; i++)
	{
		if (group->demands[i].at > member->free_since + POOL_TIE(pace))
			group->demands[i].contrary = true;
	}
}

void
pool_note_demand(SuspectGroup *group, int64 at)
{
	SuspectDemand *demand = &group->demands[group->next_demand];

	demand->at = at;
	demand->contrary = false;
	group->next_demand = (group->next_demand + 1) % SUSPECT_DEMANDS;
	group->ndemands = Min(group->ndemands + 1, SUSPECT_DEMANDS);
}

void
pool_note_end(SuspectGroup *group, const SuspectMember *member, int64 at)
{
	SuspectEnd *end = &group->ends[group->next_end];

	end->at = at;
	end->idle = member->free_since != 0 ? at - member->free_since : 0;
	end->age = at - member->born;
	group->next_end = (group->next_end + 1) % SUSPECT_ENDS;
	group->nends = Min(group->nends + 1, SUSPECT_ENDS);
}

double
pool_orders(const SuspectGroup *group)
{
	double		sum = 0;

	for (int i = 0; i < NUM_POOL_ORDERS; i++)
		sum += group->orders[i];
	return sum;
}

/* Are so many taken in the order in which they were freed, either way? */
bool
pool_is_ordered(const SuspectGroup *group, double share)
{
	return group->orders[POOL_NEWEST] + group->orders[POOL_OLDEST] > share * pool_orders(group);
}

/* How likely a pool with an order passes over one that stands before. */
double
pool_slip(const SuspectGroup *group)
{
	double		mean = group->slips / group->ordered;

	return Max(LEAST_SLIP, Min(MOST_SLIP, mean / (1 + mean)));
}

/* How likely a connection is opened while one is free. */
double
pool_contrary(const SuspectGroup *group)
{
	int			contrary = 0;

	for (int i = 0; i < group->ndemands; i++)
		contrary += group->demands[i].contrary;
	return (contrary + 0.3) / (group->ndemands + 3);
}

/* One pool opens connections when it has no free one; several do so always. */
bool
pool_is_several(const SuspectGroup *group)
{
	return group->structured || (group->ndemands >= 5 && pool_contrary(group) > SEVERAL);
}

double
pool_longest(const SuspectGroup *group, int64 at, int64 pace)
{
	return group->longest * exp(-(at - group->longest_at) / (FORGET_LONGEST * (double) pace));
}

bool
pool_is_left(const SuspectMember *member, int64 at, int64 pace)
{
	return member->free_since != 0 && at - member->free_since >= POOL_LEFT(pace);
}

static int
by_size(const void *a, const void *b)
{
	int64		x = *(const int64 *) a;
	int64		y = *(const int64 *) b;

	return (x > y) - (x < y);
}

/* The median, if most are near it; 0: they are not, or there are too few. */
static int64
common_age(int64 *ages, int count, int least, double from, double to)
{
	int			near = 0;
	int64		median;

	if (count < least)
		return 0;
	qsort(ages, count, sizeof(int64), by_size);
	median = ages[count / 2];
	for (int i = 0; i < count; i++)
		near += ages[i] >= from * median && ages[i] <= to * median;
	return near >= least && near >= 0.6 * count ? median : 0;
}

/* How long free ones are left open; 0: no such time is known. */
int64
pool_closing_age(const SuspectGroup *group, int64 pace)
{
	int64		ages[SUSPECT_ENDS];
	int			count = 0;

	for (int i = 0; i < group->nends; i++)
	{
		if (group->ends[i].idle > POOL_LONG(pace))
			ages[count++] = group->ends[i].idle;
	}
	return common_age(ages, count, 3, 0.8, 1.25);
}

/* At what age any is closed, but for those that had been free for too long. */
int64
pool_closing_life(const SuspectGroup *group, int64 pace)
{
	int64		age = pool_closing_age(group, pace);
	int64		ages[SUSPECT_ENDS];
	int			count = 0;

	for (int i = 0; i < group->nends; i++)
	{
		const SuspectEnd *end = &group->ends[i];
		bool		by_age = age > 0 && end->idle > 0.75 * age && end->idle < 1.3 * age;

		if (end->age > 2 * pace && !by_age)
			ages[count++] = end->age;
	}
	return common_age(ages, count, 4, 0.93, 1.07);
}
