/*-------------------------------------------------------------------------
 *
 * pool.c
 *	  What is known of an application's sessions, and of how it pools them.
 *
 * Owns the seats of a group and what is learned of its pool: the order in
 * which it takes, the ages at which it closes, how often it does otherwise,
 * and whether it is one pool or several of one name.  All of it is learned
 * from sessions that turned out to have been in their pool, because what
 * happens to a lost one would teach that this is usual.
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
#define KIN_CONTRARY	0.05	/* uses of one pool against its order */
#define UNKNOWN_KIN		0.5
#define SEVERAL			0.25	/* connections opened while others are free */

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
	group->kin = 0.8;
	group->foreign = 0.35;
	group->contrary_rate = 0.5;
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
	for (int i = 0; i < SUSPECT_SEATS; i++)
	{
		memset(group->wins[i][seat], 0, sizeof(group->wins[i][seat]));
		group->pending[i][seat] = 0;
		group->kin_of[i][seat] = POOL_UNKNOWN;
	}
	memset(group->wins[seat], 0, sizeof(group->wins[seat]));
	memset(group->pending[seat], 0, sizeof(group->pending[seat]));
	memset(group->kin_of[seat], POOL_UNKNOWN, sizeof(group->kin_of[seat]));
	group->seats[seat] = member;
	group->nseats = Max(group->nseats, seat + 1);
	member->seat = seat;
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

/*
 * One was taken that is free since then, and another that is free too was not.
 * Two count a spell: who is lost loses all races, and he is one.
 */
void
pool_note_race(SuspectGroup *group, const SuspectMember *taken, int64 since, const SuspectMember *passed)
{
	uint8	   *pending = &group->pending[passed->seat][taken->seat];
	int			longer = *pending >> 4;
	int			shorter = *pending & 15;

	if (passed->free_since < since)
		longer = Min(longer + 1, 2);
	else
		shorter = Min(shorter + 1, 2);
	*pending = longer << 4 | shorter;
}

/* It was in its pool until now: what happened meanwhile is how its pool lives. */
void
pool_settle(SuspectGroup *group, const SuspectMember *member, int64 pace)
{
	int			q = member->seat;

	for (int p = 0; p < group->nseats; p++)
	{
		uint8	   *wins = group->wins[p][q];
		uint8	   *lost = group->wins[q][p];

		if (Max(wins[0], wins[1]) > 200)
		{
			wins[0] /= 2;
			wins[1] /= 2;
			lost[0] /= 2;
			lost[1] /= 2;
		}
		wins[0] += group->pending[q][p] & 15;
		wins[1] += group->pending[q][p] >> 4;
		group->pending[q][p] = 0;
	}
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

/* Log odds that two are of one pool, by the order in which they are taken. */
static double
kin_odds(const SuspectGroup *group, int a, int b, int *races, int *contrary)
{
	int			against = group->orders[POOL_NEWEST] > group->orders[POOL_OLDEST] ? 0 : 1;
	double		odds;

	*contrary = group->wins[a][b][against] + group->wins[b][a][against];
	*races = *contrary + group->wins[a][b][!against] + group->wins[b][a][!against];
	odds = log((1 - KIN_CONTRARY) / (1 - group->foreign)) * (*races - *contrary)
		+ log(KIN_CONTRARY / group->foreign) * *contrary;
	return Max(-8, Min(8, odds));
}

static double
posterior(double odds, double prior)
{
	return 1 / (1 + exp(-odds) * (1 - prior) / prior);
}

/* How much better two kinds of pairs explain the races than one kind. */
static double
gain_of(const SuspectGroup *group, double kin, int races, int contrary, double rate)
{
	double		two = kin * pow(KIN_CONTRARY, contrary) * pow(1 - KIN_CONTRARY, races - contrary)
	+ (1 - kin) * pow(group->foreign, contrary) * pow(1 - group->foreign, races - contrary);

	return log(Max(two, 1e-300)) - contrary * log(rate) - (races - contrary) * log(1 - rate);
}

/*
 * One walk over all pairs that raced: from the share that is kin to a better
 * guess of it.  Returns the gain.
 */
static double
guess_kin(SuspectGroup *group, double *kin, int *pairs)
{
	double		before = *kin;
	double		sum = 0.5,
				gain = 0,
				all = 0,
				against = 0;

	*pairs = 0;
	for (int i = 0; i < group->nseats; i++)
	{
		for (int j = i + 1; j < group->nseats; j++)
		{
			int			races,
						contrary;
			double		odds;

			if (group->seats[i] == NULL || group->seats[j] == NULL)
				continue;
			odds = kin_odds(group, i, j, &races, &contrary);
			if (races < 3)
				continue;
			sum += posterior(odds, before);
			gain += gain_of(group, before, races, contrary, group->contrary_rate);
			all += races;
			against += contrary;
			*pairs += 1;
		}
	}
	group->contrary_rate = Max(0.01, Min(0.99, against / Max(1, all)));
	group->foreign = Max(0.35, Min(0.6, group->contrary_rate));
	*kin = Max(0.01, Min(0.99, sum / (*pairs + 1)));
	return gain;
}

/*
 * One pool or several?  Two of one pool are nearly always taken in its order,
 * two of different pools are so by chance.  If that explains what was seen,
 * each pair is judged by it.
 */
void
pool_find_kin(SuspectGroup *group)
{
	double		kin = 0.5,
				gain = 0;
	int			pairs;

	for (int i = 0; i < 6; i++)
		gain = guess_kin(group, &kin, &pairs);
	group->kin = kin;
	group->structured = pairs >= 3 && gain > 5 && kin >= 0.05 && kin < 0.85 &&
		group->orders[POOL_FIRST] < Max(group->orders[POOL_NEWEST], group->orders[POOL_OLDEST]);
	for (int i = 0; i < group->nseats; i++)
	{
		for (int j = i + 1; j < group->nseats; j++)
		{
			int			races,
						contrary;
			double		odds = kin_odds(group, i, j, &races, &contrary);
			int			percent = (int) (100 * posterior(odds, kin));

			group->kin_of[i][j] = group->kin_of[j][i] = races < 4 ? POOL_UNKNOWN : percent;
		}
	}
}

/* How likely two are of one pool. */
double
pool_kinship(const SuspectGroup *group, const SuspectMember *a, const SuspectMember *b)
{
	uint8		kin = group->kin_of[a->seat][b->seat];

	if (!group->structured)
		return 1;
	return kin == POOL_UNKNOWN ? group->kin * UNKNOWN_KIN : kin / 100.0;
}

/* The same where it speaks for the suspect that they are. */
double
pool_kinship_at_most(const SuspectGroup *group, const SuspectMember *a, const SuspectMember *b)
{
	uint8		kin = group->kin_of[a->seat][b->seat];

	if (!group->structured || kin == POOL_UNKNOWN)
		return 1;
	return Max(0.3, kin / 100.0);
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
