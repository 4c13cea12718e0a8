/*-------------------------------------------------------------------------
 *
 * presence.h
 *	  What is known of a prepared transaction of which only the number is.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_PRESENCE_H
#define LEAKWATCH_PRESENCE_H

#include "access/transam.h"
#include "datatype/timestamp.h"

/* The transaction that was last seen in a place, if there was one. */
typedef struct Presence
{
	TransactionId xid;			/* invalid: none was there */
	TimestampTz seen_at;		/* by the first look that found it */
	TimestampTz not_before;		/* it was prepared; DT_NOBEGIN: not known */
	int64		gained;			/* by the wall clock since then */
} Presence;

extern bool presence_note(Presence *presence, TransactionId xid, TimestampTz last_look,
						  TimestampTz now);
extern void presence_jump(Presence *presence, int64 jump);
extern TimestampTz presence_earliest(const Presence *presence, TimestampTz read_at);

#endif							/* LEAKWATCH_PRESENCE_H */
