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
 * How it writes is in history.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "almanac.h"
#include "causes.h"
#include "census.h"
#include "chronicle.h"
#include "clock.h"
#include "control.h"
#include "guc.h"
#include "history.h"
#include "hooks.h"
#include "kind.h"
#include "known.h"
#include "notify.h"
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "prepared.h"
#include "storage/ipc.h"
#include "storage/sinval.h"
#include "tcop/tcopprot.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "worker.h"
#include "writing.h"

/* How long to stay without work, and to wait for what is just being written. */
#define IDLE_MS		10000
#define BUSY_MS		100

/* Incidents written in one transaction. */
#define BATCH_SIZE	100

/* The first incident that the table refused in a round, and why. */
typedef struct Refusal
{
	const char *what;			/* it is of */
	ErrorData  *error;			/* NULL: it refused none */
} Refusal;

static char database_name[NAMEDATALEN];

/* In this round the watcher was just writing what there was to read. */
static bool busy = false;

pg_noreturn extern PGDLLEXPORT void leakwatch_recorder_main(Datum arg);
pg_noreturn static void give_up(int sqlerrcode, const char *message);

/* ---------- a round of work ---------- */

/* An incident is in the table for the first time, with this cause. */
static void
note_cause(const Record *record)
{
	known_set_cause(record->index, record->incident.id, record->cause);
	known_add(record->cause, record->incident.detected_at);
}

/* They are in the table now. */
static void
mark_written(const Record *records, int count)
{
	for (int i = 0; i < count; i++)
	{
		/* before it counts as written, and its place may be another's */
		if (records[i].first)
			note_cause(&records[i]);
		notify_incident(records[i].index, &records[i].incident);
		incident_mark_written(records[i].index, records[i].version);
	}
	control_count(COUNT_WRITTEN, count);
	notify_send(false);
}

/*
 * "idle_session of the session with PID 4711".  A GID may be of another encoding,
 * and there is no transaction to convert it in.
 */
static char *
in_words(const Incident *incident)
{
	const char *kind = kind_info(incident->kind)->name;

	if (incident->kind == KIND_PREPARED_TRANSACTION)
		return pstrdup(kind);
	return psprintf("%s of the session with PID %d", kind, incident->session.pid);
}

/*
 * Write incidents.  One that the table refuses must not hold back the others:
 * the batch is halved until it stands alone, and it stays pending.
 */
static void
write_batch(Record *records, int count, Refusal *refusal)
{
	ErrorData  *error;

	CHECK_FOR_INTERRUPTS();
	error = history_write(records, count);
	if (error == NULL)
	{
		mark_written(records, count);
		return;
	}
	if (count > 1)
	{
		write_batch(records, count / 2, refusal);
		write_batch(records + count / 2, count - count / 2, refusal);
	}
	else
	{
		incident_mark_refused(records->index, records->version);
		if (refusal->error == NULL)
		{
			refusal->what = in_words(&records->incident);
			refusal->error = error;
			return;
		}
	}
	FreeErrorData(error);
}

/* Where an incident is, and its version when it was found there. */
typedef struct Place
{
	int			index;
	uint64		version;
} Place;

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

/* Write the incidents that qualify. */
static void
write_incidents(bool (*qualifies) (int index), Refusal *refusal)
{
	int			count;
	Place	   *places = find_incidents(qualifies, &count);
	Record	   *records = palloc(BATCH_SIZE * sizeof(Record));

	for (int i = 0; i < count;)
	{
		int			size = 0;

		for (; i < count && size < BATCH_SIZE; i++)
		{
			Record	   *record = &records[size];

			/* it may have changed since, or be gone */
			record->index = places[i].index;
			record->first = false;
			switch (incident_copy(places[i].index, &record->incident, &record->version))
			{
				case READ_NONE:
					break;
				case READ_BUSY:
					busy = true;
					break;
				case READ_DONE:
					size++;
					break;
			}
		}
		if (size > 0)
			write_batch(records, size, refusal);
	}
}

static bool
is_new(int index)
{
	return incident_is_pending(index) && !incident_is_refused(index);
}

/* Write what has come since the last round. */
static void
write_new(Refusal *refusal)
{
	uint64		up_to = incident_last_version();
	int			left;

	write_incidents(is_new, refusal);

	/* there may be more, or the table may be another than before */
	find_incidents(is_new, &left);
	if (left == 0)
		incident_all_tried(up_to);
}

/*
 * Close what a stopped server left open, and delete what is too old.  What the
 * table refuses of that waits for the next time.
 */
static void
keep_house(void)
{
	bool		closed = false;
	ErrorData  *error = history_close(control_init_time(), &closed);

	notify_send(false);
	if (error == NULL && guc_retention > 0)
	{
		TimestampTz before = GetCurrentTimestamp() - guc_retention * USECS_PER_SEC;

		error = history_delete(before);
		chronicle_delete(before);
		almanac_delete(before);
	}
	if (error == NULL && !closed)
		busy = true;
	else
		control_housekeeping_done();
	if (error == NULL)
		return;
	ereport(WARNING,
			(errcode(error->sqlerrcode),
			 errmsg("leakwatch could not close or delete old incidents in database \"%s\": %s",
					database_name, error->message)));
	control_error(RECORDER, error->message);
}

/*
 * Say which incident the table refuses, of how many: in the status view, and
 * in the log when these are the first.
 */
static void
note_refusal(const Refusal *refusal, int count, bool first)
{
	char	   *message = psprintf("table leakwatch.incidents in database \"%s\" refused %d incident%s: %s: %s",
								   database_name, count, count == 1 ? "" : "s",
								   refusal->what, refusal->error->message);

	if (first)
	{
		ereport(WARNING,
				(errcode(refusal->error->sqlerrcode),
				 errmsg_internal("%s", message),
				 errdetail("It waits in shared memory and is tried again. Others are recorded.")));
		control_error(RECORDER, message);
	}
	control_notice(RECORDER, message);
}

/* Say which incidents this database does not take, or not whole. */
static void
note_shortcoming(const HistoryState *state)
{
	ActorStatus status;
	char	   *message = "";
	char	   *notice = "";

	if (strcmp(state->version, LEAKWATCH_VERSION) != 0)
	{
		message = psprintf("extension \"leakwatch\" in database \"%s\" is of version %s and its library of %s",
						   database_name, state->version, LEAKWATCH_VERSION);
		notice = psprintf("%s: ALTER EXTENSION leakwatch UPDATE is due", message);
	}
	else if (state->missing != NULL)
		notice = message = psprintf("table leakwatch.incidents in database \"%s\" has no column \"%s\"",
									database_name, state->missing);

	if (message[0] != '\0' && control_status(RECORDER, &status) &&
		strncmp(status.notice, notice, ACTOR_MESSAGE_SIZE - 1) != 0)
		ereport(WARNING,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg_internal("%s", message),
				 errdetail("Incidents are recorded as far as the table goes."),
				 message == notice ? 0 :
				 errhint("Execute ALTER EXTENSION leakwatch UPDATE in that database. If the server has not been restarted since a newer version was installed, restart it first.")));
	control_notice(RECORDER, notice);
}

/*
 * One round of work.  False when the extension is not there.
 */
static bool
work(void)
{
	HistoryState state;
	Refusal		refusal = {0};
	bool		first = !incident_any_refused();
	int			refused;
	bool		retry = incident_retry_is_due(clock_monotonic());
	bool		clean = control_housekeeping_requested();
	bool		there;

	busy = false;
	there = history_look(&state);
	if (there && state.publication == NULL && incident_any_new())
		write_new(&refusal);
	/* what has to be closed depends on it, and what is found needs no table */
	if (prepared_is_wanted() || clean)
		census_take(there);
	if (!there)
		return false;
	if (state.publication != NULL)
		give_up(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
				psprintf("publication \"%s\" FOR ALL TABLES would send them to its subscribers; see leakwatch.record_published",
						 state.publication));
	if (retry)
		write_incidents(incident_is_refused, &refusal);
	chronicle_write(clean);
	if (clean)
	{
		almanac_write();
		keep_house();
	}
	/* whatever has been resolved before the request is there to be read */
	if (known_take_unread() || clean)
		causes_load();

	refused = incident_refused_count();
	if (refused > 0)
		incident_retry_later(clock_monotonic());
	else
		incident_no_retry();

	/* in between, what was said of the refused ones holds */
	if (refusal.error != NULL && refused > 0)
		note_refusal(&refusal, refused, first);
	else if (refused == 0)
		note_shortcoming(&state);
	return true;
}

/* Is there reason for a round? */
static bool
is_wanted(void)
{
	return incident_any_new() || incident_retry_is_due(clock_monotonic()) ||
		control_housekeeping_requested() || prepared_is_wanted();
}

/* How long to wait for more, in milliseconds. */
static long
patience(void)
{
	long		due = notify_due();
	long		wait = busy ? BUSY_MS : IDLE_MS;

	return due >= 0 ? Min(due, wait) : wait;
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
	notify_send(true);
	proc_exit(0);
}

/* The extension is not there, which is no fault until incidents wait for it. */
static void
give_up_without_extension(void)
{
	control_notice(RECORDER, "");
	if (incident_pending_count() == 0)
	{
		/* CREATE EXTENSION asks for both again */
		incident_all_tried(incident_last_version());
		control_housekeeping_done();
		proc_exit(0);
	}
	give_up(ERRCODE_UNDEFINED_OBJECT, "extension \"leakwatch\" has not been created");
}

/* There is nothing more to do here. */
static void
leave(void)
{
	notify_send(true);
	proc_exit(0);
}

void
leakwatch_recorder_main(Datum arg)
{
	sigjmp_buf	local_sigjmp_buf;
	MemoryContext context;
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

	context = AllocSetContextCreate(TopMemoryContext, "leakwatch recorder",
									ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(context);
	wait_event = compat_wait_event("LeakwatchRecorderMain");

	if (sigsetjmp(local_sigjmp_buf, 1) != 0)
	{
		ErrorData  *error;

		error_context_stack = NULL;
		HOLD_INTERRUPTS();
		error = writing_abort(context);
		RESUME_INTERRUPTS();
		give_up(error->sqlerrcode, error->message);
	}
	PG_exception_stack = &local_sigjmp_buf;

	for (;;)
	{
		if (!work())
			give_up_without_extension();
		control_condition(RECORDER, "");
		MemoryContextReset(context);

		while (busy || !is_wanted())
		{
			int			events;

			events = WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
							   patience(), wait_event);

			ResetLatch(MyLatch);
			CHECK_FOR_INTERRUPTS();
			ProcessCatchupInterrupt();
			if (ConfigReloadPending)
			{
				ConfigReloadPending = false;
				ProcessConfigFile(PGC_SIGHUP);
			}
			if (notify_due() == 0)
				notify_send(false);
			else if ((events & WL_TIMEOUT) != 0 && !busy)
				leave();
			if (strcmp(database_name, guc_database) != 0)
				leave();
			busy = false;
		}
	}
}
