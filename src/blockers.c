/*-------------------------------------------------------------------------
 *
 * blockers.c
 *	  Since when idle sessions have been in others' way.
 *
 * Starts the clock SINCE_BLOCKING of a session when a survey finds it idle and
 * others waiting for its locks, and stops it with the first that does not.  When
 * the session goes on, the clock stops by itself, since it belongs to one state:
 * see observe.c.
 *
 * Who waits notes since when, and who is idle has taken no lock since then.  So
 * the clock is set back to when both became so, and a survey is good for as
 * long as the shortest limit, as a look is (see agenda.c); only while a clock
 * runs it is followed.  So it is while a session is in others' way that has
 * worked for long: its client may be gone.
 *
 * Owns the note of whose clocks may run, and the limits on them, private to the
 * watcher.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "agenda.h"
#include "blockers.h"
#include "guc.h"
#include "harm.h"
#include "observe.h"
#include "session.h"
#include "utils/memutils.h"
#include "verdict.h"

/* How often to see whether anybody is in others' way, while nobody is, in us. */
#define EASE	(30 * USECS_PER_SEC)

/* By slot.  A predecessor may have started any of them. */
static bool *may_run = NULL;
static int	running = 0;

/* How many have been found at work for long, and in others' way. */
static int	suspects = 0;

/* The limit of whoever is in the slot, ms; 0: none. */
static int *limits = NULL;

/* The shortest of these, likewise; -1: has to be found. */
static int	shortest = -1;

/* When it was last seen who is in others' way; 0 by the monotonic clock: never. */
static TimestampTz observed_wall = 0;
static int64 observed_at = 0;

/* Called once when a watcher starts. */
void
blockers_init(void)
{
	may_run = MemoryContextAlloc(TopMemoryContext, MaxBackends * sizeof(bool));
	memset(may_run, true, MaxBackends * sizeof(bool));
	running = MaxBackends;
	limits = MemoryContextAllocZero(TopMemoryContext, MaxBackends * sizeof(int));
}

/* Whoever is in this slot has this limit, ms; 0: none. */
void
blockers_expect(int slot, int limit)
{
	if (limits[slot] == limit)
		return;
	limits[slot] = limit;
	shortest = -1;
}

/* The wall clock has jumped: no time before tells when anything began. */
void
blockers_jumped(const Moment *moment)
{
	observed_wall = moment->now;
}

/* The shortest limit in force, also for those who have just come; ms, 0: none. */
static int
shortest_limit(void)
{
	if (shortest < 0)
	{
		shortest = 0;
		for (int slot = 0; slot < MaxBackends; slot++)
			shortest = verdict_shorter(shortest, limits[slot]);
	}
	return verdict_shorter(shortest, verdict_blocker_limit(&guc_policy));
}

/* For how long it is known that nobody is, in us; 0: somebody may be. */
static int64
known_for(void)
{
	int			limit = shortest_limit();

	if (observed_at == 0 || running > 0 || suspects > 0)
		return 0;
	return limit > 0 ? Min(EASE, limit * INT64CONST(1000)) : EASE;
}

/* When to see again who is in others' way. */
TimestampTz
blockers_due(const Moment *moment)
{
	return Max(clock_wall(moment, observed_at + known_for()), harm_due(moment));
}

/* Is it so late by now that it need not be woken for? */
bool
blockers_are_nearly_due(const Moment *moment)
{
	return moment->monotonic - observed_at >= clock_soonest(known_for());
}

/* When this session, which is idle now, came to be in others' way. */
static TimestampTz
blocking_since(const Session *session, const Moment *moment)
{
	TimestampTz since = session->state == SESSION_ACTIVE ?
	session->since[SINCE_WAITING] : session->since[SINCE_STATE];
	TimestampTz waited_for = locks_blocked_since(session);

	/* the last time it was not */
	since = Max(since, observed_wall);
	since = Max(since, waited_for);
	return Min(since, moment->now);
}

/* Have slots been found that are to be looked at? */
static bool expected = false;

/*
 * Start or stop the clock of the session in a slot.  Returns whether it may
 * run now.
 */
static bool
observe(int slot, const Moment *moment)
{
	const int	clock = SINCE_BLOCKING - NUM_SERVER_CLOCKS;
	Session		session;
	Observation observation;
	bool		blocks;

	switch (session_read(slot, &session))
	{
		case READ_NONE:
			return false;
		case READ_BUSY:
			return true;
		case READ_DONE:
			break;
	}
	if (!observe_read(&session, &observation) || !observe_apply(&session))
		return true;

	/* one that works may have lost its client */
	if (session.state == SESSION_ACTIVE && session.waiting == CLIENT_NOTHING &&
		locks_blocked(&session) > 0)
	{
		suspects += moment->now - session.since[SINCE_STATE] >= YOUNG_STATEMENT;
		if (observe_client(&session, moment))
		{
			expected = true;
			agenda_expect(slot);
			if (!observe_read(&session, &observation) || !observe_apply(&session))
				return true;
		}
	}

	blocks = verdict_is_idle(&session) && locks_blocked(&session) > 0;
	if (blocks == (session.since[SINCE_BLOCKING] != 0))
		return blocks;

	observation.since[clock] = blocks ? blocking_since(&session, moment) : 0;
	observation.gained[clock] = 0;
	observation.blocking_state = session.since[SINCE_STATE];
	observe_write(slot, &observation);
	expected = true;
	agenda_expect(slot);
	return blocks;
}

/*
 * After a survey: keep up with who is in others' way.  Returns whether there is
 * anybody to be looked at for that.
 */
bool
blockers_observe(const Moment *moment)
{
	bool		anybody_waits = harm_anybody_waits();
	int			found = 0;

	suspects = 0;
	expected = false;
	for (int slot = 0; slot < MaxBackends && (anybody_waits || running > 0); slot++)
	{
		if (!may_run[slot] && !(anybody_waits && locks_blocks(session_pid(slot))))
			continue;
		CHECK_FOR_INTERRUPTS();
		may_run[slot] = observe(slot, moment);
		found += may_run[slot];
	}
	running = found;
	observed_wall = moment->now;
	observed_at = moment->monotonic;
	return expected;
}
