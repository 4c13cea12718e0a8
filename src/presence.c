/*-------------------------------------------------------------------------
 *
 * presence.c
 *	  What is known of a prepared transaction of which only the number is.
 *
 * Pure.  Shared memory has the numbers of prepared transactions, and only a
 * process with a database can ask for more.  Most are finished within
 * moments, and are not worth a connection: one is asked about when it may have
 * met the limit, which is told from when it was not there yet.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "presence.h"

/*
 * A look has found this transaction in a place, or none; the look before was
 * then (0: there was none).  Returns whether it is another than before.
 */
bool
presence_note(Presence *presence, TransactionId xid, TimestampTz last_look, TimestampTz now)
{
	if (presence->xid == xid)
		return false;
	presence->xid = xid;
	presence->seen_at = now;
	presence->not_before = last_look != 0 ? last_look : DT_NOBEGIN;
	presence->gained = 0;
	return true;
}

/* The wall clock has jumped: all that was noted by it is as long ago as before. */
void
presence_jump(Presence *presence, int64 jump)
{
	if (!TransactionIdIsValid(presence->xid))
		return;
	presence->seen_at += jump;
	if (presence->not_before != DT_NOBEGIN)
		presence->not_before += jump;
	presence->gained += jump;
}

/*
 * When it was prepared at the earliest, if the list that was read then (0:
 * never) does not have it.
 */
TimestampTz
presence_earliest(const Presence *presence, TimestampTz read_at)
{
	return Max(presence->not_before, read_at != 0 ? read_at : DT_NOBEGIN);
}
