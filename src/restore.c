/*-------------------------------------------------------------------------
 *
 * restore.c
 *	  The rows of a dump, restored while the recorder writes.
 *
 * A dump creates the extension, and the recorder begins to write into its
 * table what shared memory has.  The rows of the dump come after that, and
 * one of an incident that was open all the while would be there already: its
 * duplicate key would keep out the whole history.  So with the samples and the
 * spells.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "access/htup_details.h"
#include "commands/trigger.h"
#include "control.h"
#include "executor/spi.h"
#include "storage/lmgr.h"
#include "utils/rel.h"

PGDLLEXPORT Datum leakwatch_keep_recorded(PG_FUNCTION_ARGS);

PG_FUNCTION_INFO_V1(leakwatch_keep_recorded);

/* Whoever restores chooses the search_path. */
static const char incident_sql[] =
"SELECT FROM leakwatch.incidents AS i"
" WHERE i.pid OPERATOR(pg_catalog.=) ($1).pid"
" AND i.backend_start OPERATOR(pg_catalog.=) ($1).backend_start"
" AND i.kind OPERATOR(pg_catalog.=) ($1).kind"
" AND i.since OPERATOR(pg_catalog.=) ($1).since"
" AND i.gid OPERATOR(pg_catalog.=) ($1).gid";

static const char sample_sql[] =
"SELECT FROM leakwatch.samples AS s"
" WHERE s.minute OPERATOR(pg_catalog.=) ($1).minute";

static const char spell_sql[] =
"SELECT FROM leakwatch.spells AS s"
" WHERE s.hour OPERATOR(pg_catalog.=) ($1).hour"
" AND s.datname OPERATOR(pg_catalog.=) ($1).datname"
" AND s.usename OPERATOR(pg_catalog.=) ($1).usename"
" AND s.application_name OPERATOR(pg_catalog.=) ($1).application_name"
" AND s.others OPERATOR(pg_catalog.=) ($1).others"
" AND s.kind OPERATOR(pg_catalog.=) ($1).kind";

/* Which of the tables it is, is told by a column of its own. */
static const char *
exists_sql_of(TupleDesc desc)
{
	if (SPI_fnumber(desc, "minute") > 0)
		return sample_sql;
	return SPI_fnumber(desc, "hour") > 0 ? spell_sql : incident_sql;
}

/* The plan for a row type; one is kept. */
static SPIPlanPtr
exists_plan(const char *exists_sql, Oid type)
{
	static SPIPlanPtr plan = NULL;
	static Oid	plan_type = InvalidOid;

	if (plan != NULL && plan_type != type)
	{
		SPI_freeplan(plan);
		plan = NULL;
	}
	if (plan == NULL)
	{
		SPIPlanPtr	prepared = SPI_prepare(exists_sql, 1, &type);

		if (prepared == NULL)
			elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
		SPI_keepplan(prepared);
		plan = prepared;
		plan_type = type;
	}
	return plan;
}

/* Is there a row of this key? */
static bool
exists(Relation table, HeapTuple row)
{
	Datum		arg = heap_copy_tuple_as_datum(row, RelationGetDescr(table));
	SPIPlanPtr	plan = exists_plan(exists_sql_of(RelationGetDescr(table)), table->rd_rel->reltype);
	int			result = SPI_execute_plan(plan, &arg, NULL, false, 1);

	if (result != SPI_OK_SELECT)
		elog(ERROR, "unexpected SPI result: %s", SPI_result_code_string(result));
	return SPI_processed > 0;
}

/*
 * leakwatch.keep_recorded(): trigger before an INSERT by anybody but the
 * recorder.  What that has written stays, since it comes from shared memory
 * and is newer than any dump.
 */
Datum
leakwatch_keep_recorded(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	HeapTuple	row;
	char	   *outcome;
	bool		leave_out;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BEFORE(trigger->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigger->tg_event) || !TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
		elog(ERROR, "keep_recorded() was not called as a trigger for each row before INSERT");
	row = trigger->tg_trigtuple;

	/* what the recorder is about to write is seen, or waits for our end */
	LockRelation(trigger->tg_relation, ShareRowExclusiveLock);

	SPI_connect();
	leave_out = exists(trigger->tg_relation, row);
	SPI_finish();

	/* of an incident that is no longer, if it is not in shared memory */
	outcome = SPI_getvalue(row, RelationGetDescr(trigger->tg_relation),
						   SPI_fnumber(RelationGetDescr(trigger->tg_relation), "outcome"));
	if (outcome != NULL && strcmp(outcome, "open") == 0)
		control_request_housekeeping();
	return PointerGetDatum(leave_out ? NULL : row);
}
