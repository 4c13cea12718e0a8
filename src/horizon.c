/*-------------------------------------------------------------------------
 *
 * horizon.c
 *	  What a session keeps VACUUM from.
 *
 * Owns a private picture of the two oldest horizons in each database, taken
 * by horizon_survey() in one walk and good until the next one: whoever holds
 * the oldest alone holds back all from there to the second oldest.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "access/transam.h"
#include "access/twophase.h"
#include "horizon.h"
#include "storage/procarray.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

/* The horizons held in a database. */
typedef struct Holders
{
	Oid			database;		/* hash key */
	TransactionId oldest;
	int			oldest_holder;	/* who holds it, as session_holder() */
	TransactionId second;
} Holders;

static HTAB *holders = NULL;
static MemoryContext survey_context = NULL;

/* That hold back all databases, together. */
static TransactionId everywhere = InvalidTransactionId;
static TransactionId next_xid = InvalidTransactionId;

/* The next transaction: against it the age of a horizon is reckoned. */
TransactionId
horizon_next_xid(void)
{
	return XidFromFullTransactionId(ReadNextFullTransactionId());
}

/* The older of two, either of which may be missing. */
static TransactionId
older(TransactionId a, TransactionId b)
{
	if (!TransactionIdIsNormal(a))
		return b;
	if (!TransactionIdIsNormal(b))
		return a;
	return TransactionIdPrecedes(a, b) ? a : b;
}

/*
 * Fields of other processes are read without a lock, as pg_stat_activity
 * does: each is one word, and a moment's error is allowed.
 */
static TransactionId
proc_horizon(volatile PGPROC *proc)
{
	TransactionId horizon = older(proc->xid, proc->xmin);

	return TransactionIdIsNormal(horizon) ? horizon : InvalidTransactionId;
}

/*
 * What VACUUM horizon a session holds now, whose dead rows it keeps: the older
 * of its xmin and its xid, or InvalidTransactionId.
 */
TransactionId
horizon_of(const Session *session)
{
	volatile PGPROC *proc = compat_slot_proc(session->slot);

	if (proc == NULL || proc->pid != session->pid)
		return InvalidTransactionId;
	return proc_horizon(proc);
}

static void
enter(HTAB *picture, Oid database, int holder, TransactionId horizon)
{
	bool		found;
	Holders    *entry = hash_search(picture, &database, HASH_ENTER, &found);

	if (!found)
	{
		entry->oldest = horizon;
		entry->oldest_holder = holder;
		entry->second = InvalidTransactionId;
	}
	else if (TransactionIdPrecedes(horizon, entry->oldest))
	{
		entry->second = entry->oldest;
		entry->oldest = horizon;
		entry->oldest_holder = holder;
	}
	else
		entry->second = older(horizon, entry->second);
}

/*
 * Take the picture.  VACUUM does not wait for those that are vacuuming or
 * decoding, but for what replication slots and standbys keep.
 */
void
horizon_survey(void)
{
	HASHCTL		info = {
		.keysize = sizeof(Oid),
		.entrysize = sizeof(Holders),
	};
	PROC_HDR   *procs = ProcGlobal;
	HTAB	   *picture;
	TransactionId slot_xmin;
	TransactionId slot_catalog_xmin;

	if (survey_context == NULL)
		survey_context = AllocSetContextCreate(TopMemoryContext, "leakwatch horizons",
											   ALLOCSET_SMALL_SIZES);
	holders = NULL;
	MemoryContextReset(survey_context);
	info.hcxt = survey_context;
	picture = hash_create("leakwatch horizons", 16, &info,
						  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);

	ProcArrayGetReplicationSlotXmin(&slot_xmin, &slot_catalog_xmin);
	everywhere = slot_xmin;
	next_xid = horizon_next_xid();

	/*
	 * Prepared transactions have their places behind those of processes; one
	 * that is finished leaves its number behind there.
	 */
	for (uint32 i = 0; i < procs->allProcCount + max_prepared_xacts; i++)
	{
		volatile PGPROC *proc = &procs->allProcs[i];
		TransactionId horizon = proc_horizon(proc);

		if (likely(!TransactionIdIsNormal(horizon)))
			continue;
		if (i >= procs->allProcCount && procs->xids[proc->pgxactoff] != horizon)
			continue;
		if (proc->statusFlags & PROC_AFFECTS_ALL_HORIZONS)
			everywhere = older(everywhere, horizon);
		else if (!(proc->statusFlags & (PROC_IN_VACUUM | PROC_IN_LOGICAL_DECODING)))
			enter(picture, proc->databaseId, i < procs->allProcCount ?
				  proc->pid : PREPARED_SLOT((int) (i - procs->allProcCount)), horizon);
	}

	/* half a picture would tell lies */
	holders = picture;
}

/*
 * For how many transactions this session alone keeps dead rows in its own
 * database, by the last survey.
 */
int64
horizon_alone(const Session *session)
{
	const Holders *entry = NULL;
	TransactionId others;

	if (holders != NULL)
		entry = hash_search(holders, &session->database, HASH_FIND, NULL);
	if (entry == NULL || entry->oldest_holder != session_holder(session))
		return 0;
	others = older(older(entry->second, everywhere), next_xid);
	return Max((int32) (others - entry->oldest), 0);
}
