/*-------------------------------------------------------------------------
 *
 * census.c
 *	  Reading the server's prepared transactions, in the recorder.
 *
 * The server tells their names and times only where there is a database.  They
 * outlive it, and so do their incidents: which of them the table has as open is
 * read along, for a watcher that does not know yet.  What keeps the table from
 * being read keeps nobody from being found.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "access/twophase.h"
#include "census.h"
#include "control.h"
#include "encoding.h"
#include "executor/spi.h"
#include "guc.h"
#include "incident.h"
#include "prepared.h"
#include "session.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "writing.h"

static const char list_sql[] =
"SELECT p.transaction, p.gid, p.prepared, p.ownerid, p.dbid FROM pg_catalog.pg_prepared_xact() AS p";

/* Somebody may have given a column another type, or let it be NULL. */
static const char open_sql[] =
"SELECT i.gid::pg_catalog.text, i.since::pg_catalog.timestamptz,"
" i.detected_at::pg_catalog.timestamptz, i.last_seen_at::pg_catalog.timestamptz"
" FROM leakwatch.incidents AS i"
" WHERE i.outcome = 'open' AND i.kind = 'prepared_transaction' AND i.gid IS NOT NULL"
" AND i.since IS NOT NULL AND i.detected_at IS NOT NULL AND i.last_seen_at IS NOT NULL";

/* A value of the row that SPI is at. */
static Datum
value_of(int row, int column)
{
	bool		isnull;
	Datum		value = SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, &isnull);

	return isnull ? (Datum) 0 : value;
}

/* The server's list.  It has no more than there is room for. */
static void
read_list(PreparedList *list)
{
	Writing		writing;

	list->read_at = GetCurrentTimestamp();
	writing_begin("reading prepared transactions", &writing);
	SPI_connect();
	PushActiveSnapshot(GetTransactionSnapshot());
	writing_expect(SPI_execute(list_sql, true, 0), SPI_OK_SELECT);
	for (int row = 0; row < (int) SPI_processed && list->count < max_prepared_xacts; row++)
	{
		PreparedTransaction *transaction = &list->transaction[list->count++];

		transaction->xid = DatumGetTransactionId(value_of(row, 1));
		text_to_cstring_buffer(DatumGetTextPP(value_of(row, 2)), transaction->gid, GIDSIZE);
		transaction->prepared_at = DatumGetTimestampTz(value_of(row, 3));
		transaction->owner = DatumGetObjectId(value_of(row, 4));
		transaction->database = DatumGetObjectId(value_of(row, 5));
	}
	PopActiveSnapshot();
	SPI_finish();
	writing_end(&writing);
}

/* Is this the row of that transaction?  Its name is as the table has it. */
static bool
is_row_of(int row, const PreparedTransaction *transaction)
{
	Session		session = {
		.database = transaction->database,
		.role = transaction->owner,
	};
	SessionNames names = {0};
	char	   *gid;

	if (DatumGetTimestampTz(value_of(row, 2)) != transaction->prepared_at)
		return false;
	session_names(&session, &names);
	gid = encoding_to_database(transaction->gid, names.encoding);
	return strcmp(TextDatumGetCString(value_of(row, 1)), gid) == 0;
}

/* Note of each transaction what there is in the table. */
static void
read_open_rows(PreparedList *list)
{
	Writing		writing;

	writing_begin_as_owner("reading incidents of prepared transactions", &writing);
	if (SPI_fnumber(RelationGetDescr(writing.table), "gid") > 0)
	{
		writing_expect(SPI_execute(open_sql, true, 0), SPI_OK_SELECT);
		for (int row = 0; row < (int) SPI_processed; row++)
		{
			for (int i = 0; i < list->count; i++)
			{
				if (!is_row_of(row, &list->transaction[i]))
					continue;
				list->transaction[i].detected_at = DatumGetTimestampTz(value_of(row, 3));
				list->transaction[i].warned_at = DatumGetTimestampTz(value_of(row, 4));
			}
		}
	}
	writing_end_as_owner(&writing);
}

/* The same, if that is possible. */
static void
try_open_rows(PreparedList *list)
{
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		read_open_rows(list);
	}
	PG_CATCH();
	{
		ErrorData  *error = writing_abort(context);

		control_error(RECORDER, error->message);
		FreeErrorData(error);
	}
	PG_END_TRY();
}

/* Read what there is, and let the watcher know. */
void
census_take(bool with_table)
{
	PreparedList *list;

	prepared_take_wanted();
	if (max_prepared_xacts == 0 || guc_prepared_transaction_warn == 0)
		return;
	list = prepared_new_list();
	read_list(list);
	if (with_table && list->count > 0)
		try_open_rows(list);
	prepared_publish(list);
	control_wake(WATCHER);
}
