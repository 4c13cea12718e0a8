/*-------------------------------------------------------------------------
 *
 * ledger.c
 *	  A table beside that of the incidents, as the recorder writes it.
 *
 * Keeps nothing.  What can't be written is said, and keeps nothing else from
 * being done.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "ledger.h"
#include "row.h"
#include "utils/lsyscache.h"
#include "writing.h"

/* Rows deleted in one transaction. */
#define DELETE_ROWS	1000

/*
 * The table, locked for writing, and its owner at work.  NULL when the extension
 * has none, as that of an older version.
 */
static Relation
open_table(const Ledger *ledger, Relation incidents)
{
	Oid			relation = get_relname_relid(ledger->table, RelationGetNamespace(incidents));
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

static void
write_rows(const Ledger *ledger, Relation table)
{
	Oid			type = row_array_type(table);
	Datum		rows = ledger->rows(table);

	writing_expect(SPI_execute_with_args(ledger->upsert_sql, 1, &type, &rows, NULL, false, 0),
				   SPI_OK_INSERT);
}

static void
delete_rows(const Ledger *ledger, TimestampTz before)
{
	Oid			types[] = {TIMESTAMPTZOID, INT4OID};
	Datum		args[] = {TimestampTzGetDatum(before), Int32GetDatum(DELETE_ROWS)};

	writing_expect(SPI_execute_with_args(ledger->delete_sql, lengthof(args), types, args,
										 NULL, false, 0), SPI_OK_DELETE);
}

/*
 * Write what there is, or delete what is before a time if one is given; *count is
 * how many rows that was.  False when it can't be done.
 */
static bool
attempt(const Ledger *ledger, const TimestampTz *before, uint64 *count)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool done = true;

	*count = 0;
	PG_TRY();
	{
		Writing		writing;
		Relation	table;

		writing_begin_as_owner(before == NULL ? ledger->writing : ledger->deleting, &writing);
		table = open_table(ledger, writing.table);
		if (table != NULL)
		{
			if (before == NULL)
				write_rows(ledger, table);
			else
				delete_rows(ledger, *before);
			*count = SPI_processed;
			table_close(table, NoLock);
		}
		writing_end_as_owner(&writing);
	}
	PG_CATCH();
	{
		ErrorData  *error = writing_abort(context);

		done = false;
		ereport(LOG,
				(errcode(error->sqlerrcode),
				 errmsg("leakwatch could not write the table leakwatch.%s: %s", ledger->table, error->message),
				 errdetail("What is to be written waits in shared memory, samples for a day, and is written when that is possible.")));
	}
	PG_END_TRY();
	return done;
}

/* Write what there is.  False when it can't be done. */
bool
ledger_write(const Ledger *ledger)
{
	uint64		count;

	return attempt(ledger, NULL, &count);
}

/* Delete what is before a time, some rows in each transaction. */
void
ledger_delete(const Ledger *ledger, TimestampTz before)
{
	uint64		count;

	do
		CHECK_FOR_INTERRUPTS();
	while (attempt(ledger, &before, &count) && count == DELETE_ROWS);
}
