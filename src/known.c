/*-------------------------------------------------------------------------
 *
 * known.c
 *	  Causes that have been seen before, for who can't look into the table.
 *
 * The watcher has no database, but says of a cause how often it has been seen.
 * The recorder reads that from the table when there is another table than
 * before, after each clean-up of it, and when a cause has been resolved; in
 * between it counts what it writes.  So this is at most an hour behind rows
 * that others delete.
 *
 * Owns the "leakwatch causes" segment.  The recorder writes it, all of it under
 * one change counter.  There is room for a fixed number: a new one takes the
 * place of the one that was seen or resolved longest ago, of which nothing is
 * said any more until it comes again.
 *
 * The cause of an open incident is in a word of that incident: an atomic, the
 * recorder's, which the watcher clears before another incident takes the place.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "known.h"
#include "storage/shmem.h"

typedef struct Room
{
	pg_atomic_uint32 changes;
	Oid			database;		/* what is here is of the table there */
	Oid			relation;
	bool		unread;			/* and has still to be read from it */
	int			count;
	Known		known[NUM_KNOWN];
} Room;

static Room *room = NULL;

Size
known_shmem_size(void)
{
	return MAXALIGN(sizeof(Room));
}

/* Called with AddinShmemInitLock held. */
void
known_shmem_init(void)
{
	bool		found;

	room = ShmemInitStruct("leakwatch causes", sizeof(Room), &found);
	if (found)
		return;
	memset(room, 0, sizeof(Room));
	pg_atomic_init_u32(&room->changes, 0);
}

/* ---------- the recorder's ---------- */

/* Causes are those of this table: if it is another than before, none is known. */
void
known_set_table(Oid database, Oid relation)
{
	if (room->database == database && room->relation == relation)
		return;
	change_begin(&room->changes);
	room->database = database;
	room->relation = relation;
	room->unread = true;
	room->count = 0;
	change_end(&room->changes);
}

/* Is the table to be read?  This is told once: if that fails, it waits. */
bool
known_take_unread(void)
{
	bool		unread = room->unread;

	room->unread = false;
	return unread;
}

/* Take over what the table has, of at most NUM_KNOWN causes. */
void
known_load(const Known *known, int count)
{
	change_begin(&room->changes);
	room->count = count;
	memcpy(room->known, known, count * sizeof(Known));
	change_end(&room->changes);
}

static TimestampTz
last_heard_of(const Known *known)
{
	return Max(known->last_seen, known->resolved_at);
}

/* The place of a cause; if it has none, a free one or that of the oldest. */
static Known *
place_for(int64 cause)
{
	Known	   *oldest = &room->known[0];

	for (int i = 0; i < room->count; i++)
	{
		if (room->known[i].cause == cause)
			return &room->known[i];
		if (last_heard_of(&room->known[i]) < last_heard_of(oldest))
			oldest = &room->known[i];
	}
	return room->count < NUM_KNOWN ? &room->known[room->count] : oldest;
}

/* An incident of this cause, found at that time, is in the table now. */
void
known_add(int64 cause, TimestampTz seen_at)
{
	Known	   *place = place_for(cause);

	change_begin(&room->changes);
	if (place->cause != cause)
	{
		memset(place, 0, sizeof(Known));
		place->cause = cause;
		place->first_seen = seen_at;
		room->count = Max(room->count, (int) (place - room->known) + 1);
	}
	place->incidents++;
	if (place->first_seen == 0)
		place->first_seen = seen_at;
	place->last_seen = Max(place->last_seen, seen_at);
	change_end(&room->changes);
}

/*
 * Keep the cause of the incident with this number.  If another one has taken
 * its place meanwhile, it is not that one's.
 */
void
known_set_cause(int index, int64 id, int64 cause)
{
	pg_atomic_uint64 *word = incident_cause_word(index);

	if (incident_peek(index)->id != id)
		return;
	pg_atomic_write_u64(word, (uint64) cause);
	pg_memory_barrier();
	if (incident_peek(index)->id != id)
		pg_atomic_write_u64(word, 0);
}

/* ---------- anybody's ---------- */

/* Is anything known?  If not, nobody has to find out a cause to ask for it. */
bool
known_any(void)
{
	return room->count > 0;
}

/* What is known of a cause.  False if nothing is. */
bool
known_find(int64 cause, Known *known)
{
	for (int i = 0; i < room->count; i++)
	{
		/* the number alone tells of almost all that they are others */
		if (room->known[i].cause == cause)
			return change_copy(&room->changes, known, &room->known[i], sizeof(Known)) &&
				known->cause == cause;
	}
	return false;
}

/* The cause of an incident that has been copied; 0: not known yet. */
int64
known_cause(int index, const Incident *incident)
{
	int64		cause = (int64) pg_atomic_read_u64(incident_cause_word(index));

	pg_read_barrier();
	return incident_peek(index)->id == incident->id ? cause : 0;
}
