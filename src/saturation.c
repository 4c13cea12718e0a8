/*-------------------------------------------------------------------------
 *
 * saturation.c
 *	  How many connections are in use, by whom, and who was turned away.
 *
 * Owns the "leakwatch saturation" segment: a scope for the server, and an
 * open-addressing table of those of databases and roles.  Sessions count
 * themselves when their authentication and all limits are behind them, and
 * take that back when they end, so counts and peaks are right whether or not
 * the watcher looks.  Who writes what, and how:
 *
 *	key				whoever finds it free, by compare-and-swap; never again
 *	used, refused	each session for itself: atomic additions
 *	peak, recent	each session for itself: compare-and-swap to a greater
 *					value; the watcher resets "recent"
 *	peak_at,		whoever has raised the count beside it; two within a
 *	refused_at		moment may leave either's time
 *	limit,			the watcher: single atomics
 *	threshold
 *	alarm			the watcher, which alone reads it; it is shared so that a
 *					new watcher does not say everything again
 *
 * There is no lock and nothing is allocated, because some clients are turned
 * away by processes that have no PGPROC, in which waiting for a lock is a
 * PANIC.  A key is never taken out before the server restarts.  What finds no
 * room counts for the server alone; the last quarter of the room is kept for
 * those that turn clients away.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "common/hashfn.h"
#include "control.h"
#include "port/atomics.h"
#include "saturation.h"
#include "storage/ipc.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

/* From how many keys on a mere connection gets no new one. */
#define ROOM_TO_CONNECT	(MAX_NAMED_SCOPES / 4 * 3)

StaticAssertDecl((MAX_NAMED_SCOPES & (MAX_NAMED_SCOPES - 1)) == 0,
				 "the room must be a power of two");

typedef struct Scope
{
	pg_atomic_uint64 key;		/* ScopeKind << 32 | OID; 0: free */
	pg_atomic_uint64 refused;
	pg_atomic_uint64 refused_at;
	pg_atomic_uint64 peak_at;
	pg_atomic_uint32 used;
	pg_atomic_uint32 peak;
	pg_atomic_uint32 limit;		/* an int */
	pg_atomic_uint32 threshold;
} Scope;

typedef struct Saturation
{
	pg_atomic_uint32 announced; /* there is something for the watcher */
	pg_atomic_uint32 keys;		/* in use, or about to be */
	pg_atomic_uint32 recent;	/* peak of the server's, since taken */
	Scope		scope[NUM_SCOPES];
	Alarm		alarm[NUM_SCOPES];
} Saturation;

static Saturation *saturation = NULL;

/* The scopes that this session counts in. */
static Scope *mine[3];
static int	num_mine = 0;

Size
saturation_shmem_size(void)
{
	return MAXALIGN(sizeof(Saturation));
}

static void
init_scope(Scope *scope)
{
	pg_atomic_init_u64(&scope->key, 0);
	pg_atomic_init_u64(&scope->refused, 0);
	pg_atomic_init_u64(&scope->refused_at, 0);
	pg_atomic_init_u64(&scope->peak_at, 0);
	pg_atomic_init_u32(&scope->used, 0);
	pg_atomic_init_u32(&scope->peak, 0);
	pg_atomic_init_u32(&scope->limit, (uint32) UNKNOWN_LIMIT);
	pg_atomic_init_u32(&scope->threshold, 0);
}

/* Called with AddinShmemInitLock held. */
void
saturation_shmem_init(void)
{
	bool		found;

	saturation = ShmemInitStruct("leakwatch saturation", sizeof(Saturation), &found);
	if (found)
		return;
	memset(saturation, 0, sizeof(Saturation));
	pg_atomic_init_u32(&saturation->announced, 0);
	pg_atomic_init_u32(&saturation->keys, 0);
	pg_atomic_init_u32(&saturation->recent, 0);
	for (int i = 0; i < NUM_SCOPES; i++)
		init_scope(&saturation->scope[i]);
}

/* ---------- the table ---------- */

static uint64
key_of(ScopeKind kind, Oid oid)
{
	return (uint64) kind << 32 | oid;
}

/* Wake the watcher for a scope, once until it looks. */
static void
announce(void)
{
	if (pg_atomic_exchange_u32(&saturation->announced, 1) == 0)
		control_wake(WATCHER);
}

/*
 * The scope of this key; with room > 0 a new one, if no more than that many
 * have been taken.  NULL: there is none.
 */
static Scope *
find(uint64 key, uint32 room)
{
	uint32		start = murmurhash32((uint32) key ^ (uint32) (key >> 32));

	for (uint32 i = 0; i < MAX_NAMED_SCOPES; i++)
	{
		Scope	   *scope = &saturation->scope[1 + (start + i) % MAX_NAMED_SCOPES];
		uint64		found = pg_atomic_read_u64(&scope->key);

		if (found == key)
			return scope;
		if (found != 0)
			continue;
		if (room == 0)
			return NULL;
		if (pg_atomic_fetch_add_u32(&saturation->keys, 1) >= room)
		{
			pg_atomic_fetch_sub_u32(&saturation->keys, 1);
			return NULL;
		}
		if (pg_atomic_compare_exchange_u64(&scope->key, &found, key))
		{
			announce();
			return scope;
		}
		/* somebody was faster, perhaps with the same key */
		pg_atomic_fetch_sub_u32(&saturation->keys, 1);
		if (found == key)
			return scope;
	}
	return NULL;
}

/* ---------- counting ---------- */

/* Raise a greatest value.  False when it is as great already. */
static bool
raise_to(pg_atomic_uint32 *greatest, uint32 value)
{
	uint32		known = pg_atomic_read_u32(greatest);

	while (known < value)
	{
		if (pg_atomic_compare_exchange_u32(greatest, &known, value))
			return true;
	}
	return false;
}

static void
enter(Scope *scope)
{
	uint32		used;
	uint32		threshold;

	if (scope == NULL)
		return;
	mine[num_mine++] = scope;
	used = pg_atomic_add_fetch_u32(&scope->used, 1);
	if (raise_to(&scope->peak, used))
		pg_atomic_write_u64(&scope->peak_at, (uint64) MyStartTimestamp);
	if (scope == &saturation->scope[SERVER_SCOPE])
		raise_to(&saturation->recent, used);

	threshold = pg_atomic_read_u32(&scope->threshold);
	if (threshold > 0 && used == threshold)
		announce();
}

/* on_shmem_exit callback */
static void
leave(int code, Datum arg)
{
	while (num_mine > 0)
	{
		Scope	   *scope = mine[--num_mine];
		uint32		used = pg_atomic_fetch_sub_u32(&scope->used, 1);
		uint32		threshold = pg_atomic_read_u32(&scope->threshold);

		/* it may come to be over */
		if (threshold > 0 && used == threshold)
			announce();
	}
}

/*
 * This session is through with its authentication and with all limits: count
 * it.  Called when the transaction of its start is about to commit.
 */
void
saturation_enter(void)
{
	if (saturation == NULL || !OidIsValid(MyDatabaseId))
		return;
	on_shmem_exit(leave, (Datum) 0);
	enter(&saturation->scope[SERVER_SCOPE]);
	enter(find(key_of(SCOPE_DATABASE, MyDatabaseId), ROOM_TO_CONNECT));
	enter(find(key_of(SCOPE_ROLE, GetAuthenticatedUserId()), ROOM_TO_CONNECT));
}

static bool
begins_with(const char *text, const char *start)
{
	return strncmp(text, start, strlen(start)) == 0;
}

/*
 * The scope whose limit has turned this client away; NULL when the FATAL is
 * no such thing.  Who has no PGPROC has only said who it is, and counts for
 * the server alone.
 */
static Scope *
refused_scope(const ErrorData *edata)
{
	const char *id = edata->message_id;

	if (edata->sqlerrcode != ERRCODE_TOO_MANY_CONNECTIONS || id == NULL ||
		MyBackendType == B_BG_WORKER)
		return NULL;
	if (begins_with(id, "sorry, too many clients already") ||
		begins_with(id, "remaining connection slots are reserved"))
		return &saturation->scope[SERVER_SCOPE];
	if (MyProc == NULL)
		return NULL;
	if (begins_with(id, "too many connections for role"))
		return find(key_of(SCOPE_ROLE, MyProc->roleId), MAX_NAMED_SCOPES);
	if (begins_with(id, "too many connections for database"))
		return find(key_of(SCOPE_DATABASE, MyProc->databaseId), MAX_NAMED_SCOPES);
	return NULL;
}

/*
 * A FATAL is reported in this process.  There may be no PGPROC: nothing here
 * waits, allocates or throws.
 */
void
saturation_note_refusal(const ErrorData *edata)
{
	Scope	   *scope;

	if (saturation == NULL)
		return;
	scope = refused_scope(edata);
	if (scope == NULL)
		return;
	pg_atomic_write_u64(&scope->refused_at, (uint64) GetCurrentTimestamp());
	pg_atomic_fetch_add_u64(&scope->refused, 1);
	announce();
}

/* ---------- reading ---------- */

/* False when the scope is not in use. */
bool
saturation_read(int index, ScopeUse *use)
{
	Scope	   *scope = &saturation->scope[index];
	uint64		key = pg_atomic_read_u64(&scope->key);

	if (index != SERVER_SCOPE && key == 0)
		return false;
	use->kind = (ScopeKind) (key >> 32);
	use->oid = (Oid) key;
	use->used = (int) pg_atomic_read_u32(&scope->used);
	use->peak = (int) pg_atomic_read_u32(&scope->peak);
	use->peak_at = (TimestampTz) pg_atomic_read_u64(&scope->peak_at);
	use->refused = pg_atomic_read_u64(&scope->refused);
	use->refused_at = (TimestampTz) pg_atomic_read_u64(&scope->refused_at);
	use->limit = (int) pg_atomic_read_u32(&scope->limit);
	use->threshold = (int) pg_atomic_read_u32(&scope->threshold);
	return true;
}

/* The scope of a database or a role; -1: it has none. */
int
saturation_find(ScopeKind kind, Oid oid)
{
	Scope	   *scope = find(key_of(kind, oid), 0);

	return scope == NULL ? -1 : (int) (scope - saturation->scope);
}

/* May there be databases and roles that are counted for the server alone? */
bool
saturation_is_full(void)
{
	return pg_atomic_read_u32(&saturation->keys) >= ROOM_TO_CONNECT;
}

/* Do the connections run out that a session of these counts among? */
bool
saturation_is_high(Oid database, Oid role)
{
	int			scopes[] = {
		SERVER_SCOPE,
		saturation_find(SCOPE_DATABASE, database),
		saturation_find(SCOPE_ROLE, role)
	};

	for (int i = 0; i < lengthof(scopes); i++)
	{
		ScopeUse	use;

		if (scopes[i] >= 0 && saturation_read(scopes[i], &use) && saturation_is_reached(&use))
			return true;
	}
	return false;
}

/* ---------- the watcher ---------- */

/* Is there something that the watcher has not seen? */
bool
saturation_is_announced(void)
{
	return pg_atomic_read_u32(&saturation->announced) != 0;
}

/* What is announced from now on is of after the watcher's next look. */
void
saturation_take_announced(void)
{
	pg_atomic_exchange_u32(&saturation->announced, 0);
}

void
saturation_set_limit(int index, int limit, int threshold)
{
	Scope	   *scope = &saturation->scope[index];

	pg_atomic_write_u32(&scope->limit, (uint32) limit);
	pg_atomic_write_u32(&scope->threshold, (uint32) threshold);
	/* who counts itself now sees it, or is seen */
	pg_memory_barrier();
}

Alarm *
saturation_alarm(int index)
{
	return &saturation->alarm[index];
}

/* The most connections of the server since the last call. */
int
saturation_take_peak(void)
{
	uint32		used = pg_atomic_read_u32(&saturation->scope[SERVER_SCOPE].used);
	uint32		recent = pg_atomic_exchange_u32(&saturation->recent, used);

	return (int) Max(recent, used);
}
