/*-------------------------------------------------------------------------
 *
 * spells.c
 *	  How long transactions lasted, and sessions were idle in them, by who it was.
 *
 * A spell that has come to an end is no leak: how long they are tells which limit
 * would never have met one.  Each backend counts its own in buckets of its own
 * memory, which is a subtraction and an increment a statement, and adds them to
 * those of its application once in a second at the most.  How long a session was
 * idle the server adds up itself, and the end of a transaction is a time that it
 * takes as well; but before 16 it reads the clock anew for each who asks, unless
 * the transaction has written something.
 *
 * What ends along with its session has not come to its end by itself: that is
 * not counted, and an incident tells of it if it was too long.
 *
 * Owns the "leakwatch spells" segment, a room for groups that does not depend
 * on the number of connections.  Who writes what, and how:
 *
 *	state, key		whoever finds a group free claims it by compare-and-swap,
 *					writes the key, and opens it; it stays until the server stops
 *	counts, longest	each backend: atomic additions, and compare-and-swap to a
 *					greater value; the recorder takes them out by exchange, and
 *					adds them again if the table does not get them.  A count
 *					that is full, which takes a standby of days, stays so.
 *
 * The first group is of all that no room was left for.  The last quarter of the
 * room is kept for databases and roles, whose applications are then told apart
 * no more: some name themselves anew with each connection.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "access/xact.h"
#include "common/hashfn.h"
#include "port/atomics.h"
#include "port/pg_bitutils.h"
#include "spells.h"
#include "storage/ipc.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

#define OTHERS_GROUP	0
#define ROOM_FOR_NAMES	(NUM_SPELL_GROUPS / 4 * 3)

typedef enum GroupState
{
	GROUP_FREE,
	GROUP_CLAIMED,				/* its key is being written */
	GROUP_OPEN
} GroupState;

typedef struct Histogram
{
	pg_atomic_uint32 count[HISTOGRAM_BUCKETS];
	pg_atomic_uint32 longest;	/* ms */
} Histogram;

typedef struct Group
{
	pg_atomic_uint32 state;
	Oid			database;
	Oid			role;
	bool		others;
	char		application_name[NAMEDATALEN];
	Histogram	histogram[NUM_SPELL_KINDS];
} Group;

typedef struct Spells
{
	pg_atomic_uint32 used;		/* groups, or about to be */
	Group		group[NUM_SPELL_GROUPS];
} Spells;

static Spells *spells = NULL;

SpellsOwn	spells_own = {0};

StaticAssertDecl(HISTOGRAM_BUCKETS <= 32, "the mask has a bit for each bucket");

Size
spells_shmem_size(void)
{
	return MAXALIGN(sizeof(Spells));
}

/* Called with AddinShmemInitLock held. */
void
spells_shmem_init(void)
{
	bool		found;

	spells = ShmemInitStruct("leakwatch spells", sizeof(Spells), &found);
	if (found)
		return;
	memset(spells, 0, sizeof(Spells));
	pg_atomic_init_u32(&spells->used, 1);
	for (int i = 0; i < NUM_SPELL_GROUPS; i++)
	{
		Group	   *group = &spells->group[i];

		pg_atomic_init_u32(&group->state, i == OTHERS_GROUP ? GROUP_OPEN : GROUP_FREE);
		for (int kind = 0; kind < NUM_SPELL_KINDS; kind++)
		{
			for (int bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++)
				pg_atomic_init_u32(&group->histogram[kind].count[bucket], 0);
			pg_atomic_init_u32(&group->histogram[kind].longest, 0);
		}
	}
}

/* The kind of leak that it would have been, had it not come to its end. */
LeakKind
spells_kind(SpellKind kind)
{
	return kind == SPELL_IDLE ? KIND_IDLE_IN_TRANSACTION : KIND_TRANSACTION;
}

/* ---------- groups ---------- */

static bool
is_key_of(const Group *group, Oid database, Oid role, const char *application)
{
	return group->database == database && group->role == role &&
		group->others == (application == NULL) &&
		(application == NULL || strcmp(group->application_name, application) == 0);
}

/* Take the room for one more, if there are no more than that many. */
static bool
take_room(uint32 room)
{
	if (pg_atomic_fetch_add_u32(&spells->used, 1) < room)
		return true;
	pg_atomic_fetch_sub_u32(&spells->used, 1);
	return false;
}

static void
open_group(Group *group, Oid database, Oid role, const char *application)
{
	group->database = database;
	group->role = role;
	group->others = application == NULL;
	strlcpy(group->application_name, application != NULL ? application : "", NAMEDATALEN);
	pg_write_barrier();
	pg_atomic_write_u32(&group->state, GROUP_OPEN);
}

/*
 * The group of an application, NULL: of the others of that role.  A new one, if
 * there is room.  False when one is just being opened, which may be this one.
 */
static bool
find_group(Oid database, Oid role, const char *application, uint32 room, Group **result)
{
	uint32		start = hash_combine(murmurhash32(database), murmurhash32(role));

	*result = NULL;
	if (application != NULL)
		start = hash_combine(start, string_hash(application, NAMEDATALEN));
	for (uint32 i = 0; i < NUM_SPELL_GROUPS - 1; i++)
	{
		Group	   *group = &spells->group[1 + (start + i) % (NUM_SPELL_GROUPS - 1)];
		uint32		state = pg_atomic_read_u32(&group->state);

		if (state == GROUP_FREE)
		{
			if (!take_room(room))
				return true;
			if (pg_atomic_compare_exchange_u32(&group->state, &state, GROUP_CLAIMED))
			{
				open_group(group, database, role, application);
				*result = group;
				return true;
			}
			pg_atomic_fetch_sub_u32(&spells->used, 1);
		}
		if (state == GROUP_CLAIMED)
			return false;
		pg_read_barrier();
		if (is_key_of(group, database, role, application))
		{
			*result = group;
			return true;
		}
	}
	return true;
}

/* The group that this session counts in; NULL: not to be told just now. */
static Group *
my_group(void)
{
	Oid			role = MyProc->roleId;
	const char *application = application_name != NULL ? application_name : "";
	Group	   *group;

	if (!find_group(MyDatabaseId, role, application, ROOM_FOR_NAMES, &group))
		return NULL;
	if (group == NULL && !find_group(MyDatabaseId, role, NULL, NUM_SPELL_GROUPS, &group))
		return NULL;
	return group != NULL ? group : &spells->group[OTHERS_GROUP];
}

/* ---------- counting ---------- */

static void
raise_to(pg_atomic_uint32 *greatest, uint32 value)
{
	uint32		known = pg_atomic_read_u32(greatest);

	while (known < value && !pg_atomic_compare_exchange_u32(greatest, &known, value))
		continue;
}

static void
add_to(pg_atomic_uint32 *count, uint32 more)
{
	uint32		known = pg_atomic_fetch_add_u32(count, more);

	if (unlikely(known + more < known))
		pg_atomic_write_u32(count, PG_UINT32_MAX);
}

/* Add what this backend has counted to what is known of its application. */
void
spells_fold(void)
{
	Group	   *group;

	if (spells == NULL || MyProc == NULL ||
		(spells_own.filled[SPELL_IDLE] | spells_own.filled[SPELL_TRANSACTION]) == 0)
		return;
	group = my_group();
	if (group == NULL)
		return;
	for (int kind = 0; kind < NUM_SPELL_KINDS; kind++)
	{
		Histogram  *histogram = &group->histogram[kind];

		for (uint32 rest = spells_own.filled[kind]; rest != 0; rest &= rest - 1)
		{
			int			bucket = pg_rightmost_one_pos32(rest);

			add_to(&histogram->count[bucket], spells_own.count[kind][bucket]);
			spells_own.count[kind][bucket] = 0;
		}
		raise_to(&histogram->longest, spells_own.longest[kind]);
		spells_own.filled[kind] = spells_own.longest[kind] = 0;
	}
}

/* on_shmem_exit callback */
static void
fold_at_exit(int code, Datum arg)
{
	spells_fold();
}

/* One that is no short one. */
pg_noinline void
spells_count_long(SpellKind kind, int64 usec)
{
	int			bucket = histogram_bucket(usec);

	spells_own.count[kind][bucket]++;
	spells_own.filled[kind] |= 1u << bucket;
	if (usec / 1000 > spells_own.longest[kind])
		spells_own.longest[kind] = (uint32) Min(usec / 1000, PG_UINT32_MAX);
}

/* It is time to add what has been counted. */
pg_noinline void
spells_fold_at(TimestampTz at)
{
	if (spells_own.folded_at == 0)
		on_shmem_exit(fold_at_exit, (Datum) 0);
	spells_own.folded_at = at;
	spells_fold();
}

/*
 * A session has gone on that was idle in its transaction.  The server begins to
 * add up anew when it has reported that, which is outside a transaction: BEGIN
 * notices.  In a transaction that has failed nothing is executed but what ends
 * that, and idleness there is another kind.
 */
void
spells_went_on(TimestampTz at, bool utility)
{
	PgStat_Counter idle = pgStatTransactionIdleTime;
	int64		spell = idle > spells_own.idle_seen ? idle - spells_own.idle_seen : idle;

	spells_own.idle_seen = idle;
	if (spell == 0 || MyBackendType != B_BACKEND || (utility && IsAbortedTransactionBlockState()))
		return;
	spells_count(SPELL_IDLE, spell, at);
}

/* ---------- reading ---------- */

/* False when the group is free. */
static bool
read_key(const Group *group, SpellGroup *copy)
{
	if (pg_atomic_read_u32(unconstify(pg_atomic_uint32 *, &group->state)) != GROUP_OPEN)
		return false;
	pg_read_barrier();
	copy->database = group->database;
	copy->role = group->role;
	copy->others = group->others;
	memcpy(copy->application_name, group->application_name, NAMEDATALEN);
	return true;
}

/* What has been counted of a group, since it was last taken out; false: it is free. */
bool
spells_read(int index, SpellGroup *copy)
{
	Group	   *group = &spells->group[index];

	if (!read_key(group, copy))
		return false;
	for (int kind = 0; kind < NUM_SPELL_KINDS; kind++)
	{
		Histogram  *histogram = &group->histogram[kind];

		for (int bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++)
			copy->counts[kind][bucket] = pg_atomic_read_u32(&histogram->count[bucket]);
		copy->longest[kind] = pg_atomic_read_u32(&histogram->longest) * INT64CONST(1000);
	}
	return true;
}

/* Take out what has been read, to be kept elsewhere from now on. */
void
spells_take(int index, SpellGroup *copy)
{
	Group	   *group = &spells->group[index];

	for (int kind = 0; kind < NUM_SPELL_KINDS; kind++)
	{
		Histogram  *histogram = &group->histogram[kind];

		for (int bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++)
			copy->counts[kind][bucket] = pg_atomic_exchange_u32(&histogram->count[bucket], 0);
		copy->longest[kind] = pg_atomic_exchange_u32(&histogram->longest, 0) * INT64CONST(1000);
	}
}

/* It could not be kept. */
void
spells_give_back(int index, const SpellGroup *copy)
{
	Group	   *group = &spells->group[index];

	for (int kind = 0; kind < NUM_SPELL_KINDS; kind++)
	{
		Histogram  *histogram = &group->histogram[kind];

		for (int bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++)
			add_to(&histogram->count[bucket], (uint32) copy->counts[kind][bucket]);
		raise_to(&histogram->longest, (uint32) (copy->longest[kind] / 1000));
	}
}
