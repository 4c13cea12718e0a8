/*-------------------------------------------------------------------------
 *
 * kin.c
 *	  Which sessions of one name are of one pool.
 *
 * Several processes of an application have a pool each, and one name.  Two
 * sessions of one pool are nearly always taken in the order that it keeps; two
 * of different pools are so by chance.  So it is counted of each pair what
 * happened while one of the two was free, and put together who belongs
 * together.
 *
 * Owns the pairs of a group, and of its members the pool and how certain it is.
 * Pure: nothing here calls the server.  doc/suspicion.md has the reasons.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "kin.h"

#define PRIOR_MET		20		/* meetings that the two priors are worth */
#define PRIOR_KIN		0.05	/* of them against the order, in one pool */
#define LEAST_KIN		0.02
#define MOST_KIN		0.1
#define PRIOR_FOREIGN	0.5		/* and of two pools: by chance */
#define LEAST_FOREIGN	0.3
#define MOST_FOREIGN	0.95
#define TRUST			0.7		/* what a meeting is worth, as one spell
								 * brings several */
#define ENOUGH_MET		3		/* fewer tell nothing new of one */
#define LEAST_GAIN		5.0		/* log of how much better several explain it */
#define GAIN_EACH		1.5		/* and for each session */
#define LEAST_LIKELY	0.3		/* kin, where that speaks against one */
#define KNOWN			8.0		/* log odds */
#define PER_LOG			8.0		/* log odds are kept in eighths */

/* What one meeting says, as log odds that the two are of one pool. */
typedef struct Saying
{
	int			order;			/* by which it is asked */
	double		against;
	double		with;
} Saying;

/* Pairs of sessions, then of pools: log odds that the two are of one. */
typedef struct Links
{
	float		odds[SUSPECT_SEATS][SUSPECT_SEATS];
	bool		there[SUSPECT_SEATS];
	int			partner[SUSPECT_SEATS]; /* likeliest of those before it; -1:
										 * none is likely */
	int			count;
	uint8		pool[SUSPECT_SEATS];	/* as it was known before */
	uint8		certain[SUSPECT_SEATS]; /* 0: it was not */
} Links;

void
kin_init(SuspectGroup *group)
{
	group->pools = 1;
	group->kin_against = PRIOR_KIN;
	group->foreign_against = PRIOR_FOREIGN;
}

static PoolPair *
pair_of(SuspectGroup *group, int a, int b)
{
	int			high = Max(a, b);

	return &group->pairs[high * (high - 1) / 2 + Min(a, b)];
}

/* Of what happened while that seat's was free only this is kept. */
static void
keep_only(SuspectGroup *group, int seat, uint64 kept)
{
	group->met[seat] &= kept;
	group->against[seat][0] &= kept;
	group->against[seat][1] &= kept;
	group->opened[seat] &= kept;
}

/* It has just been seated, and nothing is known of it. */
void
kin_seat(SuspectGroup *group, SuspectMember *member)
{
	if (member->seat < 0)
		return;
	for (int i = 0; i < SUSPECT_SEATS; i++)
	{
		if (i != member->seat)
			memset(pair_of(group, i, member->seat), 0, sizeof(PoolPair));
		keep_only(group, i, ~((uint64) 1 << member->seat));
	}
	keep_only(group, member->seat, 0);
	group->of_pool[member->seat] = 0;
	member->pool = POOL_UNKNOWN;
	member->certain = 0;
	member->among_several = false;
}

/* It is free from now on. */
void
kin_begin_spell(SuspectGroup *group, const SuspectMember *member)
{
	keep_only(group, member->seat, 0);
}

/*
 * One was taken that is free since then, and another that is free too was not.
 * Newest first that is against the order if the other became free meanwhile,
 * of which only the first time tells: later it has been freed after the other.
 */
void
kin_note_taken(SuspectGroup *group, const SuspectMember *taken, int64 since, const SuspectMember *passed)
{
	uint64		bit = (uint64) 1 << taken->seat;
	int			seat = passed->seat;

	if (passed->free_since < since)
		group->against[seat][1] |= bit;
	else if (!(group->met[seat] & bit))
		group->against[seat][0] |= bit;
	group->met[seat] |= bit;
}

/* One was opened for need, and another is free. */
void
kin_note_opened(SuspectGroup *group, const SuspectMember *opened, const SuspectMember *passed)
{
	group->opened[passed->seat] |= (uint64) 1 << opened->seat;
}

bool
kin_saw_opened(const SuspectGroup *group, const SuspectMember *member, int seat)
{
	return (group->opened[member->seat] >> seat & 1) != 0;
}

static void
note_meeting(PoolPair *pair, bool newest, bool oldest)
{
	if (pair->met == PG_UINT8_MAX)
	{
		pair->met /= 2;
		pair->against[0] /= 2;
		pair->against[1] /= 2;
	}
	pair->met++;
	pair->against[0] += newest;
	pair->against[1] += oldest;
}

/* It was in its pool until now: what happened meanwhile is how its pool lives. */
void
kin_settle(SuspectGroup *group, const SuspectMember *member)
{
	int			seat = member->seat;

	for (int i = 0; i < group->nseats; i++)
	{
		uint64		bit = (uint64) 1 << i;

		if (group->met[seat] & bit)
			note_meeting(pair_of(group, seat, i), (group->against[seat][0] & bit) != 0, (group->against[seat][1] & bit) != 0);
		if (group->opened[seat] & bit)
			note_meeting(pair_of(group, seat, i), true, true);
	}
	keep_only(group, seat, 0);
}

static double
odds_of(SuspectGroup *group, const Saying *saying, int a, int b)
{
	const PoolPair *pair = pair_of(group, a, b);
	int			against = pair->against[saying->order];

	return saying->against * against + saying->with * (pair->met - against);
}

static double
rate_of(double against, double met, double prior, double least, double most)
{
	return Max(least, Min(most, (against + prior * PRIOR_MET) / (met + PRIOR_MET)));
}

/*
 * How often two of one pool, and two of different ones, are against the order.
 * Returns how much better these explain all meetings than one rate does.
 */
static double
learn_rates(SuspectGroup *group, int order)
{
	double		met[2] = {0, 0};	/* of one pool, of different ones */
	double		against[2] = {0, 0};
	double		rate,
				gain = 0;

	for (int a = 0; a < group->nseats; a++)
	{
		for (int b = 0; b < a; b++)
		{
			const PoolPair *pair = pair_of(group, a, b);
			bool		foreign;

			if (group->seats[a] == NULL || group->seats[b] == NULL)
				continue;
			foreign = group->seats[a]->pool != group->seats[b]->pool;
			met[foreign] += pair->met;
			against[foreign] += pair->against[order];
		}
	}
	rate = (against[0] + against[1] + 1) / (met[0] + met[1] + 2);
	group->kin_against = rate_of(against[0], met[0], PRIOR_KIN, LEAST_KIN, MOST_KIN);
	group->foreign_against = rate_of(against[1], met[1], PRIOR_FOREIGN, LEAST_FOREIGN, MOST_FOREIGN);
	for (int i = 0; i < 2; i++)
	{
		double		told = i == 0 ? group->kin_against : group->foreign_against;

		gain += against[i] * log(told / rate) + (met[i] - against[i]) * log((1 - told) / (1 - rate));
	}
	return gain;
}

/*
 * Two that have not met are what they were held to be: who is lost meets no new
 * one any more, and those whom it has met may be gone.
 */
static double
link_of(SuspectGroup *group, const Saying *saying, const Links *links, int a, int b)
{
	double		known = Min(links->certain[a], links->certain[b]) / PER_LOG;

	if (pair_of(group, a, b)->met > 0)
		return odds_of(group, saying, a, b);
	return links->pool[a] == links->pool[b] ? known : -known;
}

/* At first each session is a pool of its own.  Returns how many there are. */
static int
link_pairs(SuspectGroup *group, const Saying *saying, Links *links)
{
	int			members = 0;

	links->count = group->nseats;
	for (int i = 0; i < group->nseats; i++)
	{
		SuspectMember *member = group->seats[i];

		if (member == NULL)
			continue;
		links->there[i] = true;
		links->pool[i] = member->pool;
		links->certain[i] = group->structured ? member->certain : 0;
		member->pool = (uint8) i;
		for (int j = 0; j < i; j++)
			links->odds[i][j] = links->odds[j][i] = links->there[j] ? link_of(group, saying, links, i, j) : 0;
		members++;
	}
	return members;
}

static void
find_partner(Links *links, int seat)
{
	float		best = 0;

	links->partner[seat] = -1;
	for (int i = 0; i < seat; i++)
	{
		if (!links->there[i] || links->odds[seat][i] <= best)
			continue;
		best = links->odds[seat][i];
		links->partner[seat] = i;
	}
}

/* Of those that have a partner the one for which that is likeliest; -1: none has. */
static int
likeliest(const Links *links)
{
	int			likeliest = -1;
	float		best = 0;

	for (int i = 0; i < links->count; i++)
	{
		if (!links->there[i] || links->partner[i] < 0 || links->odds[i][links->partner[i]] <= best)
			continue;
		best = links->odds[i][links->partner[i]];
		likeliest = i;
	}
	return likeliest;
}

/* One has come to be of another's pool: what the others say of both adds up. */
static void
join(SuspectGroup *group, Links *links, int joined, int pool)
{
	links->there[joined] = false;
	for (int i = 0; i < links->count; i++)
	{
		links->odds[pool][i] += links->odds[joined][i];
		links->odds[i][pool] = links->odds[pool][i];
		if (group->seats[i] != NULL && group->seats[i]->pool == joined)
			group->seats[i]->pool = (uint8) pool;
	}
}

/* Partners are found anew only where that can have changed them. */
static void
put_together(SuspectGroup *group, Links *links)
{
	int			joined;

	for (int i = 0; i < links->count; i++)
		find_partner(links, i);
	while ((joined = likeliest(links)) >= 0)
	{
		int			pool = links->partner[joined];

		join(group, links, joined, pool);
		find_partner(links, pool);
		for (int i = pool + 1; i < links->count; i++)
		{
			int			partner = links->partner[i];

			if (partner == pool || partner == joined ||
				links->odds[i][pool] > (partner < 0 ? 0 : links->odds[i][partner]))
				find_partner(links, i);
		}
	}
}

/* How certain it is that this one is of its pool, and not of another. */
static void
weigh_pool(SuspectGroup *group, const Saying *saying, const Links *links, int seat)
{
	SuspectMember *member = group->seats[seat];
	double		odds[SUSPECT_SEATS] = {0};	/* that it is of each */
	double		rest = 0;
	int			met = 0;
	int			certain;

	for (int i = 0; i < group->nseats; i++)
	{
		if (group->seats[i] == NULL || i == seat)
			continue;
		odds[group->seats[i]->pool] += link_of(group, saying, links, seat, i);
		met += pair_of(group, seat, i)->met;
	}
	if (odds[member->pool] != 0)	/* or it is of one that nobody else is of */
		rest = exp(-odds[member->pool]);
	for (int i = 0; i < links->count; i++)
	{
		if (links->there[i] && i != member->pool)
			rest += exp(odds[i] - odds[member->pool]);
	}
	certain = (int) Max(0, Min(POOL_CERTAIN, -PER_LOG * TRUST * log(Max(rest, 1e-15))));
	member->certain = (uint8) (met < ENOUGH_MET ? Min(certain, links->certain[seat]) : certain);
	group->of_pool[seat] = 1 / (1 + exp(-member->certain / PER_LOG));
}

/* So many pools, of which so many have more than one session. */
static int
count_pools(const SuspectGroup *group, int *shared)
{
	int			sizes[SUSPECT_SEATS] = {0};
	int			pools = 0;

	*shared = 0;
	for (int i = 0; i < group->nseats; i++)
	{
		int			size = group->seats[i] == NULL ? 0 : ++sizes[group->seats[i]->pool];

		pools += size == 1;
		*shared += size == 2;
	}
	return pools;
}

/* Where the order is that of connecting, or none, pairs tell nothing. */
static bool
is_order_told(const SuspectGroup *group)
{
	return group->orders[POOL_FIRST] < Max(group->orders[POOL_NEWEST], group->orders[POOL_OLDEST]);
}

/* One pool or several, and who is of which? */
void
kin_tell_apart(SuspectGroup *group)
{
	Saying		saying = {
		.order = group->orders[POOL_NEWEST] > group->orders[POOL_OLDEST] ? 0 : 1,
		.against = log(group->kin_against / group->foreign_against),
		.with = log((1 - group->kin_against) / (1 - group->foreign_against)),
	};
	Links		links;
	int			members,
				shared;
	double		gain;

	memset(&links, 0, sizeof(links));
	members = link_pairs(group, &saying, &links);
	put_together(group, &links);
	for (int i = 0; i < group->nseats; i++)
	{
		if (group->seats[i] != NULL)
			weigh_pool(group, &saying, &links, i);
	}
	gain = learn_rates(group, saying.order);
	group->pools = count_pools(group, &shared);
	group->structured = group->pools > 1 && is_order_told(group) &&
		(group->structured ? gain > 0 : shared > 1 && gain > LEAST_GAIN + GAIN_EACH * members);
	for (int i = 0; i < group->nseats; i++)
	{
		SuspectMember *member = group->seats[i];

		if (member != NULL)
			member->among_several = group->structured && member->certain >= KNOWN * PER_LOG;
	}
}

static inline double
chance_of_kin(const SuspectGroup *group, const SuspectMember *a, const SuspectMember *b)
{
	double		both = group->of_pool[a->seat] * group->of_pool[b->seat];

	return (a->pool == b->pool ? both : 0) + (1 - both) / group->pools;
}

/* How likely two are of one pool. */
double
kin_likely(const SuspectGroup *group, const SuspectMember *a, const SuspectMember *b)
{
	return group->structured ? chance_of_kin(group, a, b) : 1;
}

/*
 * How likely no other of its pool is free, with how likely each is free.  That
 * speaks against it, so who may be of its pool counts as if it were.
 */
double
kin_none_free(const SuspectGroup *group, const SuspectMember *member, const double *free)
{
	double		none = 1;

	for (int i = 0; i < group->nseats && none > 1e-6; i++)
	{
		double		kin = 1;

		if (i == member->seat || free[i] <= 0)
			continue;
		if (group->structured && member->pool != POOL_UNKNOWN && group->seats[i]->pool != POOL_UNKNOWN)
			kin = chance_of_kin(group, member, group->seats[i]);
		none *= 1 - free[i] * Max(LEAST_LIKELY, kin);
	}
	return none;
}

/* How likely another of its pool is in use. */
double
kin_likely_busy(const SuspectGroup *group, const SuspectMember *member)
{
	double		most = 0;

	for (int i = 0; i < group->nseats; i++)
	{
		const SuspectMember *other = group->seats[i];
		double		likely;

		if (other == NULL || other == member || other->free_since != 0 || !other->worked)
			continue;
		likely = kin_likely(group, member, other);
		most = Max(most, likely);
	}
	return most;
}

/* Has one that is certainly of its pool been taken since? */
bool
kin_goes_on(const SuspectGroup *group, const SuspectMember *member, int64 since)
{
	if (member->certain < KNOWN * PER_LOG)
		return false;
	for (int i = 0; i < group->nseats; i++)
	{
		const SuspectMember *other = group->seats[i];

		if (other != NULL && other != member && other->pool == member->pool &&
			other->certain >= KNOWN * PER_LOG && other->last_taken > since)
			return true;
	}
	return false;
}

/* When one of its pool was taken last. */
int64
kin_last_taken(const SuspectGroup *group, const SuspectMember *member)
{
	int64		last = 0;

	if (!group->structured)
		return group->last_use;
	for (int i = 0; i < group->nseats; i++)
	{
		const SuspectMember *other = group->seats[i];

		if (other != NULL && kin_likely(group, member, other) >= 0.5)
			last = Max(last, other->last_taken);
	}
	return last;
}
