/*-------------------------------------------------------------------------
 *
 * observe.c
 *	  What the watcher has seen of a session over several looks.
 *
 * The server notes when a session's state changed, and not since when it is in
 * others' way.  A clock for that starts with the first look that finds it so.
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

#include "changes.h"
#include "observe.h"
#include "storage/shmem.h"

/*
 * How long who has waited for a lock is left alone, to do what it was kept
 * from: who was in its way may have been ended for its sake.
 */
#define AFTER_WAIT	(5 * USECS_PER_SEC)

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

/* A session over a terminate limit waits for a lock. */
void
observe_wait(const Session *session, TimestampTz now)
{
	Observation observation;

	if (!observe_read(session, &observation))
		return;
	observation.waited_at = now;
	observe_write(session->slot, &observation);
}

/* Has it done so until just now? */
bool
observe_waited(const Session *session, TimestampTz now)
{
	Observation observation;

	return observe_read(session, &observation) && observation.waited_at != 0 &&
		now >= observation.waited_at && now - observation.waited_at < AFTER_WAIT;
}

/* Start the clocks of a session that the watcher has seen running. */
bool
observe_apply(Session *session)
{
	Observation observation;

	if (!observe_read(session, &observation))
		return false;
	for (int i = 0; i < NUM_OBSERVED_CLOCKS; i++)
	{
		session->since[NUM_SERVER_CLOCKS + i] = observation.since[i];
		session->gained[NUM_SERVER_CLOCKS + i] = observation.gained[i];
	}

	/* it has gone on since it was seen in others' way */
	if (observation.blocking_state != session->since[SINCE_STATE])
		session->since[SINCE_BLOCKING] = session->gained[SINCE_BLOCKING] = 0;
	return true;
}
