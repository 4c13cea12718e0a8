/*-------------------------------------------------------------------------
 *
 * terminate.h
 *	  From the facts about a session to its end.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_TERMINATE_H
#define LEAKWATCH_TERMINATE_H

#include "enforce.h"
#include "session.h"
#include "verdict.h"

typedef enum TerminateResult
{
	TERMINATE_SIGNALLED,
	TERMINATE_SPARED,			/* it had gone on, or gone */
	TERMINATE_FAILED
} TerminateResult;

extern Size terminate_shmem_size(void);
extern void terminate_shmem_init(void);

extern void terminate_facts(const Session *session, const SessionText *text,
							const SessionNames *names, const Policy *policy,
							const Verdict *verdict, TimestampTz now, int blocked,
							bool saturated, EnforceFacts *facts);

/* The watcher's. */
extern bool terminate_brake_allows(int64 monotonic);
extern void terminate_brake_held(void);
extern void terminate_note_held(int index, uint32 held);
extern TerminateResult terminate_session(const Session *session, bool waits,
										 const Excess *excess, int64 monotonic);

#endif							/* LEAKWATCH_TERMINATE_H */
