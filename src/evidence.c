/*-------------------------------------------------------------------------
 *
 * evidence.c
 *	  What the uses of a pool say of its free sessions.
 *
 * Each sign is the log of how much likelier what happened is if the session
 * is not in its pool than if it is.  A pool that has to choose says most: who
 * it left alone, by the order that it was seen to keep.  Silence says nothing.
 *
 * Pure: nothing here calls the server.  doc/suspicion.md has the formulas.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "evidence.h"
#include "kin.h"

#define FORGET_USES		400.0	/* the order is that of so many uses */
#define LEAST_ORDER		0.01	/* uses: what was not seen for long may come */
#define LEAST_ODDS	(-12.0)		/* log: so that an order can come back */
#define WARM_UP			4		/* paces in which a group only teaches */
#define WARM_TIME		INT64CONST(20000000)	/* us, if it is used a lot */
#define WARM_USES		200		/* so much */
#define PRIOR			3.0		/* log odds that an idle one is free */
#define PRIOR_QUEUED	5.0		/* the same where all others have to be in use */
#define STALLS			0.1		/* uses that tell of no order: the client
								 * stalls */
#define DISORDER		0.25	/* and so many of those that do */
#define COMPANY			0.5		/* leaks come in company: odds of another */
#define CERTAIN_ORDER	0.9
#define MOST_OF_USE		3.0
#define HELD			0.05	/* idle ones that are given back only later */
#define BLUR			0.125	/* of the mean rest between two uses */
#define FORGET_LOAD		20.0	/* paces in which what uses need fades to 1/e */
#define MOST_SPARED		6.0
#define MOST_FAILED		4.0
#define FAILED_LEAKS	0.2		/* a guess: leaks by an error path */
#define MOST_BY_AGE		4.0
#define OPENED_SLIP		0.1		/* connections opened while one is free */
#define SAME_POOL		0.8		/* if it is not known that several differ */

/* What two accounts of it come to, of which this is how likely the one is. */
static double
either(double likely, double one, double other)
{
	double		less = Min(one, other);

	return less - log(likely * exp(less - one) + (1 - likely) * exp(less - other));
}

/* What others of its pool did speaks only if they are of its pool. */
static double
if_certain(const SuspectMember *member, double evidence)
{
	double		certain;

	if (!member->among_several)
		return evidence;
	certain = 1 / (1 + exp(-member->certain / 8.0));
	return either(certain, evidence, 0);
}

static double
add_up(const SuspectMember *member, double passed)
{
	const float *sign = member->sign;

	return if_certain(member, passed + sign[SUSPECT_OPENED] + sign[SUSPECT_SPARED] + sign[SUSPECT_QUEUED]) +
		sign[SUSPECT_OUTLIVED] + sign[SUSPECT_AGED] + sign[SUSPECT_UNMARKED] + sign[SUSPECT_FAILED];
}

double
evidence_of(const SuspectMember *member)
{
	return add_up(member, member->sign[SUSPECT_PASSED]);
}

/* It has been given back at once, or else only later. */
static double
passed_by(const PassedOver *passed)
{
	return either(HELD, passed->ripe, passed->at_once);
}

/*
 * That it was passed over, if its pool may be one that always takes the newest.
 * Each use is weighed by a mixture of orders, and a little of each adds up; but a
 * pool keeps to its order, and the newest first leaves alone who is deep down.
 */
double
evidence_passed(const SuspectGroup *group, const SuspectMember *member)
{
	double		mixed = member->sign[SUSPECT_PASSED];

	if (group->structured)
		return mixed;
	return either(1 / (1 + exp(-group->always_newest)), passed_by(&member->passed_newest), mixed);
}

/* What there is against it when it is judged. */
double
evidence_to_judge(const SuspectGroup *group, const SuspectMember *member)
{
	return add_up(member, evidence_passed(group, member));
}

static double
chance(const SuspectMember *member, double prior)
{
	if (member->suspected)
		return 0;
	return 1 / (1 + exp(evidence_of(member) - prior));
}

double
evidence_chance_free(const SuspectMember *member)
{
	return chance(member, PRIOR);
}

/* It was used: what was held against it is void. */
void
evidence_clear(SuspectMember *member)
{
	memset(member->sign, 0, sizeof(member->sign));
	memset(&member->passed_mixed, 0, sizeof(PassedOver));
	memset(&member->passed_newest, 0, sizeof(PassedOver));
	member->alone = member->full = member->queued = 0;
	member->passed = 0;
	member->opened = member->spared = 0;
	member->strong_at = 0;
	member->suspected = false;
}

static bool
is_warm(const SuspectGroup *group, int64 at, int64 pace)
{
	int64		known_for = at - group->first_use;

	return group->first_use != 0 &&
		(known_for >= WARM_UP * pace || (known_for >= WARM_TIME && group->uses >= WARM_USES));
}

static void
add(const SuspectGroup *group, SuspectMember *member, SuspectSign sign, double evidence, int64 at, int64 pace)
{
	if (!is_warm(group, at, pace))
		return;
	member->sign[sign] += evidence;
	if (member->strong_at == 0 && evidence_of(member) >= EVIDENCE_STRONG)
		member->strong_at = at;
}

static void
set_sign(const SuspectGroup *group, SuspectMember *member, SuspectSign sign, double evidence, int64 at, int64 pace)
{
	add(group, member, sign, evidence - member->sign[sign], at, pace);
}

static bool
is_free(const SuspectMember *member, int64 at, int64 pace)
{
	return member->free_since != 0 && at - member->free_since > POOL_GAP(pace) && (member->shared || !member->worked);
}

static bool
is_ripe(const SuspectMember *member, int64 at, int64 pace)
{
	return at - member->free_since >= POOL_RIPE(pace);
}

static bool
is_tied(const SuspectMember *member, int64 since, int64 pace)
{
	return Max(member->free_since, since) - Min(member->free_since, since) < POOL_TIE(pace);
}

/*
 * The others that were free when one was taken: how many, and how likely it is
 * that none of them stood before it, by each order.
 */
typedef struct Row
{
	double		count;			/* with the one that was taken */
	double		clear[NUM_POOL_ORDERS];
} Row;

#define EMPTY_ROW	{1, {1, 1, 1, 1}}

/* How often a pool is taken to go by each order, stalls apart. */
typedef struct Habit
{
	double		by[NUM_POOL_ORDERS];
} Habit;

static const Habit always_newest = {.by = {[POOL_NEWEST] = 1 - STALLS}};

/* One use, and what is thought of each that was left alone. */
typedef struct Choice
{
	const SuspectMember *taken;
	int64		since;			/* when that one was freed */
	int64		at;
	Habit		habit;			/* as it was seen */
	double		slip;
	double		company;
	Row			likely;			/* with whom is likely there, order as of ripe
								 * ones */
	Row			loose;			/* with few of them: if one is lost, more are */
	Row			strict;			/* to learn by: also of those just freed */
	double		newest;			/* how likely none was certainly freed later */
	int64		blur;			/* closer may have been given back the other
								 * way round */
	double		newer;			/* how many stood before by order of freeing */
	double		older;
	double		weight[SUSPECT_SEATS];	/* -1: not there */
	double		kin[SUSPECT_SEATS];
} Choice;

/* By which of the orders does it stand before the one that was taken? */
static bool
stands_before(const Choice *choice, const SuspectMember *other, PoolOrder order)
{
	switch (order)
	{
		case POOL_NEWEST:
			return other->free_since > choice->since;
		case POOL_OLDEST:
			return other->free_since <= choice->since;
		case POOL_FIRST:
			return other->born < choice->taken->born;
		default:
			return false;
	}
}

static double
passes(double weight, double slip)
{
	return 1 - weight * (1 - slip);
}

static void
line_up(SuspectGroup *group, Choice *choice, const SuspectMember *other, int64 pace)
{
	int			seat = other->seat;
	bool		tied = is_tied(other, choice->since, pace);
	bool		ripe = is_ripe(other, choice->at, pace);
	double		weight;

	choice->kin[seat] = kin_likely(group, choice->taken, other);
	choice->weight[seat] = evidence_chance_free(other) * choice->kin[seat];
	weight = choice->weight[seat];
	choice->likely.count += weight;
	for (int order = POOL_NEWEST; order < NUM_POOL_ORDERS; order++)
	{
		if (!stands_before(choice, other, order))
			continue;
		choice->strict.clear[order] *= passes(weight, 0.1);
		if (order == POOL_NEWEST && other->free_since > choice->since + choice->blur)
			choice->newest *= passes(weight, 0.1);
		if (ripe && (!tied || order == POOL_FIRST))
		{
			choice->likely.clear[order] *= passes(weight, choice->slip);
			choice->loose.clear[order] *= passes(Min(weight, 1 - choice->company), choice->slip);
			choice->newer += order == POOL_NEWEST ? weight : 0;
			choice->older += order == POOL_OLDEST ? weight : 0;
		}
	}
	if (!tied)
		kin_note_taken(group, choice->taken, choice->since, other);
}

/* The orders as they were learned; some of those that tell of none are stalls. */
static Habit
habit_of(const SuspectGroup *group)
{
	double		total = pool_orders(group);
	Habit		habit;

	for (int order = 0; order < NUM_POOL_ORDERS; order++)
		habit.by[order] = group->orders[order] / total;
	habit.by[POOL_ANY] -= DISORDER * (habit.by[POOL_NEWEST] + habit.by[POOL_OLDEST]);
	habit.by[POOL_ANY] = Max(0, habit.by[POOL_ANY] - STALLS);
	return habit;
}

/* How likely it is that this one was taken, with whom stands in these rows. */
static double
likelihood(const Habit *habit, const Choice *choice, const Row *row)
{
	double		sum = 0;

	for (int order = POOL_NEWEST; order < NUM_POOL_ORDERS; order++)
		sum += habit->by[order] * row->clear[order];
	return habit->by[POOL_ANY] / row->count + STALLS / choice->likely.count + sum * (1 - choice->slip);
}

/* How much likelier it is without that one than with it, if it is kin. */
static double
weigh_row(double isnt, double is, double kin)
{
	double		evidence = log(isnt / (kin * is + (1 - kin) * isnt));

	return Min(MOST_OF_USE, evidence);
}

/* By this habit; late is as in, if it was given back when ripe, NULL if it isn't. */
static void
pass_over(PassedOver *passed, const Habit *habit, const Choice *choice,
		  const Row *out, const Row *in, const Row *late, double kin)
{
	double		isnt = likelihood(habit, choice, out);

	passed->at_once += weigh_row(isnt, likelihood(habit, choice, in), kin);
	if (late != NULL)
		passed->ripe += weigh_row(isnt, likelihood(habit, choice, late), kin);
}

/* Was it chance that another was taken, and not this one? */
static void
weigh(const SuspectGroup *group, const Choice *choice, SuspectMember *other, int64 pace)
{
	double		kin = choice->kin[other->seat];
	double		weight = choice->weight[other->seat];
	bool		ripe = is_ripe(other, choice->at, pace);
	Row			in = choice->likely;
	Row			out = choice->likely;
	Row			late;			/* as in, if it was given back when ripe */

	other->passed++;
	if (!is_warm(group, choice->at, pace) || (other->among_several && kin < 0.5))
		return;

	in.count += 1 - weight;
	out.count -= weight;
	late = in;
	for (int order = POOL_NEWEST; order < NUM_POOL_ORDERS; order++)
	{
		double		own = ripe ? passes(weight, choice->slip) : 1;
		double		own_loose = ripe ? passes(Min(weight, 1 - choice->company), choice->slip) : 1;

		if (!stands_before(choice, other, order))
			continue;
		in.clear[order] *= choice->slip / own;
		late.clear[order] = in.clear[order];
		if (order == POOL_FIRST)
			out.clear[order] /= own;
		else
			out.clear[order] = choice->loose.clear[order] / own_loose;
	}
	if (other->free_since <= choice->since && other->free_since + POOL_RIPE(pace) > choice->since)
		late.clear[POOL_NEWEST] *= choice->slip;
	pass_over(&other->passed_mixed, &choice->habit, choice, &out, &in, ripe ? &late : NULL, kin);
	pass_over(&other->passed_newest, &always_newest, choice, &out, &in, ripe ? &late : NULL, kin);
	set_sign(group, other, SUSPECT_PASSED, passed_by(&other->passed_mixed), choice->at, pace);
}

/* Which order explains it best that this one was taken? */
static void
learn_order(SuspectGroup *group, const Choice *choice)
{
	double		part[NUM_POOL_ORDERS];
	double		sum = 0;
	double		keep = 1 - 1 / FORGET_USES;
	double		newest;

	if (choice->likely.count < 1.5)
		return;
	for (int order = 0; order < NUM_POOL_ORDERS; order++)
	{
		part[order] = group->orders[order] *
			(order == POOL_ANY ? 1 / choice->likely.count : 0.9 * choice->strict.clear[order]);
		sum += part[order];
	}

	/*
	 * one use tells little for it: one that has just been lost makes it look
	 * so
	 */
	newest = 0.9 * always_newest.by[POOL_NEWEST] * choice->newest + STALLS / choice->likely.count;
	newest = log(newest * pool_orders(group) / sum);
	group->always_newest = group->always_newest * keep + Min(1, newest);
	group->always_newest = Max(LEAST_ODDS, Min(0, group->always_newest));
	for (int order = 0; order < NUM_POOL_ORDERS; order++)
		group->orders[order] = Max(LEAST_ORDER, group->orders[order] * keep + part[order] / sum);
	group->slips = group->slips * keep + (part[POOL_NEWEST] * choice->newer + part[POOL_OLDEST] * choice->older) / sum;
	group->ordered = group->ordered * keep + (part[POOL_NEWEST] + part[POOL_OLDEST]) / sum;
}

static void
choose(SuspectGroup *group, const SuspectMember *taken, int64 since, int64 at, int64 pace)
{
	Choice		choice = {
		.taken = taken,
		.since = since,
		.at = at,
		.habit = habit_of(group),
		.slip = pool_slip(group),
		.company = pool_is_ordered(group, CERTAIN_ORDER) ? COMPANY : 0,
		.likely = EMPTY_ROW,
		.loose = EMPTY_ROW,
		.strict = EMPTY_ROW,
		.newest = 1,
		.blur = Min(POOL_TIE(pace), (int64) (BLUR * group->mean_idle)),
	};

	for (int i = 0; i < group->nseats; i++)
	{
		choice.weight[i] = -1;
		if (group->seats[i] != NULL && group->seats[i] != taken && is_free(group->seats[i], at, pace))
			line_up(group, &choice, group->seats[i], pace);
	}
	for (int i = 0; i < group->nseats; i++)
	{
		SuspectMember *other = group->seats[i];

		if (other != NULL && choice.weight[i] >= 0 && !is_tied(other, since, pace))
			weigh(group, &choice, other, pace);
	}
	learn_order(group, &choice);
}

/* Time has gone by: for whom was it a time in which no other was free? */
void
evidence_of_time(SuspectGroup *group, int64 at, int64 pace)
{
	int64		passed = at - group->last_event;
	double		free[SUSPECT_SEATS];

	if (passed <= 0)
		return;
	if (group->last_event == 0)
		passed = 0;
	group->last_event = at;
	for (int i = 0; i < group->nseats; i++)
	{
		SuspectMember *member = group->seats[i];

		free[i] = 0;
		if (member == NULL || !is_free(member, at, pace))
			continue;
		free[i] = Min(0.99, chance(member, PRIOR_QUEUED));
		member->alone = 0;
	}
	for (int i = 0; i < group->nseats; i++)
	{
		SuspectMember *member = group->seats[i];

		if (member == NULL || !is_free(member, at, pace) || !is_ripe(member, at, pace))
			continue;
		member->alone = kin_none_free(group, member, free);
		member->full += passed * member->alone;
	}
}

/*
 * How unlikely it is that one which is free is left alone while so many uses
 * should have come that need it.  Of an application that does one thing at a
 * time none need it, so that it counts how often such uses came before.  The
 * longer ago that was, the less it tells of what the application does now.
 */
static double
evidence_queued(const SuspectGroup *group, const SuspectMember *member, int64 at, int64 pace)
{
	double		memory = exp(-Min(50, (at - member->free_since) / (FORGET_LOAD * pace)));

	return memory * group->queue_taken * log(1 + member->queued / (memory * group->queue_missed));
}

/*
 * A use has come.  So some would have come in the meantime too, and who was
 * the only free one then should have been taken.
 */
static void
end_queue(SuspectGroup *group, const SuspectMember *taken, int64 at, int64 pace)
{
	double		rate = group->rate / (2.0 * pace);

	for (int i = 0; i < group->nseats; i++)
	{
		SuspectMember *other = group->seats[i];
		double		expected;

		if (other == NULL || other == taken || other->full <= 0)
			continue;
		expected = rate * other->full * kin_likely(group, taken, other);
		other->queued += Min(1, expected);
		set_sign(group, other, SUSPECT_QUEUED, evidence_queued(group, other, at, pace), at, pace);
		other->full = 0;
	}
	/* if all others are lost, it is taken in any case */
	group->queue_taken += taken->alone * kin_likely_busy(group, taken);
	group->queue_missed += Min(1, rate * taken->full);
	if (group->queue_missed > FORGET_USES)
	{
		group->queue_taken /= 2;
		group->queue_missed /= 2;
	}
	group->rate = group->rate * exp(-(at - group->rate_at) / (2.0 * pace)) + 1;
	group->rate_at = at;
}

/* One that was free since then has been taken. */
void
evidence_of_use(SuspectGroup *group, const SuspectMember *taken, int64 since, int64 at, int64 pace)
{
	end_queue(group, taken, at, pace);
	choose(group, taken, since, at, pace);
}

/* A connection was opened because one was needed at once: was none free? */
void
evidence_of_opening(SuspectGroup *group, const SuspectMember *opened, int64 at, int64 pace)
{
	double		slip = pool_contrary(group);
	double		same = group->structured ? 1.0 / group->pools : pool_is_several(group) ? 0.5 : 1;
	double		out[SUSPECT_SEATS] = {0};
	double		all_out = 1;

	for (int i = 0; i < group->nseats; i++)
	{
		const SuspectMember *other = group->seats[i];

		out[i] = 0;
		if (other == NULL || other == opened || other->free_since == 0 || !other->shared ||
			other->free_since + POOL_TIE(pace) >= opened->born)
			continue;
		out[i] = Max(1e-9, 1 - evidence_chance_free(other));
		all_out *= out[i];
	}
	for (int i = 0; i < group->nseats; i++)
	{
		SuspectMember *other = group->seats[i];
		double		others;

		if (other == NULL || out[i] <= 0)
			continue;
		others = all_out / out[i];
		kin_note_opened(group, opened, other);
		if (!other->among_several)
			add(group, other, SUSPECT_OPENED,
				log((same * (others + slip * (1 - others)) + 1 - same) / (same * slip + 1 - same)), at, pace);
		other->opened += other->opened < PG_UINT16_MAX;
	}
	pool_note_demand(group, opened->born);
}

/* A free one was closed: a pool would have closed first who is free for longer. */
void
evidence_of_closing(SuspectGroup *group, const SuspectMember *closed, int64 at, int64 pace)
{
	double		slip = Min(0.9, (group->contrary_closings + 0.3) / (group->closings + 3));
	int64		age = pool_closing_age(group, pace);
	int64		idle = at - closed->free_since;

	if (closed->free_since == 0 || idle <= POOL_LONG(pace))
		return;
	for (int i = 0; i < group->nseats; i++)
	{
		SuspectMember *other = group->seats[i];
		double		same;

		if (other == NULL || other == closed || other->free_since == 0 ||
			other->free_since + POOL_LONG(pace) > closed->free_since)
			continue;
		if (group->structured)
			same = kin_likely(group, closed, other);
		else
			same = pool_is_several(group) ? SAME_POOL : 1;
		add(group, other, SUSPECT_SPARED,
			Min(-log(same * slip + 1 - same), MOST_SPARED - other->sign[SUSPECT_SPARED]), at, pace);
		other->spared += other->spared < PG_UINT16_MAX;
	}
	group->closings++;
	if (age > 0 && idle > 0.8 * age && idle < 1.3 * age)
		group->closings_by_age++;
}

/*
 * A pool that ends each use with a reset has not ended this one.  Nor is it
 * usual that a use ends with a failure: error paths forget to give back.
 */
void
evidence_of_last(const SuspectGroup *group, SuspectMember *member)
{
	double		without = group->returns - group->resets;

	if (member->failed)
		member->sign[SUSPECT_FAILED] = Max(0, Min(MOST_FAILED, log(FAILED_LEAKS * (group->returns + 10) / (group->failures + 1))));
	if (group->returns < 10 || without > 0.05 * group->returns)
		return;
	if (member->last == SUSPECT_LAST_RESET)
		member->sign[SUSPECT_UNMARKED] = -12;
	else
		member->sign[SUSPECT_UNMARKED] = Min(6, log((group->returns + 1) / (without + 1)) + 1);
}

/*
 * Where there are several pools it turns out only later of which one was that
 * has been opened.
 */
static void
weigh_openings(const SuspectGroup *group, SuspectMember *member, int64 now, int64 pace)
{
	double		sum = 0;

	for (int i = 0; i < group->nseats; i++)
	{
		if (group->seats[i] != NULL && kin_saw_opened(group, member, i))
			sum -= log(1 - kin_likely(group, member, group->seats[i]) * (1 - OPENED_SLIP));
	}
	set_sign(group, member, SUSPECT_OPENED, sum, now, pace);
}

/* What can be said of one that is idle still: of its pool, and of its age. */
void
evidence_of_age(const SuspectGroup *group, SuspectMember *member, int64 now, int64 pace)
{
	int64		age = pool_closing_age(group, pace);
	int64		life = pool_closing_life(group, pace);
	int64		idle = now - member->free_since;

	if (member->among_several)
		weigh_openings(group, member, now, pace);
	member->outlived = age > 0 && idle > 1.3 * age;
	if (age > 0 && idle > 1.6 * age)
		member->sign[SUSPECT_OUTLIVED] = Max(0, Min(MOST_BY_AGE, log((group->closings_by_age + 1) / (group->outlived_back + 0.5))));
	if (life > 0 && now - member->born > 1.25 * life)
		member->sign[SUSPECT_AGED] = MOST_BY_AGE;
}
