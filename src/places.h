/*-------------------------------------------------------------------------
 *
 * places.h
 *	  Whom the watcher knows in each slot, and in which pool.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_PLACES_H
#define LEAKWATCH_PLACES_H

#include "pools.h"

/* Whom we know in a slot. */
typedef struct Place
{
	SuspectMember member;
	int			pid;			/* 0: nobody */
	int16		unseated;		/* the pool that has no seat for it; NO_POOL:
								 * none */
	TimestampTz backend_start;
	TimestampTz free_since;		/* 0: it is in use */
	bool		estimated;		/* that, by its backend */
	int64		pace;			/* its suspected_leak_warn, us; 0: off */
	uint32		changes;		/* of its slot, as of then */
	int64		server_pace;	/* likewise */
	TimestampTz suspected;		/* since when the one is idle that ... */
	Suspicion	suspicion;		/* ... this is of */
} Place;

/* Of each slot, beside the places, because a scan goes through all of them. */
extern int16 *places_pool;		/* NO_POOL: of no pool */
extern int *places_version;		/* of its status when last looked at */

extern void places_init(void);
extern void places_forget(void);
extern Place *places_get(int slot);
extern int64 places_server_pace(void);
extern int64 places_pace(const Place *place);
extern void places_tell_pace(Session *session);
extern SuspectGroup *places_group(int slot);
extern bool places_enter(Session *session, const PoolKey *key, bool connected, TimestampTz now);
extern bool places_know(int slot, int pid, bool connected, TimestampTz now);
extern int	places_pool_of(int slot, int pid, TimestampTz now);
extern void places_vacate(int slot);
extern void places_leave(int slot);
extern void places_reseat(TimestampTz now);

#endif							/* LEAKWATCH_PLACES_H */
