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

#include "control.h"
#include "guc.h"
#include "history.h"
#include "hooks.h"
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/sinval.h"
#include "tcop/tcopprot.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "worker.h"

/* How long to stay without work. */
#define IDLE_MS		10000

/* Incidents written in one transaction. */
#define BATCH_SIZE	100

/* What the table refused in a round: how many, and why the first. */
typedef struct Refusals
{
	int			count;
	char	   *reason;
} Refusals;

static char database_name[NAMEDATALEN];

pg_noreturn extern PGDLLEXPORT void leakwatch_recorder_main(Datum arg);

/* ---------- a round of work ---------- */

/*
 * Write incidents.  One that the table refuses must not hold back the others:
 * the batch is halved until it stands alone, and it stays pending.
 */
static void
write_batch(const Record *records, int count, Refusals *refusals)
{
	ErrorData  *error;

	CHECK_FOR_INTERRUPTS();
	error = history_write(records, count);
	if (error == NULL)
	{
		for (int i = 0; i < count; i++)
			incident_mark_written(records[i].index, records[i].version);
		control_count(COUNT_WRITTEN, count);
	}
	else if (count == 1)
	{
		if (refusals->count++ == 0)
			refusals->reason = pstrdup(error->message);
	}
	else
	{
		write_batch(records, count / 2, refusals);
		write_batch(records + count / 2, count - count / 2, refusals);
	}
	if (error != NULL)
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

/* Where incidents wait to be written, oldest version first. */
static Place *
find_pending(int *count)
{
	int			room = 64;
	Place	   *places = palloc(room * sizeof(Place));

	*count = 0;
	for (int i = 0; i < incident_max(); i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (!incident_is_pending(i))
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

/* Write all that the table does not have. */
static void
write_pending(Refusals *refusals)
{
	uint64		up_to = incident_last_version();
	int			count;
	Place	   *places = find_pending(&count);
	Record	   *records = palloc(BATCH_SIZE * sizeof(Record));

	for (int i = 0; i < count;)
	{
		int			size = 0;

		for (; i < count && size < BATCH_SIZE; i++)
		{
			Record	   *record = &records[size];

			/* it may have changed since, or be gone */
			record->index = places[i].index;
			record->version = incident_copy(places[i].index, &record->incident);
			if (record->version != 0)
				size++;
		}
		if (size > 0)
			write_batch(records, size, refusals);
	}

	/* a row may have been refused, or the table be another than before */
	if (incident_pending_count() == 0)
		incident_all_written(up_to);
}

/* Close what a stopped server left open, and delete what is too old. */
static void
keep_house(void)
{
	history_close(control_init_time());
	if (guc_retention > 0)
		history_delete(GetCurrentTimestamp() - guc_retention * USECS_PER_SEC);
	control_housekeeping_done();
}

/* Say what of the incidents this database does not take, or "" for nothing. */
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
	Refusals	refusals = {0};

	if (!history_look(&state))
		return false;
	note_shortcoming(&state);
	if (incident_any_pending())
		write_pending(&refusals);
	if (control_housekeeping_requested())
		keep_house();

	/* only now, so that one row does not hold back anything else */
	if (refusals.count > 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg_plural("their table refused %d incident: %s",
							   "their table refused %d incidents: %s",
							   refusals.count, refusals.count, refusals.reason)));
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
	control_notice(RECORDER, "");
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
		error = history_abort(context);
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
