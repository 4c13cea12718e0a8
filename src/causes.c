/*-------------------------------------------------------------------------
 *
 * causes.c
 *	  Causes in the tables: what is known of them, and which are resolved.
 *
 * The recorder reads here what known.c has for the watcher.  What keeps it from
 * that keeps it from nothing else.
 *
 * The table leakwatch.resolutions is written by who resolves a cause, and by
 * nobody else.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "causes.h"
#include "control.h"
#include "executor/spi.h"
#include "guc.h"
#include "known.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "publication.h"
#include "shmem.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/timestamp.h"
#include "writing.h"

PGDLLEXPORT Datum leakwatch_resolve(PG_FUNCTION_ARGS);

PG_FUNCTION_INFO_V1(leakwatch_resolve);

/* Those seen or resolved last, of the incidents that there are. */
static const char load_sql[] =
"SELECT COALESCE(c.cause, r.cause), COALESCE(c.incidents, 0), c.first_seen, c.last_seen,"
"  r.resolved_at"
" FROM (SELECT i.cause, pg_catalog.count(*) AS incidents,"
"   pg_catalog.min(i.detected_at) AS first_seen, pg_catalog.max(i.detected_at) AS last_seen"
"  FROM leakwatch.incidents AS i WHERE i.cause IS NOT NULL GROUP BY i.cause) AS c"
" FULL JOIN leakwatch.resolutions AS r ON r.cause = c.cause"
" ORDER BY GREATEST(c.last_seen, r.resolved_at) DESC LIMIT $1";

/* Whoever calls this chooses the search_path. */
static const char exists_sql[] =
"SELECT FROM leakwatch.incidents AS i WHERE i.cause OPERATOR(pg_catalog.=) $1";

static const char resolve_sql[] =
"INSERT INTO leakwatch.resolutions AS r (cause, resolved_at, resolved_by, note)"
" VALUES ($1, pg_catalog.clock_timestamp(), SESSION_USER, $2)"
" ON CONFLICT (cause) DO UPDATE SET resolved_at = EXCLUDED.resolved_at,"
"  resolved_by = EXCLUDED.resolved_by, note = EXCLUDED.note";

/* ---------- what is known ---------- */

/* Does the extension have causes here, and not that of an older version? */
static bool
has_causes(Relation incidents)
{
	Oid			resolutions = get_relname_relid("resolutions", RelationGetNamespace(incidents));

	return SPI_fnumber(RelationGetDescr(incidents), "cause") > 0 && OidIsValid(resolutions) &&
		getExtensionOfObject(RelationRelationId, resolutions) ==
		getExtensionOfObject(RelationRelationId, RelationGetRelid(incidents));
}

static int64
get_number(HeapTuple row, TupleDesc desc, int column)
{
	bool		isnull;
	Datum		value = SPI_getbinval(row, desc, column, &isnull);

	/* a timestamptz is one, too */
	return isnull ? 0 : DatumGetInt64(value);
}

static void
load(Relation incidents)
{
	Known	   *known = palloc(NUM_KNOWN * sizeof(Known));
	Oid			types[] = {INT8OID};
	Datum		args[] = {Int64GetDatum(NUM_KNOWN)};
	int			count = 0;

	if (has_causes(incidents))
	{
		writing_expect(SPI_execute_with_args(load_sql, 1, types, args, NULL, true, 0),
					   SPI_OK_SELECT);
		count = SPI_processed;
	}
	for (int i = 0; i < count; i++)
	{
		HeapTuple	row = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;

		known[i].cause = get_number(row, desc, 1);
		known[i].incidents = get_number(row, desc, 2);
		known[i].first_seen = get_number(row, desc, 3);
		known[i].last_seen = get_number(row, desc, 4);
		known[i].resolved_at = get_number(row, desc, 5);
	}
	known_load(known, count);
}

/*
 * The recorder: read what is known of causes.  Without the table there is
 * nothing to be known.
 */
void
causes_load(void)
{
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		Writing		writing;

		writing_begin_as_owner("reading causes", &writing);
		load(writing.table);
		writing_end_as_owner(&writing);
	}
	PG_CATCH();
	{
		ErrorData  *error = writing_abort(context);

		ereport(LOG,
				(errcode(error->sqlerrcode),
				 errmsg("leakwatch could not read the causes of incidents: %s", error->message),
				 errdetail("Messages do not say how often a cause has been seen, until it can be read in an hour at the latest.")));
		FreeErrorData(error);
	}
	PG_END_TRY();
}

/* ---------- resolving ---------- */

/* This transaction has resolved a cause. */
static bool resolved = false;

/* Have the watcher know once it is so. */
static void
on_transaction(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT && resolved)
		control_want_recorder();
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
		resolved = false;
}

/*
 * Write that a cause is resolved, as the owner of the table and with no more
 * rights than that: it may have hung triggers on it.
 */
static void
write_resolution(Datum *args, const char *nulls)
{
	Oid			types[] = {INT8OID, TEXTOID};
	Relation	table = table_openrv(makeRangeVar("leakwatch", "resolutions", -1),
									 RowExclusiveLock);
	Oid			user;
	int			security_context;

	/* an error takes this back, too */
	GetUserIdAndSecContext(&user, &security_context);
	SetUserIdAndSecContext(table->rd_rel->relowner,
						   security_context | SECURITY_RESTRICTED_OPERATION);
	writing_expect(SPI_execute_with_args(resolve_sql, 2, types, args, nulls, false, 0),
				   SPI_OK_INSERT);
	SetUserIdAndSecContext(user, security_context);
	table_close(table, NoLock);
}

/* Is there an incident of this cause? */
static bool
exists(Datum cause)
{
	Oid			types[] = {INT8OID};

	writing_expect(SPI_execute_with_args(exists_sql, 1, types, &cause, NULL, false, 1),
				   SPI_OK_SELECT);
	return SPI_processed > 0;
}

/* What is resolved would be sent to who does not have the table. */
static void
check_publications(void)
{
	char	   *publication = publication_in_the_way();

	if (publication != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("could not resolve the cause, because publication \"%s\" FOR ALL TABLES would send that to its subscribers",
						publication),
				 errdetail("Subscribers that do not have the tables of the extension stop at the first row of them."),
				 errhint("Set leakwatch.record_published if they have them.")));
}

/*
 * leakwatch.resolve(cause bigint, note text): mark a cause as cured, or once
 * more if it is already.
 */
Datum
leakwatch_resolve(PG_FUNCTION_ARGS)
{
	static bool registered = false;
	Datum		args[2];
	char		nulls[] = {' ', ' '};

	shmem_require();
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("cause must not be null"),
				 errhint("The view leakwatch.causes lists the causes that there are.")));
	args[0] = PG_GETARG_DATUM(0);
	args[1] = PG_ARGISNULL(1) ? (Datum) 0 : PG_GETARG_DATUM(1);
	nulls[1] = PG_ARGISNULL(1) ? 'n' : ' ';

	check_publications();
	SPI_connect();
	if (!exists(args[0]))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("no incident has the cause " INT64_FORMAT, PG_GETARG_INT64(0)),
				 errdetail("Incidents are recorded in database \"%s\", and deleted after leakwatch.retention.",
						   guc_database),
				 errhint("The view leakwatch.causes lists the causes that there are.")));
	write_resolution(args, nulls);
	SPI_finish();

	if (!registered)
		RegisterXactCallback(on_transaction, NULL);
	registered = resolved = true;
	PG_RETURN_VOID();
}
