/*-------------------------------------------------------------------------
 *
 * names.c
 *	  The watcher's look-ups in the shared catalogs.
 *
 * This is the one place where the watcher takes heavyweight locks, so it does
 * that with the short lock_timeout of its settings, and after a failure lets
 * OIDs stand in for names for a while.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "access/xact.h"
#include "control.h"
#include "names.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* After a failure, how long to do without, in us. */
#define RETRY_AFTER	(5 * USECS_PER_SEC)

static int64 retry_at = 0;		/* monotonic us */

/* Take back a look-up that has thrown, in a PG_CATCH block. */
static void
give_up(MemoryContext context, int64 monotonic)
{
	ErrorData  *error;

	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	FlushErrorState();
	AbortCurrentTransaction();
	MemoryContextSwitchTo(context);

	control_error(WATCHER, error->message);
	ereport(LOG,
			(errcode(error->sqlerrcode),
			 errmsg("leakwatch could not look up names of roles and databases: %s",
					error->message),
			 errdetail("Their OIDs are used instead, and every role counts as a superuser's.")));
	retry_at = monotonic + RETRY_AFTER;
}

/*
 * Look up the names of a session's database and role.  Begins a transaction if
 * none runs; names_end_look_ups() ends it.
 */
void
names_look_up(const Session *session, int64 monotonic, SessionNames *names)
{
	MemoryContext context = CurrentMemoryContext;

	if (monotonic < retry_at)
	{
		session_oid_names(session, names);
		return;
	}

	PG_TRY();
	{
		if (!IsTransactionState())
		{
			SetCurrentStatementStartTimestamp();
			StartTransactionCommand();
			MemoryContextSwitchTo(context);
		}
		session_names(session, names);
	}
	PG_CATCH();
	{
		/* that was meant for the scan; it will be back */
		if (geterrcode() == ERRCODE_QUERY_CANCELED)
			PG_RE_THROW();
		give_up(context, monotonic);
		session_oid_names(session, names);
	}
	PG_END_TRY();
}

void
names_end_look_ups(void)
{
	MemoryContext context = CurrentMemoryContext;

	if (!IsTransactionState())
		return;
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
}
