/*-------------------------------------------------------------------------
 *
 * control.c
 *	  Health and counters of the two workers, and how they are woken.
 *
 * Owns the "leakwatch control" segment.  Who writes what, and how:
 *
 *	init_time		whoever creates the segment, before anybody else runs
 *	counters		the actor named at the counter; single atomics
 *	actor[]			that actor alone, under its change counter; while no
 *					recorder runs, the watcher speaks for it.  The latch
 *					pointer is a single word, set and cleared by the actor.
 *					It points into the PGPROC array, so a stale one wakes a
 *					stranger for nothing and does no harm.
 *	policy			the watcher, under its change counter
 *	scan_*			atomics; requested by any backend, the rest by the watcher
 *	recorder_wanted	atomic flag; set by anybody, cleared by the watcher
 *	housekeeping	atomic flag; set by the watcher, cleared by the recorder
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "changes.h"
#include "control.h"
#include "storage/ipc.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

/* How long to wait for a scan: a watcher that has ended is back in a second. */
#define SCAN_WAIT_MS	10000

typedef struct SharedActor
{
	pg_atomic_uint32 changes;
	ActorStatus status;
	Latch	   *volatile latch;
} SharedActor;

typedef struct Control
{
	TimestampTz init_time;
	pg_atomic_uint64 counter[NUM_COUNTERS];
	SharedActor actor[NUM_ACTORS];

	pg_atomic_uint32 policy_changes;
	Policy		policy;
	pg_atomic_uint32 cadence_ms;

	pg_atomic_uint64 scan_requested;
	pg_atomic_uint64 scan_served;
	pg_atomic_uint64 scan_at;
	pg_atomic_uint64 scan_duration;
	ConditionVariable scan_done;

	pg_atomic_uint32 recorder_wanted;
	pg_atomic_uint32 housekeeping;
} Control;

static Control *control = NULL;

Size
control_shmem_size(void)
{
	return MAXALIGN(sizeof(Control));
}

/* Called with AddinShmemInitLock held. */
void
control_shmem_init(void)
{
	bool		found;

	control = ShmemInitStruct("leakwatch control", sizeof(Control), &found);
	if (found)
		return;

	memset(control, 0, sizeof(Control));
	control->init_time = GetCurrentTimestamp();
	for (int i = 0; i < NUM_COUNTERS; i++)
		pg_atomic_init_u64(&control->counter[i], 0);
	for (int i = 0; i < NUM_ACTORS; i++)
		pg_atomic_init_u32(&control->actor[i].changes, 0);
	pg_atomic_init_u32(&control->policy_changes, 0);
	pg_atomic_init_u32(&control->cadence_ms, 0);
	pg_atomic_init_u64(&control->scan_requested, 0);
	pg_atomic_init_u64(&control->scan_served, 0);
	pg_atomic_init_u64(&control->scan_at, 0);
	pg_atomic_init_u64(&control->scan_duration, 0);
	ConditionVariableInit(&control->scan_done);
	pg_atomic_init_u32(&control->recorder_wanted, 0);
	pg_atomic_init_u32(&control->housekeeping, 0);
}

/*
 * When shared memory was created: at server start and after a crash.  No
 * session that started before is still alive.
 */
TimestampTz
control_init_time(void)
{
	return control->init_time;
}

void
control_count(Counter counter, uint64 amount)
{
	pg_atomic_uint64 *c = &control->counter[counter];

	/* one writer each, so no locked instruction is needed */
	pg_atomic_write_u64(c, pg_atomic_read_u64(c) + amount);
}

uint64
control_counter(Counter counter)
{
	return pg_atomic_read_u64(&control->counter[counter]);
}

/* on_shmem_exit callback of an actor */
static void
stop_actor(int code, Datum arg)
{
	SharedActor *self = &control->actor[DatumGetInt32(arg)];

	self->latch = NULL;
	change_begin(&self->changes);
	self->status.pid = 0;
	change_end(&self->changes);
}

/* Say that this process is the actor from now on until it exits. */
void
control_start(Actor actor)
{
	SharedActor *self = &control->actor[actor];

	change_begin(&self->changes);
	self->status.pid = MyProcPid;
	self->status.started_at = GetCurrentTimestamp();
	change_end(&self->changes);
	self->latch = MyLatch;
	on_shmem_exit(stop_actor, Int32GetDatum(actor));
}

/* Remember an error of this actor, for the status view. */
void
control_error(Actor actor, const char *message)
{
	SharedActor *self = &control->actor[actor];
	TimestampTz now = GetCurrentTimestamp();

	change_begin(&self->changes);
	strlcpy(self->status.last_error, message, ACTOR_MESSAGE_SIZE);
	self->status.last_error_at = now;
	change_end(&self->changes);
}

static void
set_message(SharedActor *self, char *message, const char *text)
{
	if (strncmp(message, text, ACTOR_MESSAGE_SIZE - 1) == 0)
		return;
	change_begin(&self->changes);
	strlcpy(message, text, ACTOR_MESSAGE_SIZE);
	change_end(&self->changes);
}

/* Say what keeps this actor from its work; "" for nothing. */
void
control_condition(Actor actor, const char *condition)
{
	SharedActor *self = &control->actor[actor];

	set_message(self, self->status.condition, condition);
}

/* Say what this actor works in spite of; "" for nothing. */
void
control_notice(Actor actor, const char *notice)
{
	SharedActor *self = &control->actor[actor];

	set_message(self, self->status.notice, notice);
}

bool
control_is_running(Actor actor)
{
	return control->actor[actor].latch != NULL;
}

/* Copy what an actor says of itself; false if it is just changing it. */
bool
control_status(Actor actor, ActorStatus *status)
{
	return change_copy(&control->actor[actor].changes, status,
					   &control->actor[actor].status, sizeof(ActorStatus));
}

void
control_wake(Actor actor)
{
	Latch	   *latch = control->actor[actor].latch;

	if (latch != NULL)
		SetLatch(latch);
}

/*
 * Publish the policy of the configuration file, and the longest time that
 * the watcher will sleep under it and the overrides it has seen.
 */
void
control_set_policy(const Policy *policy, int cadence_ms)
{
	if (memcmp(&control->policy, policy, sizeof(Policy)) != 0)
	{
		change_begin(&control->policy_changes);
		control->policy = *policy;
		change_end(&control->policy_changes);
	}
	if (pg_atomic_read_u32(&control->cadence_ms) != (uint32) cadence_ms)
		pg_atomic_write_u32(&control->cadence_ms, cadence_ms);
}

/* All limits off, as a policy nobody has published, if none can be read. */
void
control_policy(Policy *policy)
{
	if (!change_copy(&control->policy_changes, policy, &control->policy, sizeof(Policy)))
		memset(policy, 0, sizeof(Policy));
}

int
control_cadence(void)
{
	return (int) pg_atomic_read_u32(&control->cadence_ms);
}

/* Ask for a scan that starts after this call.  Returns what to wait for. */
static uint64
request_scan(void)
{
	uint64		ticket = pg_atomic_add_fetch_u64(&control->scan_requested, 1);

	control_wake(WATCHER);
	return ticket;
}

uint64
control_scan_requested(void)
{
	return pg_atomic_read_u64(&control->scan_requested);
}

/* The watcher: all requests up to ticket came before this scan began. */
void
control_scan_served(uint64 ticket, TimestampTz at, int64 duration)
{
	pg_atomic_write_u64(&control->scan_at, at);
	pg_atomic_write_u64(&control->scan_duration, duration);
	control_count(COUNT_SCANS, 1);
	control_count(COUNT_SCAN_TIME, duration);

	if (pg_atomic_read_u64(&control->scan_served) != ticket)
	{
		pg_atomic_write_u64(&control->scan_served, ticket);
		ConditionVariableBroadcast(&control->scan_done);
	}
}

/* Wait until a scan served the ticket; false after SCAN_WAIT_MS. */
static bool
wait_for_scan(uint64 ticket)
{
	static uint32 wait_event = 0;
	TimestampTz end = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), SCAN_WAIT_MS);
	bool		done;

	if (wait_event == 0)
		wait_event = compat_wait_event("LeakwatchScan");

	ConditionVariablePrepareToSleep(&control->scan_done);
	while (!(done = pg_atomic_read_u64(&control->scan_served) >= ticket))
	{
		/* a watcher that has just started knows nothing of the request */
		control_wake(WATCHER);
		if (ConditionVariableTimedSleep(&control->scan_done, 100, wait_event) &&
			GetCurrentTimestamp() >= end)
			break;
	}
	ConditionVariableCancelSleep();
	return done;
}

/* Have the watcher scan, and wait for it.  An error when it does not answer. */
void
control_scan_now(void)
{
	if (!wait_for_scan(request_scan()))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the leakwatch watcher has not scanned within %d s", SCAN_WAIT_MS / 1000),
				 errhint("The view leakwatch.status shows whether it runs, and the server log why it does not.")));
}

/* When the last scan was, and how long it took (us). */
void
control_last_scan(TimestampTz *at, int64 *duration)
{
	*at = pg_atomic_read_u64(&control->scan_at);
	*duration = pg_atomic_read_u64(&control->scan_duration);
}

/* Have the recorder started now, whatever it waits for. */
void
control_want_recorder(void)
{
	pg_atomic_write_u32(&control->recorder_wanted, 1);
	control_wake(WATCHER);
}

/* The watcher: was it wanted since the last call? */
bool
control_recorder_wanted(void)
{
	if (pg_atomic_read_u32(&control->recorder_wanted) == 0)
		return false;
	return pg_atomic_exchange_u32(&control->recorder_wanted, 0) != 0;
}

/*
 * Old rows are to be deleted, and rows closed that a stopped server left
 * open.
 */
void
control_request_housekeeping(void)
{
	pg_atomic_write_u32(&control->housekeeping, 1);
}

bool
control_housekeeping_requested(void)
{
	return pg_atomic_read_u32(&control->housekeeping) != 0;
}

void
control_housekeeping_done(void)
{
	pg_atomic_write_u32(&control->housekeeping, 0);
}
