/*-------------------------------------------------------------------------
 *
 * suspect.c
 *	  Which idle sessions are held by their application, and not pooled.
 *
 * Takes in what sessions of an application do, event by event in the order of
 * time, and judges those that are idle: suspected is whom much evidence holds
 * for out of its pool, for three times longer than any that came back after
 * all.  When in doubt, not suspected.
 *
 * Pure: nothing here calls the server.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "evidence.h"
#include "kin.h"
#include "suspect.h"
#include "words.h"

#define PATIENCE		3		/* times longer than any that came back */
#define TELL_APART_EACH	32		/* uses */
#define OF_ONE_MORE		0.7		/* evidence that each takes: odds are even */
#define ENOUGH_JOINTLY	3.0		/* of all that are left, beside a suspect */
#define PLAIN_ORDER		0.7

void
suspect_group_init(SuspectGroup *group)
{
	pool_init(group);
	kin_init(group);
}

/* A session whose beginning was not seen: what it does now is not known. */
void
suspect_join(SuspectGroup *group, SuspectMember *member, int64 born, int64 now)
{
	memset(member, 0, sizeof(*member));
	member->born = born;
	member->ready = born;
	pool_seat(group, member);
	kin_seat(group, member);
}

/* It is of this group no more, and nothing follows from that. */
void
suspect_leave(SuspectGroup *group, SuspectMember *member)
{
	pool_unseat(group, member);
}

/* It came back, so it was in its pool, or an honest application held it. */
static void
come_back(SuspectGroup *group, SuspectMember *member, int64 at, int64 pace)
{
	pool_settle(group, member, pace);
	kin_settle(group, member);
	group->contrary_closings += member->spared;
	group->outlived_back += member->outlived;
	group->queue_missed += member->queued;
	if (member->strong_at != 0)
	{
		group->longest = Max(pool_longest(group, at, pace), at - member->strong_at);
		group->longest_at = at;
	}
	group->refuted += member->suspected;
	group->resets += member->last == SUSPECT_LAST_RESET;
	group->failures += member->failed;
	group->returns++;
	group->mean_idle += (at - member->free_since - group->mean_idle) / Min(50, group->returns);
	if (group->returns > 1000)
	{
		group->returns /= 2;
		group->resets /= 2;
		group->failures /= 2;
		group->closings /= 2;
		group->contrary_closings /= 2;
		group->closings_by_age /= 2;
		group->outlived_back /= 2;
	}
}

static void
use(SuspectGroup *group, SuspectMember *member, bool first, int64 at, int64 pace)
{
	int64		since = member->free_since;
	int64		last = kin_last_taken(group, member);

	if (group->first_use == 0)
		group->first_use = at;
	if (!first)
		come_back(group, member, at, pace);
	evidence_of_use(group, member, since, at, pace);
	if (group->uses++ % TELL_APART_EACH == 0)
		kin_tell_apart(group);
	if (last != 0)
		group->lull = Max(group->lull, at - last);
	group->last_use = at;
}

static void
take(SuspectGroup *group, SuspectMember *member, const SuspectEvent *event, int64 pace)
{
	bool		first = !member->worked;
	bool		needed = false;

	if (event->work && first)
	{
		pool_note_work(group, member, event->print);
		needed = event->at - member->ready < 3 * POOL_TIE(pace);
		if (needed)
			evidence_of_opening(group, member, event->at, pace);
	}
	if (!needed && member->free_since != 0 && event->at - member->free_since > POOL_GAP(pace) &&
		(member->shared || first))
		use(group, member, first, event->at, pace);
	member->free_since = 0;
	member->last_taken = event->at;
	evidence_clear(member);
}

static void
free_session(SuspectGroup *group, SuspectMember *member, const SuspectEvent *event)
{
	member->free_since = event->at;
	member->last = event->last;
	member->failed = event->failed;
	pool_note_work(group, member, event->print);
	if (!member->worked)
		member->ready = event->at;
	kin_begin_spell(group, member);
	evidence_clear(member);
	evidence_of_last(group, member);
}

static void
end(SuspectGroup *group, SuspectMember *member, int64 at, int64 pace)
{
	if (member->shared || !member->worked)
	{
		if (member->free_since != 0 && member->sign[SUSPECT_PASSED] < EVIDENCE_STRONG)
		{
			pool_settle(group, member, pace);
			kin_settle(group, member);
		}
		evidence_of_closing(group, member, at, pace);
		pool_note_end(group, member, at);
	}
	pool_unseat(group, member);
}

void
suspect_event(SuspectGroup *group, SuspectMember *member, const SuspectEvent *event, int64 pace)
{
	if (event->kind == SUSPECT_CONNECT)
	{
		suspect_join(group, member, event->at, event->at);
		return;
	}
	if (member->seat < 0)
		return;
	evidence_of_time(group, event->at, pace);
	switch (event->kind)
	{
		case SUSPECT_FREED:
			free_session(group, member, event);
			break;
		case SUSPECT_TAKEN:
			take(group, member, event, pace);
			break;
		case SUSPECT_DISCONNECT:
			end(group, member, event->at, pace);
			break;
		case SUSPECT_CONNECT:
			break;
	}
}

/* Nothing is known of that time, so nothing is held against anybody for it. */
void
suspect_gap(SuspectGroup *group, int64 from, int64 to)
{
	group->last_event = Max(group->last_event, to);
	for (int i = 0; i < group->nseats; i++)
	{
		if (group->seats[i] != NULL)
			group->seats[i]->full = 0;
	}
}

/* It did something that was missed, and this is what it does now. */
void
suspect_resync(SuspectGroup *group, SuspectMember *member, bool idle, int64 since, int64 pace)
{
	if (member->seat < 0)
		return;
	evidence_clear(member);
	kin_begin_spell(group, member);
	member->free_since = idle ? since : 0;
	member->last = SUSPECT_LAST_NONE;
	member->failed = false;
	member->outlived = false;
}

/*
 * It came back, and no more is to be made of that use.  What was held against it
 * turns out to have been wrong all the same.
 */
void
suspect_came_back(SuspectGroup *group, SuspectMember *member, int64 at, int64 pace)
{
	if (member->seat < 0)
		return;
	if (member->free_since != 0 && (member->strong_at != 0 || member->spared > 0 || member->outlived))
		come_back(group, member, at, pace);
	suspect_resync(group, member, false, 0, pace);
	member->last_taken = at;
}

/*
 * Was it left alone together with others?  A whole process falls silent so,
 * and a leak does not.  Where there are several, one other is enough, and about
 * the same time.  If its pool is known, what others do tells without that.
 */
static bool
fell_silent(const SuspectGroup *group, const SuspectMember *member, int64 pace)
{
	bool		blind = pool_is_several(group);
	int64		window = POOL_TOGETHER(pace);
	int			others = 0;

	if (member->failed || member->among_several || (!group->structured && pool_is_ordered(group, PLAIN_ORDER)) ||
		kin_goes_on(group, member, member->free_since + pace))
		return false;
	if (blind)
		window = Max(window, (int64) (3 * group->mean_idle));
	for (int i = 0; i < group->nseats; i++)
	{
		const SuspectMember *other = group->seats[i];

		if (other != NULL && other != member && other->free_since != 0 && other->shared && !other->failed)
			others += llabs(other->free_since - member->free_since) < window;
	}
	for (int i = 0; i < group->nends; i++)
		others += llabs(group->ends[i].at - group->ends[i].idle - member->free_since) < window;
	return others >= (blind ? 1 : 2);
}

/* Are there several pools, and is it not known of which it is? */
static bool
is_stranger(const SuspectGroup *group, const SuspectMember *member)
{
	return group->structured && !member->among_several;
}

/*
 * Are the others of its pool lost, and does nothing move any more?  Either many
 * are suspected already, or the evidence against all that are left is enough.
 */
static bool
is_exhausted(const SuspectGroup *group, const SuspectMember *member, int64 now, int64 pace)
{
	int			others = 0;
	int			suspected = 0;
	double		lost = 0;
	double		together = evidence_to_judge(group, member) - OF_ONE_MORE;

	if (is_stranger(group, member))
		return false;
	if (now - kin_last_taken(group, member) < Max(4 * pace, 3 * group->lull))
		return false;
	for (int i = 0; i < group->nseats; i++)
	{
		const SuspectMember *other = group->seats[i];

		if (other == NULL || other == member || !other->shared || kin_likely(group, member, other) < 0.5)
			continue;
		if (other->free_since == 0)
			return false;
		others++;
		suspected += other->suspected;
		if (!other->suspected)
			together += (is_stranger(group, other) ? 0 : evidence_to_judge(group, other)) - OF_ONE_MORE;
		lost += 1 - evidence_chance_free(other);
	}
	return (suspected >= 2 && 2 * lost >= others) ||
		together >= (suspected > 0 ? ENOUGH_JOINTLY : ENOUGH_JOINTLY + EVIDENCE_STRONG);
}

static Suspicion
describe(const SuspectGroup *group, const SuspectMember *member, double evidence, int64 pace)
{
	Suspicion	suspicion = {
		.confidence = (uint8) Min(99, 100 / (1 + exp(-(evidence - EVIDENCE_STRONG + 2)))),
		.opened = Min(member->opened, 255),
		.uses = member->passed,
	};
	double		strongest = evidence_passed(group, member);
	int64		age = 0;

	for (int i = SUSPECT_PASSED + 1; i < NUM_SUSPECT_SIGNS; i++)
	{
		if (member->sign[i] > strongest)
		{
			strongest = member->sign[i];
			suspicion.sign = i;
		}
	}
	for (int i = 0; i < group->nseats; i++)
	{
		const SuspectMember *other = group->seats[i];

		suspicion.others += other != NULL && other != member && other->last_taken > member->free_since;
	}
	if (suspicion.sign == SUSPECT_AGED)
		age = pool_closing_life(group, pace);
	else if (member->sign[SUSPECT_OUTLIVED] > 0 || member->spared > 0)
		age = pool_closing_age(group, pace);
	suspicion.ms = (uint32) Min(age / 1000, PG_UINT32_MAX);
	return suspicion;
}

/*
 * Is this one suspected, that is idle outside a transaction?  Once it is, it
 * stays so until it is used.  Of a stranger it takes twice as much.
 */
bool
suspect_judge(SuspectGroup *group, SuspectMember *member, int64 now, int64 pace, Suspicion *suspicion)
{
	double		evidence;
	double		enough;
	bool		exhausted;

	if (member->seat < 0 || member->free_since == 0 || !member->shared || !pool_is_left(member, now, pace))
		return false;
	evidence_of_age(group, member, now, pace);
	evidence = evidence_to_judge(group, member);
	enough = is_stranger(group, member) ? 2 * EVIDENCE_STRONG : EVIDENCE_STRONG;
	exhausted = evidence < enough && is_exhausted(group, member, now, pace);
	if (!member->suspected)
	{
		if (evidence < enough && !exhausted)
			return false;
		if (member->strong_at == 0)
			member->strong_at = now;
		if (now - member->strong_at < PATIENCE * pool_longest(group, now, pace) || fell_silent(group, member, pace))
			return false;
	}
	member->suspected = true;
	*suspicion = describe(group, member, Max(evidence, EVIDENCE_STRONG), pace);
	if (exhausted)
		suspicion->sign = SUSPECT_EXHAUSTED;
	return true;
}

/* What the strongest sign adds to what others did meanwhile. */
static const char *
describe_sign(const Suspicion *suspicion, char *buffer, Size size)
{
	char		age[WORDS_DURATION_SIZE];

	words_duration(suspicion->ms * INT64CONST(1000), age, sizeof(age));
	buffer[0] = '\0';
	if (suspicion->sign == SUSPECT_EXHAUSTED)
		return "; most of the other connections are suspected too, and none is used any more";
	if (suspicion->sign == SUSPECT_UNMARKED)
		return "; its pool ends each use with a reset, and its last use has none";
	if (suspicion->sign == SUSPECT_FAILED)
		return "; its last use ended with a failed statement";
	if (suspicion->sign == SUSPECT_QUEUED)
		return "; uses came while all others were in use, and none took this one";
	if (suspicion->sign == SUSPECT_AGED && suspicion->ms > 0)
		snprintf(buffer, size, "; its pool closes connections that are %s old", age);
	else if (suspicion->ms > 0)
		snprintf(buffer, size, "; its pool closes free connections after %s", age);
	return buffer;
}

const char *
suspect_reason(const Suspicion *suspicion, char *buffer, Size size)
{
	char		opened[64] = "";
	char		used[64] = "no other";
	char		sign[128];

	if (suspicion->opened > 0)
		snprintf(opened, sizeof(opened), "opened %u connection%s and ", suspicion->opened, suspicion->opened == 1 ? "" : "s");
	if (suspicion->uses > 0 && suspicion->others == 0)
		snprintf(used, sizeof(used), "others %u time%s", suspicion->uses, suspicion->uses == 1 ? "" : "s");
	else if (suspicion->uses > 0)
		snprintf(used, sizeof(used), "%u other%s %u time%s", suspicion->others, suspicion->others == 1 ? "" : "s",
				 suspicion->uses, suspicion->uses == 1 ? "" : "s");
	snprintf(buffer, size, "its application has %sused %s since this one was last used%s", opened, used,
			 describe_sign(suspicion, sign, sizeof(sign)));
	return buffer;
}

/* What a group that has to make room would take along: the more, the newer. */
double
suspect_worth(const SuspectGroup *group, int64 now)
{
	double		age = Max(0, now - group->last_use) / 1000000.0;

	return group->returns / (1 + age);
}
