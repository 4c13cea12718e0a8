/*-------------------------------------------------------------------------
 *
 * recorder.c
 *	  The background worker that writes incidents into their table.
 *
 * A dynamic worker that the watcher starts when there is something to write.
 * It connects to leakwatch.database, writes, and goes after a while without
 * work, because a connected worker is in the way of DROP DATABASE.
 *
 * It never owns an incident: it copies what shared memory has and the table
 * has not, and marks it written once that is committed.  On any failure it
 * says why, in the log and in the status view, and goes; the watcher starts
 * another after a wait that grows.
 *
 * It writes as the owner of the table, within a security-restricted
 * operation, and only into the table that belongs to the extension.  As a
 * replica would, it fires no triggers or rules but those that the owner has
 * enabled for that.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "control.h"
#include "datum.h"
#include "executor/spi.h"
#include "guc.h"
#include "hooks.h"
#include "incident.h"
#include "kind.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/lmgr.h"
#include "storage/sinval.h"
#include "tcop/tcopprot.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"
#include "worker.h"

/* How long to stay without work. */
#define IDLE_MS		10000

#define STATEMENT_TIMEOUT_MS	10000

/* Rows written in one statement, and deleted in one. */
#define BATCH_ROWS	100
#define DELETE_ROWS	1000

/* The columns that a row is made of, in the order of the statement below. */
enum
{
	COL_KIND, COL_PID, COL_BACKEND_START, COL_SINCE, COL_DATNAME, COL_USENAME,
	COL_APPLICATION_NAME, COL_CLIENT_ADDR, COL_CLIENT_PORT, COL_STATE,
	COL_DETECTED_AT, COL_LAST_SEEN_AT, COL_ENDED_AT, COL_DURATION,
	COL_WARN_LIMIT, COL_TERMINATE_LIMIT, COL_ACTION, COL_OUTCOME,
	COL_OUTCOME_DETAIL, COL_BLOCKED_SESSIONS, COL_XMIN_AGE, COL_QUERY,
	COL_QUERY_ID, COL_TRAIL, COL_TAGS, COL_STRONGEST_LOCK, COL_HOLDS,
	COL_XMIN_AGE_ALONE, COL_VERSION, NUM_COLS
};

static const Oid column_type[NUM_COLS] = {
	[COL_KIND] = TEXTOID,
	[COL_PID] = INT4OID,
	[COL_BACKEND_START] = TIMESTAMPTZOID,
	[COL_SINCE] = TIMESTAMPTZOID,
	[COL_DATNAME] = TEXTOID,
	[COL_USENAME] = TEXTOID,
	[COL_APPLICATION_NAME] = TEXTOID,
	[COL_CLIENT_ADDR] = INETOID,
	[COL_CLIENT_PORT] = INT4OID,
	[COL_STATE] = TEXTOID,
	[COL_DETECTED_AT] = TIMESTAMPTZOID,
	[COL_LAST_SEEN_AT] = TIMESTAMPTZOID,
	[COL_ENDED_AT] = TIMESTAMPTZOID,
	[COL_DURATION] = INTERVALOID,
	[COL_WARN_LIMIT] = INTERVALOID,
	[COL_TERMINATE_LIMIT] = INTERVALOID,
	[COL_ACTION] = TEXTOID,
	[COL_OUTCOME] = TEXTOID,
	[COL_OUTCOME_DETAIL] = TEXTOID,
	[COL_BLOCKED_SESSIONS] = INT4OID,
	[COL_XMIN_AGE] = INT8OID,
	[COL_QUERY] = TEXTOID,
	[COL_QUERY_ID] = INT8OID,
	[COL_TRAIL] = JSONBOID,
	[COL_TAGS] = JSONBOID,
	[COL_STRONGEST_LOCK] = TEXTOID,
	[COL_HOLDS] = TEXTOID,
	[COL_XMIN_AGE_ALONE] = INT8OID,
	[COL_VERSION] = INT8OID,
};

/*
 * One fact can be twice in a batch, when a change of settings closed it and
 * another opened it again: the newest version wins.
 */
static const char upsert_sql[] =
"INSERT INTO leakwatch.incidents AS i"
" (kind, pid, backend_start, since, datname, usename, application_name,"
"  client_addr, client_port, state, detected_at, last_seen_at, ended_at,"
"  duration, warn_limit, terminate_limit, action, outcome, outcome_detail,"
"  blocked_sessions, xmin_age, query, query_id, trail, tags, strongest_lock,"
"  holds, xmin_age_alone)"
" SELECT kind, pid, backend_start, since, datname, usename, application_name,"
"  client_addr, client_port, state, detected_at, last_seen_at, ended_at,"
"  duration, warn_limit, terminate_limit, action, outcome, outcome_detail,"
"  blocked_sessions, xmin_age, query, query_id, trail, tags, strongest_lock,"
"  pg_catalog.string_to_array(holds, ','), xmin_age_alone"
" FROM (SELECT DISTINCT ON (u.pid, u.backend_start, u.kind, u.since) u.*"
"  FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2), pg_catalog.unnest($3),"
"   pg_catalog.unnest($4), pg_catalog.unnest($5), pg_catalog.unnest($6),"
"   pg_catalog.unnest($7), pg_catalog.unnest($8), pg_catalog.unnest($9),"
"   pg_catalog.unnest($10), pg_catalog.unnest($11), pg_catalog.unnest($12),"
"   pg_catalog.unnest($13), pg_catalog.unnest($14), pg_catalog.unnest($15),"
"   pg_catalog.unnest($16), pg_catalog.unnest($17), pg_catalog.unnest($18),"
"   pg_catalog.unnest($19), pg_catalog.unnest($20), pg_catalog.unnest($21),"
"   pg_catalog.unnest($22), pg_catalog.unnest($23), pg_catalog.unnest($24),"
"   pg_catalog.unnest($25), pg_catalog.unnest($26), pg_catalog.unnest($27),"
"   pg_catalog.unnest($28), pg_catalog.unnest($29))"
"  AS u (kind, pid, backend_start, since, datname, usename, application_name,"
"   client_addr, client_port, state, detected_at, last_seen_at, ended_at,"
"   duration, warn_limit, terminate_limit, action, outcome, outcome_detail,"
"   blocked_sessions, xmin_age, query, query_id, trail, tags, strongest_lock,"
"   holds, xmin_age_alone, version)"
"  ORDER BY u.pid, u.backend_start, u.kind, u.since, u.version DESC) AS r"
" ORDER BY r.version"
" ON CONFLICT (pid, backend_start, kind, since) DO UPDATE SET"
"  state = EXCLUDED.state, last_seen_at = EXCLUDED.last_seen_at,"
"  ended_at = EXCLUDED.ended_at, duration = EXCLUDED.duration,"
"  warn_limit = EXCLUDED.warn_limit, terminate_limit = EXCLUDED.terminate_limit,"
"  action = EXCLUDED.action, outcome = EXCLUDED.outcome,"
"  outcome_detail = EXCLUDED.outcome_detail,"
"  blocked_sessions = GREATEST(i.blocked_sessions, EXCLUDED.blocked_sessions),"
"  xmin_age = GREATEST(i.xmin_age, EXCLUDED.xmin_age), query = EXCLUDED.query,"
"  trail = EXCLUDED.trail, tags = EXCLUDED.tags,"
"  strongest_lock = EXCLUDED.strongest_lock, holds = EXCLUDED.holds,"
"  xmin_age_alone = GREATEST(i.xmin_age_alone, EXCLUDED.xmin_age_alone)";

/*
 * Rows still open whose incidents ($2 to $5) are not: of before this start of
 * the server ($1), or such that their end found no room in shared memory.
 */
static const char close_sql[] =
"UPDATE leakwatch.incidents AS i SET"
"  outcome = CASE WHEN i.backend_start < $1 THEN 'server_restart' ELSE 'disconnected' END,"
"  outcome_detail = CASE WHEN i.backend_start < $1 THEN NULL ELSE 'the end was not recorded' END,"
"  ended_at = CASE WHEN i.backend_start < $1 THEN $1 ELSE pg_catalog.now() END,"
"  duration = GREATEST(i.duration, i.last_seen_at - i.since)"
" WHERE i.outcome = 'open' AND NOT EXISTS (SELECT FROM"
"  ROWS FROM (pg_catalog.unnest($2), pg_catalog.unnest($3),"
"   pg_catalog.unnest($4), pg_catalog.unnest($5)) AS u (kind, pid, backend_start, since)"
"  WHERE u.pid = i.pid AND u.backend_start = i.backend_start"
"   AND u.kind = i.kind AND u.since = i.since)";

static const char delete_sql[] =
"DELETE FROM leakwatch.incidents AS i WHERE i.id IN"
" (SELECT o.id FROM leakwatch.incidents AS o"
"  WHERE o.ended_at < $1 ORDER BY o.ended_at LIMIT $2)";

/* Where an incident is, and its version when it was found there. */
typedef struct Place
{
	int			index;
	uint64		version;
} Place;

/* A copy of an incident, and where it is from. */
typedef struct Row
{
	Place		place;
	Incident	incident;
} Row;

static MemoryContext round_context = NULL;
static char database_name[NAMEDATALEN];
static SPIPlanPtr upsert_plan = NULL;

/* What went wrong with single rows in this round. */
static int	refused_rows = 0;
static char *refusal = NULL;

pg_noreturn extern PGDLLEXPORT void leakwatch_recorder_main(Datum arg);

/* ---------- transactions ---------- */

/*
 * The table of incidents, locked for writing, and its owner.  InvalidOid
 * when the extension is not there: a table of that name alone is not ours.
 */
static Oid
open_table(Oid *owner)
{
	Oid			namespace = get_namespace_oid("leakwatch", true);
	Oid			extension = get_extension_oid("leakwatch", true);
	Oid			table;
	HeapTuple	tuple;

	if (!OidIsValid(namespace) || !OidIsValid(extension))
		return InvalidOid;
	table = get_relname_relid("incidents", namespace);
	if (!OidIsValid(table))
		return InvalidOid;
	LockRelationOid(table, RowExclusiveLock);

	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(table));
	if (!HeapTupleIsValid(tuple))
		return InvalidOid;
	*owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);

	return getExtensionOfObject(RelationRelationId, table) == extension ? table : InvalidOid;
}

/* What end_writing() goes back to. */
typedef struct WriteState
{
	Oid			user;
	int			security_context;
	MemoryContext memory_context;
} WriteState;

/*
 * Begin a transaction that writes.  False, with nothing begun, when the
 * extension is not there.
 */
static bool
begin_writing(const char *activity, WriteState *state)
{
	Oid			table;
	Oid			owner;

	state->memory_context = CurrentMemoryContext;
	GetUserIdAndSecContext(&state->user, &state->security_context);

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	pgstat_report_activity(STATE_RUNNING, activity);
	enable_timeout_after(STATEMENT_TIMEOUT, STATEMENT_TIMEOUT_MS);

	PushActiveSnapshot(GetTransactionSnapshot());
	table = open_table(&owner);
	PopActiveSnapshot();
	if (!OidIsValid(table))
	{
		disable_timeout(STATEMENT_TIMEOUT, false);
		AbortCurrentTransaction();
		MemoryContextSwitchTo(state->memory_context);
		pgstat_report_activity(STATE_IDLE, NULL);
		return false;
	}
	incident_set_table(MyDatabaseId, table);

	/* the end of the transaction takes this back, whichever end it is */
	SetUserIdAndSecContext(owner, SECURITY_RESTRICTED_OPERATION);
	SPI_connect();
	PushActiveSnapshot(GetTransactionSnapshot());
	return true;
}

static void
end_writing(const WriteState *state)
{
	SPI_finish();
	PopActiveSnapshot();
	SetUserIdAndSecContext(state->user, state->security_context);
	disable_timeout(STATEMENT_TIMEOUT, false);
	CommitTransactionCommand();
	MemoryContextSwitchTo(state->memory_context);
	pgstat_report_stat(true);
	pgstat_report_activity(STATE_IDLE, NULL);
}

/* Take back what begin_writing() did, in a PG_CATCH block. */
static ErrorData *
abort_writing(MemoryContext context)
{
	ErrorData  *error;

	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	FlushErrorState();
	disable_all_timeouts(false);
	AbortCurrentTransaction();
	MemoryContextSwitchTo(context);
	pgstat_report_activity(STATE_IDLE, NULL);
	return error;
}

static void
expect(int result, int expected)
{
	if (result != expected)
		elog(ERROR, "unexpected SPI result: %s", SPI_result_code_string(result));
}

/* ---------- rows ---------- */

/* What a session holds, in one text: there are no arrays of arrays of text. */
static char *
holdings_text(uint32 holdings)
{
	StringInfoData out;

	initStringInfo(&out);
	for (int holding = 0; holding < NUM_HOLDINGS; holding++)
	{
		if (holdings & (1u << holding))
			appendStringInfo(&out, "%s%s", out.len > 0 ? "," : "", locks_holding_name(holding));
	}
	return out.data;
}

/* The rows as columns. */
typedef struct Columns
{
	int			nrows;
	Datum	   *values[NUM_COLS];
	bool	   *nulls[NUM_COLS];
} Columns;

static void
init_columns(Columns *columns, int nrows)
{
	columns->nrows = nrows;
	for (int col = 0; col < NUM_COLS; col++)
	{
		columns->values[col] = palloc0(sizeof(Datum) * nrows);
		columns->nulls[col] = palloc0(sizeof(bool) * nrows);
	}
}

/* A column as an array. */
static Datum
column_array(const Columns *columns, int col)
{
	int			nrows = columns->nrows;
	int			lower_bound = 1;
	int16		length;
	bool		by_value;
	char		align;

	get_typlenbyvalalign(column_type[col], &length, &by_value, &align);
	return PointerGetDatum(construct_md_array(columns->values[col], columns->nulls[col], 1,
											  &nrows, &lower_bound, column_type[col],
											  length, by_value, align));
}

#define SET(col, datum)	(values[col][n] = (datum), nulls[col][n] = false)
#define SET_IF(col, condition, datum) \
	do { \
		nulls[col][n] = !(condition); \
		if (condition) \
			values[col][n] = (datum); \
	} while (0)
#define SET_TEXT(col, text, encoding) \
	datum_text(text, encoding, &values[col][n], &nulls[col][n])

/* Fill what identifies an incident into row n. */
static void
fill_key(const Incident *incident, int n, const Columns *columns)
{
	Datum	   *const *values = columns->values;
	bool	   *const *nulls = columns->nulls;

	SET_TEXT(COL_KIND, kind_info(incident->kind)->name, -1);
	SET(COL_PID, Int32GetDatum(incident->session.pid));
	SET(COL_BACKEND_START, TimestampTzGetDatum(incident->session.since[SINCE_BACKEND]));
	SET(COL_SINCE, TimestampTzGetDatum(incident->since));
}

/* Fill row n. */
static void
fill_row(const Row *row, int n, TransactionId next_xid, Trail *trail, const Columns *columns)
{
	Datum	   *const *values = columns->values;
	bool	   *const *nulls = columns->nulls;
	const Incident *incident = &row->incident;
	TimestampTz now = incident->last_seen_at;
	int64		xmin_age = incident_xmin_age(incident, next_xid);

	fill_key(incident, n, columns);
	SET_TEXT(COL_DATNAME, incident->names.database, -1);
	SET_TEXT(COL_USENAME, incident->names.role, -1);
	SET_TEXT(COL_APPLICATION_NAME, incident->text.application_name, -1);
	datum_client(&incident->text.client,
				 &values[COL_CLIENT_ADDR][n], &nulls[COL_CLIENT_ADDR][n],
				 &values[COL_CLIENT_PORT][n], &nulls[COL_CLIENT_PORT][n]);
	SET_TEXT(COL_STATE, session_state_name(incident->session.state), -1);
	SET(COL_DETECTED_AT, TimestampTzGetDatum(incident->detected_at));
	SET(COL_LAST_SEEN_AT, TimestampTzGetDatum(incident->last_seen_at));
	SET_IF(COL_ENDED_AT, incident->outcome != OUTCOME_OPEN,
		   TimestampTzGetDatum(incident->ended_at));
	SET(COL_DURATION, datum_interval(incident_duration(incident, now)));
	datum_limit(incident->warn_limit, &values[COL_WARN_LIMIT][n],
				&nulls[COL_WARN_LIMIT][n]);
	datum_limit(incident->terminate_limit, &values[COL_TERMINATE_LIMIT][n],
				&nulls[COL_TERMINATE_LIMIT][n]);
	SET_TEXT(COL_ACTION, incident_action_name(incident->action), -1);
	SET_TEXT(COL_OUTCOME, outcome_name(incident->outcome), -1);
	SET_TEXT(COL_OUTCOME_DETAIL, incident->outcome_detail, -1);
	SET(COL_BLOCKED_SESSIONS, Int32GetDatum(incident->blocked_peak));
	SET_IF(COL_XMIN_AGE, xmin_age >= 0, Int64GetDatum(xmin_age));
	SET_TEXT(COL_QUERY, incident->text.query, incident->names.encoding);
	SET_IF(COL_QUERY_ID, incident->text.query_id != 0,
		   Int64GetDatum((int64) incident->text.query_id));
	nulls[COL_TRAIL][n] = nulls[COL_TAGS][n] = true;
	if (incident_copy_trail(row->place.index, incident, trail))
	{
		datum_trail(trail, incident->names.encoding, &values[COL_TRAIL][n], &nulls[COL_TRAIL][n]);
		datum_tags(trail, incident->names.encoding, &values[COL_TAGS][n], &nulls[COL_TAGS][n]);
	}
	datum_lock(&incident->lock, &values[COL_STRONGEST_LOCK][n], &nulls[COL_STRONGEST_LOCK][n]);
	SET_TEXT(COL_HOLDS, holdings_text(incident->holdings), -1);
	SET_IF(COL_XMIN_AGE_ALONE, xmin_age >= 0, Int64GetDatum(incident->alone_peak));
	SET(COL_VERSION, Int64GetDatum((int64) row->place.version));
}

#undef SET
#undef SET_IF
#undef SET_TEXT

/* The rows as one array for each column. */
static void
make_arrays(const Row *rows, int nrows, Datum arrays[NUM_COLS])
{
	Columns		columns;
	TransactionId next_xid = horizon_next_xid();
	Trail	   *trail = palloc(trail_size());

	init_columns(&columns, nrows);
	for (int n = 0; n < nrows; n++)
		fill_row(&rows[n], n, next_xid, trail, &columns);
	for (int col = 0; col < NUM_COLS; col++)
		arrays[col] = column_array(&columns, col);
}

/* ---------- writing ---------- */

static SPIPlanPtr
prepare_upsert(void)
{
	Oid			types[NUM_COLS];
	SPIPlanPtr	plan;

	for (int col = 0; col < NUM_COLS; col++)
		types[col] = get_array_type(column_type[col]);
	plan = SPI_prepare(upsert_sql, NUM_COLS, types);
	if (plan == NULL)
		expect(SPI_result, 0);
	SPI_keepplan(plan);
	return plan;
}

/* Is it the row that the table does not take, rather than the world? */
static bool
is_refusal(int sqlerrcode)
{
	int			category = ERRCODE_TO_CATEGORY(sqlerrcode);

	return category == ERRCODE_DATA_EXCEPTION ||
		category == ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION;
}

/*
 * Write rows in one transaction.  A row that the table refuses for what is in
 * it must not hold back the others: the batch is halved until it stands
 * alone, and it stays pending.  False when the extension is not there; other
 * failures are thrown.
 */
static bool
write_rows(const Row *rows, int nrows)
{
	MemoryContext context = CurrentMemoryContext;
	ErrorData  *volatile error = NULL;
	volatile bool there = true;

	PG_TRY();
	{
		WriteState	state;

		there = begin_writing("recording incidents", &state);
		if (there)
		{
			Datum		arrays[NUM_COLS];

			make_arrays(rows, nrows, arrays);
			if (upsert_plan == NULL)
				upsert_plan = prepare_upsert();
			expect(SPI_execute_plan(upsert_plan, arrays, NULL, false, 0), SPI_OK_INSERT);
			end_writing(&state);
		}
	}
	PG_CATCH();
	{
		error = abort_writing(context);
	}
	PG_END_TRY();

	if (!there)
		return false;
	if (error == NULL)
	{
		for (int i = 0; i < nrows; i++)
			incident_mark_written(rows[i].place.index, rows[i].place.version);
		control_count(COUNT_WRITTEN, nrows);
		return true;
	}
	if (!is_refusal(error->sqlerrcode))
		ReThrowError(error);
	if (nrows == 1)
	{
		refused_rows++;
		refusal = error->message;
		return true;
	}
	return write_rows(rows, nrows / 2) &&
		write_rows(rows + nrows / 2, nrows - nrows / 2);
}

static int
by_version(const void *a, const void *b)
{
	uint64		va = ((const Place *) a)->version;
	uint64		vb = ((const Place *) b)->version;

	return va < vb ? -1 : va > vb;
}

/* Where the incidents are that qualify, oldest version first. */
static Place *
find_incidents(bool (*qualifies) (int index), int *count)
{
	int			room = 64;
	Place	   *places = palloc(room * sizeof(Place));

	*count = 0;
	for (int i = 0; i < incident_max(); i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (!qualifies(i))
			continue;
		if (*count == room)
		{
			room *= 2;
			places = repalloc(places, room * sizeof(Place));
		}
		places[*count].index = i;
		places[(*count)++].version = incident_version(i);
	}
	qsort(places, *count, sizeof(Place), by_version);
	return places;
}

/* Write all that the table does not have.  False: the extension is not there. */
static bool
write_pending(void)
{
	uint64		up_to = incident_last_version();
	int			count;
	Place	   *places = find_incidents(incident_is_pending, &count);
	Row		   *rows = palloc(BATCH_ROWS * sizeof(Row));

	for (int i = 0; i < count;)
	{
		int			nrows = 0;

		CHECK_FOR_INTERRUPTS();
		for (; i < count && nrows < BATCH_ROWS; i++)
		{
			Row		   *row = &rows[nrows];

			/* it may have changed since, or be gone */
			row->place.index = places[i].index;
			row->place.version = incident_copy(places[i].index, &row->incident);
			if (row->place.version != 0)
				nrows++;
		}
		if (nrows > 0 && !write_rows(rows, nrows))
			return false;
	}

	/* a row may have been refused, or the table be another than before */
	if (incident_pending_count() == 0)
		incident_all_written(up_to);
	return true;
}

/* Execute a statement and return how many rows it was about. */
static uint64
execute(const char *sql, int nargs, Oid *types, Datum *args, int expected)
{
	expect(SPI_execute_with_args(sql, nargs, types, args, NULL, false, 0), expected);
	return SPI_processed;
}

/* Close the rows whose incidents are no longer. */
static bool
close_rows(void)
{
	static const int key[] = {COL_KIND, COL_PID, COL_BACKEND_START, COL_SINCE};
	Oid			types[1 + lengthof(key)] = {TIMESTAMPTZOID};
	Datum		args[1 + lengthof(key)];
	Columns		columns;
	int			count;
	Place	   *places = find_incidents(incident_is_open, &count);
	Incident   *incident = palloc(sizeof(Incident));
	WriteState	state;

	if (!begin_writing("closing incidents", &state))
		return false;
	init_columns(&columns, count);
	columns.nrows = 0;
	for (int i = 0; i < count; i++)
	{
		/* one that is gone by now has been written, or will be closed next time */
		if (incident_copy(places[i].index, incident) != 0)
			fill_key(incident, columns.nrows++, &columns);
	}
	args[0] = TimestampTzGetDatum(control_init_time());
	for (int i = 0; i < lengthof(key); i++)
	{
		types[i + 1] = get_array_type(column_type[key[i]]);
		args[i + 1] = column_array(&columns, key[i]);
	}
	execute(close_sql, lengthof(args), types, args, SPI_OK_UPDATE);
	end_writing(&state);
	return true;
}

/* Delete the rows that are too old, some at a time. */
static bool
delete_old_rows(void)
{
	Oid			types[] = {TIMESTAMPTZOID, INT4OID};
	Datum		args[2];
	WriteState	state;
	uint64		deleted;

	args[0] = TimestampTzGetDatum(GetCurrentTimestamp() - guc_retention * USECS_PER_SEC);
	args[1] = Int32GetDatum(DELETE_ROWS);
	do
	{
		CHECK_FOR_INTERRUPTS();
		if (!begin_writing("deleting old incidents", &state))
			return false;
		deleted = execute(delete_sql, lengthof(args), types, args, SPI_OK_DELETE);
		end_writing(&state);
	} while (deleted == DELETE_ROWS);
	return true;
}

/* Close what a stopped server left open, and delete what is too old. */
static bool
keep_house(void)
{
	if (!close_rows() || (guc_retention > 0 && !delete_old_rows()))
		return false;
	control_housekeeping_done();
	return true;
}

/*
 * One round of work.  False when the extension is not there.
 */
static bool
work(void)
{
	refused_rows = 0;
	refusal = NULL;
	MemoryContextSwitchTo(round_context);

	if (incident_any_pending() && !write_pending())
		return false;
	if (control_housekeeping_requested() && !keep_house())
		return false;

	/* only now, so that one row does not hold back anything else */
	if (refused_rows > 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg_plural("their table refused %d incident: %s",
							   "their table refused %d incidents: %s",
							   refused_rows, refused_rows, refusal)));
	MemoryContextReset(round_context);
	return true;
}

/* ---------- the process ---------- */

/*
 * Say what keeps incidents from being written, and end.  Said in the log
 * only while any wait, and when it is not what was said last.
 */
static void
give_up(int sqlerrcode, const char *message)
{
	ActorStatus status;
	bool		known = control_status(RECORDER, &status) &&
		strncmp(status.condition, message, ACTOR_MESSAGE_SIZE - 1) == 0;
	int			pending = incident_pending_count();

	if (!known && pending > 0)
		ereport(WARNING,
				(errcode(sqlerrcode),
				 errmsg("leakwatch could not record incidents in database \"%s\": %s",
						database_name, message),
				 errdetail_plural("%d incident waits in shared memory and is written as soon as that is possible.",
								  "%d incidents wait in shared memory and are written as soon as that is possible.",
								  pending, pending)));
	control_error(RECORDER, message);
	if (!known)
		control_condition(RECORDER, message);
	proc_exit(0);
}

/* The extension is not there, which is no fault until incidents wait for it. */
static void
give_up_without_extension(void)
{
	if (incident_pending_count() == 0)
	{
		/* CREATE EXTENSION asks for both again */
		incident_all_written(incident_last_version());
		control_housekeeping_done();
		proc_exit(0);
	}
	give_up(ERRCODE_UNDEFINED_OBJECT, "extension \"leakwatch\" has not been created");
}

void
leakwatch_recorder_main(Datum arg)
{
	sigjmp_buf	local_sigjmp_buf;
	uint32		wait_event;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();

	/* one is enough; two would only write the same twice */
	if (control_is_running(RECORDER))
		proc_exit(0);
	control_start(RECORDER);
	hooks_note_errors_of(RECORDER);

	strlcpy(database_name, guc_database, NAMEDATALEN);
	BackgroundWorkerInitializeConnection(database_name, NULL, 0);
	worker_neutralise_settings();

	round_context = AllocSetContextCreate(TopMemoryContext, "leakwatch recorder",
										  ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(round_context);
	wait_event = compat_wait_event("LeakwatchRecorderMain");

	if (sigsetjmp(local_sigjmp_buf, 1) != 0)
	{
		ErrorData  *error;

		error_context_stack = NULL;
		HOLD_INTERRUPTS();
		error = abort_writing(round_context);
		RESUME_INTERRUPTS();
		give_up(error->sqlerrcode, error->message);
	}
	PG_exception_stack = &local_sigjmp_buf;

	for (;;)
	{
		if (!work())
			give_up_without_extension();
		control_condition(RECORDER, "");

		while (!incident_any_pending() && !control_housekeeping_requested())
		{
			int			events;

			events = WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
							   IDLE_MS, wait_event);

			ResetLatch(MyLatch);
			CHECK_FOR_INTERRUPTS();
			ProcessCatchupInterrupt();
			if (ConfigReloadPending)
			{
				ConfigReloadPending = false;
				ProcessConfigFile(PGC_SIGHUP);
			}
			if ((events & WL_TIMEOUT) != 0 || strcmp(database_name, guc_database) != 0)
				proc_exit(0);
		}
	}
}
