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
 * Most sessions that are looked at have gone on, and whatever limits they have
 * began anew with that.  To see so much a glance is enough, at a few words of
 * memory; a visit judges.
 *
 * An active session may have come to wait for its client without a change in
 * its version, so a look there is taken whenever it is due.
 *
 * A walk goes through the slots when one is due, and takes the looks along that
 * are due soon after, so as not to wake for each.  Only a session that has done
 * nothing, and will meet a limit if it does not, is waited for.
 *
 * A session with an open incident announces that it goes on or ends.  What
 * passes by our hooks does not, an empty statement for example, so a look
 * there is good for no longer than FOLLOW_MS.  A slot with anything left to
 * decide is looked at in every scan, of which the next is not far then.
 *
 * Owns the looks and the times, private to the watcher.  Needs no server:
 * time is handed in, and so is what tells that a slot has changed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "agenda.h"

#define EVERY_SCAN	DT_NOBEGIN

/* So many slots ahead their versions are fetched from memory. */
#define AHEAD		16
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
	int			rest = look->rest;

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

/*
 * What a glance tells of a session all of whose limits began anew at this time
 * or after: none of them is met before the shortest one has passed since.
 */
void
agenda_glanced(Look *look, TimestampTz began, TimestampTz now, int version)
{
	look->at = now;
	look->version = version;
	look->due = look->shortest_limit > 0 ?
		began + look->shortest_limit * INT64CONST(1000) : DT_NOEND;
	/* nobody has asked whether it is */
	look->active = true;
}

/* Take a look at a slot that is on the agenda: no closer a one than it needs. */
static void
look_at(int slot, const Walk *walk)
{
	Look	   *look = &looks[slot];

	if (!walk->all && (look->version & 1) == 0)
	{
		if (look->version != walk->version(slot))
		{
			if (look->begins_anew && !look->followed && walk->glance(slot, look, walk->arg))
			{
				enter(slot);
				return;
			}
		}
		else if (look->due > walk->now && !look->active)
		{
			look->at = walk->now;
			enter(slot);
			return;
		}
	}
	walk->visit(slot, walk->arg);
}

/* Is there nothing to be seen in this slot before its limit is met? */
static bool
is_waited_for(int slot, const Walk *walk)
{
	const Look *look = &looks[slot];

	return look_by[slot] > walk->now && look_by[slot] == look->due &&
		look->version == walk->version(slot);
}

/* By when the first slot has to be looked at. */
static TimestampTz
earliest(void)
{
	TimestampTz first = DT_NOEND;

	for (int slot = 0; slot < nslots; slot++)
		first = Min(first, look_by[slot]);
	return first;
}

/*
 * If any slot has to be looked at now, look at all that have to be until then.
 * Returns when the next has to be, DT_NOEND for any time.
 */
TimestampTz
agenda_walk(Walk *walk)
{
	TimestampTz next = earliest();
	TimestampTz until = walk->until;
	bool		all = walk->all;

	if (next > walk->now && !all)
		return next;

	next = DT_NOEND;
	walk->shortest_rest = 0;
	for (int slot = 0; slot < nslots; slot++)
	{
		const Look *look = &looks[slot];

		if (slot + AHEAD < nslots && (look_by[slot + AHEAD] <= until || all))
			walk->prefetch(slot + AHEAD);
		if (likely(look_by[slot] > until && !all))
		{
			next = Min(next, look_by[slot]);
			continue;
		}
		if (all || !is_waited_for(slot, walk))
			look_at(slot, walk);

		if (look_by[slot] == EVERY_SCAN)
			next = Min(next, walk->again);
		else
			next = Min(next, look_by[slot]);
		if (look->due > walk->now)
			next = Min(next, look->due);
		if (look->rest > 0 && (walk->shortest_rest == 0 || look->rest < walk->shortest_rest))
			walk->shortest_rest = look->rest;
	}
	return next;
}
