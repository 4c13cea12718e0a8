/*-------------------------------------------------------------------------
 *
 * impact.c
 *	  What harm a session does: whom it blocks, what VACUUM horizon it holds.
 *
 * Owns a private picture of who waits for whom, taken by impact_survey() and
 * good until the next one.  One walk over the process array finds who waits
 * for a lock; only of those is the lock manager asked, because each question
 * takes one of its partition locks.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "access/transam.h"
#include "catalog/pg_type.h"
#include "impact.h"
#include "nodes/bitmapset.h"
#include "session.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/wait_event.h"

/* One that others wait for. */
typedef struct Blocker
{
	int			pid;			/* hash key */
	Bitmapset  *blocked;		/* who waits for it directly; index of waiters */
} Blocker;

static MemoryContext survey_context = NULL;
static int *waiters = NULL;		/* pids, in survey_context */
static int	nwaiters = 0;
static HTAB *blockers = NULL;	/* of Blocker, in survey_context */

/* Enter whom a waiter waits for. */
static void
ask_blockers(int waiter)
{
	ArrayType  *pids = DatumGetArrayTypeP(DirectFunctionCall1(pg_blocking_pids,
															  Int32GetDatum(waiters[waiter])));
	int			npids = ArrayGetNItems(ARR_NDIM(pids), ARR_DIMS(pids));
	const int  *pid = (const int *) ARR_DATA_PTR(pids);

	for (int i = 0; i < npids; i++)
	{
		bool		found;
		Blocker    *blocker = hash_search(blockers, &pid[i], HASH_ENTER, &found);

		blocker->blocked = bms_add_member(found ? blocker->blocked : NULL, waiter);
	}
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
impact_survey(void)
{
	MemoryContext oldcontext;
	PROC_HDR   *procs = ProcGlobal;

	if (survey_context == NULL)
		survey_context = AllocSetContextCreate(TopMemoryContext, "leakwatch impact",
											   ALLOCSET_DEFAULT_SIZES);
	MemoryContextReset(survey_context);
	oldcontext = MemoryContextSwitchTo(survey_context);
	waiters = NULL;
	nwaiters = 0;
	blockers = NULL;

	for (uint32 i = 0; i < procs->allProcCount; i++)
	{
		volatile PGPROC *proc = &procs->allProcs[i];
		int			slot;
		int			pid;

		if (likely((proc->wait_event_info & 0xFF000000) != PG_WAIT_LOCK))
			continue;

		/* until 16 an ended backend leaves its pid and its slot behind here */
		slot = compat_proc_slot(unvolatize(PGPROC *, proc));
		pid = proc->pid;
		if (pid == 0 || slot < 0 || session_pid(slot) != pid)
			continue;

		if (waiters == NULL)
			waiters = palloc(sizeof(int) * procs->allProcCount);
		waiters[nwaiters++] = pid;
	}

	if (nwaiters > 0)
		blockers = new_blockers();
	for (int i = 0; i < nwaiters; i++)
	{
		CHECK_FOR_INTERRUPTS();
		ask_blockers(i);
	}
	MemoryContextSwitchTo(oldcontext);
	return nwaiters;
}

/*
 * How many wait for pid, directly or through others.  Ends on a deadlock's
 * circle too, since nobody is taken up twice.
 */
static int
count_blocked(int pid)
{
	Blocker    *blocker = hash_search(blockers, &pid, HASH_FIND, NULL);
	Bitmapset  *blocked;
	Bitmapset  *todo;
	int			waiter;
	int			count;

	if (blocker == NULL)
		return 0;

	blocked = bms_copy(blocker->blocked);
	todo = bms_copy(blocked);
	while ((waiter = bms_next_member(todo, -1)) >= 0)
	{
		todo = bms_del_member(todo, waiter);
		blocker = hash_search(blockers, &waiters[waiter], HASH_FIND, NULL);
		if (blocker != NULL)
		{
			Bitmapset  *fresh = bms_difference(blocker->blocked, blocked);

			blocked = bms_join(blocked, bms_copy(fresh));
			todo = bms_join(todo, fresh);
		}
	}

	/* in a circle it waits for itself, which blocks nobody else */
	count = 0;
	for (waiter = -1; (waiter = bms_next_member(blocked, waiter)) >= 0;)
		count += waiters[waiter] != pid;
	return count;
}

/* The next transaction: against it the age of a horizon is reckoned. */
TransactionId
impact_next_xid(void)
{
	return XidFromFullTransactionId(ReadNextFullTransactionId());
}

/*
 * What VACUUM horizon a session holds now, whose dead rows it keeps: the older
 * of its xmin and its xid, or InvalidTransactionId.
 */
TransactionId
impact_horizon(const Session *session)
{
	volatile PGPROC *proc = compat_slot_proc(session->slot);
	TransactionId xid;
	TransactionId xmin;

	if (proc == NULL || proc->pid != session->pid)
		return InvalidTransactionId;
	xid = proc->xid;
	xmin = proc->xmin;
	if (!TransactionIdIsNormal(xmin) ||
		(TransactionIdIsNormal(xid) && TransactionIdPrecedes(xid, xmin)))
		return xid;
	return xmin;
}

/* How many wait for a session, directly or through others, by the last survey. */
int
impact_blocked(const Session *session)
{
	MemoryContext oldcontext;
	int			count;

	if (nwaiters == 0)
		return 0;
	oldcontext = MemoryContextSwitchTo(survey_context);
	count = count_blocked(session->pid);
	MemoryContextSwitchTo(oldcontext);
	return count;
}
