/*-------------------------------------------------------------------------
 *
 * incident.c
 *	  Leaks found: opened, followed and closed by the watcher, kept until the
 *	  recorder has written them.
 *
 * Owns the "leakwatch incidents" segment, a fixed number of entries:
 *
 *	changes		change counter over the incident and its trail, which the
 *				watcher writes
 *	version		atomic, the watcher's: 0 for a free entry, else a number that
 *				never comes again and grows with each change worth recording
 *	told		atomic, the recorder's: which incident was told of last, and what
 *	handled		atomic, the recorder's: twice the version that is safe in the
 *				table, or one more than that of the one that it does not take
 *	cause		atomic: 0, by the watcher, for a new incident; then the recorder's
 *
 * This is state and not a queue of events: an entry that changes thrice
 * between two visits of the recorder is written once.  An entry is free again
 * when its incident has ended and is written.  When room runs out, ended
 * incidents that are not written yet make way, oldest first; open ones never.
 *
 * The free list and the queue of ended entries are private to the watcher
 * and are built anew from the entries when a watcher starts.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "access/transam.h"
#include "changes.h"
#include "control.h"
#include "guc.h"
#include "incident.h"
#include "storage/shmem.h"
#include "tally.h"
#include "utils/memutils.h"

typedef struct Entry
{
	pg_atomic_uint32 changes;
	pg_atomic_uint32 told;		/* in what would be padding otherwise */
	pg_atomic_uint64 version;
	pg_atomic_uint64 handled;
	pg_atomic_uint64 cause;
	Incident	incident;
} Entry;

typedef struct Incidents
{
	int			count;

	/* the watcher's */
	pg_atomic_uint64 last_version;
	pg_atomic_uint32 open;		/* how many are open */
	int64		last_id;

	/* the recorder's */
	pg_atomic_uint64 recorded;	/* all versions up to here are written, or
								 * refused */
	pg_atomic_uint64 writes;	/* how often one was marked as written */
	pg_atomic_uint64 retry_at;	/* when to try again what was refused,
								 * monotonic us; 0: nothing was */
	int64		retry_wait;
	Oid			database;		/* where the table is */
	Oid			relation;		/* the table */

	Entry		entries[FLEXIBLE_ARRAY_MEMBER];
} Incidents;

static Incidents *incidents = NULL;
static char *trails = NULL;		/* of the incidents, behind them */

/* That of each where none are kept, always empty. */
static Trail no_trail = {0};

/* The watcher's own: stack of free entries, ring of ended ones. */
static int *free_entries = NULL;
static int	nfree = 0;
static int *ended = NULL;
static int	ended_head = 0;
static int	nended = 0;
static uint64 reclaimed = 0;	/* writes, as of the last look for written
								 * ones */

/* What the table refused: first and longest wait before the next try, in us. */
#define RETRY_MIN	USECS_PER_SEC
#define RETRY_MAX	(60 * USECS_PER_SEC)

/* For how many incidents there is room. */
int
incident_max(void)
{
	return guc_max_incidents > 0 ? guc_max_incidents : 2 * MaxConnections;
}

static Size
entries_size(void)
{
	return MAXALIGN(add_size(offsetof(Incidents, entries),
							 mul_size(sizeof(Entry), incident_max())));
}

Size
incident_shmem_size(void)
{
	return add_size(entries_size(),
					guc_trail_length == 0 ? 0 : mul_size(trail_size(), incident_max()));
}

/* Called with AddinShmemInitLock held. */
void
incident_shmem_init(void)
{
	bool		found;

	incidents = ShmemInitStruct("leakwatch incidents", incident_shmem_size(), &found);
	trails = (char *) incidents + entries_size();
	if (found)
		return;

	memset(incidents, 0, incident_shmem_size());
	incidents->count = incident_max();
	pg_atomic_init_u64(&incidents->last_version, 0);
	pg_atomic_init_u32(&incidents->open, 0);
	pg_atomic_init_u64(&incidents->recorded, 0);
	pg_atomic_init_u64(&incidents->writes, 0);
	pg_atomic_init_u64(&incidents->retry_at, 0);
	for (int i = 0; i < incidents->count; i++)
	{
		pg_atomic_init_u32(&incidents->entries[i].changes, 0);
		pg_atomic_init_u32(&incidents->entries[i].told, 0);
		pg_atomic_init_u64(&incidents->entries[i].version, 0);
		pg_atomic_init_u64(&incidents->entries[i].handled, 0);
		pg_atomic_init_u64(&incidents->entries[i].cause, 0);
	}
}

static uint64
next_version(void)
{
	uint64		version = pg_atomic_read_u64(&incidents->last_version) + 1;

	pg_atomic_write_u64(&incidents->last_version, version);
	return version;
}

/*
 * The number of an incident is the time it was found at, in microseconds, or
 * the next that is free.  So numbers go up from one table, server start or
 * restored dump to the next, and nobody has to remember the last.
 */
static int64
next_id(TimestampTz detected_at)
{
	incidents->last_id = Max(incidents->last_id + 1, detected_at);
	return incidents->last_id;
}

static void
push_ended(int index)
{
	ended[(ended_head + nended++) % incidents->count] = index;
}

static int
pop_ended(void)
{
	int			index = ended[ended_head];

	ended_head = (ended_head + 1) % incidents->count;
	nended--;
	return index;
}

static void
release(int index)
{
	pg_atomic_write_u64(&incidents->entries[index].version, 0);
	free_entries[nfree++] = index;
}

static int
by_version(const void *a, const void *b)
{
	uint64		va = pg_atomic_read_u64(&incidents->entries[*(const int *) a].version);
	uint64		vb = pg_atomic_read_u64(&incidents->entries[*(const int *) b].version);

	return va < vb ? -1 : va > vb;
}

/*
 * Called once when a watcher starts: take stock of what its predecessor left,
 * and hand each open incident to adopt().
 */
void
incident_attach(void (*adopt) (int index, const Incident *incident))
{
	uint32		open = 0;

	free_entries = MemoryContextAlloc(TopMemoryContext, sizeof(int) * incidents->count);
	ended = MemoryContextAlloc(TopMemoryContext, sizeof(int) * incidents->count);

	for (int i = incidents->count - 1; i >= 0; i--)
	{
		Entry	   *entry = &incidents->entries[i];

		if (pg_atomic_read_u64(&entry->version) == 0)
			free_entries[nfree++] = i;
		else if (entry->incident.outcome != OUTCOME_OPEN)
			push_ended(i);
		else
		{
			open++;
			adopt(i, &entry->incident);
		}
	}
	qsort(ended, nended, sizeof(int), by_version);
	pg_atomic_write_u32(&incidents->open, open);
}

/*
 * Free the entries of ended incidents that the recorder has written.  The
 * others keep their order, and one that the table refuses keeps nobody's room.
 */
void
incident_reclaim(void)
{
	uint64		writes = pg_atomic_read_u64(&incidents->writes);

	if (writes == reclaimed)
		return;
	reclaimed = writes;
	pg_read_barrier();
	for (int left = nended; left > 0; left--)
	{
		int			index = pop_ended();

		if (incident_is_pending(index))
			push_ended(index);
		else
			release(index);
	}
}

/* Is there room for one more without dropping what is not written yet? */
bool
incident_has_room(void)
{
	incident_reclaim();
	return nfree > 0;
}

/* The trail kept with an incident; written only while that is edited. */
Trail *
incident_trail(int index)
{
	return guc_trail_length == 0 ? &no_trail : (Trail *) (trails + trail_size() * index);
}

/*
 * Keep a new incident, with the trail of its session.  Returns its index, or
 * -1 when every entry is taken by an open one.
 */
int
incident_open(const Incident *incident, const Trail *trail)
{
	int			index;
	Entry	   *entry;

	if (!incident_has_room())
	{
		if (nended == 0)
			return -1;
		release(pop_ended());
		control_count(COUNT_DROPPED, 1);

		/* its row, if it has one, is to be closed */
		control_request_housekeeping();
	}

	index = free_entries[--nfree];
	entry = &incidents->entries[index];
	change_begin(&entry->changes);
	entry->incident = *incident;
	entry->incident.id = next_id(incident->detected_at);
	pg_atomic_write_u64(&entry->cause, 0);
	memcpy(incident_trail(index), trail, trail_size());
	change_end(&entry->changes);
	pg_write_barrier();
	pg_atomic_write_u64(&entry->version, next_version());
	pg_atomic_write_u32(&incidents->open, pg_atomic_read_u32(&incidents->open) + 1);
	tally_opened(incident->kind);
	return index;
}

const Incident *
incident_peek(int index)
{
	return &incidents->entries[index].incident;
}

/* Begin to change an incident; nothing that can throw until it is edited. */
Incident *
incident_edit(int index)
{
	change_begin(&incidents->entries[index].changes);
	return &incidents->entries[index].incident;
}

/*
 * The change is done.  With record, it is one for the table.  The caller has
 * closed the incident if its outcome is no longer OUTCOME_OPEN, and must not
 * touch the entry any more.
 */
void
incident_edited(int index, bool record)
{
	Entry	   *entry = &incidents->entries[index];

	change_end(&entry->changes);
	pg_write_barrier();
	if (record)
		pg_atomic_write_u64(&entry->version, next_version());
	if (entry->incident.outcome != OUTCOME_OPEN)
	{
		pg_atomic_write_u32(&incidents->open, pg_atomic_read_u32(&incidents->open) - 1);
		tally_ended(entry->incident.kind, entry->incident.outcome, entry->incident.action);
		push_ended(index);
	}
}

/* Is there something at this index that the table does not have? */
bool
incident_is_pending(int index)
{
	Entry	   *entry = &incidents->entries[index];
	uint64		version = pg_atomic_read_u64(&entry->version);

	return version != 0 && pg_atomic_read_u64(&entry->handled) != 2 * version;
}

/* Is what is pending there what the table has refused? */
bool
incident_is_refused(int index)
{
	return incident_is_pending(index) &&
		pg_atomic_read_u64(&incidents->entries[index].handled) == 2 * incident_version(index) + 1;
}

/* The version of the incident at this index; 0 when there is none. */
uint64
incident_version(int index)
{
	return pg_atomic_read_u64(&incidents->entries[index].version);
}

/*
 * Is it open?  One word is read, without the change counter: whoever needs
 * more than a hint copies the incident.
 */
bool
incident_is_open(int index)
{
	return incident_version(index) != 0 &&
		incidents->entries[index].incident.outcome == OUTCOME_OPEN;
}

/* Copy an incident, if there is one, and say of which version it is. */
Reading
incident_copy(int index, Incident *incident, uint64 *version)
{
	Entry	   *entry = &incidents->entries[index];

	/* the version is raised after the change: a copy is never older than it */
	*version = pg_atomic_read_u64(&entry->version);
	pg_read_barrier();
	if (*version == 0)
		return READ_NONE;
	return change_copy(&entry->changes, incident, &entry->incident, sizeof(Incident)) ?
		READ_DONE : READ_BUSY;
}

/*
 * Copy the trail of an incident that has been copied.  False when there is
 * none, or when another incident has taken its place.
 */
bool
incident_copy_trail(int index, const Incident *incident, Trail *trail)
{
	return change_copy(&incidents->entries[index].changes, trail, incident_trail(index),
					   trail_size()) &&
		trail->total > 0 && trail->pid == incident->session.pid &&
		trail->backend_start == incident->session.since[SINCE_BACKEND];
}

/* The recorder: this version is safe.  Harmless if the entry has moved on. */
void
incident_mark_written(int index, uint64 version)
{
	pg_atomic_write_u64(&incidents->entries[index].handled, 2 * version);
	pg_write_barrier();
	pg_atomic_write_u64(&incidents->writes, pg_atomic_read_u64(&incidents->writes) + 1);
}

/*
 * The recorder: it is told that an incident was opened, and if so that it has
 * ended.  Returns what has been told before.  Of its number, as much is kept as
 * distinguishes it from the others that have been in its place.
 */
uint32
incident_mark_told(int index, const Incident *incident)
{
	pg_atomic_uint32 *told = &incidents->entries[index].told;
	uint32		number = (uint32) incident->id << 2;
	uint32		before = pg_atomic_read_u32(told);

	if ((before & ~(uint32) 3) != number)
		before = 0;
	before &= 3;
	pg_atomic_write_u32(told, number | before | INCIDENT_TOLD_OPENED |
						(incident->outcome != OUTCOME_OPEN ? INCIDENT_TOLD_ENDED : 0));
	return before;
}

/* The recorder: the table does not take this version. */
void
incident_mark_refused(int index, uint64 version)
{
	pg_atomic_write_u64(&incidents->entries[index].handled, 2 * version + 1);
}

/* Where the recorder keeps the cause of an incident: see known.c. */
pg_atomic_uint64 *
incident_cause_word(int index)
{
	return &incidents->entries[index].cause;
}

/*
 * The recorder: have what was refused tried again, later each time.  A time
 * that is still to come stays.
 */
void
incident_retry_later(int64 monotonic)
{
	if ((int64) pg_atomic_read_u64(&incidents->retry_at) > monotonic)
		return;
	incidents->retry_wait = Min(Max(2 * incidents->retry_wait, RETRY_MIN), RETRY_MAX);
	pg_atomic_write_u64(&incidents->retry_at, monotonic + incidents->retry_wait);
}

/* The recorder: there is nothing to be tried again. */
void
incident_no_retry(void)
{
	incidents->retry_wait = 0;
	pg_atomic_write_u64(&incidents->retry_at, 0);
}

/* Did the last round leave anything that the table refused? */
bool
incident_any_refused(void)
{
	return pg_atomic_read_u64(&incidents->retry_at) != 0;
}

/* When to try again what was refused, monotonic us; 0: there is nothing. */
int64
incident_retry_at(void)
{
	return (int64) pg_atomic_read_u64(&incidents->retry_at);
}

/* The recorder: up to where its coming round will have to go. */
uint64
incident_last_version(void)
{
	return pg_atomic_read_u64(&incidents->last_version);
}

/* The recorder: a round that began at this version has tried everything. */
void
incident_all_tried(uint64 version)
{
	pg_atomic_write_u64(&incidents->recorded, version);
}

/* The recorder writes to this table: if it is another one than before, all. */
void
incident_set_table(Oid database, Oid relation)
{
	if (incidents->database == database && incidents->relation == relation)
		return;
	incidents->database = database;
	incidents->relation = relation;
	for (int i = 0; i < incidents->count; i++)
		pg_atomic_write_u64(&incidents->entries[i].handled, 0);
	incident_no_retry();
	pg_atomic_write_u64(&incidents->recorded, 0);
}

/* Is there anything new that the table does not have? */
bool
incident_any_new(void)
{
	return pg_atomic_read_u64(&incidents->recorded) !=
		pg_atomic_read_u64(&incidents->last_version);
}

int
incident_open_count(void)
{
	return (int) pg_atomic_read_u32(&incidents->open);
}

/* How many incidents wait to be written, those refused included. */
int
incident_pending_count(void)
{
	int			pending = 0;

	for (int i = 0; i < incidents->count; i++)
		pending += incident_is_pending(i);
	return pending;
}

/* How many of these the table has refused. */
int
incident_refused_count(void)
{
	int			refused = 0;

	for (int i = 0; i < incidents->count; i++)
		refused += incident_is_refused(i);
	return refused;
}

/* Over which limit it is, and for how long. */
Excess
incident_excess(const Incident *incident, TimestampTz now)
{
	TimestampTz end = incident->outcome == OUTCOME_OPEN ? now : incident->ended_at;
	Excess		excess = verdict_excess(incident->kind, incident->warn_limit,
										incident->terminate_limit,
										incident->since + incident->gained, end);

	excess.client_gone = incident->session.client_gone;
	return excess;
}

/* How many sessions do so, each with one incident that says so; as a hint. */
int
incident_lingering_count(void)
{
	int			count = 0;

	for (int i = 0; i < incidents->count; i++)
		count += incident_is_open(i) && incident_lingers(&incidents->entries[i].incident);
	return count;
}

/*
 * Something is to be said of an incident that is being edited; it says more
 * than what has not been said yet.
 */
void
incident_owe(Incident *edit, Message message, const Excess *excess)
{
	edit->owed = message;
	edit->owed_excess = *excess;
}

/*
 * The highest number of transactions so far for which it holds back VACUUM,
 * -1 if it never did.  A horizon stands still and the next transaction does
 * not, so nobody has to keep this up to date.
 */
int64
incident_xmin_age(const Incident *incident, TransactionId next_xid)
{
	int64		age = -1;

	if (TransactionIdIsNormal(incident->horizon))
		age = (int32) (next_xid - incident->horizon);
	return Max(age, incident->xmin_age_peak);
}
