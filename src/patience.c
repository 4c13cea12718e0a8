/*-------------------------------------------------------------------------
 *
 * patience.c
 *	  A session waits for what another process is writing.
 *
 * A write takes nanoseconds, but its process can be stopped in the middle of
 * it: by a busy machine for milliseconds, by a signal or a swap for as long as
 * it takes.  The watcher looks again at its next scan; a function that was
 * asked a question waits a while for the answer.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "patience.h"
#include "storage/latch.h"
#include "utils/timestamp.h"

#define PATIENCE	USECS_PER_SEC

/* How long to wait before the next try, in ms. */
#define PAUSE_MS	1

/* Wait for a moment.  False when the patience is at its end. */
bool
patience_wait(Patience *patience)
{
	static uint32 wait_event = 0;
	TimestampTz now = GetCurrentTimestamp();

	if (patience->until == 0)
		patience->until = now + PATIENCE;
	if (now >= patience->until)
		return false;

	if (wait_event == 0)
		wait_event = compat_wait_event("LeakwatchRead");
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 PAUSE_MS, wait_event);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
	return true;
}

/* Read the session in a slot; busy only when the patience is at its end. */
Reading
patience_read_session(Patience *patience, int slot, Session *session)
{
	Reading		reading;

	do
		reading = session_read(slot, session);
	while (reading == READ_BUSY && patience_wait(patience));
	return reading;
}

/* Copy an incident; false if there is none, an error if it can't be read. */
bool
patience_copy_incident(Patience *patience, int index, Incident *incident)
{
	Reading		reading;
	uint64		version;

	do
		reading = incident_copy(index, incident, &version);
	while (reading == READ_BUSY && patience_wait(patience));
	if (reading == READ_BUSY)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("could not read what the leakwatch watcher has found"),
				 errdetail("The watcher has been writing it all the while."),
				 errhint("Try again. If that does not help, the watcher's process has been stopped.")));
	return reading == READ_DONE;
}
