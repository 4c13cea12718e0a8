/*-------------------------------------------------------------------------
 *
 * almanac.c
 *	  The table leakwatch.spells, as the recorder writes it.
 *
 * Once in an hour, and when the recorder has been called for, what has been
 * counted since is taken out of shared memory and added to the rows of the hour.
 * What the table does not get is given back.  A recorder that is killed in the
 * middle of that loses the counts of an hour, and nothing else.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "access/table.h"
#include "almanac.h"
#include "catalog/pg_type.h"
#include "chronicle.h"
#include "executor/spi.h"
#include "kind.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "writing.h"

/* Rows deleted in one transaction. */
#define DELETE_ROWS	1000

static const char upsert_sql[] =
"INSERT INTO leakwatch.spells AS s"
" (hour, datname, usename, application_name, others, kind, counts, longest)"
" SELECT u.hour, u.datname, u.usename, u.application_name, u.others, u.kind, u.counts, u.longest"
" FROM pg_catalog.unnest($1) AS u"
" ON CONFLICT (hour, datname, usename, application_name, others, kind) DO UPDATE SET"
" counts = leakwatch.add_counts(s.counts, EXCLUDED.counts),"
" longest = GREATEST(s.longest, EXCLUDED.longest)";

static const char delete_sql[] =
"DELETE FROM leakwatch.spells AS s WHERE s.ctid = ANY (ARRAY("
" SELECT o.ctid FROM leakwatch.spells AS o"
" WHERE o.hour < $1 ORDER BY o.hour LIMIT $2))";

/* What has been taken out of shared memory. */
static SpellGroup *taken;
static bool is_taken[NUM_SPELL_GROUPS];

static TimestampTz delete_before;
static uint64 deleted;

static const char *
database_name_of(Oid database)
{
	char	   *name = get_database_name(database);

	return name != NULL ? name : psprintf("%u", database);
}

static const char *
role_name_of(Oid role)
{
	char	   *name = GetUserNameFromId(role, true);

	return name != NULL ? name : psprintf("%u", role);
}

/*
 * Fill a row of the table, or of the function that shows the same, but for the
 * hour.  False when there is nothing to be shown.
 */
bool
almanac_row(Row *row, const SpellGroup *group, SpellKind kind)
{
	bool		named = OidIsValid(group->database);

	if (histogram_total(group->counts[kind]) == 0)
		return false;
	row_key(row, "datname", named ? database_name_of(group->database) : "");
	row_key(row, "usename", named ? role_name_of(group->role) : "");
	row_key(row, "application_name", group->application_name);
	row_bool(row, "others", group->others || !named);
	row_text(row, "kind", kind_info(spells_kind(kind))->name);
	row_bigints(row, "counts", group->counts[kind], HISTOGRAM_BUCKETS);
	row_interval(row, "longest", group->longest[kind]);
	return true;
}

/* What has been taken out, as an array of the table's row type. */
static Datum
rows_to_write(Relation table)
{
	TimestampTz now = GetCurrentTimestamp();
	Datum	   *rows = palloc(sizeof(Datum) * NUM_SPELL_GROUPS * NUM_SPELL_KINDS);
	int			count = 0;
	Row			row;

	row_init(&row, RelationGetDescr(table));
	for (int i = 0; i < NUM_SPELL_GROUPS; i++)
	{
		for (int kind = 0; kind < NUM_SPELL_KINDS && is_taken[i]; kind++)
		{
			CHECK_FOR_INTERRUPTS();
			if (!almanac_row(&row, &taken[i], kind))
				continue;
			row_time(&row, "hour", now - now % USECS_PER_HOUR);
			rows[count++] = row_datum(&row);
		}
	}
	return PointerGetDatum(construct_array(rows, count, table->rd_rel->reltype,
										   -1, false, TYPALIGN_DOUBLE));
}

static void
write_spells(Relation incidents)
{
	Relation	table = chronicle_open(incidents, "spells");
	Oid			type;
	Datum		rows;

	if (table == NULL)
		return;
	for (int i = 0; i < NUM_SPELL_GROUPS; i++)
	{
		if (spells_read(i, &taken[i]))
		{
			spells_take(i, &taken[i]);
			is_taken[i] = true;
		}
	}
	type = get_array_type(table->rd_rel->reltype);
	rows = rows_to_write(table);
	writing_expect(SPI_execute_with_args(upsert_sql, 1, &type, &rows, NULL, false, 0),
				   SPI_OK_INSERT);
	table_close(table, NoLock);
}

/* Write what has been counted. */
void
almanac_write(void)
{
	taken = palloc(NUM_SPELL_GROUPS * sizeof(SpellGroup));
	memset(is_taken, 0, sizeof(is_taken));
	if (!chronicle_attempt("spells", "recording how long transactions last", write_spells))
	{
		for (int i = 0; i < NUM_SPELL_GROUPS; i++)
		{
			if (is_taken[i])
				spells_give_back(i, &taken[i]);
		}
	}
	pfree(taken);
}

static void
delete_spells(Relation incidents)
{
	Relation	table = chronicle_open(incidents, "spells");
	Oid			types[] = {TIMESTAMPTZOID, INT4OID};
	Datum		args[2];

	deleted = 0;
	if (table == NULL)
		return;
	args[0] = TimestampTzGetDatum(delete_before);
	args[1] = Int32GetDatum(DELETE_ROWS);
	writing_expect(SPI_execute_with_args(delete_sql, lengthof(args), types, args, NULL, false, 0),
				   SPI_OK_DELETE);
	deleted = SPI_processed;
	table_close(table, NoLock);
}

/* Delete the hours before a time, some rows in each transaction. */
void
almanac_delete(TimestampTz before)
{
	delete_before = before;
	do
		CHECK_FOR_INTERRUPTS();
	while (chronicle_attempt("spells", "deleting old counts", delete_spells) &&
		   deleted == DELETE_ROWS);
}
