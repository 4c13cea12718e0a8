/*-------------------------------------------------------------------------
 *
 * places.c
 *	  Whom the watcher knows in each slot, and in which pool.
 *
 * Owns the places, one for each entry of the backend status array, in the
 * private memory of the watcher.  A pool has seats for a certain number of its
 * sessions; what the others do is not wanted to be known, which their slots
 * tell them, until a seat becomes free.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "agenda.h"
#include "guc.h"
#include "kind.h"
#include "places.h"
#include "slot.h"
#include "utils/memutils.h"

static Place *places = NULL;
int16	   *places_pool = NULL;
int		   *places_version = NULL;

static bool any_unseated = false;
static bool seat_free = false;	/* perhaps for one of those */

/* Called once when a watcher starts. */
void
places_init(void)
{
	places = MemoryContextAllocZero(TopMemoryContext, mul_size(sizeof(Place), MaxBackends));
	places_pool = MemoryContextAlloc(TopMemoryContext, mul_size(sizeof(int16), MaxBackends));
	places_version = MemoryContextAlloc(TopMemoryContext, mul_size(sizeof(int), MaxBackends));
	places_forget();
}

/* Forget everybody, and all pools. */
void
places_forget(void)
{
	for (int slot = 0; slot < MaxBackends; slot++)
	{
		places_pool[slot] = NO_POOL;
		places_version[slot] = AGENDA_NO_VERSION;
		places[slot].pid = 0;
		places[slot].unseated = NO_POOL;
		slot_mute(slot, 0);
	}
	pools_init();
}

Place *
places_get(int slot)
{
	return &places[slot];
}

/* The server's, in us. */
int64
places_server_pace(void)
{
	return guc_policy.value[POLICY_WARN(KIND_SUSPECTED_LEAK)] * INT64CONST(1000);
}

SuspectGroup *
places_group(int slot)
{
	return &pools_get(places_pool[slot])->group;
}

/*
 * By which pace what it has done is taken: its own, or else the server's.
 * Where both are off, events of before that still have one.
 */
int64
places_pace(const Place *place)
{
	int64		pace = place->pace > 0 ? place->pace : places_server_pace();

	return pace > 0 ? pace : kind_info(KIND_SUSPECTED_LEAK)->warn_boot * INT64CONST(1000);
}

/* Nobody is known in this slot any more. */
void
places_vacate(int slot)
{
	if (places_pool[slot] != NO_POOL)
	{
		pools_get(places_pool[slot])->members--;
		seat_free = true;
	}
	if (places[slot].unseated != NO_POOL)
		slot_mute(slot, 0);
	places_pool[slot] = NO_POOL;
	places[slot].pid = 0;
	places[slot].unseated = NO_POOL;
	places_version[slot] = AGENDA_NO_VERSION;
}

void
places_leave(int slot)
{
	if (places_pool[slot] != NO_POOL)
		suspect_leave(places_group(slot), &places[slot].member);
	places_vacate(slot);
}

/*
 * Its pool has more members than can be followed: what this one does is not
 * to be told, until a seat becomes free.
 */
static void
unseat(int slot)
{
	Place	   *place = &places[slot];

	place->unseated = places_pool[slot];
	pools_get(places_pool[slot])->members--;
	places_pool[slot] = NO_POOL;
	slot_mute(slot, place->pid);
	any_unseated = true;
}

/* pools_find() takes this pool from its members. */
static void
places_forsake(int pool)
{
	for (int slot = 0; slot < MaxBackends; slot++)
	{
		if (places_pool[slot] == pool)
			places_leave(slot);
		else if (places[slot].unseated == pool)
			places_vacate(slot);
	}
}

/* The pace of a session, as long as it changes nothing of that. */
static int64
read_pace(Session *session)
{
	SlotOverrides overrides;
	Policy		policy;

	if (!slot_overrides(session, &overrides))
		return places_server_pace();
	slot_effective_policy(&guc_policy, &overrides, &policy);
	return policy.value[POLICY_WARN(KIND_SUSPECTED_LEAK)] * INT64CONST(1000);
}

/* A session may have changed its own pace, or the server that of all. */
void
places_tell_pace(Session *session)
{
	Place	   *place = &places[session->slot];
	uint32		changes = slot_changes(session->slot);

	if (place->changes == changes && place->server_pace == places_server_pace())
		return;
	place->changes = changes;
	place->server_pace = places_server_pace();
	place->pace = read_pace(session);
}

/* Take in a session that has been read.  False when there is no pool for it. */
bool
places_enter(Session *session, const PoolKey *key, bool connected, TimestampTz now)
{
	int			slot = session->slot;
	Place	   *place = &places[slot];
	uint32		changes = slot_changes(slot);
	int64		pace = read_pace(session);
	int			pool;

	places_leave(slot);
	pool = pools_find(key, now, pace > 0 ? pace : places_server_pace(), places_forsake);
	if (pool == NO_POOL)
		return false;
	places_pool[slot] = pool;
	pools_get(pool)->members++;
	slot_mute(slot, 0);
	place->pid = session->pid;
	place->backend_start = session->since[SINCE_BACKEND];
	place->free_since = 0;
	place->estimated = false;
	place->pace = pace;
	place->changes = changes;
	place->server_pace = places_server_pace();
	place->suspected = 0;
	if (connected)
	{
		SuspectEvent event = {
			.kind = SUSPECT_CONNECT,
			.at = place->backend_start,
		};

		suspect_event(places_group(slot), &place->member, &event, places_pace(place));
	}
	else
		suspect_join(places_group(slot), &place->member, place->backend_start, now);
	if (place->member.seat < 0)
	{
		unseat(slot);
		return false;
	}
	pools_touch(pool);
	return true;
}

/* Read the session in a slot and whose it is, if it has this pid. */
static bool
places_read_owner(int slot, int pid, Session *session, PoolKey *key)
{
	return session_read(slot, session) == READ_DONE && session->pid == pid &&
		pools_key(session, key);
}

/* Is it known who is in a slot?  If not, get to know. */
bool
places_know(int slot, int pid, bool connected, TimestampTz now)
{
	Session		session;
	PoolKey		key;

	if (places[slot].pid == pid)
		return places_pool[slot] != NO_POOL;
	return places_read_owner(slot, pid, &session, &key) && places_enter(&session, &key, connected, now);
}

/* The pool of a session that may not be known yet. */
int
places_pool_of(int slot, int pid, TimestampTz now)
{
	Session		session;
	PoolKey		key;

	if (places[slot].pid == pid)
		return places_pool[slot];
	if (!places_read_owner(slot, pid, &session, &key))
		return NO_POOL;
	return pools_find(&key, now, places_server_pace(), places_forsake);
}

/* If seats have become free, let others of their pools take them. */
void
places_reseat(TimestampTz now)
{
	bool		needed = any_unseated && seat_free;

	seat_free = false;
	if (!needed)
		return;
	any_unseated = false;
	for (int slot = 0; slot < MaxBackends; slot++)
	{
		Place	   *place = &places[slot];
		Session		session;
		PoolKey		key;

		if (place->unseated == NO_POOL)
			continue;
		if (pools_get(place->unseated)->members >= SUSPECT_SEATS)
			any_unseated = true;
		else if (places_read_owner(slot, place->pid, &session, &key))
			(void) places_enter(&session, &key, false, now);
		else
			places_vacate(slot);
	}
}
