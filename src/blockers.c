/*-------------------------------------------------------------------------
 *
 * blockers.c
 *	  Since when idle sessions have been in others' way.
 *
 * Starts the clock SINCE_BLOCKING of a session with the first survey that
 * finds it idle and others waiting for its locks, and stops it with the first
 * that does not.  When the session goes on, the clock stops by itself, since
 * it belongs to one state: see observe.c.
 *
 * Owns the note of whose clocks may run, private to the watcher.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "agenda.h"
#include "blockers.h"
#include "harm.h"
#include "observe.h"
#include "session.h"
#include "utils/memutils.h"
#include "verdict.h"

/* By slot.  A predecessor may have started any of them. */
static bool *may_run = NULL;
static int	running = 0;

/* Called once when a watcher starts. */
void
blockers_init(void)
{
	may_run = MemoryContextAlloc(TopMemoryContext, MaxBackends * sizeof(bool));
	memset(may_run, true, MaxBackends * sizeof(bool));
	running = MaxBackends;
}

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
		locks_blocked(&session) > 0 && observe_client(&session, moment))
	{
		agenda_expect(slot);
		if (!observe_read(&session, &observation) || !observe_apply(&session))
			return true;
	}

	blocks = verdict_is_idle(&session) && locks_blocked(&session) > 0;
	if (blocks == (session.since[SINCE_BLOCKING] != 0))
		return blocks;

	observation.since[clock] = blocks ? moment->now : 0;
	observation.gained[clock] = 0;
	observation.blocking_state = session.since[SINCE_STATE];
	observe_write(slot, &observation);
	agenda_expect(slot);
	return blocks;
}

/* After a survey: keep up with who is in others' way. */
void
blockers_observe(const Moment *moment)
{
	bool		anybody_waits = harm_anybody_waits();

	if (!anybody_waits && running == 0)
		return;
	running = 0;
	for (int slot = 0; slot < MaxBackends; slot++)
	{
		if (!may_run[slot] && !(anybody_waits && locks_blocks(session_pid(slot))))
			continue;
		CHECK_FOR_INTERRUPTS();
		may_run[slot] = observe(slot, moment);
		running += may_run[slot];
	}
}
