/*-------------------------------------------------------------------------
 *
 * chronicle.c
 *	  The table leakwatch.samples, as the recorder writes it.
 *
 * Minutes that shared memory has and the table has not are written whenever
 * the recorder is at work anyway, which it is once an hour at least.  A minute
 * is the key of its row, so one that is written twice is there once.  What
 * keeps the samples from being written keeps nothing else.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "chronicle.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "writing.h"

/* Rows deleted in one transaction. */
#define DELETE_ROWS	1000

/* A minute that the clock has shown twice is as it was when it came again. */
static const char upsert_sql[] =
"INSERT INTO leakwatch.samples"
" (minute, used, peak, idle, in_transaction, leaked, rejected)"
" SELECT DISTINCT ON (u.minute)"
"  u.minute, u.used, u.peak, u.idle, u.in_transaction, u.leaked, u.rejected"
" FROM pg_catalog.unnest($1) WITH ORDINALITY AS u"
" ORDER BY u.minute, u.ordinality DESC"
" ON CONFLICT (minute) DO UPDATE SET used = EXCLUDED.used, peak = EXCLUDED.peak,"
"  idle = EXCLUDED.idle, in_transaction = EXCLUDED.in_transaction,"
"  leaked = EXCLUDED.leaked, rejected = EXCLUDED.rejected";

static const char delete_sql[] =
"DELETE FROM leakwatch.samples AS s WHERE s.ctid = ANY (ARRAY("
" SELECT o.ctid FROM leakwatch.samples AS o"
" WHERE o.minute < $1 ORDER BY o.minute LIMIT $2))";

static uint64 write_up_to;		/* number of the first sample that is not to
								 * be written */
static TimestampTz delete_before;
static uint64 deleted;

/* Fill a row of the table, or of the function that shows the same. */
void
chronicle_row(Row *row, const Sample *sample)
{
	row_time(row, "minute", samples_time(sample));
	row_int(row, "used", sample->used);
	row_int(row, "peak", sample->peak);
	row_int(row, "idle", sample->idle);
	row_int(row, "in_transaction", sample->in_transaction);
	row_int(row, "leaked", sample->leaked);
	row_int(row, "rejected", sample->refused);
}

/*
 * A table beside that of the incidents, locked for writing, and its owner at
 * work.  NULL when the extension has none, as that of an older version.
 */
Relation
chronicle_open(Relation incidents, const char *name)
{
	Oid			relation = get_relname_relid(name, RelationGetNamespace(incidents));
	Relation	table;

	if (!OidIsValid(relation) ||
		getExtensionOfObject(RelationRelationId, relation) !=
		getExtensionOfObject(RelationRelationId, RelationGetRelid(incidents)))
		return NULL;
	table = try_table_open(relation, RowExclusiveLock);
	if (table != NULL)
		SetUserIdAndSecContext(table->rd_rel->relowner, SECURITY_RESTRICTED_OPERATION);
	return table;
}

/* The samples that the table does not have, as an array of its row type. */
static Datum
rows_to_write(Relation table)
{
	uint64		first = samples_written();
	uint64		begin = samples_begin();
	Datum	   *rows = palloc(NUM_SAMPLES * sizeof(Datum));
	int			count = 0;
	Row			row;

	row_init(&row, RelationGetDescr(table));
	for (uint64 n = Max(first, begin); n < write_up_to && count < NUM_SAMPLES; n++)
	{
		Sample		sample;

		CHECK_FOR_INTERRUPTS();
		if (!samples_read(n, &sample))
			continue;
		chronicle_row(&row, &sample);
		rows[count++] = row_datum(&row);
	}
	return PointerGetDatum(construct_array(rows, count, table->rd_rel->reltype,
										   -1, false, TYPALIGN_DOUBLE));
}

static void
execute(const char *sql, int nargs, Oid *types, Datum *args, int expected)
{
	int			result = SPI_execute_with_args(sql, nargs, types, args, NULL, false, 0);

	if (result != expected)
		elog(ERROR, "unexpected SPI result: %s", SPI_result_code_string(result));
}

static void
write_samples(Relation incidents)
{
	Relation	table = chronicle_open(incidents, "samples");
	Oid			type;
	Datum		rows;

	if (table == NULL)
		return;
	samples_set_table(MyDatabaseId, RelationGetRelid(table));
	type = get_array_type(table->rd_rel->reltype);
	rows = rows_to_write(table);
	execute(upsert_sql, 1, &type, &rows, SPI_OK_INSERT);
	table_close(table, NoLock);
}

static void
delete_samples(Relation incidents)
{
	Relation	table = chronicle_open(incidents, "samples");
	Oid			types[] = {TIMESTAMPTZOID, INT4OID};
	Datum		args[2];

	deleted = 0;
	if (table == NULL)
		return;
	args[0] = TimestampTzGetDatum(delete_before);
	args[1] = Int32GetDatum(DELETE_ROWS);
	execute(delete_sql, lengthof(args), types, args, SPI_OK_DELETE);
	deleted = SPI_processed;
	table_close(table, NoLock);
}

/* Do it; what can't be done is said, and keeps nothing else from being done. */
bool
chronicle_attempt(const char *table, const char *activity, void (*work) (Relation incidents))
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool done = true;

	PG_TRY();
	{
		Writing		writing;

		writing_begin_as_owner(activity, &writing);
		work(writing.table);
		writing_end_as_owner(&writing);
	}
	PG_CATCH();
	{
		ErrorData  *error = writing_abort(context);

		done = false;
		ereport(LOG,
				(errcode(error->sqlerrcode),
				 errmsg("leakwatch could not write the table leakwatch.%s: %s", table, error->message),
				 errdetail("What is to be written waits in shared memory, samples for a day, and is written when that is possible.")));
	}
	PG_END_TRY();
	return done;
}

/*
 * Write what the table does not have.  look: the table may be another than
 * before, which has none of it
 */
void
chronicle_write(bool look)
{
	write_up_to = samples_end();
	if ((look || write_up_to != samples_written()) &&
		chronicle_attempt("samples", "recording the use of connections", write_samples))
		samples_mark_written(write_up_to);
}

/* Delete the minutes before a time, some in each transaction. */
void
chronicle_delete(TimestampTz before)
{
	delete_before = before;
	do
		CHECK_FOR_INTERRUPTS();
	while (chronicle_attempt("samples", "deleting old samples", delete_samples) &&
		   deleted == DELETE_ROWS);
}
