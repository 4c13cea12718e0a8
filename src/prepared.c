/*-------------------------------------------------------------------------
 *
 * prepared.c
 *	  The server's prepared transactions.
 *
 * The server keeps a process entry without a process for each, in places that
 * anybody can read, from which come its number and its locks.  Its name and the
 * time of preparing are told only within a database: the recorder reads them
 * when they are wanted.
 *
 * Owns the "leakwatch prepared" segment, which is not there where
 * max_prepared_transactions is 0:
 *
 *	wanted			anybody: an atomic, which the recorder clears
 *	changes, list	the recorder, under the change counter: what it has read
 *	oldest			the watcher: an atomic
 *
 * On a standby there are no such entries before it is promoted.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "access/transam.h"
#include "access/twophase.h"
#include "changes.h"
#include "prepared.h"
#include "storage/shmem.h"

typedef struct Prepared
{
	pg_atomic_uint32 wanted;
	pg_atomic_uint32 changes;
	pg_atomic_uint64 oldest;	/* when the oldest was prepared; 0: not known */
	PreparedList list;
} Prepared;

static Prepared *prepared = NULL;

static Size
list_size(void)
{
	return add_size(offsetof(PreparedList, transaction),
					mul_size(sizeof(PreparedTransaction), max_prepared_xacts));
}

Size
prepared_shmem_size(void)
{
	return max_prepared_xacts == 0 ? 0 : add_size(offsetof(Prepared, list), list_size());
}

/* Called with AddinShmemInitLock held. */
void
prepared_shmem_init(void)
{
	bool		found;

	if (max_prepared_xacts == 0)
		return;
	prepared = ShmemInitStruct("leakwatch prepared", prepared_shmem_size(), &found);
	if (found)
		return;
	memset(prepared, 0, prepared_shmem_size());
	pg_atomic_init_u32(&prepared->wanted, 0);
	pg_atomic_init_u32(&prepared->changes, 0);
	pg_atomic_init_u64(&prepared->oldest, 0);
}

/* ---------- what the server shows to all ---------- */

/*
 * The number of the transaction in a place, invalid if none is there.  One that
 * is finished leaves its number behind, but not among those that run.  Read
 * without a lock: a moment's error is allowed.
 */
TransactionId
prepared_xid(int place)
{
	volatile PGPROC *proc = &PreparedXactProcs[place];
	TransactionId xid = proc->xid;

	if (!TransactionIdIsNormal(xid) || ProcGlobal->xids[proc->pgxactoff] != xid)
		return InvalidTransactionId;
	return xid;
}

/* The place of one whose locks are held under this virtual number; -1: none. */
int
prepared_place(uint32 vxid_owner, uint32 lxid)
{
	for (int place = 0; place < max_prepared_xacts; place++)
	{
		volatile PGPROC *proc = &PreparedXactProcs[place];

		if (compat_proc_vxid_owner(proc) == vxid_owner && compat_proc_lxid(proc) == lxid &&
			TransactionIdIsValid(prepared_xid(place)))
			return place;
	}
	return -1;
}

/*
 * How many there are now; in *oldest when the oldest was prepared, 0 if that is
 * not known.  Exact as soon as one may be over the limit, before that to within
 * the time between two looks of the watcher.
 */
int
prepared_count(TimestampTz *oldest)
{
	int			count = 0;

	for (int place = 0; place < max_prepared_xacts; place++)
		count += TransactionIdIsValid(prepared_xid(place));
	*oldest = count > 0 ? (TimestampTz) pg_atomic_read_u64(&prepared->oldest) : 0;
	return count;
}

void
prepared_set_oldest(TimestampTz oldest)
{
	if (prepared != NULL)
		pg_atomic_write_u64(&prepared->oldest, (uint64) oldest);
}

/* ---------- what the recorder has read ---------- */

/* Room for a list, in the current context; empty. */
PreparedList *
prepared_new_list(void)
{
	return palloc0(list_size());
}

/* This changes with each reading. */
uint32
prepared_version(void)
{
	return pg_atomic_read_u32(&prepared->changes);
}

/* Copy the list as last read.  False when it is being written. */
bool
prepared_copy(PreparedList *list)
{
	return change_copy(&prepared->changes, list, &prepared->list, list_size());
}

static int
by_xid(const void *a, const void *b)
{
	TransactionId xa = ((const PreparedTransaction *) a)->xid;
	TransactionId xb = ((const PreparedTransaction *) b)->xid;

	return (xa > xb) - (xa < xb);
}

/* The transaction of this number, or NULL. */
const PreparedTransaction *
prepared_find(const PreparedList *list, TransactionId xid)
{
	PreparedTransaction key = {.xid = xid};

	return bsearch(&key, list->transaction, list->count, sizeof(PreparedTransaction), by_xid);
}

/* Have the list read. */
void
prepared_want(void)
{
	pg_atomic_write_u32(&prepared->wanted, 1);
}

bool
prepared_is_wanted(void)
{
	return prepared != NULL && pg_atomic_read_u32(&prepared->wanted) != 0;
}

/* It is about to be read: who wants that from now on wants it again. */
void
prepared_take_wanted(void)
{
	if (prepared == NULL)
		return;
	pg_atomic_exchange_u32(&prepared->wanted, 0);
}

/* Let all know the list, which is put in order. */
void
prepared_publish(PreparedList *list)
{
	qsort(list->transaction, list->count, sizeof(PreparedTransaction), by_xid);
	change_begin(&prepared->changes);
	memcpy(&prepared->list, list, list_size());
	change_end(&prepared->changes);
}
