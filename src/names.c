/*-------------------------------------------------------------------------
 *
 * names.c
 *	  Look-ups in the shared catalogs.
 *
 * This is the one place where the watcher takes heavyweight locks, so it does
 * that with the short lock_timeout of its settings, and after a failure lets
 * OIDs stand in for names for a while.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "control.h"
#include "names.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

/* How soon to scan again after a look-up, in us. */
#define AGAIN		USECS_PER_SEC

/* After a failure, how long to do without, in us. */
#define RETRY_AFTER	(5 * USECS_PER_SEC)

static int64 retry_at = 0;		/* monotonic us */

/* Of which scan the last look-up was, likewise. */
static int64 looked_up_at = 0;

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

/* Begin a transaction if none runs, and stay in this context. */
static void
begin(MemoryContext context, int64 monotonic)
{
	if (IsTransactionState())
		return;
	looked_up_at = monotonic;
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	MemoryContextSwitchTo(context);
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
		begin(context, monotonic);
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

static void
database_scope(HeapTuple tuple, ScopeNames *names)
{
	Form_pg_database form = (Form_pg_database) GETSTRUCT(tuple);

	strlcpy(names->name, NameStr(form->datname), NAMEDATALEN);
	names->limit = form->datconnlimit;
}

/* No limit turns a superuser away. */
static void
role_scope(HeapTuple tuple, ScopeNames *names)
{
	Form_pg_authid form = (Form_pg_authid) GETSTRUCT(tuple);

	strlcpy(names->name, NameStr(form->rolname), NAMEDATALEN);
	names->limit = form->rolsuper ? NO_LIMIT : form->rolconnlimit;
}

/*
 * Name and CONNECTION LIMIT of a database or a role.  False, and nothing is
 * changed, when it has been dropped.  Can throw.
 */
bool
names_read_scope(ScopeKind kind, Oid oid, ScopeNames *names)
{
	HeapTuple	tuple = SearchSysCache1(kind == SCOPE_DATABASE ? DATABASEOID : AUTHOID,
										ObjectIdGetDatum(oid));

	if (!HeapTupleIsValid(tuple))
		return false;
	if (kind == SCOPE_DATABASE)
		database_scope(tuple, names);
	else
		role_scope(tuple, names);
	/* 17 and later mark a database that is half dropped by -2 */
	names->limit = Max(names->limit, NO_LIMIT);
	ReleaseSysCache(tuple);
	return true;
}

/*
 * The same for a database or a role: its name and its CONNECTION LIMIT.  False
 * when that can't be had now; its OID stands in for its name then.
 */
bool
names_look_up_scope(ScopeKind kind, Oid oid, int64 monotonic, ScopeNames *names)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool known = monotonic >= retry_at;

	snprintf(names->name, NAMEDATALEN, "%u", oid);
	names->limit = NO_LIMIT;
	if (!known)
		return false;

	PG_TRY();
	{
		begin(context, monotonic);
		/* what has been dropped keeps its OID for a name, and has no limit */
		(void) names_read_scope(kind, oid, names);
	}
	PG_CATCH();
	{
		give_up(context, monotonic);
		known = false;
	}
	PG_END_TRY();
	return known;
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

/*
 * When to scan again after this scan's look-ups, DT_NOEND if there were none: a
 * process that waits for a lock is woken by the latch that the watcher sleeps
 * on, and what somebody has called it for meanwhile would be forgotten.
 */
TimestampTz
names_due(const Moment *moment)
{
	return looked_up_at == moment->monotonic ? moment->now + AGAIN : DT_NOEND;
}
