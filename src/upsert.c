/*-------------------------------------------------------------------------
 *
 * upsert.c
 *	  The statement that writes incidents, as far as the table has the columns.
 *
 * Owns the list of columns, which grows with the versions: a table that has not
 * been updated yet, or that somebody has altered, gets what it can take.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "upsert.h"
#include "writing.h"

/* What becomes of a column when its row is written again. */
typedef enum Conflict
{
	KEEP,
	REPLACE,
	RAISE,						/* the greater value stays */
	FILL						/* the first that is known stays */
} Conflict;

/* The columns that are written; facts.c has their values. */
static const struct
{
	const char *name;
	Conflict	conflict;
}			columns[] = {
	{"id", KEEP},
	{"kind", KEEP},
	{"pid", KEEP},
	{"backend_start", KEEP},
	{"since", KEEP},
	{"datname", KEEP},
	{"usename", KEEP},
	{"application_name", KEEP},
	{"client_addr", KEEP},
	{"client_port", KEEP},
	{"state", REPLACE},
	{"detected_at", KEEP},
	{"last_seen_at", REPLACE},
	{"ended_at", REPLACE},
	{"duration", REPLACE},
	{"warn_limit", REPLACE},
	{"terminate_limit", REPLACE},
	{"action", REPLACE},
	{"outcome", REPLACE},
	{"outcome_detail", REPLACE},
	{"blocked_sessions", RAISE},
	{"xmin_age", RAISE},
	{"query", REPLACE},
	{"query_id", KEEP},
	{"trail", REPLACE},
	{"tags", REPLACE},
	{"strongest_lock", REPLACE},
	{"holds", REPLACE},
	{"xmin_age_alone", RAISE},
	{"blocked_pids", REPLACE},
	{"blocked_application", REPLACE},
	{"blocked_query", REPLACE},
	{"client_gone", REPLACE},
	{"gid", KEEP},
	{"cause", FILL},
	{"confidence", KEEP},
	{"reason", KEEP},
};

/* A set of columns is a mask of 1 << index. */
StaticAssertDecl(lengthof(columns) <= 64, "too many columns for a mask");

/* Which of our columns the table has. */
static uint64
present_columns(Relation table)
{
	uint64		present = 0;

	for (int i = 0; i < lengthof(columns); i++)
	{
		if (SPI_fnumber(RelationGetDescr(table), columns[i].name) > 0)
			present |= UINT64CONST(1) << i;
	}
	return present;
}

/* The statement that writes an array of rows, as far as the table goes. */
static char *
upsert_sql(uint64 present)
{
	StringInfoData names;
	StringInfoData changes;
	bool		has_gid = false;

	initStringInfo(&names);
	initStringInfo(&changes);
	for (int i = 0; i < lengthof(columns); i++)
	{
		const char *name = columns[i].name;

		if (!(present & (UINT64CONST(1) << i)))
			continue;
		has_gid |= strcmp(name, "gid") == 0;
		appendStringInfo(&names, "%s%s", names.len > 0 ? ", " : "", name);
		if (columns[i].conflict == KEEP)
			continue;
		appendStringInfo(&changes, "%s%s = ", changes.len > 0 ? ", " : "", name);
		if (columns[i].conflict == RAISE)
			appendStringInfo(&changes, "GREATEST(i.%s, EXCLUDED.%s)", name, name);
		else if (columns[i].conflict == FILL)
			appendStringInfo(&changes, "COALESCE(i.%s, EXCLUDED.%s)", name, name);
		else
			appendStringInfo(&changes, "EXCLUDED.%s", name);
	}
	return psprintf("INSERT INTO leakwatch.incidents AS i (%s)"
					" SELECT %s FROM pg_catalog.unnest($1)"
					" ON CONFLICT (pid, backend_start, kind, since%s) DO UPDATE SET %s",
					names.data, names.data, has_gid ? ", gid" : "", changes.data);
}

/*
 * That statement, of an array of this type; prepared anew only for another table
 * or other columns.
 */
SPIPlanPtr
upsert_plan(Relation table, Oid type)
{
	static SPIPlanPtr plan = NULL;
	static Oid	plan_type = InvalidOid;
	static uint64 plan_columns = 0;
	uint64		present = present_columns(table);

	if (plan != NULL && (plan_type != type || plan_columns != present))
	{
		SPI_freeplan(plan);
		plan = NULL;
	}
	if (plan == NULL)
	{
		SPIPlanPtr	prepared = SPI_prepare(upsert_sql(present), 1, &type);

		if (prepared == NULL)
			writing_expect(SPI_result, 0);
		SPI_keepplan(prepared);
		plan = prepared;
		plan_type = type;
		plan_columns = present;
	}
	return plan;
}

/* A column that we write and the table does not have; NULL: none. */
const char *
upsert_missing_column(Relation table)
{
	uint64		present = present_columns(table);

	for (int i = 0; i < lengthof(columns); i++)
	{
		if (!(present & (UINT64CONST(1) << i)))
			return columns[i].name;
	}
	return NULL;
}
