/*-------------------------------------------------------------------------
 *
 * known.h
 *	  Causes that have been seen before, for who can't look into the table.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_KNOWN_H
#define LEAKWATCH_KNOWN_H

#include "incident.h"

/* For so many there is room: those seen or resolved last. */
#define NUM_KNOWN	256

typedef struct Known
{
	int64		cause;			/* 0: none */
	int64		incidents;		/* as many as the table has */
	TimestampTz first_seen;		/* when the first of these was found */
	TimestampTz last_seen;		/* and the last */
	TimestampTz resolved_at;	/* 0: it is not */
} Known;

extern Size known_shmem_size(void);
extern void known_shmem_init(void);

/* The recorder's. */
extern void known_set_table(Oid database, Oid relation);
extern bool known_take_unread(void);
extern void known_load(const Known *known, int count);
extern void known_add(int64 cause, TimestampTz seen_at);
extern void known_set_cause(int index, int64 id, int64 cause);

/* Anybody's. */
extern bool known_any(void);
extern bool known_find(int64 cause, Known *known);
extern int64 known_cause(int index, const Incident *incident);

#endif							/* LEAKWATCH_KNOWN_H */
