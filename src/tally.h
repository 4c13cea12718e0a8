/*-------------------------------------------------------------------------
 *
 * tally.h
 *	  How many incidents there have been, of which kind, and how they ended.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_TALLY_H
#define LEAKWATCH_TALLY_H

#include "outcome.h"
#include "policy.h"

extern Size tally_shmem_size(void);
extern void tally_shmem_init(void);

/* The watcher's. */
extern void tally_opened(LeakKind kind);
extern void tally_ended(LeakKind kind, Outcome outcome, IncidentAction action);

/* Anybody's. */
extern uint64 tally_count_opened(LeakKind kind);
extern uint64 tally_count_ended(LeakKind kind, Outcome outcome, IncidentAction action);

#endif							/* LEAKWATCH_TALLY_H */
