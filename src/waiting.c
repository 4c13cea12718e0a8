/*-------------------------------------------------------------------------
 *
 * waiting.c
 *	  Since when a session waits for its client, from look to look.
 *
 * The clock runs while every look finds a session waiting within the same
 * statement, and while nothing comes from the client or is taken by it: one
 * that reads or sends slowly and steadily is at work.  A session without a
 * client waits for it, whatever it does.
 *
 * Pure: nothing here calls the server.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "waiting.h"

#define WAITING		(SINCE_WAITING - NUM_SERVER_CLOCKS)

static void
start_clock(Observation *seen, TimestampTz at)
{
	seen->since[WAITING] = at;
	seen->gained[WAITING] = 0;
}

/* What has been seen before does not hold for another statement, or idleness. */
void
waiting_begin(Observation *seen, TimestampTz statement)
{
	if (seen->statement == statement)
		return;
	seen->statement = statement;
	seen->waiting = CLIENT_NOTHING;
	seen->moved = 0;
	seen->asked_at = 0;
	seen->client_suspected = false;
	seen->client_gone = false;
	seen->client_unknown = false;
	seen->suspicion = 0;
	start_clock(seen, 0);
}

/*
 * Note a look.  Where nobody can tell whether a client reads on, none is
 * accused of not doing so.
 */
void
waiting_note(Observation *seen, const Sighting *sighting)
{
	bool		waits = sighting->waiting == CLIENT_READ ||
	(sighting->waiting == CLIENT_WRITE && sighting->told);

	waiting_begin(seen, sighting->statement);
	if (!waits && !seen->client_gone)
		start_clock(seen, 0);
	else if (seen->since[WAITING] == 0 || (waits && sighting->waiting != seen->waiting) ||
			 (sighting->told && sighting->moved != seen->moved))
		start_clock(seen, sighting->at);
	seen->waiting = sighting->waiting;
	seen->moved = sighting->moved;
}

/*
 * Note what the connection to the client tells of a session that is at work.
 * Two times in a row it has to tell that there is none.
 */
void
waiting_note_client(Observation *seen, bool known, bool gone, TimestampTz at)
{
	bool		sure = known && gone && seen->client_suspected;

	seen->client_unknown = !known;
	seen->client_suspected = known && gone;
	if (sure == seen->client_gone)
		return;
	seen->client_gone = sure;
	start_clock(seen, sure ? at : 0);
}
