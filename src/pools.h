/*-------------------------------------------------------------------------
 *
 * pools.h
 *	  Whose sessions share a pool: those of a database, a role, an application
 *	  name and a client host.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_POOLS_H
#define LEAKWATCH_POOLS_H

#include "excerpt.h"
#include "session.h"
#include "suspect.h"

/* Pools that there is room for. */
#define NUM_POOLS	128

#define NO_POOL		(-1)

typedef struct PoolKey
{
	Oid			database;
	Oid			role;
	uint32		family;
	uint8		address[16];
	char		application[NAMEDATALEN];
} PoolKey;

typedef struct Pool
{
	PoolKey		key;
	uint32		hash;			/* of the key */
	int			members;
	TimestampTz since;			/* known */
	TimestampTz judged_at;		/* its members, last */
	bool		touched;		/* something has happened in this scan */
	bool		judged;			/* its members have been, in this scan */
	Excerpt		excerpt;		/* of its uses */
	SuspectGroup group;
} Pool;

extern void pools_init(void);
extern int	pools_count(void);
extern Pool *pools_get(int pool);
extern void pools_touch(int pool);
extern bool pools_any_touched(void);
extern void pools_rest(TimestampTz now);
extern bool pools_key(const Session *session, PoolKey *key);
extern bool pools_is(int pool, const PoolKey *key);
extern int	pools_find(const PoolKey *key, TimestampTz now, int64 rest, void (*forsake) (int pool));

#endif							/* LEAKWATCH_POOLS_H */
