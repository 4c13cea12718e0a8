/*-------------------------------------------------------------------------
 *
 * trail.c
 *	  What a session did in its transaction.
 *
 * Owns the "leakwatch trails" segment: a trail for each entry of the backend
 * status array, written by its backend alone under a change counter.  A
 * trail whose owner is not the session of the status entry counts as empty.
 *
 * A statement that comes again is counted where it is.  When all places are
 * taken, the one goes that tells least: transaction control before what
 * drivers and frameworks send, and that before the application's own; of
 * these the oldest, but neither the first, nor the newest that changed or
 * locked something, nor the newest with tags.
 *
 * Nothing here allocates, locks or throws.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "changes.h"
#include "guc.h"
#include "mb/pg_wchar.h"
#include "sqlcommenter.h"
#include "storage/ipc.h"
#include "storage/shmem.h"
#include "trail.h"

typedef struct TrailSlot
{
	pg_atomic_uint32 changes;
	Trail		trail;
} TrailSlot;

static char *slots = NULL;

/* This process's, once it is known to have one. */
static TrailSlot *mine = NULL;
const Trail *trail_own = NULL;

/* ---------- shared memory ---------- */

Size
trail_size(void)
{
	return add_size(offsetof(Trail, statements),
					mul_size(sizeof(TrailStatement), guc_trail_length));
}

static Size
slot_size(void)
{
	return CACHELINEALIGN(add_size(offsetof(TrailSlot, trail), trail_size()));
}

Size
trail_shmem_size(void)
{
	return guc_trail_length == 0 ? 0 : mul_size(slot_size(), MaxBackends);
}

static TrailSlot *
get_slot(int index)
{
	return (TrailSlot *) (slots + slot_size() * index);
}

/* Called with AddinShmemInitLock held. */
void
trail_shmem_init(void)
{
	bool		found;

	if (guc_trail_length == 0)
		return;
	slots = ShmemInitStruct("leakwatch trails", trail_shmem_size(), &found);
	if (found)
		return;

	memset(slots, 0, trail_shmem_size());
	for (int i = 0; i < MaxBackends; i++)
		pg_atomic_init_u32(&get_slot(i)->changes, 0);
}

/* ---------- writing ---------- */

/*
 * The first time that a process asks for its trail.  Only sessions of clients
 * are judged; a parallel worker has its leader's text before it.
 */
const Trail *
trail_find_mine(void)
{
	if (slots == NULL || MyBackendType != B_BACKEND || compat_my_slot() < 0)
		return NULL;
	mine = get_slot(compat_my_slot());
	trail_own = &mine->trail;
	return trail_own;
}

/* Has this process written there, and not one that had the slot before? */
bool
trail_is_own(const Trail *trail)
{
	return trail->pid == MyProcPid && trail->backend_start == MyStartTimestamp;
}

static pg_noinline bool
is_copy(const char *copied, const char *text, size_t length)
{
	char		copy[STATEMENT_SIZE + 1];

	statement_copy(copy, text, length, GetDatabaseEncoding());
	return strcmp(copied, copy) == 0;
}

/* Is this what has a place there? */
bool
trail_is_same(const TrailStatement *statement, const TrailNote *note)
{
	if (likely(statement->length != (uint32) note->length) ||
		statement->redacted != note->redacted)
		return false;
	if (note->length <= STATEMENT_SIZE)
		return memcmp(statement->text, note->text, note->length) == 0;
	return is_copy(statement->text, note->text, note->length);
}

static int
find_same(const Trail *trail, const TrailNote *note)
{
	for (int i = 0; i < trail->used; i++)
	{
		if (trail_is_same(&trail->statements[i], note))
			return i;
	}
	return TRAIL_NOWHERE;
}

static void
see_tag(void *state, const char *key, size_t key_length, const char *value, size_t value_length)
{
	*(bool *) state = true;
}

static pg_noinline bool
has_tags(const char *text, size_t length)
{
	char		scratch[STATEMENT_SIZE];
	bool		found = false;

	sqlcommenter_parse(text, length, scratch, see_tag, &found);
	return found;
}

/* Does it start or end with what may be a comment? */
static inline bool
may_have_tags(const char *text, size_t length)
{
	while (length > 0 && (text[length - 1] == ';' || text[length - 1] <= ' '))
		length--;
	return length > 0 && (text[0] == '/' || text[length - 1] == '/' || text[0] <= ' ');
}

/*
 * Which entries stay, whatever comes: as many as leave a place for others, by
 * what they are worth.  They are places, or TRAIL_NOWHERE.
 */
typedef struct Kept
{
	int			changed;		/* the newest that changed or locked something */
	int			first;			/* of the application's, or else of all */
	int			tagged;			/* the newest with tags */
} Kept;

static Kept
find_kept(const Trail *trail)
{
	Kept		kept = {TRAIL_NOWHERE, TRAIL_NOWHERE, TRAIL_NOWHERE};
	const TrailStatement *all = trail->statements;
	int			count;

	for (int i = 0; i < trail->used; i++)
	{
		if (all[i].changed &&
			(kept.changed < 0 || all[i].last_ordinal > all[kept.changed].last_ordinal))
			kept.changed = i;
		if (all[i].tagged &&
			(kept.tagged < 0 || all[i].last_ordinal > all[kept.tagged].last_ordinal))
			kept.tagged = i;
		if (kept.first < 0 || all[i].class > all[kept.first].class ||
			(all[i].class == all[kept.first].class &&
			 all[i].ordinal < all[kept.first].ordinal))
			kept.first = i;
	}

	count = kept.changed >= 0;
	if (count + (kept.first != kept.changed) >= trail->used)
		kept.first = TRAIL_NOWHERE;
	count += kept.first >= 0 && kept.first != kept.changed;
	if (count + 1 >= trail->used)
		kept.tagged = TRAIL_NOWHERE;
	return kept;
}

/* The place of what tells least, if there is a statement to take it. */
static pg_noinline int
find_victim(const Trail *trail, const TrailNote *note)
{
	Kept		kept = find_kept(trail);
	const TrailStatement *all = trail->statements;
	int			victim = TRAIL_NOWHERE;

	/* what this is, the new one is the newest of */
	if (note->changed)
		kept.changed = TRAIL_NOWHERE;
	for (int i = 0; i < trail->used; i++)
	{
		if (i == kept.changed || i == kept.first || i == kept.tagged ||
			all[i].class > note->class)
			continue;
		if (victim < 0 || all[i].class < all[victim].class ||
			(all[i].class == all[victim].class &&
			 all[i].last_ordinal < all[victim].last_ordinal))
			victim = i;
	}
	return victim;
}

/* What goes is counted before whatever came next. */
static void
drop(Trail *trail, const TrailStatement *victim)
{
	TrailStatement *next = NULL;

	for (int i = 0; i < trail->used; i++)
	{
		TrailStatement *other = &trail->statements[i];

		if (other->ordinal > victim->ordinal && (next == NULL || other->ordinal < next->ordinal))
			next = other;
	}
	*(next != NULL ? &next->dropped : &trail->dropped) += victim->count + victim->dropped;
}

/* The place for a statement that has none, or TRAIL_NOWHERE. */
static int
make_place(Trail *trail, const TrailNote *note)
{
	int			place;

	if (trail->used < guc_trail_length)
		return trail->used++;
	place = find_victim(trail, note);
	if (place >= 0)
		drop(trail, &trail->statements[place]);
	return place;
}

/* A statement gets a place. */
static inline void
fill_place(Trail *trail, TrailStatement *statement, const TrailNote *note)
{
	size_t		length = note->length;

	statement->at = note->at;
	statement->last_at = note->at;
	statement->query_id = note->query_id;
	statement->sqlerrcode = note->sqlerrcode;
	statement->count = 1;
	statement->dropped = trail->dropped;
	statement->ordinal = (uint32) trail->total;
	statement->last_ordinal = (uint32) trail->total;
	statement->length = (uint32) length;
	statement->class = note->class;
	statement->changed = note->changed;
	statement->redacted = note->redacted;
	if (likely(length <= STATEMENT_SIZE))
	{
		memcpy(statement->text, note->text, length);
		statement->text[length] = '\0';
	}
	else
		length = statement_copy(statement->text, note->text, length, GetDatabaseEncoding());
	statement->tagged = may_have_tags(statement->text, length) &&
		has_tags(statement->text, length);
	trail->dropped = 0;
}

/* It comes again. */
static inline void
count_again(const Trail *trail, TrailStatement *statement, const TrailNote *note)
{
	statement->last_at = note->at;
	statement->last_ordinal = (uint32) trail->total;
	statement->count++;
	statement->sqlerrcode = note->sqlerrcode;
	statement->changed |= note->changed;
}

/* The transaction's first statement: what there is is of another one. */
static inline int
begin_transaction(Trail *trail, TimestampTz transaction, const TrailNote *note)
{
	trail->pid = MyProcPid;
	trail->backend_start = MyStartTimestamp;
	trail->transaction = transaction;
	trail->goes_on = false;
	trail->used = 1;
	trail->dropped = 0;
	trail->total = 1;
	fill_place(trail, &trail->statements[0], note);
	return 0;
}

/* One more statement of the transaction. */
static inline int
go_on(Trail *trail, const TrailNote *note)
{
	int			place = find_same(trail, note);

	trail->total++;
	if (place >= 0)
		count_again(trail, &trail->statements[place], note);
	else if ((place = make_place(trail, note)) >= 0)
		fill_place(trail, &trail->statements[place], note);
	else
		trail->dropped++;
	return place;
}

/*
 * Add a statement to the trail of this process, which it has, or count it if
 * it is there.  Returns its place, or TRAIL_NOWHERE.
 */
int
trail_add(TimestampTz transaction, const TrailNote *note)
{
	Trail	   *trail = &mine->trail;
	int			place;

	change_begin(&mine->changes);
	if (trail->transaction != transaction || !trail_is_own(trail) || trail->total == 0)
		place = begin_transaction(trail, transaction, note);
	else
		place = go_on(trail, note);
	change_end(&mine->changes);
	return place;
}

/* A statement in a place of one's own is found to change something. */
void
trail_set_changed(int place)
{
	change_begin(&mine->changes);
	mine->trail.statements[place].changed = true;
	mine->trail.statements[place].class = COMMAND_APPLICATION;
	change_end(&mine->changes);
}

/* It has failed. */
void
trail_set_failed(int place, int sqlerrcode)
{
	change_begin(&mine->changes);
	mine->trail.statements[place].sqlerrcode = sqlerrcode;
	change_end(&mine->changes);
}

/* A procedure has ended the transaction, and works in another. */
void
trail_set_goes_on(bool goes_on)
{
	if (mine->trail.goes_on == goes_on || !trail_is_own(&mine->trail))
		return;
	change_begin(&mine->changes);
	mine->trail.goes_on = goes_on;
	change_end(&mine->changes);
}

/* Text is no longer wanted: drop what there is. */
void
trail_clear(void)
{
	if (mine->trail.total == 0)
		return;
	change_begin(&mine->changes);
	mine->trail.total = 0;
	mine->trail.used = 0;
	mine->trail.transaction = 0;
	memset(mine->trail.statements, 0, sizeof(TrailStatement) * guc_trail_length);
	change_end(&mine->changes);
}

/* ---------- reading ---------- */

static int
by_ordinal(const void *a, const void *b)
{
	uint32		x = ((const TrailStatement *) a)->ordinal;
	uint32		y = ((const TrailStatement *) b)->ordinal;

	return (x > y) - (x < y);
}

/*
 * Copy the trail of a session.  False when there is none of this transaction
 * (0: of any), known by when it began.
 */
bool
trail_read(const Session *session, TimestampTz transaction, Trail *trail)
{
	TrailSlot  *slot;

	if (slots == NULL)
		return false;
	slot = get_slot(session->slot);
	if (!change_copy(&slot->changes, trail, &slot->trail, trail_size()) ||
		trail->pid != session->pid ||
		trail->backend_start != session->since[SINCE_BACKEND] ||
		trail->total == 0 ||
		(transaction != 0 && trail->transaction != transaction &&
		 !(trail->goes_on && transaction > trail->transaction)))
		return false;
	qsort(trail->statements, trail->used, sizeof(TrailStatement), by_ordinal);
	return true;
}

/*
 * Hide in the text of a session's activity what is hidden in its trail.  The
 * trail tells that of what has been noted at the time when the activity began;
 * of anything else there is only the text.
 */
void
trail_redact(const Trail *trail, TimestampTz query_start, char *query, Size size)
{
	const TrailStatement *newest = trail_before(trail, NULL);

	if (newest != NULL && newest->last_at == query_start)
	{
		if (newest->redacted)
			strlcpy(query, newest->text, size);
	}
	else if (statement_is_suspect(query))
		strlcpy(query, STATEMENT_NOT_SHOWN, size);
}

/* How many statements have a place in it. */
int
trail_count(const Trail *trail)
{
	return trail->total == 0 ? 0 : trail->used;
}

/*
 * How many there were just before statement n that have no place any more;
 * after the last one for n = trail_count().
 */
int64
trail_dropped_before(const Trail *trail, int n)
{
	return n < trail_count(trail) ? trail->statements[n].dropped : trail->dropped;
}

/* The statement n of trail_count(), oldest first. */
const TrailStatement *
trail_statement(const Trail *trail, int n)
{
	return &trail->statements[n];
}

/* The newest statement before that one (NULL: of all), or NULL. */
const TrailStatement *
trail_before(const Trail *trail, const TrailStatement *newer)
{
	const TrailStatement *newest = NULL;

	for (int n = 0; n < trail_count(trail); n++)
	{
		const TrailStatement *statement = &trail->statements[n];

		if ((newer == NULL || statement->last_ordinal < newer->last_ordinal) &&
			(newest == NULL || statement->last_ordinal > newest->last_ordinal))
			newest = statement;
	}
	return newest;
}

/* The application's newest or first statement; NULL if none is its own. */
const TrailStatement *
trail_of_application(const Trail *trail, bool newest)
{
	const TrailStatement *found = NULL;

	for (int n = 0; n < trail_count(trail); n++)
	{
		const TrailStatement *statement = &trail->statements[n];

		if (statement->class == COMMAND_APPLICATION &&
			(found == NULL || (newest && statement->last_ordinal > found->last_ordinal)))
			found = statement;
	}
	return found;
}
