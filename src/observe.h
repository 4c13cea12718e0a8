/*-------------------------------------------------------------------------
 *
 * observe.h
 *	  What the watcher has seen of a session over several looks.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_OBSERVE_H
#define LEAKWATCH_OBSERVE_H

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
} Observation;

extern Size observe_shmem_size(void);
extern void observe_shmem_init(void);

/* The watcher's. */
extern void observe_write(int slot, const Observation *observation);
extern void observe_wait(const Session *session, TimestampTz now);
extern void observe_jump(int64 jump);

/* Anybody's. */
extern bool observe_read(const Session *session, Observation *observation);
extern bool observe_waited(const Session *session, TimestampTz now);
extern bool observe_apply(Session *session);

#endif							/* LEAKWATCH_OBSERVE_H */
