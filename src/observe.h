/*-------------------------------------------------------------------------
 *
 * observe.h
 *	  What the watcher has seen of a session over several looks.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_OBSERVE_H
#define LEAKWATCH_OBSERVE_H

#include "clock.h"
#include "waiting.h"

/* A statement that has run for less will not have waited for its client for long. */
#define YOUNG_STATEMENT	USECS_PER_SEC

extern Size observe_shmem_size(void);
extern void observe_shmem_init(void);

/* The watcher's. */
extern void observe_write(int slot, const Observation *observation);
extern void observe_wait(const Session *session, TimestampTz now);
extern TimestampTz observe_before(const Session *session, TimestampTz limit,
								  const Moment *moment);
extern void observe_jump(int64 jump);
extern bool observe_waiting(const Session *session, const Moment *moment);
extern void observe_suspect(const Session *session, uint8 suspicion);
extern bool observe_client(const Session *session, const Moment *moment);
extern bool observe_still_waits(const Session *session);

/* Anybody's. */
extern bool observe_read(const Session *session, Observation *observation);
extern bool observe_waited(const Session *session, TimestampTz now);
extern bool observe_apply(Session *session);

#endif							/* LEAKWATCH_OBSERVE_H */
