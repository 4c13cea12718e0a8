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
 *   and the slot counts as empty.
 *
 * - the watcher's: "watched" is an atomic, "reason" has a counter of its own.
 *
 * Beside the slots there is the number of publications, an atomic that every
 * backend adds to after it has changed what it is judged by: as long as it
 * stands still the watcher need not look into any slot.
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

#include "changes.h"
#include "slot.h"
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
	SlotPublished published;

	pg_atomic_uint64 watched;	/* backend_start of the marked session, or 0 */
	pg_atomic_uint32 reason_changes;
	SlotReason	reason;
} Slot;

typedef struct Slots
{
	pg_atomic_uint64 publications;
	Slot		slots[FLEXIBLE_ARRAY_MEMBER];
} Slots;

static Slots *shared_slots = NULL;
static Slot *slots = NULL;

Size
slot_shmem_size(void)
{
	return add_size(offsetof(Slots, slots), mul_size(sizeof(Slot), MaxBackends));
}

/* Called with AddinShmemInitLock held. */
void
slot_shmem_init(void)
{
	bool		found;

	shared_slots = ShmemInitStruct("leakwatch slots", slot_shmem_size(), &found);
	slots = shared_slots->slots;
	if (found)
		return;

	memset(shared_slots, 0, slot_shmem_size());
	pg_atomic_init_u64(&shared_slots->publications, 0);
	for (int i = 0; i < MaxBackends; i++)
	{
		pg_atomic_init_u32(&slots[i].changes, 0);
		pg_atomic_init_u64(&slots[i].watched, 0);
		pg_atomic_init_u32(&slots[i].reason_changes, 0);
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
			pg_atomic_read_u64(&slot->watched) == (uint64) mine->owner.backend_start)
			mine->farewell = mine->owner;

		mine->owner.pid = MyProcPid;
		mine->owner.backend_start = MyStartTimestamp;
		mine->owner.sqlerrcode = 0;
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
	pg_atomic_fetch_add_u64(&shared_slots->publications, 1);
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

/* Has the watcher marked this session?  One read of memory that is ours. */
bool
slot_is_watched(void)
{
	Slot	   *slot = my_slot();

	return slot != NULL &&
		pg_atomic_read_u64(&slot->watched) == (uint64) MyStartTimestamp;
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
}

/*
 * Publish the SQLSTATE of the FATAL that ends this session.  Returns whether
 * the watcher has marked the session.
 */
bool
slot_publish_end(int sqlerrcode)
{
	Slot	   *slot = begin_my_slot();

	if (slot == NULL)
		return false;
	slot->published.owner.sqlerrcode = sqlerrcode;
	change_end(&slot->changes);
	return slot_is_watched();
}

/* Why the watcher has ended this session; false if it has not. */
bool
slot_my_reason(SlotReason *reason)
{
	Slot	   *slot = my_slot();

	return slot != NULL &&
		change_copy(&slot->reason_changes, reason, &slot->reason, sizeof(SlotReason)) &&
		reason->backend_start == MyStartTimestamp;
}

/* Mark the session whose end the watcher will want to know. */
void
slot_watch(int slot, TimestampTz backend_start)
{
	pg_atomic_write_u64(&slots[slot].watched, (uint64) backend_start);
	pg_memory_barrier();
}

void
slot_unwatch(int slot)
{
	pg_atomic_write_u64(&slots[slot].watched, 0);
}

/* Tell a session why it is about to be terminated; NULL: it is not after all. */
void
slot_set_reason(int slot, const SlotReason *reason)
{
	Slot	   *s = &slots[slot];

	change_begin(&s->reason_changes);
	if (reason != NULL)
		s->reason = *reason;
	else
		s->reason.backend_start = 0;
	change_end(&s->reason_changes);
	/* the signal must not overtake it */
	pg_memory_barrier();
}

/* How a marked session ended; false if it told nothing. */
bool
slot_end(const Session *session, SlotEnd *end)
{
	SlotPublished published;

	if (!change_copy(&slots[session->slot].changes, &published,
					 &slots[session->slot].published, sizeof(SlotPublished)))
		return false;

	*end = published.owner;
	if (end->pid != session->pid || end->backend_start != session->since[SINCE_BACKEND])
		*end = published.farewell;
	return end->pid == session->pid && end->backend_start == session->since[SINCE_BACKEND];
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

/* Changes whenever the backend's part of the slot does. */
uint32
slot_version(int slot)
{
	return pg_atomic_read_u32(&slots[slot].changes);
}

/*
 * How often sessions have published something that they are judged by.  As
 * long as it stays the same, so does what each publishes.
 */
uint64
slot_publications(void)
{
	return pg_atomic_read_u64(&shared_slots->publications);
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

/* The policy in force for a session. */
void
slot_effective_policy(const Policy *server, const SlotOverrides *overrides,
					  Policy *policy)
{
	for (int i = 0; i < NUM_POLICY_VALUES; i++)
		policy->value[i] = overrides->source[i] == PGC_S_DEFAULT ?
			server->value[i] : overrides->value[i];
}
