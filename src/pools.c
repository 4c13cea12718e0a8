/*-------------------------------------------------------------------------
 *
 * pools.c
 *	  Whose sessions share a pool: those of a database, a role, an application
 *	  name and a client host.
 *
 * Owns the pools, of which there is a fixed number, in the private memory of
 * the watcher: a new watcher starts to learn anew.  When room runs out, the
 * pool that tells least makes way, unless it has just come itself.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "common/hashfn.h"
#include "pools.h"
#include "utils/memutils.h"

static Pool *pools = NULL;
static int	npools = 0;			/* that there have been */
static bool any_touched = false;

/* Forget all pools; called first when a watcher starts. */
void
pools_init(void)
{
	if (pools == NULL)
		pools = MemoryContextAlloc(TopMemoryContext, NUM_POOLS * sizeof(Pool));
	npools = 0;
	any_touched = false;
}

int
pools_count(void)
{
	return npools;
}

Pool *
pools_get(int pool)
{
	return &pools[pool];
}

/* Something has happened in this pool. */
void
pools_touch(int pool)
{
	if (pool == NO_POOL)
		return;
	pools[pool].touched = true;
	any_touched = true;
}

bool
pools_any_touched(void)
{
	return any_touched;
}

/* What has happened in them has been seen to. */
void
pools_rest(TimestampTz now)
{
	for (int i = 0; i < npools; i++)
	{
		if (pools[i].judged)
			pools[i].judged_at = now;
		pools[i].touched = pools[i].judged = false;
	}
	any_touched = false;
}

/* To whom a session belongs.  False when it is just changing. */
bool
pools_key(const Session *session, PoolKey *key)
{
	ClientAddress client;

	memset(key, 0, sizeof(PoolKey));
	if (!session_read_application(session, key->application, &client))
		return false;
	key->database = session->database;
	key->role = session->role;
	key->family = client.any.sa_family;
	if (key->family == AF_INET)
		memcpy(key->address, &client.ipv4.sin_addr, sizeof(client.ipv4.sin_addr));
	else if (key->family == AF_INET6)
		memcpy(key->address, &client.ipv6.sin6_addr, sizeof(client.ipv6.sin6_addr));
	return true;
}

bool
pools_is(int pool, const PoolKey *key)
{
	return memcmp(&pools[pool].key, key, sizeof(PoolKey)) == 0;
}

/*
 * A place that nobody has had, or that of the pool that tells least among those
 * that have been known for a while and are left by their members with forsake();
 * or none.
 */
static int
make_room(TimestampTz now, int64 rest, void (*forsake) (int pool))
{
	int			least = NO_POOL;
	double		least_worth = 0;

	if (npools < NUM_POOLS)
		return npools++;
	for (int i = 0; i < NUM_POOLS; i++)
	{
		double		worth;

		if (pools[i].members > 0 && now - pools[i].since < rest)
			continue;
		worth = pools[i].members > 0 ? suspect_worth(&pools[i].group, now) : 0;
		if (least == NO_POOL || worth < least_worth)
		{
			least = i;
			least_worth = worth;
		}
	}
	if (least != NO_POOL)
		forsake(least);
	return least;
}

/*
 * The pool of this key, a new one if need be.  One that is known for less than
 * rest us makes no way for it, and then there may be none.
 */
int
pools_find(const PoolKey *key, TimestampTz now, int64 rest, void (*forsake) (int pool))
{
	uint32		hash = hash_bytes((const unsigned char *) key, sizeof(PoolKey)) | 1;
	int			place;

	for (int i = 0; i < npools; i++)
	{
		if (pools[i].hash == hash && pools_is(i, key))
			return i;
	}
	place = make_room(now, rest, forsake);
	if (place == NO_POOL)
		return NO_POOL;
	pools[place].key = *key;
	pools[place].hash = hash;
	pools[place].members = 0;
	pools[place].since = now;
	pools[place].judged_at = now;
	pools[place].touched = pools[place].judged = false;
	excerpt_init(&pools[place].excerpt, now);
	suspect_group_init(&pools[place].group);
	return place;
}
