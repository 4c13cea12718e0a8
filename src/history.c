/*-------------------------------------------------------------------------
 *
 * history.c
 *	  The table leakwatch.incidents, as the recorder writes it.
 *
 * Owns what is known of the table: its columns, what becomes of each when a
 * row is written again, and all SQL.  Only the recorder calls this.
 *
 * Each call is a transaction of its own, by writing.c.
 *
 * Rows go over as one array of the table's own row type, whatever columns
 * that has: an older table is filled as far as it goes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "access/twophase.h"
#include "catalog/pg_type.h"
#include "cause.h"
#include "executor/spi.h"
#include "facts.h"
#include "guc.h"
#include "history.h"
#include "known.h"
#include "notify.h"
#include "publication.h"
#include "row.h"
#include "upsert.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "writing.h"

/* Rows deleted in one transaction. */
#define DELETE_ROWS	1000

/*
 * Rows still open whose incidents ($2) are not: of sessions from before this
 * start of the server ($1), or such that their end found no room in shared
 * memory.  A prepared transaction outlives the server; $3 is what to say of one
 * that is no longer.  The last part is for tables that tell several by their GID.
 */
static const char close_sql[] =
"UPDATE leakwatch.incidents AS i SET"
"  outcome = CASE WHEN i.kind = 'prepared_transaction' THEN 'finished'"
"   WHEN i.backend_start < $1 THEN 'server_restart' ELSE 'disconnected' END,"
"  outcome_detail = CASE WHEN i.kind = 'prepared_transaction' THEN $3"
"   WHEN i.backend_start < $1 THEN NULL ELSE 'the end was not recorded' END,"
"  ended_at = CASE WHEN i.kind <> 'prepared_transaction' AND i.backend_start < $1 THEN $1"
"   ELSE pg_catalog.now() END,"
"  duration = GREATEST(i.duration, i.last_seen_at - i.since)"
" WHERE i.outcome = 'open' AND NOT EXISTS (SELECT FROM pg_catalog.unnest($2) AS u"
"  WHERE u.pid = i.pid AND u.backend_start = i.backend_start"
"   AND u.kind = i.kind AND u.since = i.since%s)";

static const char delete_sql[] =
"DELETE FROM leakwatch.incidents AS i WHERE i.ctid = ANY (ARRAY("
" SELECT o.ctid FROM leakwatch.incidents AS o"
" WHERE o.ended_at < $1 ORDER BY o.ended_at LIMIT $2))";

/* ---------- rows ---------- */

/* Make room for this many rows, and say which row they are made with. */
static Datum *
begin_rows(Relation table, int count, Row *row)
{
	row_init(row, RelationGetDescr(table));
	return palloc(Max(count, 1) * sizeof(Datum));
}

/*
 * Is the fact there again, in a newer version?  A change of settings may have
 * closed it and another opened it again since the last round.
 */
static bool
is_superseded(const Record *record, const Record *records, int count)
{
	const Incident *incident = &record->incident;

	for (int i = 0; i < count; i++)
	{
		const Incident *other = &records[i].incident;

		if (records[i].version > record->version &&
			other->kind == incident->kind &&
			other->session.pid == incident->session.pid &&
			strcmp(incident_gid(other), incident_gid(incident)) == 0 &&
			other->session.since[SINCE_BACKEND] == incident->session.since[SINCE_BACKEND] &&
			other->since == incident->since)
			return true;
	}
	return false;
}

/*
 * Find out the cause of an incident that has not been written with one.  Not if
 * its trail is just being written, or its first cause, which stays, would be
 * another.
 */
static void
find_cause(Record *record, const Trail *trail)
{
	record->cause = known_cause(record->index, &record->incident);
	if (record->cause != 0 || (trail == NULL && incident_trail(record->index)->total > 0))
		return;
	record->first = true;
	record->cause = cause_of(&record->incident, trail);
}

static Datum
rows_of_records(Relation table, Record *records, int count)
{
	Row			row;
	Datum	   *rows = begin_rows(table, count, &row);
	int			nrows = 0;
	Trail	   *trail = palloc(trail_size());
	TransactionId next_xid = horizon_next_xid();

	for (int i = 0; i < count; i++)
	{
		const Incident *incident = &records[i].incident;

		if (is_superseded(&records[i], records, count))
			continue;
		facts_public(&row, incident, incident->last_seen_at, next_xid);
		facts_key(&row, incident);
		facts_waiters(&row, incident, true);
		find_cause(&records[i],
				   facts_private(&row, incident, records[i].index, trail) ? trail : NULL);
		if (records[i].cause != 0)
			row_bigint(&row, "cause", records[i].cause);
		rows[nrows++] = row_datum(&row);
	}
	return row_array(table, rows, nrows);
}

/*
 * Add the keys of what is prepared, whether or not its incident is open: the
 * watcher may be about to take that up.  Returns how many there are.
 */
static int
add_prepared(Datum *rows, Row *row)
{
	PreparedList *list = prepared_new_list();

	if (guc_prepared_transaction_warn == 0 || max_prepared_xacts == 0 || !prepared_copy(list))
		return 0;
	for (int i = 0; i < list->count; i++)
	{
		facts_prepared_key(row, &list->transaction[i]);
		rows[i] = row_datum(row);
	}
	return list->count;
}

/* The keys of the open incidents.  False when the watcher is just writing one. */
static bool
rows_of_open(Relation table, Datum *array)
{
	Row			row;
	Datum	   *rows = begin_rows(table, incident_max() + max_prepared_xacts, &row);
	int			nrows = add_prepared(rows, &row);
	Incident   *incident = palloc(sizeof(Incident));

	for (int i = 0; i < incident_max(); i++)
	{
		uint64		version;

		CHECK_FOR_INTERRUPTS();
		if (!incident_is_open(i))
			continue;
		switch (incident_copy(i, incident, &version))
		{
			case READ_NONE:
				/* it has been written by now, or will be closed next time */
				break;
			case READ_BUSY:
				return false;
			case READ_DONE:
				facts_key(&row, incident);
				rows[nrows++] = row_datum(&row);
				break;
		}
	}
	*array = row_array(table, rows, nrows);
	return true;
}

/* ---------- statements ---------- */

/* Execute a statement and return how many rows it was about. */
static uint64
execute(const char *sql, int nargs, Oid *types, Datum *args, int expected)
{
	writing_expect(SPI_execute_with_args(sql, nargs, types, args, NULL, false, 0), expected);
	return SPI_processed;
}

/* ---------- what the recorder calls ---------- */

/* The version of the extension, in a context that outlives the transaction. */
static char *
extension_version(MemoryContext context)
{
	char	   *version;

	writing_expect(SPI_execute("SELECT extversion FROM pg_catalog.pg_extension"
							   " WHERE extname = 'leakwatch'", true, 1), SPI_OK_SELECT);
	version = SPI_processed == 1 ? SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1) : NULL;
	return MemoryContextStrdup(context, version != NULL ? version : "");
}

/* What there is to write to.  False when the extension is not there. */
bool
history_look(HistoryState *state)
{
	Writing		writing;
	bool		there;

	writing_begin("looking for the table of incidents", &writing);
	there = writing.table != NULL;
	if (there)
	{
		SPI_connect();
		PushActiveSnapshot(GetTransactionSnapshot());
		state->version = extension_version(writing.memory_context);
		state->missing = upsert_missing_column(writing.table);
		state->publication = publication_in_the_way();
		if (state->publication != NULL)
			state->publication = MemoryContextStrdup(writing.memory_context, state->publication);
		PopActiveSnapshot();
		SPI_finish();
	}
	writing_end(&writing);
	return there;
}

/*
 * Is this error about the world rather than about what is in the rows?  Then
 * it would be the same for all of them.
 */
static bool
is_of_world(int sqlerrcode)
{
	static const int classes[] = {
		ERRCODE_CONNECTION_EXCEPTION,
		ERRCODE_INVALID_TRANSACTION_STATE,
		ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
		ERRCODE_INVALID_CATALOG_NAME,
		ERRCODE_TRANSACTION_ROLLBACK,
		ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION,
		ERRCODE_INSUFFICIENT_RESOURCES,
		ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
		ERRCODE_OPERATOR_INTERVENTION,
		ERRCODE_SYSTEM_ERROR,
		ERRCODE_INTERNAL_ERROR,
	};

	for (int i = 0; i < lengthof(classes); i++)
	{
		if (ERRCODE_TO_CATEGORY(sqlerrcode) == ERRCODE_TO_CATEGORY(classes[i]))
			return true;
	}
	return false;
}

/*
 * Do something that is about rows.  NULL when that is done; the error, when it
 * is about what is in them.  Errors of the world are thrown.
 */
static ErrorData *
attempt(void (*action) (const void *arg), const void *arg)
{
	MemoryContext context = CurrentMemoryContext;
	ErrorData  *volatile error = NULL;

	PG_TRY();
	{
		action(arg);
	}
	PG_CATCH();
	{
		error = writing_abort(context);
	}
	PG_END_TRY();

	if (error != NULL && is_of_world(error->sqlerrcode))
		ReThrowError(error);
	return error;
}

typedef struct Batch
{
	Record	   *records;
	int			count;
} Batch;

static void
write_batch(const void *arg)
{
	const Batch *batch = arg;
	Writing		writing;
	Datum		rows;

	writing_begin_as_owner("recording incidents", &writing);
	rows = rows_of_records(writing.table, batch->records, batch->count);
	writing_expect(SPI_execute_plan(upsert_plan(writing.table, row_array_type(writing.table)), &rows, NULL, false, 0), SPI_OK_INSERT);
	writing_end_as_owner(&writing);
}

/* Write incidents in one transaction. */
ErrorData *
history_write(Record *records, int count)
{
	Batch		batch = {records, count};

	return attempt(write_batch, &batch);
}

typedef struct Closing
{
	TimestampTz server_start;
	bool	   *closed;			/* out: it was done */

	/* what is to be told of it once it is committed, as often as wanted */
	Notification **ended;
	int		   *nended;
} Closing;

/* The text in a column of a row that was closed; empty if there is none. */
static void
copy_text(char *text, HeapTuple row, TupleDesc desc, const char *name)
{
	int			column = SPI_fnumber(desc, name);
	char	   *value = column > 0 ? SPI_getvalue(row, desc, column) : NULL;

	strlcpy(text, value != NULL ? value : "", NOTIFY_NAME_SIZE);
}

/* The value there; 0 if there is none, or somebody has given it another type. */
static Datum
value_of(HeapTuple row, TupleDesc desc, const char *name, Oid type)
{
	int			column = SPI_fnumber(desc, name);
	Datum		value = 0;
	bool		isnull = true;

	if (column > 0 && SPI_gettypeid(desc, column) == type)
		value = SPI_getbinval(row, desc, column, &isnull);
	return isnull ? 0 : value;
}

static void
ended_of_row(Notification *ended, HeapTuple row, TupleDesc desc)
{
	Interval   *duration = DatumGetIntervalP(value_of(row, desc, "duration", INTERVALOID));

	ended->ended = true;
	ended->id = DatumGetInt64(value_of(row, desc, "id", INT8OID));
	copy_text(ended->kind, row, desc, "kind");
	ended->pid = DatumGetInt32(value_of(row, desc, "pid", INT4OID));
	copy_text(ended->application, row, desc, "application_name");
	copy_text(ended->user, row, desc, "usename");
	copy_text(ended->database, row, desc, "datname");
	ended->since = DatumGetTimestampTz(value_of(row, desc, "since", TIMESTAMPTZOID));
	if (duration != NULL)
		ended->duration = duration->time +
			(duration->month * DAYS_PER_MONTH + duration->day) * USECS_PER_DAY;
	copy_text(ended->action, row, desc, "action");
	copy_text(ended->outcome, row, desc, "outcome");
	ended->blocked_sessions = DatumGetInt32(value_of(row, desc, "blocked_sessions", INT4OID));
}

/* The rows that were just closed. */
static void
note_ended(const Closing *closing, MemoryContext context)
{
	int			count = (int) SPI_processed;

	*closing->ended = MemoryContextAllocZero(context, Max(count, 1) * sizeof(Notification));
	for (int i = 0; i < count; i++)
		ended_of_row(&(*closing->ended)[i], SPI_tuptable->vals[i], SPI_tuptable->tupdesc);
	*closing->nended = count;
}

static void
close_rows(const void *arg)
{
	const Closing *closing = arg;
	Writing		writing;
	Oid			types[] = {TIMESTAMPTZOID, InvalidOid, TEXTOID};
	Datum		args[3];
	bool		has_gid;

	writing_begin_as_owner("closing incidents", &writing);
	has_gid = SPI_fnumber(RelationGetDescr(writing.table), "gid") > 0;
	types[1] = row_array_type(writing.table);
	args[0] = TimestampTzGetDatum(closing->server_start);
	*closing->closed = rows_of_open(writing.table, &args[1]);
	args[2] = CStringGetTextDatum(guc_prepared_transaction_warn == 0 ?
								  "no longer over a limit: the settings have changed" :
								  "the end was not recorded");
	if (*closing->closed)
	{
		char	   *sql = psprintf(close_sql, has_gid ? " AND u.gid = i.gid" : "");

		if (!notify_wanted())
			execute(sql, lengthof(args), types, args, SPI_OK_UPDATE);
		else
		{
			execute(psprintf("%s RETURNING i.*", sql), lengthof(args), types, args, SPI_OK_UPDATE_RETURNING);
			note_ended(closing, writing.memory_context);
		}
	}
	writing_end_as_owner(&writing);
}

/*
 * Close the rows whose incidents are no longer.  Without an error, *closed is
 * false when which are can't be told at this very moment.
 */
ErrorData *
history_close(TimestampTz server_start, bool *closed)
{
	Notification *ended = NULL;
	int			nended = 0;
	Closing		closing = {server_start, closed, &ended, &nended};
	ErrorData  *error = attempt(close_rows, &closing);

	if (error != NULL)
		return error;
	for (int i = 0; i < nended; i++)
		notify_add(&ended[i]);
	return NULL;
}

static void
delete_rows(const void *arg)
{
	Oid			types[] = {TIMESTAMPTZOID, INT4OID};
	Datum		args[2];
	uint64		deleted;

	args[0] = TimestampTzGetDatum(*(const TimestampTz *) arg);
	args[1] = Int32GetDatum(DELETE_ROWS);
	do
	{
		Writing		writing;

		CHECK_FOR_INTERRUPTS();
		writing_begin_as_owner("deleting old incidents", &writing);
		deleted = execute(delete_sql, lengthof(args), types, args, SPI_OK_DELETE);
		writing_end_as_owner(&writing);
	} while (deleted == DELETE_ROWS);
}

/* Delete the rows that ended before a time, some in each transaction. */
ErrorData *
history_delete(TimestampTz ended_before)
{
	return attempt(delete_rows, &ended_before);
}
