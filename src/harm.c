/*-------------------------------------------------------------------------
 *
 * harm.c
 *	  What harm leaked sessions do, and when to look for it.
 *
 * Owns the pace of the surveys, private to the watcher: locks.c and horizon.c
 * hold the pictures.  Harm is surveyed when there is something to decide or to
 * say, and otherwise at most once in a second; less often on a large server,
 * so as not to look at more processes than SURVEY_PACE in a second.  The watcher
 * does that no more often than blockers.c needs, while no incident is open.  As
 * long as nobody waits, a look at one word of each process is all of it.  If a
 * survey, with all that was asked of its picture, has cost more than
 * LITTLE_COST, the next waits until no more than one part in SURVEY_REST of the
 * time goes into them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "harm.h"
#include "snapshots.h"
#include "utils/timestamp.h"
#include "waiters.h"

#define SURVEY_INTERVAL	USECS_PER_SEC
#define SURVEY_PACE		500
#define SURVEY_REST		20
#define LITTLE_COST		1000	/* us of CPU time */

static int64 surveyed_at = 0;	/* monotonic us */
static int64 horizons_at = 0;	/* likewise; with the survey or before */
static int64 horizon_cost = 0;	/* of the last survey; us of CPU time */
static int	waiting = 0;		/* for a lock, as of then */

/* For how long an earlier survey is good, in us. */
static int64
good_for(SurveyFor purpose)
{
	switch (purpose)
	{
		case SURVEY_TO_DECIDE:
			return 0;
		case SURVEY_TO_SHOW:
			return SURVEY_INTERVAL;
		case SURVEY_TO_FOLLOW:
			return Max(SURVEY_INTERVAL,
					   ProcGlobal->allProcCount * USECS_PER_SEC / SURVEY_PACE);
	}
	return 0;
}

/* Horizons are looked at only where an incident tells of them. */
static void
survey_horizons(const Moment *moment, SurveyFor purpose)
{
	int64		began;

	if (horizons_at == moment->monotonic ||
		(purpose != SURVEY_TO_DECIDE && (waiting == 0 || incident_open_count() == 0)))
		return;
	began = clock_cpu();
	horizon_survey();
	horizon_cost = clock_cpu() - began;
	horizons_at = moment->monotonic;
}

/* For how long after the last survey to rest from it, in us. */
static int64
rest(void)
{
	int64		cost = locks_cost() + horizon_cost;

	return cost > LITTLE_COST ? cost * SURVEY_REST : 0;
}

/*
 * Take a new survey if the last is too old for this purpose, and not too
 * recent for what it cost.  Returns whether the picture is of this moment.
 */
bool
harm_survey(const Moment *moment, SurveyFor purpose)
{
	int64		age = moment->monotonic - surveyed_at;

	if (harm_is_surveyed(moment))
	{
		survey_horizons(moment, purpose);
		return true;
	}
	if (age < good_for(purpose) || age < rest())
		return false;

	/* until all of the picture is there */
	surveyed_at = 0;
	waiting = locks_survey();
	horizon_cost = 0;
	survey_horizons(moment, purpose);
	surveyed_at = moment->monotonic;
	return true;
}

/* When a survey may be taken again, to follow what there is. */
TimestampTz
harm_due(const Moment *moment)
{
	int64		pause = Max(good_for(SURVEY_TO_FOLLOW), SURVEY_INTERVAL);

	pause = Max(pause, rest());
	return clock_wall(moment, surveyed_at + pause);
}

/* Is the last survey of this moment? */
bool
harm_is_surveyed(const Moment *moment)
{
	return surveyed_at == moment->monotonic;
}

/* Did anybody wait for a lock in the last survey? */
bool
harm_anybody_waits(void)
{
	return waiting > 0;
}

/*
 * What harm a session does, by the last survey; whom it blocks by name is noted
 * too.  Allocates, and so is called before the incident is edited.
 */
void
harm_measure(const Session *session, Harm *harm)
{
	harm->blocked = locks_blocked(session);
	if (!locks_strongest(session, &harm->lock))
		harm->lock.mode = NoLock;
	harm->holdings = locks_holdings(session);
	if (snapshots_exported(session))
		harm->holdings |= 1u << HOLDING_EXPORTED_SNAPSHOT;
	harm->alone = horizon_alone(session);
	waiters_note(session);
}

/* Keep up with the harm of an incident whose session blocks this many. */
void
harm_update(int index, const Session *session, int blocked)
{
	const Incident *incident = incident_peek(index);
	bool		record = blocked > incident->blocked_peak;
	Harm		harm;

	if (blocked == 0 && incident->blocked_sessions == 0)
		return;
	harm_measure(session, &harm);
	harm_note(incident_edit(index), &harm);
	incident_edited(index, record);
}

/* Note harm in an incident that is being edited. */
void
harm_note(Incident *incident, const Harm *harm)
{
	incident->blocked_sessions = harm->blocked;
	incident->blocked_peak = Max(incident->blocked_peak, harm->blocked);
	if (harm->lock.mode != NoLock)
		incident->lock = harm->lock;
	incident->holdings |= harm->holdings;
	incident->alone_peak = Max(incident->alone_peak, harm->alone);
}
