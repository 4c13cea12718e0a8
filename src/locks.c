/*-------------------------------------------------------------------------
 *
 * locks.c
 *	  Whom a session blocks, and with what.
 *
 * Owns a private picture of who waits for whom, taken by locks_survey() and
 * good until the next one.  One walk over the process array finds who waits
 * for a lock; only of those is the lock manager asked, because each question
 * takes one of its partition locks.  What the blockers hold is looked up for
 * all of them at once, when it is first asked for, because that takes all of
 * those locks.  What the picture and the answers from it have cost is kept, for
 * whoever sets the pace.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "access/transam.h"
#include "access/twophase.h"
#include "catalog/pg_type.h"
#include "clock.h"
#include "locks.h"
#include "nodes/bitmapset.h"
#include "prepared.h"
#include "session.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

/* So many processes ahead they are fetched from memory. */
#define AHEAD		16

/* One that others wait for. */
typedef struct Blocker
{
	int			holder;			/* hash key, as session_holder() */
	Bitmapset  *blocked;		/* who waits for it directly; index of waiters */
	Bitmapset  *all;			/* who waits for it directly or through others */
	bool		all_known;		/* as soon as somebody has asked */
	HeldLock	strongest;
	bool		advisory;		/* it holds advisory locks */
} Blocker;

static MemoryContext survey_context = NULL;
static Waiter *waiters = NULL;	/* in survey_context */
static int	nwaiters = 0;
static HTAB *blockers = NULL;	/* of Blocker, in survey_context */
static bool locks_known = false;	/* of the blockers */
static int64 cost = 0;			/* CPU time of this picture, in us */

/* Enter that a waiter waits for somebody. */
static void
enter_blocker(int holder, int waiter)
{
	bool		found;
	Blocker    *blocker = hash_search(blockers, &holder, HASH_ENTER, &found);

	if (!found)
	{
		blocker->blocked = NULL;
		blocker->all_known = false;
		blocker->strongest.mode = NoLock;
		blocker->advisory = false;
	}
	blocker->blocked = bms_add_member(blocker->blocked, waiter);
}

/*
 * Who holds this lock, as session_holder(); 0 for a prepared transaction that is
 * just being finished.
 */
static int
lock_holder(const LockInstanceData *instance)
{
	int			place;

	if (instance->pid != 0)
		return instance->pid;
	place = prepared_place(compat_lock_vxid_owner(instance), compat_lock_lxid(instance));
	return place < 0 ? 0 : PREPARED_SLOT(place);
}

/* Enter which prepared transactions hold what this process waits for. */
static void
enter_prepared(const BlockedProcsData *data, const BlockedProcData *process, int waiter)
{
	const LockInstanceData *locks = &data->locks[process->first_lock];
	LOCKMASK	conflicting = 0;

	for (int i = 0; i < process->num_locks; i++)
	{
		if (locks[i].pid == process->pid && locks[i].waitLockMode != NoLock)
			conflicting = GetLockTagsMethodTable(&locks[i].locktag)->conflictTab[locks[i].waitLockMode];
	}
	for (int i = 0; i < process->num_locks; i++)
	{
		int			holder = 0;

		if (locks[i].pid == 0 && (locks[i].holdMask & conflicting) != 0)
			holder = lock_holder(&locks[i]);
		if (holder != 0)
			enter_blocker(holder, waiter);
	}
}

/* The server calls all of them 0: ask for which of them a waiter waits. */
static void
ask_prepared(int waiter)
{
	BlockedProcsData *data = GetBlockerStatusData(waiters[waiter].pid);

	for (int i = 0; i < data->nprocs; i++)
		enter_prepared(data, &data->procs[i], waiter);
}

/* Enter whom a waiter waits for. */
static void
ask_blockers(int waiter)
{
	ArrayType  *pids = DatumGetArrayTypeP(DirectFunctionCall1(pg_blocking_pids,
															  Int32GetDatum(waiters[waiter].pid)));
	int			npids = ArrayGetNItems(ARR_NDIM(pids), ARR_DIMS(pids));
	const int  *pid = (const int *) ARR_DATA_PTR(pids);
	bool		prepared = false;

	for (int i = 0; i < npids; i++)
	{
		if (pid[i] != 0)
			enter_blocker(pid[i], waiter);
		prepared |= pid[i] == 0;
	}
	if (prepared)
		ask_prepared(waiter);
}

static HTAB *
new_blockers(void)
{
	HASHCTL		info = {
		.keysize = sizeof(int),
		.entrysize = sizeof(Blocker),
		.hcxt = survey_context,
	};

	return hash_create("leakwatch blockers", 64, &info,
					   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/*
 * Take the picture, and return how many wait for a lock, which is what it
 * costs.  Fields of other processes are read without a lock, as
 * pg_stat_activity does: each is one word, and a moment's error is allowed.
 */
int
locks_survey(void)
{
	MemoryContext oldcontext;
	PROC_HDR   *procs = ProcGlobal;

	if (survey_context == NULL)
		survey_context = AllocSetContextCreate(TopMemoryContext, "leakwatch locks",
											   ALLOCSET_DEFAULT_SIZES);

	/* nothing may point into the context once it is reset, even for a moment */
	waiters = NULL;
	nwaiters = 0;
	blockers = NULL;
	locks_known = false;
	cost = 0;
	MemoryContextReset(survey_context);
	oldcontext = MemoryContextSwitchTo(survey_context);

	for (uint32 i = 0; i < procs->allProcCount; i++)
	{
		volatile PGPROC *proc = &procs->allProcs[i];
		Waiter		waiter;

		if (i + AHEAD < procs->allProcCount)
			compat_prefetch(&procs->allProcs[i + AHEAD].waitLock);

		/* still so while it is awake for a moment, to look for a deadlock */
		if (likely(proc->waitLock == NULL))
			continue;

		/* until 16 an ended backend leaves its pid and its slot behind here */
		waiter.slot = compat_proc_slot(unvolatize(PGPROC *, proc));
		waiter.pid = proc->pid;
		if (waiter.pid == 0 || waiter.slot < 0 || session_pid(waiter.slot) != waiter.pid)
			continue;

		/* whose wait has just begun may not have noted when */
		waiter.since = (TimestampTz) pg_atomic_read_u64(unvolatize(pg_atomic_uint64 *, &proc->waitStart));
		if (waiter.since == 0)
			waiter.since = DT_NOEND;

		if (waiters == NULL)
			waiters = palloc(sizeof(Waiter) * procs->allProcCount);
		waiters[nwaiters++] = waiter;
	}

	if (nwaiters > 0)
	{
		int64		began = clock_cpu();

		blockers = new_blockers();
		for (int i = 0; i < nwaiters; i++)
		{
			CHECK_FOR_INTERRUPTS();
			ask_blockers(i);
		}
		cost += clock_cpu() - began;
	}
	MemoryContextSwitchTo(oldcontext);
	return nwaiters;
}

/* Did this session wait for a lock in the last survey? */
bool
locks_waits(const Session *session)
{
	for (int i = 0; i < nwaiters; i++)
	{
		if (waiters[i].pid == session->pid)
			return true;
	}
	return false;
}

/*
 * The place of a prepared transaction that this session waited for in the last
 * survey; -1: for none.
 */
int
locks_prepared_blocker(const Session *session)
{
	if (blockers == NULL)
		return -1;
	for (int place = 0; place < max_prepared_xacts; place++)
	{
		int			holder = PREPARED_SLOT(place);
		const Blocker *blocker = hash_search(blockers, &holder, HASH_FIND, NULL);
		int			waiter = -1;

		while (blocker != NULL && (waiter = bms_next_member(blocker->blocked, waiter)) >= 0)
		{
			if (waiters[waiter].pid == session->pid)
				return place;
		}
	}
	return -1;
}

/* Did anybody wait for this process in the last survey? */
bool
locks_blocks(int pid)
{
	return blockers != NULL && hash_search(blockers, &pid, HASH_FIND, NULL) != NULL;
}

/*
 * Since when somebody has waited for this session itself without a break, as
 * far as the last survey tells; DT_NOEND if that has only begun, or nobody does.
 */
TimestampTz
locks_blocked_since(const Session *session)
{
	TimestampTz since = DT_NOEND;
	Blocker    *blocker = blockers == NULL ? NULL :
	hash_search(blockers, &session->pid, HASH_FIND, NULL);
	int			waiter = -1;

	if (blocker == NULL)
		return DT_NOEND;
	while ((waiter = bms_next_member(blocker->blocked, waiter)) >= 0)
		since = Min(since, waiters[waiter].since);
	return since;
}

/*
 * Who waits for a blocker, directly or through others.  Ends on a deadlock's
 * circle too, since nobody is taken up twice.
 */
static Bitmapset *
find_blocked(const Blocker *blocker)
{
	int			holder = blocker->holder;
	Bitmapset  *blocked = bms_copy(blocker->blocked);
	Bitmapset  *todo;
	int			waiter;

	todo = bms_copy(blocked);
	while ((waiter = bms_next_member(todo, -1)) >= 0)
	{
		todo = bms_del_member(todo, waiter);
		blocker = hash_search(blockers, &waiters[waiter].pid, HASH_FIND, NULL);
		if (blocker != NULL)
		{
			Bitmapset  *fresh = bms_difference(blocker->blocked, blocked);

			blocked = bms_join(blocked, bms_copy(fresh));
			todo = bms_join(todo, fresh);
		}
	}

	/* in a deadlock it waits for itself too, which does not count */
	for (waiter = -1; (waiter = bms_next_member(blocked, waiter)) >= 0;)
	{
		if (waiters[waiter].pid == holder)
			blocked = bms_del_member(blocked, waiter);
	}
	return blocked;
}

/* The same for a session, by the last survey; looked for once. */
static const Bitmapset *
blocked_by(const Session *session)
{
	Blocker    *blocker = NULL;
	int			holder = session_holder(session);

	if (blockers != NULL)
		blocker = hash_search(blockers, &holder, HASH_FIND, NULL);
	if (blocker == NULL)
		return NULL;
	if (!blocker->all_known)
	{
		MemoryContext oldcontext = MemoryContextSwitchTo(survey_context);
		int64		began = clock_cpu();

		blocker->all = find_blocked(blocker);
		blocker->all_known = true;
		cost += clock_cpu() - began;
		MemoryContextSwitchTo(oldcontext);
	}
	return blocker->all;
}

/* How many wait for a session, directly or through others, by the last survey. */
int
locks_blocked(const Session *session)
{
	return bms_num_members(blocked_by(session));
}

/* What the picture has cost so far, in us of CPU time. */
int64
locks_cost(void)
{
	return cost;
}

/*
 * Put a waiter in its place among the first of them, by how long they wait.
 * Returns how many there are now.
 */
static int
insert_waiter(const Waiter **first, int count, const Waiter *waiter)
{
	int			place = count;

	if (count < WAITERS_NAMED)
		count++;
	else if (waiter->since < first[count - 1]->since)
		place--;
	else
		return count;
	for (; place > 0 && waiter->since < first[place - 1]->since; place--)
		first[place] = first[place - 1];
	first[place] = waiter;
	return count;
}

/*
 * The PIDs of those that wait for a session, directly or through others, by
 * the last survey: WAITERS_NAMED at most, the longest waiting first.  Returns
 * how many these are.
 */
int
locks_waiters(const Session *session, int pids[WAITERS_NAMED], Waiter *longest)
{
	const Waiter *first[WAITERS_NAMED];
	const Bitmapset *blocked = blocked_by(session);
	int			count = 0;

	for (int waiter = -1; (waiter = bms_next_member(blocked, waiter)) >= 0;)
		count = insert_waiter(first, count, &waiters[waiter]);
	for (int i = 0; i < count; i++)
		pids[i] = first[i]->pid;
	if (count > 0)
		*longest = *first[0];
	return count;
}

static bool
is_user_relation(const LOCKTAG *tag)
{
	return tag->locktag_type == LOCKTAG_RELATION && tag->locktag_field2 >= FirstNormalObjectId;
}

/*
 * Does this lock say more of its holder than the one known?  A stronger one
 * does; among equals that of a user's relation, and of those the one made
 * first, which is the table and not its index.
 */
static bool
says_more(const LOCKTAG *tag, LOCKMODE mode, const HeldLock *known)
{
	if (mode != known->mode)
		return mode > known->mode;
	return is_user_relation(tag) &&
		(!is_user_relation(&known->tag) || tag->locktag_field2 < known->tag.locktag_field2);
}

/*
 * Look up what the blockers hold.  The locks that every transaction has on
 * itself tell nothing: who waits for one of those waits for a row, and the
 * table that it is in is locked too.
 */
static void
find_locks(void)
{
	LockData   *data = GetLockStatusData();

	for (int i = 0; i < data->nelements; i++)
	{
		const LockInstanceData *instance = &data->locks[i];
		LOCKMODE	mode = MaxLockMode;
		Blocker    *blocker;
		int			holder;

		if (instance->holdMask == 0 ||
			instance->locktag.locktag_type == LOCKTAG_VIRTUALTRANSACTION ||
			instance->locktag.locktag_type == LOCKTAG_TRANSACTION)
			continue;
		holder = lock_holder(instance);
		blocker = hash_search(blockers, &holder, HASH_FIND, NULL);
		if (blocker == NULL)
			continue;

		if (instance->locktag.locktag_type == LOCKTAG_ADVISORY)
			blocker->advisory = true;
		while (mode > NoLock && !(instance->holdMask & LOCKBIT_ON(mode)))
			mode--;
		if (says_more(&instance->locktag, mode, &blocker->strongest))
		{
			blocker->strongest.mode = mode;
			blocker->strongest.tag = instance->locktag;
		}
	}
	pfree(data->locks);
	pfree(data);
	locks_known = true;
}

/* The entry of a session that others wait for, with its locks; or NULL. */
static const Blocker *
find_blocker(const Session *session)
{
	int			holder = session_holder(session);

	if (blockers == NULL || hash_search(blockers, &holder, HASH_FIND, NULL) == NULL)
		return NULL;
	if (!locks_known)
	{
		MemoryContext oldcontext = MemoryContextSwitchTo(survey_context);
		int64		began = clock_cpu();

		find_locks();
		cost += clock_cpu() - began;
		MemoryContextSwitchTo(oldcontext);
	}
	return hash_search(blockers, &holder, HASH_FIND, NULL);
}

/*
 * The strongest lock of a session that others waited for in the last survey;
 * false when none is known.
 */
bool
locks_strongest(const Session *session, HeldLock *lock)
{
	const Blocker *blocker = find_blocker(session);

	if (blocker == NULL || blocker->strongest.mode == NoLock)
		return false;
	*lock = blocker->strongest;
	return true;
}

/*
 * What else it holds.  Shared memory tells of temporary tables only that it
 * has had some, of cursors only that they keep a snapshot, and of advisory
 * locks at a price that is paid only for those that others wait for.
 */
uint32
locks_holdings(const Session *session)
{
	volatile PGPROC *proc;
	const Blocker *blocker = find_blocker(session);
	uint32		holdings = 0;

	if (blocker != NULL && blocker->advisory)
		holdings |= 1u << HOLDING_ADVISORY_LOCKS;
	/* what else there is can't be prepared */
	if (session->pid == 0)
		return holdings;
	proc = compat_slot_proc(session->slot);
	if (proc == NULL || proc->pid != session->pid)
		return holdings;
	if (OidIsValid(proc->tempNamespaceId))
		holdings |= 1u << HOLDING_TEMPORARY_TABLES;
	if (session->state == SESSION_IDLE_IN_TRANSACTION && TransactionIdIsNormal(proc->xmin))
		holdings |= 1u << HOLDING_SNAPSHOT;
	return holdings;
}

const char *
locks_holding_name(Holding holding)
{
	switch (holding)
	{
		case HOLDING_ADVISORY_LOCKS:
			return "advisory locks";
		case HOLDING_TEMPORARY_TABLES:
			return "temporary tables";
		case HOLDING_SNAPSHOT:
			return "snapshot";
		case HOLDING_EXPORTED_SNAPSHOT:
			return "exported snapshot";
	}
	return NULL;
}

/*
 * "RowExclusiveLock on relation 16426 of database 16423"; on the relation with
 * this name if it is given.
 */
void
locks_describe(StringInfo out, const HeldLock *lock, const char *relation)
{
	appendStringInfo(out, "%s on ", GetLockmodeName(DEFAULT_LOCKMETHOD, lock->mode));
	if (relation != NULL)
		appendStringInfo(out, "relation %s", relation);
	else
		DescribeLockTag(out, &lock->tag);
}
