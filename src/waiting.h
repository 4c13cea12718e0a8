/*-------------------------------------------------------------------------
 *
 * waiting.h
 *	  Since when a session waits for its client, from look to look.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_WAITING_H
#define LEAKWATCH_WAITING_H

#include "policy.h"

/* All false and 0 until the watcher has seen it. */
typedef struct Observation
{
	TimestampTz backend_start;	/* whose it is; 0: nobody's */
	TimestampTz since[NUM_OBSERVED_CLOCKS]; /* 0: the clock does not run */
	int64		gained[NUM_OBSERVED_CLOCKS];	/* by the wall clock since
												 * then */
	TimestampTz waited_at;		/* last seen waiting for a lock, over a limit */
	TimestampTz blocking_state; /* change of state that SINCE_BLOCKING is of */

	/* the rest is of what it has done since this change of state */
	TimestampTz statement;
	uint64		moved;			/* by the client, as of the last look */
	int64		asked_at;		/* monotonic us; when its connection was asked */
	ClientWait	waiting:8;		/* as of the last look */
	bool		client_suspected;	/* to be gone, by one answer */
	bool		client_gone;	/* by two */
	bool		client_unknown; /* there was no answer */
	uint8		suspicion;		/* of an idle one: percent, 0: none */
} Observation;

/* How a look has found a session that runs a statement. */
typedef struct Sighting
{
	TimestampTz at;
	TimestampTz statement;		/* change of state since which it runs it */
	ClientWait	waiting;
	bool		told;			/* is it known what the client has moved? */
	uint64		moved;			/* what the client has moved so far */
} Sighting;

extern void waiting_begin(Observation *seen, TimestampTz statement);
extern void waiting_note(Observation *seen, const Sighting *sighting);
extern void waiting_note_client(Observation *seen, bool known, bool gone, TimestampTz at);

#endif							/* LEAKWATCH_WAITING_H */
