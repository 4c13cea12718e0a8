/*-------------------------------------------------------------------------
 *
 * holders.h
 *	  Which applications hold how many connections.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_HOLDERS_H
#define LEAKWATCH_HOLDERS_H

#include "saturation.h"
#include "session.h"

typedef struct HolderKey
{
	Oid			database;
	Oid			role;
	char		application[NAMEDATALEN];
} HolderKey;

typedef struct Holder
{
	HolderKey	key;
	int			sessions;
	int			idle;			/* of these */
	int			in_transaction; /* of these, idle in one */
	int			leaking;		/* of these, with open incidents */
	TimestampTz unused_since;	/* of the one used longest ago; 0: all are at
								 * work */
	Session		example;
} Holder;

/* All that hold connections of a scope, who holds most first. */
typedef struct Holders
{
	int			count;
	Holder	  **holder;
	Holder		all;			/* all of them together */
} Holders;

extern void holders_survey(ScopeKind kind, Oid oid, Holders *holders);

#endif							/* LEAKWATCH_HOLDERS_H */
