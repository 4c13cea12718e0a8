/*-------------------------------------------------------------------------
 *
 * observe.c
 *	  What the watcher has seen of a session over several looks.
 *
 * The server notes when a session's state changed, and neither since when it
 * waits for its client within a statement nor since when it is in others'
 * way.  Clocks for these start with the first look that finds it so.  What a
 * client does is asked of sessions that are waiting for it, and whether there
 * is one of those that do harm.
 *
 * Owns the "leakwatch observations" segment: an observation for each entry of
 * the backend status array, written by the watcher under a change counter and
 * read by all, so that it survives the watcher.  One whose backend_start is
 * not that of the session in the entry counts as empty.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "activity.h"
#include "changes.h"
#include "client.h"
#include "commands/progress.h"
#include "observe.h"
#include "session.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"
#include "verdict.h"

#define LOCK_GRACE	(LOCK_GRACE_MS * INT64CONST(1000))

/* How often to see whether somebody whose time is nearly up waits for a lock. */
#define LOCK_LOOK	USECS_PER_SEC

/*
 * How long an answer about a client's connection is good: of one that is
 * waited for, of one that may be gone, and of all others.
 */
#define WAITING_AGAIN	(USECS_PER_SEC / 10)
#define SUSPECT_AGAIN	USECS_PER_SEC
#define CLIENT_AGAIN	(5 * USECS_PER_SEC)

typedef struct ObservationSlot
{
	pg_atomic_uint32 changes;
	Observation observation;
} ObservationSlot;

static ObservationSlot *slots = NULL;

Size
observe_shmem_size(void)
{
	return mul_size(sizeof(ObservationSlot), MaxBackends);
}

/* Called with AddinShmemInitLock held. */
void
observe_shmem_init(void)
{
	bool		found;

	slots = ShmemInitStruct("leakwatch observations", observe_shmem_size(), &found);
	if (found)
		return;
	memset(slots, 0, observe_shmem_size());
	for (int i = 0; i < MaxBackends; i++)
		pg_atomic_init_u32(&slots[i].changes, 0);
}

/* Note what has been seen of whoever is in a slot. */
void
observe_write(int slot, const Observation *observation)
{
	change_begin(&slots[slot].changes);
	slots[slot].observation = *observation;
	change_end(&slots[slot].changes);
}

/* The wall clock has jumped by so many microseconds, which are no age. */
void
observe_jump(int64 jump)
{
	for (int slot = 0; slot < MaxBackends; slot++)
	{
		ObservationSlot *s = &slots[slot];

		if (s->observation.backend_start == 0)
			continue;
		change_begin(&s->changes);
		for (int i = 0; i < NUM_OBSERVED_CLOCKS; i++)
		{
			if (s->observation.since[i] != 0)
				s->observation.gained[i] += jump;
		}
		if (s->observation.waited_at != 0)
			s->observation.waited_at += jump;
		change_end(&s->changes);
	}
}

/*
 * What has been seen of this session; an empty observation of it if nothing
 * has.  False when no consistent answer could be had.
 */
bool
observe_read(const Session *session, Observation *observation)
{
	const ObservationSlot *s = &slots[session->slot];

	if (!change_copy(unconstify(pg_atomic_uint32 *, &s->changes), observation,
					 &s->observation, sizeof(Observation)))
		return false;
	if (observation->backend_start != session->since[SINCE_BACKEND])
	{
		memset(observation, 0, sizeof(Observation));
		observation->backend_start = session->since[SINCE_BACKEND];
	}
	return true;
}

/* A session over a terminate limit, or near one, waits for a lock. */
void
observe_wait(const Session *session, TimestampTz now)
{
	Observation observation;

	if (!observe_read(session, &observation))
		return;
	observation.waited_at = now;
	observe_write(session->slot, &observation);
}

/*
 * A session meets a terminate limit at this time.  If it waits for a lock until
 * shortly before, no trace is left of that, so look whether it does.  Returns
 * when to look again, DT_NOEND for any time.
 */
TimestampTz
observe_before(const Session *session, TimestampTz limit, const Moment *moment)
{
	Activity	activity;

	if (limit == DT_NOEND)
		return DT_NOEND;
	if (moment->now < limit - LOCK_GRACE)
		return limit - LOCK_GRACE;
	activity_read(session, &activity);
	if (activity.waits_for_lock)
		observe_wait(session, moment->now);
	return moment->now + LOCK_LOOK;
}

/* Has it done so until just now? */
bool
observe_waited(const Session *session, TimestampTz now)
{
	Observation observation;

	return observe_read(session, &observation) && observation.waited_at != 0 &&
		now - observation.waited_at < LOCK_GRACE;
}

/*
 * Start the clocks of a session that the watcher has seen running.  That it
 * waits for its client holds for the statement in which that was seen.
 */
bool
observe_apply(Session *session)
{
	Observation observation;

	if (!observe_read(session, &observation))
		return false;
	session->suspicion = session->state == SESSION_IDLE &&
		observation.statement == session->since[SINCE_STATE] ? observation.suspicion : 0;
	if (session->state != SESSION_ACTIVE ||
		observation.statement != session->since[SINCE_STATE])
		waiting_begin(&observation, 0);
	for (int i = 0; i < NUM_OBSERVED_CLOCKS; i++)
	{
		session->since[NUM_SERVER_CLOCKS + i] = observation.since[i];
		session->gained[NUM_SERVER_CLOCKS + i] = observation.gained[i];
	}

	/* it has gone on since it was seen in others' way */
	if (observation.blocking_state != session->since[SINCE_STATE])
		session->since[SINCE_BLOCKING] = session->gained[SINCE_BLOCKING] = 0;
	session->waiting = observation.waiting;
	session->client_gone = observation.client_gone;
	session->client_unknown = observation.client_unknown;
	return true;
}

/* ---------- clients ---------- */

/* What has been seen of this session; for the watcher, who writes it. */
static Observation
seen_of(const Session *session)
{
	Observation seen = slots[session->slot].observation;

	if (seen.backend_start != session->since[SINCE_BACKEND])
	{
		memset(&seen, 0, sizeof(seen));
		seen.backend_start = session->since[SINCE_BACKEND];
	}
	return seen;
}

/* An idle session is suspected of having been forgotten, as long as it is idle. */
void
observe_suspect(const Session *session, uint8 suspicion)
{
	Observation seen = seen_of(session);

	waiting_begin(&seen, session->since[SINCE_STATE]);
	seen.suspicion = suspicion;
	observe_write(session->slot, &seen);
}

/*
 * What the client has moved so far, to be compared.  False when that can't be
 * told.  A COPY runs ahead of a client that reads by what the system buffers,
 * but not behind one that writes.
 */
static bool
client_moved(const Session *session, ClientWait waiting, uint64 *moved)
{
	ClientReading reading;
	ProgressCommandType command;
	int64		param[PGSTAT_NUM_PROGRESS_PARAM];
	bool		told = client_read(session, &reading);

	*moved = told ? reading.moved : 0;
	if (waiting == CLIENT_READ && session_progress(session, &command, param) &&
		command == PROGRESS_COMMAND_COPY)
	{
		*moved += param[PROGRESS_COPY_BYTES_PROCESSED] + param[PROGRESS_COPY_TUPLES_PROCESSED];
		told = true;
	}
	return told;
}

/*
 * Note whether a session waits for its client.  Returns whether it may come to
 * be one that waits too long, and has to be looked at again soon.
 */
bool
observe_waiting(const Session *session, const Moment *moment)
{
	Sighting	sighting = {
		.at = moment->now,
		.statement = session->since[SINCE_STATE],
		.waiting = session_waiting(session),
	};
	Observation seen;
	bool		same;

	if (session->state != SESSION_ACTIVE)
		return false;
	seen = seen_of(session);
	same = seen.statement == sighting.statement && seen.waiting == sighting.waiting;
	if (sighting.waiting == CLIENT_NOTHING)
	{
		if (same || seen.statement != sighting.statement)
			return moment->now - sighting.statement >= YOUNG_STATEMENT;
		waiting_note(&seen, &sighting);
	}
	else
	{
		if (same && moment->monotonic - seen.asked_at < WAITING_AGAIN)
			return true;
		sighting.told = client_moved(session, sighting.waiting, &sighting.moved);
		waiting_note(&seen, &sighting);
		seen.asked_at = moment->monotonic;
	}
	observe_write(session->slot, &seen);
	return true;
}

/*
 * Note whether an active session that does harm still has a client.  Returns
 * whether that is other than it was known to be.
 */
bool
observe_client(const Session *session, const Moment *moment)
{
	Observation seen = seen_of(session);
	ClientReading reading = {0};
	bool		gone;
	bool		unknown;
	bool		known;

	waiting_begin(&seen, session->since[SINCE_STATE]);
	if (seen.asked_at != 0 && moment->monotonic - seen.asked_at <
		(seen.client_suspected && !seen.client_gone ? SUSPECT_AGAIN : CLIENT_AGAIN))
		return false;

	gone = seen.client_gone;
	unknown = seen.client_unknown;
	known = client_read(session, &reading);
	waiting_note_client(&seen, known, reading.gone, moment->now);
	seen.asked_at = moment->monotonic;
	observe_write(session->slot, &seen);
	return seen.client_gone != gone || seen.client_unknown != unknown;
}

/* The last look at a session that has been found waiting: is it so still? */
bool
observe_still_waits(const Session *session)
{
	Observation seen = seen_of(session);
	ClientReading reading;
	uint64		moved;

	if (seen.client_gone)
		return client_read(session, &reading) && reading.gone;
	return session_waiting(session) == seen.waiting &&
		(!client_moved(session, seen.waiting, &moved) || moved == seen.moved);
}
