/*-------------------------------------------------------------------------
 *
 * agenda.c
 *	  By when each slot has to be looked at.
 *
 * Whatever a session does, and whoever takes its place, none can meet a limit
 * sooner after a look than the shortest limit in force there: so a look is
 * good for that long, or until the limit that the session is about to meet,
 * if that comes first.  What a session publishes brings the look forward, and
 * changed settings all of them.
 *
 * An active session may have come to wait for its client without a change in
 * its version, so a look there is taken whenever it is due.
 *
 * Looks that are due in the time until the next scan are taken now instead,
 * so as not to wake for each; only a session that will meet a limit is waited
 * for.
 *
 * A session with an open incident announces that it goes on or ends.  What
 * passes by our hooks does not, an empty statement for example, so a look
 * there is good for no longer than FOLLOW_MS.  A slot with anything left to
 * decide is looked at in every scan.
 *
 * Owns the looks and the times, private to the watcher.  Needs no server:
 * time is handed in, and so is what tells that a slot has changed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "agenda.h"

#define EVERY_SCAN	DT_NOBEGIN
#define FOLLOW_MS	5000

/*
 * The times are kept apart from the looks because a walk goes through
 * thousands of them, and through the looks only where one is due.
 */
static TimestampTz *look_by = NULL;
static Look *looks = NULL;
static int	nslots = 0;

/* Bytes of memory for the agenda of so many slots. */
Size
agenda_size(int count)
{
	return (sizeof(TimestampTz) + sizeof(Look)) * count;
}

/* Begin an agenda in this memory: every slot is to be looked at. */
void
agenda_init(void *memory, int count)
{
	look_by = memory;
	looks = (Look *) (look_by + count);
	nslots = count;
	memset(memory, 0, agenda_size(count));
	for (int slot = 0; slot < nslots; slot++)
		agenda_expect(slot);
}

/* Enter a slot by what the last look has told. */
static void
enter(int slot)
{
	const Look *look = &looks[slot];
	int			rest = look->shortest_limit;

	if ((look->version & 1) != 0)
	{
		look_by[slot] = EVERY_SCAN;
		return;
	}
	if (look->followed && (rest == 0 || rest > FOLLOW_MS))
		rest = FOLLOW_MS;
	look_by[slot] = look->due;
	if (rest > 0)
		look_by[slot] = Min(look_by[slot], look->at + rest * INT64CONST(1000));
}

/* A look at this slot has been taken. */
void
agenda_looked(int slot, const Look *look)
{
	looks[slot] = *look;
	enter(slot);
}

/* Have this slot looked at in the next walk. */
void
agenda_expect(int slot)
{
	looks[slot].version = AGENDA_NO_VERSION;
	look_by[slot] = EVERY_SCAN;
}

/* The same for all slots with open incidents, without judging them anew. */
void
agenda_expect_followed(void)
{
	for (int slot = 0; slot < nslots; slot++)
	{
		if (looks[slot].followed)
			look_by[slot] = EVERY_SCAN;
	}
}

bool
agenda_is_followed(int slot)
{
	return looks[slot].followed;
}

/* When this slot is to be judged again, as far as is known. */
TimestampTz
agenda_due(int slot)
{
	return looks[slot].due;
}

/* Take a look at a slot that is on the agenda, unless nothing has changed. */
static void
look_at(int slot, const Walk *walk)
{
	Look	   *look = &looks[slot];

	if (walk->all || look->due <= walk->now || look->active || (look->version & 1) != 0 ||
		look->version != walk->version(slot))
	{
		walk->visit(slot, walk->arg);
		return;
	}
	look->at = walk->now;
	enter(slot);
}

/*
 * Look at every slot that has to be looked at before the scan after this one.
 * Returns when that has to be, DT_NOEND for any time.
 */
TimestampTz
agenda_walk(Walk *walk)
{
	TimestampTz next = DT_NOEND;
	TimestampTz until = walk->until;
	bool		all = walk->all;

	walk->shortest_limit = 0;
	for (int slot = 0; slot < nslots; slot++)
	{
		const Look *look = &looks[slot];

		if (likely(look_by[slot] > until && !all))
			continue;

		/* nothing to be seen before its limit is met? */
		if (all || look_by[slot] <= walk->now || look_by[slot] != look->due)
			look_at(slot, walk);

		if (look_by[slot] > walk->now)
			next = Min(next, look_by[slot]);
		else if (look->due > walk->now)
			next = Min(next, look->due);
		if (look->shortest_limit > 0 &&
			(walk->shortest_limit == 0 || look->shortest_limit < walk->shortest_limit))
			walk->shortest_limit = look->shortest_limit;
	}
	return next;
}
