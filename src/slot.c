/*-------------------------------------------------------------------------
 *
 * slot.c
 *	  What each backend publishes of itself, and what the watcher tells it.
 *
 * Owns the "leakwatch slots" segment: one slot for each entry of the backend
 * status array.  A slot has two parts with one writer each:
 *
 * - the backend's, under slot.changes.  A backend takes its slot over when
 *   it has something to say for the first time; until then, and after the
 *   backend has ended, the owner noted there differs from the status entry
 *   and the slot counts as empty.  Its "use" is an atomic of its own.
 *
 * - the watcher's: "watched" and "muted" are atomics, "reason" and "report"
 *   have counters of their own.  "news" is raised after a mark or a report, so
 *   that a session which has seen to both looks at nothing else.
 *
 * How a session ended is wanted only after it is gone, when a successor may
 * already have its slot.  So whoever takes over the slot of a session that
 * the watcher has marked moves that session's end to "farewell" first.  None
 * can be lost: the watcher marks a successor only in a later scan, which has
 * read the farewell before.  The watcher marks a slot before it makes sure
 * that the status entry is still that session's, and a successor takes the
 * slot over only after the entry has changed, so one of the two sees the
 * other.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "calls.h"
#include "changes.h"
#include "slot.h"
#include "storage/ipc.h"
#include "storage/procarray.h"
#include "storage/shmem.h"

/* The backend's part, copied as a whole. */
typedef struct SlotPublished
{
	SlotEnd		owner;
	SlotEnd		farewell;
	bool		listening;
	uint32		overridden;		/* bit mask of policy indexes */
	SlotOverrides overrides;
} SlotPublished;

typedef struct Slot
{
	pg_atomic_uint32 changes;
	pg_atomic_uint32 muted;		/* the watcher's: pid of a session whose uses
								 * it does not want to know, or 0 */
	SlotPublished published;
	pg_atomic_uint64 use;		/* what it was last used for; see use.c */

	SlotCall	call;
	pg_atomic_uint32 reason_changes;
	SlotNotice	reason;			/* why it is being terminated */
	SlotNotice	report;			/* what has been reported of it */
} Slot;

static Slot *slots = NULL;

SlotCall   *slot_call = NULL;
uint32		slot_news_seen = 0;

/* The report that this process has taken last, by its counter. */
static uint32 report_seen = 0;

Size
slot_shmem_size(void)
{
	return mul_size(sizeof(Slot), MaxBackends);
}

/* Called with AddinShmemInitLock held. */
void
slot_shmem_init(void)
{
	bool		found;

	slots = ShmemInitStruct("leakwatch slots", slot_shmem_size(), &found);
	if (found)
		return;

	memset(slots, 0, slot_shmem_size());
	for (int i = 0; i < MaxBackends; i++)
	{
		pg_atomic_init_u32(&slots[i].changes, 0);
		pg_atomic_init_u32(&slots[i].muted, 0);
		pg_atomic_init_u64(&slots[i].use, 0);
		pg_atomic_init_u64(&slots[i].call.watched, 0);
		pg_atomic_init_u32(&slots[i].reason_changes, 0);
		pg_atomic_init_u32(&slots[i].call.report_changes, 0);
		pg_atomic_init_u32(&slots[i].call.news, 0);
	}
}

/*
 * The slot of this process, or NULL when it has none (yet, or any more).
 * Called within hooks at any time, so it must not throw.
 */
static Slot *
my_slot(void)
{
	int			index = compat_my_slot();

	if (slots == NULL || index < 0 || MyProcPid == 0)
		return NULL;
	return &slots[index];
}

/* The same, taken over if it is still another session's; writing begun. */
static Slot *
begin_my_slot(void)
{
	Slot	   *slot = my_slot();
	SlotPublished *mine;

	if (slot == NULL)
		return NULL;

	mine = &slot->published;
	change_begin(&slot->changes);
	if (mine->owner.pid != MyProcPid || mine->owner.backend_start != MyStartTimestamp)
	{
		/* see the file's head: our status entry changed before, now look */
		pg_memory_barrier();
		if (mine->owner.backend_start != 0 &&
			pg_atomic_read_u64(&slot->call.watched) == (uint64) mine->owner.backend_start)
			mine->farewell = mine->owner;

		mine->owner.pid = MyProcPid;
		mine->owner.backend_start = MyStartTimestamp;
		mine->owner.sqlerrcode = 0;
		mine->owner.fatal = 0;
		mine->owner.leaving = false;
		mine->owner.went_on_at = 0;
		mine->listening = false;
		mine->overridden = 0;
	}
	return slot;
}

/* What was written is something that the session is judged by. */
static void
end_publication(Slot *slot)
{
	change_end(&slot->changes);
	calls_announce(slot - slots);
}

static bool
owns_my_slot(const Slot *slot)
{
	return slot->published.owner.pid == MyProcPid &&
		slot->published.owner.backend_start == MyStartTimestamp;
}

/*
 * Publish that this session overrides a policy value, or no longer does if
 * source is PGC_S_DEFAULT.  False if there is no slot to publish in.
 */
bool
slot_publish_value(int index, int value, GucSource source)
{
	Slot	   *slot = my_slot();
	uint32		bit = 1u << index;

	/* nothing to say and nothing said: leave the slot alone */
	if (slot == NULL ||
		(source == PGC_S_DEFAULT &&
		 (!owns_my_slot(slot) || !(slot->published.overridden & bit))))
		return false;

	slot = begin_my_slot();
	if (source == PGC_S_DEFAULT)
		slot->published.overridden &= ~bit;
	else
	{
		slot->published.overridden |= bit;
		slot->published.overrides.value[index] = value;
		slot->published.overrides.source[index] = source;
	}
	end_publication(slot);
	return true;
}

void
slot_publish_listening(bool listening)
{
	Slot	   *slot = begin_my_slot();

	if (slot == NULL)
		return;
	slot->published.listening = listening;
	end_publication(slot);
}

/* Where this session says what it was last used for; NULL: it has no slot. */
pg_atomic_uint64 *
slot_my_use(void)
{
	Slot	   *slot = my_slot();

	return slot != NULL ? &slot->use : NULL;
}

/* Changes whenever anything does that the session in a slot publishes. */
uint32
slot_changes(int slot)
{
	return pg_atomic_read_u32(&slots[slot].changes);
}

/* Does the watcher not want to know how this session is used? */
bool
slot_is_muted(void)
{
	Slot	   *slot = my_slot();

	return slot != NULL && pg_atomic_read_u32(&slot->muted) == (uint32) MyProcPid;
}

/* Say that of the session with this pid; 0: of nobody. */
void
slot_mute(int slot, int pid)
{
	pg_atomic_write_u32(&slots[slot].muted, (uint32) pid);
}

/* What whoever is in a slot was last used for. */
uint64
slot_use(int slot)
{
	return pg_atomic_read_u64(&slots[slot].use);
}

/* Has the watcher marked this session?  One read of memory that is ours. */
bool
slot_is_watched(void)
{
	Slot	   *slot = my_slot();

	return slot != NULL &&
		pg_atomic_read_u64(&slot->call.watched) == (uint64) MyStartTimestamp;
}

/* Publish when this session went on after it had been marked. */
void
slot_publish_going_on(TimestampTz at)
{
	Slot	   *slot = begin_my_slot();

	if (slot == NULL)
		return;
	slot->published.owner.went_on_at = at;
	change_end(&slot->changes);
	calls_make(slot - slots);
}

/*
 * Publish that this session, which is marked, is about to end.  Done before its
 * status entry shows that what it was in is over.
 */
void
slot_publish_leaving(void)
{
	Slot	   *slot = begin_my_slot();

	if (slot == NULL)
		return;
	slot->published.owner.leaving = true;
	end_publication(slot);
}

/* A marked session starts another statement: have the watcher look. */
void
slot_announce(void)
{
	Slot	   *slot = my_slot();

	if (slot != NULL)
		calls_make(slot - slots);
}

/* on_proc_exit callback, for when the session is no longer seen */
static void
announce_exit(int code, Datum arg)
{
	int			index = DatumGetInt32(arg);

	if (pg_atomic_read_u64(&slots[index].call.watched) == (uint64) MyStartTimestamp)
		calls_make(index);
}

/* Have the end of this session announced, if it is marked then. */
void
slot_announce_exit(void)
{
	int			index = compat_my_slot();

	if (slots != NULL && index >= 0)
		on_proc_exit(announce_exit, Int32GetDatum(index));
}

/*
 * The first time that a session asks whether there is anything from the watcher:
 * find where that would be, and prepare the session's end.  False if there is no
 * slot.
 */
bool
slot_find_call(void)
{
	Slot	   *slot = my_slot();

	if (slot == NULL)
		return false;
	slot_call = &slot->call;
	slot_announce_exit();
	return true;
}

/*
 * Publish the SQLSTATE of the FATAL that ends this session, and which one
 * that is.  Returns whether the watcher has marked the session.
 */
bool
slot_publish_end(int sqlerrcode, int fatal)
{
	Slot	   *slot = begin_my_slot();

	if (slot == NULL)
		return false;
	slot->published.owner.sqlerrcode = sqlerrcode;
	slot->published.owner.fatal = fatal;
	change_end(&slot->changes);
	return slot_is_watched();
}

/* Why the watcher has ended this session; false if it has not. */
bool
slot_my_reason(Excess *reason)
{
	Slot	   *slot = my_slot();
	SlotNotice	notice;

	if (slot == NULL ||
		!change_copy(&slot->reason_changes, &notice, &slot->reason, sizeof(SlotNotice)) ||
		notice.backend_start != MyStartTimestamp)
		return false;
	*reason = notice.excess;
	return true;
}

/*
 * What has been reported of this session before the statement that came in at
 * this time, and not been taken yet; false if nothing has.
 */
bool
slot_take_report(TimestampTz at, Excess *report)
{
	Slot	   *slot = my_slot();
	SlotNotice	notice;
	uint32		changes;

	if (slot == NULL)
		return false;
	changes = pg_atomic_read_u32(&slot->call.report_changes);
	if (changes == report_seen ||
		!change_copy(&slot->call.report_changes, &notice, &slot->report, sizeof(SlotNotice)) ||
		pg_atomic_read_u32(&slot->call.report_changes) != changes)
		return false;

	/* reported while it runs this statement: for the next one */
	if (notice.backend_start == MyStartTimestamp && notice.excess.at > at)
		return false;
	report_seen = changes;
	*report = notice.excess;
	return notice.backend_start == MyStartTimestamp;
}

/* If this session has seen to all that there is, it is called no more. */
void
slot_settle(void)
{
	uint32		news = pg_atomic_read_u32(&slot_call->news);

	pg_read_barrier();
	if (!slot_is_watched() && pg_atomic_read_u32(&slot_call->report_changes) == report_seen)
		slot_news_seen = news;
}

static void
raise_news(SlotCall *call)
{
	pg_write_barrier();
	pg_atomic_write_u32(&call->news, pg_atomic_read_u32(&call->news) + 1);
}

/* Mark the session whose end the watcher will want to know. */
void
slot_watch(int slot, TimestampTz backend_start)
{
	pg_atomic_write_u64(&slots[slot].call.watched, (uint64) backend_start);
	raise_news(&slots[slot].call);
	pg_memory_barrier();
}

void
slot_unwatch(int slot)
{
	pg_atomic_write_u64(&slots[slot].call.watched, 0);
}

/*
 * Tell a session why it is about to be terminated; with NULL, that it is not
 * after all.
 */
void
slot_set_reason(int slot, TimestampTz backend_start, const Excess *reason)
{
	Slot	   *s = &slots[slot];

	change_begin(&s->reason_changes);
	s->reason.backend_start = reason != NULL ? backend_start : 0;
	if (reason != NULL)
		s->reason.excess = *reason;
	change_end(&s->reason_changes);
	/* the signal must not overtake it */
	pg_memory_barrier();
}

/* Let a session know what has been reported of it. */
void
slot_set_report(int slot, TimestampTz backend_start, const Excess *report)
{
	Slot	   *s = &slots[slot];

	change_begin(&s->call.report_changes);
	s->report.backend_start = backend_start;
	s->report.excess = *report;
	change_end(&s->call.report_changes);
	raise_news(&s->call);
}

/* How a marked session ended; nothing to be read if it told nothing. */
Reading
slot_end(const Session *session, SlotEnd *end)
{
	SlotPublished published;

	if (!change_copy(&slots[session->slot].changes, &published,
					 &slots[session->slot].published, sizeof(SlotPublished)))
		return READ_BUSY;

	*end = published.owner;
	if (end->pid != session->pid || end->backend_start != session->since[SINCE_BACKEND])
		*end = published.farewell;
	return end->pid == session->pid &&
		end->backend_start == session->since[SINCE_BACKEND] ? READ_DONE : READ_NONE;
}

/*
 * Who had something to publish in a slot last: fills in the slot, the pid and
 * the backend start.  False when that was nobody.
 */
bool
slot_owner(int slot, Session *owner)
{
	SlotPublished published;

	if (!change_copy(&slots[slot].changes, &published, &slots[slot].published,
					 sizeof(SlotPublished)) || published.owner.pid == 0)
		return false;
	owner->slot = slot;
	owner->pid = published.owner.pid;
	owner->since[SINCE_BACKEND] = published.owner.backend_start;
	return true;
}

/*
 * Fill in what the session publishes: what it overrides, and in *session
 * whether it listens.  False when no consistent answer could be had, and the
 * session is then better left alone.
 */
bool
slot_overrides(Session *session, SlotOverrides *overrides)
{
	SlotPublished published;

	if (!change_copy(&slots[session->slot].changes, &published,
					 &slots[session->slot].published, sizeof(SlotPublished)))
		return false;

	memset(overrides->source, PGC_S_DEFAULT, sizeof(overrides->source));
	session->listening = false;
	if (published.owner.pid != session->pid ||
		published.owner.backend_start != session->since[SINCE_BACKEND])
		return true;

	session->listening = published.listening;
	for (int i = 0; i < NUM_POLICY_VALUES; i++)
	{
		if (published.overridden & (1u << i))
		{
			overrides->value[i] = published.overrides.value[i];
			overrides->source[i] = published.overrides.source[i];
		}
	}
	return true;
}

/* Is there a session that listens, on whatever channel?  Yes if in doubt. */
bool
slot_anybody_listens(void)
{
	for (int i = 0; i < MaxBackends; i++)
	{
		SlotPublished published;

		if (!slots[i].published.listening)
			continue;
		if (!change_copy(&slots[i].changes, &published, &slots[i].published, sizeof(SlotPublished)))
			return true;
		if (published.listening && BackendPidGetProc(published.owner.pid) != NULL)
			return true;
	}
	return false;
}

/* The policy in force for a session. */
void
slot_effective_policy(const Policy *server, const SlotOverrides *overrides,
					  Policy *policy)
{
	for (int i = 0; i < NUM_POLICY_VALUES; i++)
		policy->value[i] = overrides->source[i] == PGC_S_DEFAULT ?
			server->value[i] : overrides->value[i];
}
