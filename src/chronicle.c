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

#include "chronicle.h"
#include "ledger.h"
#include "miscadmin.h"

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

/* The samples that the table does not have, as an array of its row type. */
static Datum
rows_to_write(Relation table)
{
	Datum	   *rows = palloc(NUM_SAMPLES * sizeof(Datum));
	int			count = 0;
	uint64		first;
	uint64		begin;
	Row			row;

	/* in another table than before there is nothing of it */
	samples_set_table(MyDatabaseId, RelationGetRelid(table));
	first = samples_written();
	begin = samples_begin();
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
	return row_array(table, rows, count);
}

static const Ledger ledger = {
	.table = "samples",
	.writing = "recording the use of connections",
	.deleting = "deleting old samples",
	.upsert_sql = upsert_sql,
	.delete_sql = delete_sql,
	.rows = rows_to_write,
};

/*
 * Write what the table does not have.  look: the table may be another than
 * before, which has none of it
 */
void
chronicle_write(bool look)
{
	write_up_to = samples_end();
	if ((look || write_up_to != samples_written()) && ledger_write(&ledger))
		samples_mark_written(write_up_to);
}

/* Delete the minutes before a time. */
void
chronicle_delete(TimestampTz before)
{
	ledger_delete(&ledger, before);
}
