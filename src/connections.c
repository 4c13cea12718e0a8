/*-------------------------------------------------------------------------
 *
 * connections.c
 *	  The SQL functions about connections: saturation() and usage().
 *
 * From shared memory and the shared catalogs, so they work on a standby, and
 * while no connection is left but for superusers.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include <math.h>

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "chronicle.h"
#include "funcapi.h"
#include "patience.h"
#include "saturation.h"
#include "utils/hsearch.h"
#include "utils/rel.h"

PGDLLEXPORT Datum leakwatch_saturation(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum leakwatch_usage(PG_FUNCTION_ARGS);

PG_FUNCTION_INFO_V1(leakwatch_saturation);
PG_FUNCTION_INFO_V1(leakwatch_usage);

/* ---------- what sessions and incidents there are now ---------- */

typedef struct TallyKey
{
	ScopeKind	kind;
	Oid			oid;
} TallyKey;

typedef struct Tally
{
	TallyKey	key;
	int			sessions;
	int			idle;
	int			in_transaction;
	int			leaked;
	int			suspected;
} Tally;

/* The tally of a scope; all zero if there has been nothing to count. */
static Tally *
tally_of(HTAB *table, ScopeKind kind, Oid oid)
{
	TallyKey	key = {kind, oid};
	bool		found;
	Tally	   *tally = hash_search(table, &key, HASH_ENTER, &found);

	if (!found)
	{
		memset(tally, 0, sizeof(Tally));
		tally->key = key;
	}
	return tally;
}

static void
add_session(Tally *tally, const Session *session)
{
	tally->sessions++;
	tally->idle += session->state == SESSION_IDLE;
	tally->in_transaction += session->state == SESSION_IDLE_IN_TRANSACTION ||
		session->state == SESSION_IDLE_IN_ABORTED_TRANSACTION;
}

static void
count_sessions(HTAB *table, Patience *patience)
{
	for (int slot = 0; slot < MaxBackends; slot++)
	{
		Session		session;

		CHECK_FOR_INTERRUPTS();
		if (patience_read_session(patience, slot, &session) != READ_DONE)
			continue;
		add_session(tally_of(table, SCOPE_SERVER, InvalidOid), &session);
		add_session(tally_of(table, SCOPE_DATABASE, session.database), &session);
		add_session(tally_of(table, SCOPE_ROLE, session.role), &session);
	}
}

/* What is prepared takes no connection. */
static void
add_leak(Tally *tally, const Incident *incident)
{
	tally->leaked++;
	tally->suspected += incident->kind == KIND_SUSPECTED_LEAK;
}

static void
count_leaks(HTAB *table, Patience *patience)
{
	Incident   *incident = palloc(sizeof(Incident));

	for (int i = 0; i < incident_max(); i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (!patience_copy_incident(patience, i, incident) ||
			incident->outcome != OUTCOME_OPEN || incident->kind == KIND_PREPARED_TRANSACTION)
			continue;
		add_leak(tally_of(table, SCOPE_SERVER, InvalidOid), incident);
		add_leak(tally_of(table, SCOPE_DATABASE, incident->session.database), incident);
		add_leak(tally_of(table, SCOPE_ROLE, incident->session.role), incident);
	}
	pfree(incident);
}

static HTAB *
count_all(void)
{
	HASHCTL		info = {
		.keysize = sizeof(TallyKey),
		.entrysize = sizeof(Tally),
		.hcxt = CurrentMemoryContext,
	};
	HTAB	   *table = hash_create("leakwatch tallies", 256, &info,
									HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	Patience	patience = {0};

	count_sessions(table, &patience);
	count_leaks(table, &patience);
	return table;
}

/* ---------- rows ---------- */

/* With so many parts of one as a fraction: 10 for one digit. */
static double
rounded(double value, double parts)
{
	return rint(value * parts) / parts;
}

/* How it goes on; NULL where that is not known. */
static void
add_forecast(Row *row, int limit)
{
	Forecast	forecast = samples_forecast(limit);

	if (forecast.growth > 0)
		row_float(row, "growth_per_minute", rounded(forecast.growth, 1000));
	if (forecast.minutes >= 0)
		row_interval(row, "exhausted_in", forecast.minutes * USECS_PER_MINUTE);
}

static void
put_scope(Row *row, const char *kind, const char *name, const ScopeUse *use,
		  const Tally *tally, FunctionCallInfo fcinfo)
{
	row_text(row, "scope", kind);
	row_text(row, "name", name);
	row_int(row, "used", use->used);
	if (use->limit >= 0)
		row_int(row, "limit", use->limit);
	if (use->limit > 0)
		row_float(row, "percent", rounded(100.0 * use->used / use->limit, 10));
	row_int(row, "peak", use->peak);
	row_time(row, "peak_at", use->peak_at);
	row_int(row, "idle", tally->idle);
	row_int(row, "idle_in_transaction", tally->in_transaction);
	row_int(row, "leaked", tally->leaked);
	row_int(row, "suspected", tally->suspected);
	row_bigint(row, "rejected", (int64) use->refused);
	row_time(row, "last_rejected_at", use->refused_at);
	if (use->kind == SCOPE_SERVER)
		add_forecast(row, use->limit);
	row_put(row, fcinfo);
}

static void
put_server(Row *row, HTAB *tallies, FunctionCallInfo fcinfo)
{
	ScopeUse	use;

	saturation_read(SERVER_SCOPE, &use);
	use.limit = Max(MaxConnections - compat_reserved_connections(), 0);
	put_scope(row, "server", NULL, &use, tally_of(tallies, SCOPE_SERVER, InvalidOid), fcinfo);
}

/*
 * A database or a role, if it has a limit or has had sessions.  One that found
 * no room is known by the sessions that it has now.
 */
static void
put_named(Row *row, ScopeKind kind, Oid oid, const char *name, int limit, HTAB *tallies,
		  FunctionCallInfo fcinfo)
{
	const Tally *tally = tally_of(tallies, kind, oid);
	int			scope = saturation_find(kind, oid);
	ScopeUse	use = {
		.kind = kind,
		.used = tally->sessions,
		.peak = tally->sessions,
	};

	if (scope >= 0)
		saturation_read(scope, &use);
	use.limit = Max(limit, NO_LIMIT);
	if (use.limit >= 0 || scope >= 0 || tally->sessions > 0)
		put_scope(row, kind == SCOPE_DATABASE ? "database" : "role", name, &use, tally, fcinfo);
}

static void
put_databases(Row *row, HTAB *tallies, FunctionCallInfo fcinfo)
{
	Relation	catalog = table_open(DatabaseRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(catalog, InvalidOid, false, NULL, 0, NULL);
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_database form = (Form_pg_database) GETSTRUCT(tuple);

		put_named(row, SCOPE_DATABASE, form->oid, NameStr(form->datname), form->datconnlimit,
				  tallies, fcinfo);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
}

/* No limit turns a superuser away. */
static void
put_roles(Row *row, HTAB *tallies, FunctionCallInfo fcinfo)
{
	Relation	catalog = table_open(AuthIdRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(catalog, InvalidOid, false, NULL, 0, NULL);
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_authid form = (Form_pg_authid) GETSTRUCT(tuple);

		put_named(row, SCOPE_ROLE, form->oid, NameStr(form->rolname),
				  form->rolsuper ? NO_LIMIT : form->rolconnlimit, tallies, fcinfo);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
}

static void
begin_rows(FunctionCallInfo fcinfo, Row *row)
{
	InitMaterializedSRF(fcinfo, 0);
	row_init(row, ((ReturnSetInfo *) fcinfo->resultinfo)->setDesc);
}

/*
 * leakwatch.saturation(): how connections are used, of the server and of each
 * database and role.
 */
Datum
leakwatch_saturation(PG_FUNCTION_ARGS)
{
	Row			row;
	HTAB	   *tallies = count_all();

	begin_rows(fcinfo, &row);
	put_server(&row, tallies, fcinfo);
	put_databases(&row, tallies, fcinfo);
	put_roles(&row, tallies, fcinfo);
	return (Datum) 0;
}

/*
 * leakwatch.usage(): how they were used, minute by minute, as far as shared
 * memory goes back.
 */
Datum
leakwatch_usage(PG_FUNCTION_ARGS)
{
	uint64		end = samples_end();
	Row			row;

	begin_rows(fcinfo, &row);
	for (uint64 n = samples_begin(); n < end; n++)
	{
		Sample		sample;

		CHECK_FOR_INTERRUPTS();
		if (!samples_read(n, &sample))
			continue;
		chronicle_row(&row, &sample);
		row_put(&row, fcinfo);
	}
	return (Datum) 0;
}
