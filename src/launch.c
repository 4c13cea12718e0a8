/*-------------------------------------------------------------------------
 *
 * launch.c
 *	  Keeps a recorder running while there is something to write.
 *
 * Owns the handle of the recorder, the wait after one that failed, which
 * doubles, and the hour of housekeeping; all private to the watcher.
 * Incidents wait where they are while no recorder can run.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "access/xlog.h"
#include "control.h"
#include "incident.h"
#include "launch.h"
#include "prepared.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "worker.h"

/* When a recorder failed: first and longest wait before the next, in us. */
#define RETRY_MIN	USECS_PER_SEC
#define RETRY_MAX	(60 * USECS_PER_SEC)

/* How often old incidents are deleted, in us. */
#define HOUSEKEEPING_INTERVAL	USECS_PER_HOUR

static BackgroundWorkerHandle *recorder = NULL;
static int64 retry_at = 0;		/* monotonic us */
static int64 retry_wait = RETRY_MIN;
static int64 housekeeping_at = 0;	/* monotonic us */

static void
back_off(int64 monotonic)
{
	retry_at = monotonic + retry_wait;
	retry_wait = Min(retry_wait * 2, RETRY_MAX);
}

/* The postmaster has no place for another worker. */
static void
no_place(int64 monotonic)
{
	static const char message[] = "no background worker slot is free";
	ActorStatus status;

	if (control_status(RECORDER, &status) && strcmp(status.condition, message) != 0)
		ereport(WARNING,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("leakwatch could not start its recorder: %s", message),
				 errdetail("Incidents wait in shared memory and are written as soon as that is possible."),
				 errhint("You might need to increase max_worker_processes.")));
	control_error(RECORDER, message);
	control_condition(RECORDER, message);
	back_off(monotonic);
}

static void
start(int64 monotonic)
{
	BackgroundWorker worker;
	MemoryContext oldcontext;

	worker_form(&worker, "leakwatch recorder", "leakwatch_recorder_main");
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_notify_pid = MyProcPid;

	/* the handle outlives the scan, and is freed when the recorder is gone */
	oldcontext = MemoryContextSwitchTo(TopMemoryContext);
	if (!RegisterDynamicBackgroundWorker(&worker, &recorder))
	{
		recorder = NULL;
		no_place(monotonic);
	}
	MemoryContextSwitchTo(oldcontext);
}

/* Has the recorder done its work, the last that it had? */
static bool
is_well(void)
{
	ActorStatus status;

	/* it says so if something kept it from that */
	return !control_status(RECORDER, &status) || status.condition[0] == '\0';
}

/* Does the recorder that we have started still run?  If not, forget it. */
static bool
is_running(int64 monotonic)
{
	pid_t		pid;

	if (recorder == NULL)
		return false;
	if (retry_wait > RETRY_MIN && is_well())
		retry_wait = RETRY_MIN;
	if (GetBackgroundWorkerPid(recorder, &pid) != BGWH_STOPPED)
		return true;
	pfree(recorder);
	recorder = NULL;

	if (!is_well())
		back_off(monotonic);
	return false;
}

/* Is there something to write, apart from what is tried again later? */
static bool
is_wanted(void)
{
	return incident_any_new() || control_housekeeping_requested() || prepared_is_wanted();
}

/*
 * When launch_tend() is to be called at the latest.  While there is something to
 * write, that is soon: a standby may be promoted, and a recorder that a former
 * watcher has started does not wake us when it ends.
 */
TimestampTz
launch_due(const Moment *moment)
{
	int64		retry = incident_retry_at();
	int64		due = PG_INT64_MAX;

	if (!RecoveryInProgress())
		due = retry != 0 ? Min(housekeeping_at, retry) : housekeeping_at;
	if (is_wanted())
		due = Min(due, retry_at);
	if (due == PG_INT64_MAX)
		return DT_NOEND;
	/* what can't be done now is not tried without a pause */
	return clock_wall(moment, Max(due, moment->monotonic + RETRY_MIN));
}

/* What kept the recorder from its work may have been a setting: try at once. */
void
launch_retry(void)
{
	retry_at = 0;
	retry_wait = RETRY_MIN;
}

/* See to it that a recorder runs while there is something to write. */
void
launch_tend(int64 monotonic)
{
	bool		wanted;

	if (control_recorder_wanted())
	{
		launch_retry();
		housekeeping_at = 0;
	}
	if (RecoveryInProgress())
		return;

	if (monotonic >= housekeeping_at)
	{
		housekeeping_at = monotonic + HOUSEKEEPING_INTERVAL;
		control_request_housekeeping();
	}
	wanted = is_wanted() || incident_retry_is_due(monotonic);

	if (is_running(monotonic))
	{
		if (wanted)
			control_wake(RECORDER);
		return;
	}
	if (!wanted || monotonic < retry_at)
		return;

	/* one that a former watcher started has no handle here */
	if (control_is_running(RECORDER))
		control_wake(RECORDER);
	else
		start(monotonic);
}
