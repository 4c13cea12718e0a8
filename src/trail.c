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

#include "guc.h"
#include "mb/pg_wchar.h"
#include "sqlcommenter.h"
#include "storage/ipc.h"
#include "storage/shmem.h"
#include "trail.h"

static char *slots = NULL;

TrailOwn	trail_own = {0};

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
 * May this process have a trail?  Only sessions of clients are judged; a
 * parallel worker has its leader's text before it.
 */
bool
trail_is_there(void)
{
	return slots != NULL && MyBackendType == B_BACKEND && compat_my_slot() >= 0 &&
		!proc_exit_inprogress;
}

/*
 * The first time that a process asks for its trail, to write there: it is no
 * longer that of who had the slot before.
 */
bool
trail_find_own(void)
{
	TrailSlot  *slot;

	if (!trail_is_there())
		return false;
	slot = trail_own.slot = get_slot(compat_my_slot());
	change_begin(&slot->changes);
	slot->trail.pid = MyProcPid;
	slot->trail.backend_start = MyStartTimestamp;
	slot->trail.transaction = 0;
	slot->trail.goes_on = false;
	slot->trail.used = 0;
	slot->trail.total = 0;
	change_end(&slot->changes);
	return true;
}

static pg_noinline bool
is_copy(const char *copied, const char *text, size_t length)
{
	char		copy[STATEMENT_SIZE + 1];

	statement_copy(copy, text, length, GetDatabaseEncoding());
	return strcmp(copied, copy) == 0;
}

/* Is this what has a place there, of which the length is the same? */
static bool
is_same_text(const TrailStatement *statement, const TrailNote *note)
{
	if (statement->redacted != note->redacted)
		return false;
	if (note->length <= STATEMENT_SIZE)
		return memcmp(statement->text, note->text, note->length) == 0;
	return is_copy(statement->text, note->text, note->length);
}

bool
trail_is_same(const TrailStatement *statement, const TrailNote *note)
{
	return statement->length == (uint32) note->length && is_same_text(statement, note);
}

static int
find_same(const Trail *trail, const TrailNote *note)
{
	const TrailStatement *end = trail->statements + trail->used;
	uint32		length = (uint32) note->length;

	for (const TrailStatement *statement = trail->statements; statement < end; statement++)
	{
		if (unlikely(statement->length == length) && is_same_text(statement, note))
			return statement - trail->statements;
	}
	return TRAIL_NOWHERE;
}

static void
see_tag(void *state, const char *key, size_t key_length, const char *value, size_t value_length)
{
	*(bool *) state = true;
}

pg_noinline bool
trail_has_tags(const TrailStatement *statement)
{
	char		scratch[STATEMENT_SIZE];
	bool		found = false;

	sqlcommenter_parse(statement->text, strlen(statement->text), scratch, see_tag, &found);
	return found;
}

/* Keep of a text that is too long its beginning and its end. */
pg_noinline void
trail_copy_long(TrailStatement *statement, const char *text, size_t length)
{
	statement_copy(statement->text, text, length, GetDatabaseEncoding());
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

/* It comes again. */
static void
count_again(const Trail *trail, TrailStatement *statement, const TrailNote *note)
{
	statement->last_at = note->at;
	statement->last_ordinal = (uint32) trail->total;
	statement->count++;
	statement->sqlerrcode = note->sqlerrcode;
	statement->changed |= note->changed;
}

/* One more statement of the transaction. */
int
trail_go_on(const TrailNote *note)
{
	TrailSlot  *slot = trail_own.slot;
	Trail	   *trail = &slot->trail;
	int			place;

	change_begin(&slot->changes);
	trail->total++;
	place = find_same(trail, note);
	if (place >= 0)
		count_again(trail, &trail->statements[place], note);
	else if ((place = make_place(trail, note)) >= 0)
		trail_fill(trail, &trail->statements[place], *note);
	else
		trail->dropped++;
	change_end(&slot->changes);
	return place;
}

/* A statement in a place of one's own is found to change something. */
void
trail_set_changed(int place)
{
	TrailSlot  *slot = trail_own.slot;

	change_begin(&slot->changes);
	slot->trail.statements[place].changed = true;
	slot->trail.statements[place].class = COMMAND_APPLICATION;
	change_end(&slot->changes);
}

/* It has failed. */
void
trail_set_failed(int place, int sqlerrcode)
{
	TrailSlot  *slot = trail_own.slot;

	change_begin(&slot->changes);
	slot->trail.statements[place].sqlerrcode = sqlerrcode;
	change_end(&slot->changes);
}

/* A procedure has ended the transaction, and works in another. */
void
trail_set_goes_on(bool goes_on)
{
	TrailSlot  *slot = trail_own.slot;

	if (slot == NULL || slot->trail.goes_on == goes_on)
		return;
	change_begin(&slot->changes);
	slot->trail.goes_on = goes_on;
	change_end(&slot->changes);
}

/* Text is no longer wanted: drop what there is. */
void
trail_clear(void)
{
	TrailSlot  *slot = trail_own.slot;

	if (slot->trail.total == 0)
		return;
	change_begin(&slot->changes);
	slot->trail.total = 0;
	slot->trail.used = 0;
	slot->trail.transaction = 0;
	memset(slot->trail.statements, 0, sizeof(TrailStatement) * guc_trail_length);
	change_end(&slot->changes);
	trail_own.transaction = 0;
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
