/*-------------------------------------------------------------------------
 *
 * watcher.c
 *	  The background worker that finds leaks and acts on them.
 *
 * A static worker connected to no database.  It sleeps until something can
 * happen, as next_due() adds up, or somebody wakes it, and for
 * leakwatch.scan_interval at the most.  This file has the process and the order
 * of a scan:
 *
 *	agenda.c	which slots have to be looked at
 *	judge.c		whether a session there is over a limit
 *	follow.c	whether its open incidents go on
 *	worklist.c	what is to be opened, said and terminated, and doing it
 *	harm.c		what harm sessions do
 *	blockers.c	since when idle ones have been in others' way
 *	suspicion.c	whom the use of their pools tells to have been forgotten
 *	capacity.c	whether connections run out
 *	twophase.c	whether prepared transactions are finished
 *	launch.c	a recorder, while there is something to write
 *
 * A session that is as it was when last looked at costs a few comparisons, and
 * one that has gone on little more.
 *
 * Owns the memory of the scan, which is emptied when a scan has used it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "access/xact.h"
#include "agenda.h"
#include "blockers.h"
#include "calls.h"
#include "capacity.h"
#include "control.h"
#include "follow.h"
#include "guc.h"
#include "harm.h"
#include "hooks.h"
#include "launch.h"
#include "names.h"
#include "observe.h"
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "report.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/sinval.h"
#include "suspicion.h"
#include "tcop/tcopprot.h"
#include "twophase.h"
#include "utils/memutils.h"
#include "utils/ps_status.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"
#include "watcher.h"
#include "worker.h"
#include "worklist.h"

/* Seconds until a watcher that ended is started again. */
#define RESTART_TIME	1

/* How long to wait after an error, and for a lock on a shared catalog. */
#define ERROR_NAP_MS	1000
#define NAME_LOCK_TIMEOUT	"50ms"

/* How long a backend may take to start: the default authentication_timeout. */
#define START_TIME	USECS_PER_MINUTE

/* How long a look is good at a session that may come to wait for its client. */
#define WAITING_LOOK	USECS_PER_SEC

/* When to look again at a session of which something is left to decide. */
#define UNDECIDED_LOOK	USECS_PER_SEC

static MemoryContext scan_context = NULL;
static bool settings_changed = true;

/* By when this scan has found that the next has to be. */
typedef struct Findings
{
	TimestampTz slots;			/* of the agenda */
	TimestampTz work;			/* of the sessions that something was done
								 * about */
	TimestampTz calls;			/* for what may be announced meanwhile */
	int			cadence;		/* ms; so that who comes next is seen in time */
} Findings;

pg_noreturn extern PGDLLEXPORT void leakwatch_watcher_main(Datum arg);

/*
 * Have the postmaster run a watcher, from when the server is consistent on,
 * which a hot standby is too.
 */
void
watcher_register(void)
{
	BackgroundWorker worker;

	worker_form(&worker, "leakwatch watcher", "leakwatch_watcher_main");
	worker.bgw_start_time = BgWorkerStart_ConsistentState;
	worker.bgw_restart_time = RESTART_TIME;
	RegisterBackgroundWorker(&worker);
}

/* ---------- looking at a slot ---------- */

/*
 * There is no session in this slot, but there may be about to be: a backend
 * gets its role's and database's settings before it shows itself.  If it has
 * published a limit, the next look must not come later than that; nor later
 * than a limit of the server, for it may be gone and another one here by then.
 */
static void
await_session(int slot, Look *look)
{
	Session		coming;
	SlotOverrides overrides;
	Policy		policy;

	if (slot_owner(slot, &coming) &&
		coming.since[SINCE_BACKEND] + START_TIME > look->at &&
		slot_overrides(&coming, &overrides))
	{
		slot_effective_policy(&guc_policy, &overrides, &policy);
		look->rest = verdict_shorter(look->rest, verdict_rest(&policy));
		look->due = coming.since[SINCE_BACKEND] + START_TIME;
	}
}

/*
 * Is it to be known whether the client of this session is still there?  One
 * that is waited for is looked at anyway.
 */
static bool
is_suspect(const Seat *seat, const Session *session, const Judgement *judgement)
{
	return session->state == SESSION_ACTIVE && session->waiting == CLIENT_NOTHING &&
		(judgement->verdict.leaking != 0 || follow_has_incidents(seat));
}

/* Judge the session in this seat, and see what there is to do about it. */
static void
judge(Seat *seat, Session *session, Look *look, const Moment *moment)
{
	bool		soon = observe_waiting(session, moment);
	bool		judged;
	Judgement	judgement;

	judged = judge_session(session, &guc_policy, moment->now, &judgement);
	if (judged && is_suspect(seat, session, &judgement) && observe_client(session, moment))
		judged = judge_session(session, &guc_policy, moment->now, &judgement);

	/* it is writing its slot at this very moment: next time */
	if (!judged)
	{
		look->version = AGENDA_NO_VERSION;
		return;
	}
	if (follow_has_incidents(seat))
		follow_session(seat, session, &judgement, moment);
	seat->session = *session;
	seat->roomless &= judgement.verdict.leaking;

	look->version = session->version;
	look->backend_start = session->since[SINCE_BACKEND];
	look->shortest_limit = verdict_shortest_limit(&judgement.policy);
	look->rest = verdict_shorter(look->rest, verdict_rest(&judgement.policy));
	look->begins_anew = verdict_begins_anew(&judgement.policy);
	look->due = Min(judgement.verdict.next,
					observe_before(session, judgement.verdict.ends_at, moment));
	look->active = session->state == SESSION_ACTIVE && verdict_needs_waiting(&judgement.policy);
	/* what it waits for changes without a trace in the status entry */
	if (soon && verdict_needs_waiting(&judgement.policy))
	{
		look->version = AGENDA_NO_VERSION;
		look->due = Min(look->due, moment->now + WAITING_LOOK);
	}
	blockers_expect(session->slot, verdict_blocker_limit(&judgement.policy));
	worklist_add(seat, &judgement, look, moment);
}

/*
 * Has the session that was looked at only gone on?  That is the usual case, and
 * then no more has to be read than since when it does what it does.
 */
static bool
glance(int slot, Look *look, void *arg)
{
	const Moment *moment = arg;
	Session		session;
	TimestampTz began;

	if (!session_glance(slot, moment->now - YOUNG_STATEMENT, &session) ||
		session.since[SINCE_BACKEND] != look->backend_start || session.state == SESSION_ACTIVE)
		return false;
	began = session.since[SINCE_STATE];
	if (session.since[SINCE_TRANSACTION] != 0)
		began = Min(began, session.since[SINCE_TRANSACTION]);
	/* what began before may be near a limit, or the clock have jumped since */
	if (began < look->at)
		return false;
	agenda_glanced(look, began, moment->now, session.version);
	return true;
}

/*
 * Is the seat free, or the session that is known there still the one in its
 * slot?  Of one that is busy only the pid can be relied on.
 */
static bool
is_seated(const Seat *seat, Reading reading, const Session *session)
{
	if (seat->session.pid == 0)
		return true;
	return reading != READ_NONE && seat->session.pid == session->pid &&
		(reading == READ_BUSY ||
		 seat->session.since[SINCE_BACKEND] == session->since[SINCE_BACKEND]);
}

/* Look at a slot in which something has happened or is due. */
static void
visit(int slot, void *arg)
{
	const Moment *moment = arg;
	Seat	   *seat = follow_seat(slot);
	Session		session;
	Reading		reading;
	Look		look = {
		.at = moment->now,
		.due = DT_NOEND,
		.version = session_version(slot),
		.rest = verdict_rest(&guc_policy),
	};

	/* if anything throws, what was known of it does not hold */
	agenda_expect(slot);

	/* the version is read before what it stands for: no change is lost */
	reading = session_read(slot, &session);
	if (!is_seated(seat, reading, &session) && !follow_end(seat, moment))
		return;

	/* what is known of it holds until it can be read again */
	if (reading == READ_BUSY)
		return;
	if (reading == READ_NONE)
	{
		blockers_expect(slot, 0);
		await_session(slot, &look);
	}
	else
	{
		if (seat->session.pid == 0)
			seat->session = session;
		judge(seat, &session, &look, moment);
	}
	look.followed = follow_has_incidents(seat);
	agenda_looked(slot, &look);
}

/* ---------- the scan ---------- */

/*
 * Walk through the agenda.  Notes when the next slot has to be looked at, and
 * the cadence: a session that starts just after this scan, and publishes no
 * shorter limit, is seen before its limit.
 */
static void
walk_agenda(Moment *moment, Findings *findings)
{
	static int	shortest_rest = 0;
	Walk		walk = {
		.now = moment->now,
		.until = moment->now + guc_scan_interval * INT64CONST(1000),
		.again = moment->now + UNDECIDED_LOOK,
		.all = settings_changed,
		.prefetch = session_prefetch,
		.version = session_version,
		.glance = glance,
		.visit = visit,
		.arg = moment,
		.shortest_rest = shortest_rest,
	};
	int64		calls = calls_take(moment->monotonic, agenda_expect);
	int			shortest;

	findings->calls = calls == PG_INT64_MAX ? DT_NOEND : clock_wall(moment, calls);
	findings->slots = agenda_walk(&walk);
	settings_changed = false;

	shortest_rest = walk.shortest_rest;
	shortest = verdict_shorter(shortest_rest, verdict_rest(&guc_policy));
	findings->cadence = guc_scan_interval;
	if (shortest > 0)
		findings->cadence = Min(findings->cadence, Max(shortest, MIN_LIMIT_MS));
}

/* Follow the harm that open incidents do. */
static void
tend_harm(const Moment *moment, bool asked)
{
	if (incident_open_count() > 0 &&
		harm_survey(moment, asked ? SURVEY_TO_SHOW : SURVEY_TO_FOLLOW))
	{
		follow_harm();
		twophase_harm();
	}
}

/*
 * See who is in others' way, before anybody is judged by that.  Returns
 * whether that was done.
 */
static bool
tend_blockers(const Moment *moment, bool asked)
{
	if ((!asked && !blockers_are_nearly_due(moment)) ||
		!harm_survey(moment, asked ? SURVEY_TO_SHOW : SURVEY_TO_FOLLOW))
		return false;
	blockers_observe(moment);
	return true;
}

/*
 * The one place that knows when the next scan has to be: when the first thing
 * can happen that nobody wakes the watcher for, DT_NOEND for any time.
 */
static TimestampTz
next_due(const Moment *moment, const Findings *findings)
{
	TimestampTz due[] = {
		findings->slots,
		findings->work,
		findings->calls,
		blockers_due(moment),
		incident_open_count() > 0 ? harm_due(moment) : DT_NOEND,
		capacity_due(moment),
		twophase_due(moment),
		suspicion_due(),
		report_due(moment),
		launch_due(moment),
		names_due(moment),
	};
	TimestampTz next = DT_NOEND;

	for (int i = 0; i < lengthof(due); i++)
		next = Min(next, due[i]);
	return next;
}

/* For how many milliseconds the watcher may sleep after this scan. */
static long
time_to_sleep(const Moment *moment, const Findings *findings)
{
	TimestampTz next = next_due(moment, findings);
	int64		elapsed = clock_monotonic() - moment->monotonic;

	/* rounded up, so as not to wake a moment before the limit */
	if (next != DT_NOEND && next - moment->now < findings->cadence * INT64CONST(1000))
		return Max((next - moment->now - elapsed + 999) / 1000, 1);
	return findings->cadence;
}

/*
 * Publish how long we may sleep.  Who has set a limit meanwhile that was not to
 * be met in the time that we might sleep until now has not woken us.
 */
static void
publish(const Moment *moment, Findings *findings)
{
	bool		longer = findings->cadence > control_cadence();

	control_set_policy(&guc_policy, findings->cadence);
	pg_memory_barrier();
	if (longer && calls_any())
		findings->slots = moment->now;
}

/* One scan. */
static void
scan(Moment *moment, Findings *findings)
{
	static uint64 served = 0;
	uint64		ticket = control_scan_requested();
	bool		asked = ticket != served;
	bool		observed;

	/* a transaction in between has left us in another */
	MemoryContextSwitchTo(scan_context);

	/* after a jump, ages are other than they were when they were judged */
	if (clock_read(moment))
	{
		observe_jump(moment->jump);
		follow_jump(moment->jump);
		twophase_jump(moment->jump);
		blockers_jumped(moment);
		settings_changed = true;
		clock_report_jump(moment);
	}

	report_at(moment->monotonic);
	worklist_clear();
	/* who asked for a scan wants to see every incident as it is now */
	if (asked && incident_open_count() > 0)
		agenda_expect_followed();
	observed = tend_blockers(moment, asked);
	suspicion_tend(moment, asked);
	walk_agenda(moment, findings);
	incident_reclaim();

	findings->work = worklist_is_empty() ? DT_NOEND : worklist_carry_out(moment);

	/* where there is always work, that takes each survey that would be due */
	if (!observed && harm_is_surveyed(moment) && blockers_observe(moment))
		findings->slots = moment->now;
	twophase_tend(moment, asked);
	tend_harm(moment, asked);
	capacity_tend(moment, asked);
	worklist_clear();
	MemoryContextReset(scan_context);
	publish(moment, findings);

	control_scan_served(ticket, moment->now, clock_monotonic() - moment->monotonic);
	served = ticket;
}

/* ---------- the process ---------- */

/* Whoever is to follow an incident that our predecessor left open takes it over. */
static void
adopt(int index, const Incident *incident)
{
	if (incident->kind == KIND_PREPARED_TRANSACTION)
		twophase_adopt(index, incident);
	else
		follow_adopt(index, incident);
}

static void
prepare(void)
{
	agenda_init(MemoryContextAlloc(TopMemoryContext, agenda_size(MaxBackends)), MaxBackends);
	session_keep_processes();
	locks_survey();
	blockers_init();
	follow_init();
	twophase_init();
	incident_attach(adopt);
	suspicion_init();
}

/* Clean up after an error, as the autovacuum launcher does. */
static void
recover(void)
{
	error_context_stack = NULL;
	HOLD_INTERRUPTS();
	disable_all_timeouts(false);
	QueryCancelPending = false;
	EmitErrorReport();
	AbortCurrentTransaction();
	LWLockReleaseAll();
	ConditionVariableCancelSleep();
	pgstat_report_wait_end();
	MemoryContextSwitchTo(scan_context);
	FlushErrorState();
	worklist_clear();
	MemoryContextReset(scan_context);
	RESUME_INTERRUPTS();
}

static void
nap(long ms, uint32 wait_event)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, ms, wait_event);
	ResetLatch(MyLatch);
	/* there is no statement to be cancelled */
	QueryCancelPending = false;
	CHECK_FOR_INTERRUPTS();

	/* exit code 1 makes the postmaster start a new one; 0 would be for ever */
	if (ShutdownRequestPending)
	{
		report_flush();
		proc_exit(1);
	}
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		settings_changed = true;
		ProcessConfigFile(PGC_SIGHUP);
		launch_retry();
	}
	ProcessCatchupInterrupt();
}

void
leakwatch_watcher_main(Datum arg)
{
	sigjmp_buf	local_sigjmp_buf;
	uint32		wait_event;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
	BackgroundWorkerUnblockSignals();

	hooks_note_errors_of(WATCHER);
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	worker_neutralise_settings();
	SetConfigOption("lock_timeout", NAME_LOCK_TIMEOUT, PGC_SUSET, PGC_S_OVERRIDE);

	scan_context = AllocSetContextCreate(TopMemoryContext, "leakwatch scan",
										 ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(scan_context);
	wait_event = compat_wait_event("LeakwatchWatcherMain");
	prepare();
	control_start(WATCHER);
	pgstat_report_activity(STATE_IDLE, NULL);

	if (sigsetjmp(local_sigjmp_buf, 1) != 0)
	{
		recover();
		nap(ERROR_NAP_MS, wait_event);
	}
	PG_exception_stack = &local_sigjmp_buf;

	for (;;)
	{
		Moment		moment;
		Findings	findings;

		scan(&moment, &findings);
		launch_tend(moment.monotonic);
		nap(time_to_sleep(&moment, &findings), wait_event);
	}
}
