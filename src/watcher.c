/*-------------------------------------------------------------------------
 *
 * watcher.c
 *	  The background worker that finds leaks and acts on them.
 *
 * A static worker connected to no database.  It scans once in
 * leakwatch.scan_interval and whenever a session that it has seen is about to
 * meet a limit, and does all that follows: opens and closes incidents, writes
 * the warnings, terminates, starts the recorder.
 *
 * A scan has three parts.  The walk looks at the sessions that can have met a
 * limit, see "the agenda" below; one that is as it was when last looked at
 * costs a few comparisons.  What needs more is put on the worklist.  The
 * worklist is then acted on: names and texts read, incidents opened, sessions
 * terminated.  Only after that the messages are written, because the log may
 * be slow.
 *
 * Owns the seats, which are private: what it knew of each slot when it last
 * looked, and the agenda and the glances, the little of it that scans go
 * through.  Open incidents are in shared memory and survive the watcher.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "clock.h"
#include "control.h"
#include "enforce.h"
#include "guc.h"
#include "hooks.h"
#include "horizon.h"
#include "impact.h"
#include "incident.h"
#include "pgstat.h"
#include "portability/instr_time.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "report.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/sinval.h"
#include "tcop/tcopprot.h"
#include "utils/memutils.h"
#include "utils/pidfile.h"
#include "utils/ps_status.h"
#include "utils/snapmgr.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"
#include "verdict.h"
#include "watcher.h"

/* Seconds until a watcher that ended is started again. */
#define RESTART_TIME	1

/* The postmaster's, in the data directory, where every process is. */
#define DIRECTORY_LOCK_FILE	"postmaster.pid"

/* How long to wait after an error, and for a lock on a shared catalog. */
#define ERROR_NAP_MS	1000
#define NAME_LOCK_TIMEOUT	"50ms"

/* After names could not be looked up, how long to do without, in us. */
#define NAME_RETRY	(5 * USECS_PER_SEC)

/*
 * Harm is surveyed when there is something to decide or to say, and otherwise,
 * while incidents are open, at most this often; less often on a large server,
 * so as not to look at more processes than this in a second.  While more wait
 * for locks than are asked for in a moment, it is done for at most 5 % of the
 * time.
 */
#define SURVEY_INTERVAL	USECS_PER_SEC
#define SURVEY_PACE		500
#define SURVEY_REST		20
#define FEW_WAITERS		50

/* When a recorder failed: first and longest wait before the next, in us. */
#define RECORDER_RETRY_MIN	USECS_PER_SEC
#define RECORDER_RETRY_MAX	(60 * USECS_PER_SEC)

/* How long a backend may take to start: the default authentication_timeout. */
#define START_TIME	USECS_PER_MINUTE

/* How often old incidents are deleted, in us. */
#define HOUSEKEEPING_INTERVAL	USECS_PER_HOUR

/*
 * What a look at a slot needs if nothing has happened there.  Kept apart from
 * the seats because there can be thousands of such looks in a scan.
 */
typedef struct Glance
{
	TimestampTz due;			/* to be judged again at this time */
	int			version;		/* of the session; odd: judge it anyway */
	int			shortest_limit; /* ms, 0: none */
	bool		followed;		/* it has open incidents */
} Glance;

/* What the watcher knew of a slot when it last looked. */
typedef struct Seat
{
	Session		session;		/* pid 0: nobody was there */
	int			incident[NUM_KINDS];	/* index, or -1 */
	uint32		unrecorded;		/* kinds reported that there was no room for */
	bool		signalled;		/* we have told it to end */
} Seat;

/* A session that this scan has something to do about. */
typedef struct Work
{
	Seat	   *seat;
	Policy		policy;
	Verdict		verdict;
	uint32		opens;			/* kinds */
	uint32		reminds;		/* kinds */

	/* filled in while acting */
	SessionText text;
	Trail	   *trail;			/* NULL: that of the incident */
	SessionNames names;
	Incident   *unrecorded;		/* stands in for one there was no room for */
	uint32		opened;			/* kinds to be reported */
	Message		decided;		/* MESSAGE_OPENED: nothing */
	int			decided_on;		/* index of the incident, or -1 */
	SlotReason	reason;
} Work;

/* A version that no session has. */
#define NO_VERSION	(-1)

static Seat *seats = NULL;
static Glance *glances = NULL;
static TimestampTz *agenda = NULL;
static MemoryContext scan_context = NULL;
static Trail *trail_buffer = NULL;
static bool settings_changed = true;
static Policy server_policy;
static int	server_shortest_limit;	/* ms, 0: none */

/* Of the running scan. */
static TimestampTz now;
static int64 monotonic;
static TimestampTz previous_scan = 0;
static List *worklist = NIL;

/* Of the name look-up. */
static int64 names_retry_at = 0;

/* Of the survey of harm. */
static int64 surveyed_at = 0;
static int64 survey_cost = 0;
static int	waiting = 0;		/* for a lock, as of then */

/* Of the recorder. */
static BackgroundWorkerHandle *recorder_handle = NULL;
static int64 recorder_retry_at = 0;
static int64 recorder_retry_wait = RECORDER_RETRY_MIN;
static int64 housekeeping_at = 0;

pg_noreturn extern PGDLLEXPORT void leakwatch_watcher_main(Datum arg);

/*
 * Have the postmaster run a watcher, from when the server is consistent on,
 * which a hot standby is too.
 */
void
watcher_register(void)
{
	BackgroundWorker worker = {
		.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION,
		.bgw_start_time = BgWorkerStart_ConsistentState,
		.bgw_restart_time = RESTART_TIME,
	};

	snprintf(worker.bgw_name, BGW_MAXLEN, "leakwatch watcher");
	snprintf(worker.bgw_type, BGW_MAXLEN, "leakwatch watcher");
	snprintf(worker.bgw_library_name, sizeof(worker.bgw_library_name), "leakwatch");
	snprintf(worker.bgw_function_name, BGW_MAXLEN, "leakwatch_watcher_main");
	RegisterBackgroundWorker(&worker);
}

static int64
monotonic_now(void)
{
	instr_time	ticks;

	INSTR_TIME_SET_CURRENT(ticks);
	return (int64) INSTR_TIME_GET_MICROSEC(ticks);
}

/* ---------- names, from shared catalogs ---------- */

/*
 * Look up a session's names.  This is the one place where the watcher takes
 * heavyweight locks, so it does it with a timeout, and after a failure lets
 * OIDs stand in for names for a while.
 */
static void
look_up_names(const Session *session, SessionNames *names)
{
	MemoryContext oldcontext = CurrentMemoryContext;

	if (monotonic < names_retry_at)
	{
		session_oid_names(session, names);
		return;
	}

	PG_TRY();
	{
		if (!IsTransactionState())
		{
			SetCurrentStatementStartTimestamp();
			StartTransactionCommand();
			MemoryContextSwitchTo(oldcontext);
		}
		session_names(session, names);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(oldcontext);
		error = CopyErrorData();
		FlushErrorState();
		AbortCurrentTransaction();
		MemoryContextSwitchTo(oldcontext);

		actor_error(WATCHER, error->message);
		ereport(LOG,
				(errcode(error->sqlerrcode),
				 errmsg("leakwatch could not look up names of roles and databases: %s",
						error->message),
				 errdetail("Their OIDs are used instead, and every role counts as a superuser's.")));
		names_retry_at = monotonic + NAME_RETRY;
		session_oid_names(session, names);
	}
	PG_END_TRY();
}

static void
end_look_ups(void)
{
	if (IsTransactionState())
	{
		CommitTransactionCommand();
		MemoryContextSwitchTo(scan_context);
	}
}

/* ---------- closing incidents ---------- */

/* Note the horizon that is held now, and what the one before came to. */
static void
set_horizon(Incident *incident, TransactionId horizon)
{
	if (TransactionIdIsNormal(incident->horizon))
		incident->xmin_age_peak = incident_xmin_age(incident, horizon_next_xid());
	incident->horizon = horizon;
}

/*
 * The session may have gone on in its transaction since the incident opened,
 * and COMMIT or ROLLBACK be the last of it.
 */
static void
update_trail(int index, const Incident *incident)
{
	const Trail *known = incident_trail(index);
	TimestampTz transaction = 0;

	if (!guc_capture_query || guc_trail_length == 0)
		return;
	if (incident->kind != KIND_SESSION)
	{
		transaction = incident->session.since[SINCE_TRANSACTION];
		if (transaction == 0 && known->total > 0)
			transaction = known->transaction;
		if (transaction == 0)
			return;
	}
	if (trail_read(&incident->session, transaction, trail_buffer))
		memcpy(incident_trail(index), trail_buffer, trail_size());
}

static void
close_incident(Seat *seat, LeakKind kind, IncidentOutcome outcome, TimestampTz ended_at,
			   const char *detail)
{
	int			index = seat->incident[kind];
	Incident   *incident = incident_edit(index);

	update_trail(index, incident);
	set_horizon(incident, InvalidTransactionId);
	incident->outcome = outcome;
	incident->ended_at = ended_at;
	incident->last_seen_at = previous_scan;
	if (detail != NULL)
		strlcpy(incident->outcome_detail, detail, INCIDENT_DETAIL_SIZE);
	incident_edited(index, true);

	seat->incident[kind] = -1;
	/* with a detail it was not the session that did it */
	if (outcome == OUTCOME_FINISHED && detail == NULL)
		control_count(COUNT_FINISHED, 1);
}

static bool
has_incidents(const Seat *seat)
{
	for (int kind = 0; kind < NUM_KINDS; kind++)
	{
		if (seat->incident[kind] >= 0)
			return true;
	}
	return false;
}

/*
 * Is the server being shut down?  The postmaster says so in its lock file
 * before it signals anybody, and nowhere else.  Asked once in a scan.
 */
static bool
server_is_stopping(void)
{
	static TimestampTz asked_at = 0;
	static bool stopping = false;
	FILE	   *file;
	char		line[MAXPGPATH];

	if (asked_at == now)
		return stopping;
	asked_at = now;
	stopping = false;
	file = AllocateFile(DIRECTORY_LOCK_FILE, "r");
	if (file == NULL)
		return false;
	for (int i = 1; fgets(line, sizeof(line), file) != NULL; i++)
	{
		if (i == LOCK_FILE_LINE_PM_STATUS)
			stopping = strncmp(line, PM_STATUS_STOPPING, strlen(PM_STATUS_STOPPING)) == 0;
	}
	FreeFile(file);
	return stopping;
}

/* How a session ended, from the SQLSTATE of its FATAL. */
static IncidentOutcome
outcome_of_end(int sqlerrcode, bool signalled, char *detail, Size size)
{
	detail[0] = '\0';
	switch (sqlerrcode)
	{
		case 0:
			/* without a FATAL in the log there is only what we did to it */
			return signalled ? OUTCOME_TERMINATED : OUTCOME_DISCONNECTED;
		case ERRCODE_ADMIN_SHUTDOWN:
			if (signalled)
				return OUTCOME_TERMINATED;
			return server_is_stopping() ? OUTCOME_SERVER_RESTART : OUTCOME_TERMINATED_BY_ADMIN;
		case ERRCODE_IDLE_IN_TRANSACTION_SESSION_TIMEOUT:
			strlcpy(detail, "idle_in_transaction_session_timeout", size);
			return OUTCOME_TIMED_OUT;
		case ERRCODE_IDLE_SESSION_TIMEOUT:
			strlcpy(detail, "idle_session_timeout", size);
			return OUTCOME_TIMED_OUT;
		case COMPAT_ERRCODE_TRANSACTION_TIMEOUT:
			if (sqlerrcode != ERRCODE_QUERY_CANCELED)
			{
				strlcpy(detail, "transaction_timeout", size);
				return OUTCOME_TIMED_OUT;
			}
			break;
		default:
			break;
	}
	snprintf(detail, size, "FATAL, SQLSTATE %s", unpack_sql_state(sqlerrcode));
	return OUTCOME_DISCONNECTED;
}

/*
 * When the session went on, as near as can be told: its newest change of
 * state.
 */
static TimestampTz
went_on_at(const Session *session)
{
	return Min(session->since[SINCE_STATE], now);
}

/* The session of this seat is gone. */
static void
vacate(Seat *seat)
{
	const Session *session = &seat->session;

	if (has_incidents(seat))
	{
		char		detail[INCIDENT_DETAIL_SIZE];
		SlotEnd		end;
		IncidentOutcome outcome;

		if (!slot_end(session, &end))
			memset(&end, 0, sizeof(end));
		outcome = outcome_of_end(end.sqlerrcode, seat->signalled, detail, sizeof(detail));

		for (int kind = 0; kind < NUM_KINDS; kind++)
		{
			SessionClock clock = verdict_clock(kind);

			if (seat->incident[kind] < 0)
				continue;

			/* what a scan would have seen, had one come before the end */
			if (!seat->signalled && clock != SINCE_BACKEND &&
				end.went_on_at > session->since[clock])
				close_incident(seat, kind, OUTCOME_FINISHED, end.went_on_at, NULL);
			else
				/* what we terminated says already which limit did it */
				close_incident(seat, kind, outcome, now, detail[0] != '\0' ? detail : NULL);
		}
		slot_unwatch(session->slot);
	}
	seat->session.pid = 0;
	seat->unrecorded = 0;
	seat->signalled = false;
}

/* Close what is no longer so, and keep the rest up to date. */
static void
follow_incidents(Seat *seat, const Session *session, const Policy *policy,
				 const Verdict *verdict)
{
	TransactionId horizon = horizon_of(session);

	for (int kind = 0; kind < NUM_KINDS; kind++)
	{
		int			index = seat->incident[kind];
		SessionClock clock = verdict_clock(kind);
		const Incident *incident;

		if (index < 0)
			continue;
		incident = incident_peek(index);

		/* a signal on its way ends it, whatever the session does until then */
		if (!seat->signalled)
		{
			if (incident->session.since[clock] != session->since[clock] ||
				!(verdict_applies(session) & KIND_BIT(kind)))
			{
				close_incident(seat, kind, OUTCOME_FINISHED, went_on_at(session), NULL);
				continue;
			}
			if (!(verdict->leaking & KIND_BIT(kind)))
			{
				close_incident(seat, kind, OUTCOME_FINISHED, now,
							   "no longer over a limit: the settings have changed");
				continue;
			}
		}

		if (incident->session.state != session->state ||
			incident->horizon != horizon ||
			incident->gained != session->gained[clock])
		{
			Incident   *edit = incident_edit(index);

			edit->session.state = session->state;
			if (edit->horizon != horizon)
				set_horizon(edit, horizon);
			edit->gained = session->gained[clock];
			incident_edited(index, false);
		}

		if (!guc_capture_query &&
			(incident->text.query[0] != '\0' || incident_trail(index)->total > 0))
		{
			incident_edit(index)->text.query[0] = '\0';
			incident_trail(index)->total = 0;
			incident_edited(index, true);
		}

		/* what has been decided keeps the limit that it was decided by */
		if (incident->action < ACTION_WOULD_TERMINATE &&
			(incident->warn_limit != policy->value[POLICY_WARN(kind)] ||
			 incident->terminate_limit != policy->value[POLICY_TERMINATE(kind)]))
		{
			Incident   *edit = incident_edit(index);

			edit->warn_limit = policy->value[POLICY_WARN(kind)];
			edit->terminate_limit = policy->value[POLICY_TERMINATE(kind)];
			incident_edited(index, true);
		}
	}

	if (!has_incidents(seat))
		slot_unwatch(session->slot);
}

/* ---------- the walk ---------- */

static TimestampTz
remind_at(const Incident *incident)
{
	if (guc_log_repeat == 0 || incident->action == ACTION_TERMINATED ||
		incident->reminders >= 20)
		return DT_NOEND;
	return incident->warned_at +
		((int64) guc_log_repeat << incident->reminders) * USECS_PER_SEC;
}

/*
 * The incident that a decision by this kind's terminate limit is noted on:
 * that of the kind, or the more specific one that stands for it.  -1: none.
 */
static int
decision_incident(const Seat *seat, LeakKind kind)
{
	if (seat->incident[kind] >= 0)
		return seat->incident[kind];
	for (int other = 0; other < NUM_KINDS; other++)
	{
		if ((verdict_shadows(kind) & KIND_BIT(other)) && seat->incident[other] >= 0)
			return seat->incident[other];
	}
	return -1;
}

/* Is there still something to decide about terminating this session? */
static bool
needs_decision(const Seat *seat, const Policy *policy, const Verdict *verdict)
{
	int			index;

	if (verdict->terminate == 0 || seat->signalled)
		return false;
	index = decision_incident(seat, verdict_first_kind(verdict->terminate));
	return index < 0 || policy->value[POLICY_MODE] == MODE_ENFORCE ||
		incident_peek(index)->action < ACTION_WOULD_TERMINATE;
}

/*
 * Judge a session that has changed, or that has something due, and put it on
 * the worklist if there is something to do about it.
 */
static void
judge(Seat *seat, Glance *glance, Session *session)
{
	SlotOverrides overrides;
	Policy		policy;
	Verdict		verdict;
	uint32		present;
	uint32		opens = 0;
	uint32		reminds = 0;
	bool		decide;

	/* until all is done, what was known of it does not hold */
	glance->version = NO_VERSION;

	/* it is writing its slot at this very moment: next time */
	if (!slot_overrides(session, &overrides))
		return;
	slot_effective_policy(&server_policy, &overrides, &policy);
	clock_apply(session);
	verdict_judge(session, &policy, now, &verdict);

	if (has_incidents(seat))
		follow_incidents(seat, session, &policy, &verdict);
	seat->unrecorded &= verdict.leaking;
	present = seat->unrecorded;

	seat->session = *session;
	glance->version = session->version;
	glance->shortest_limit = verdict_shortest_limit(&policy);
	glance->due = verdict.next;

	for (int kind = 0; kind < NUM_KINDS; kind++)
	{
		if (seat->incident[kind] >= 0)
		{
			TimestampTz remind = remind_at(incident_peek(seat->incident[kind]));

			present |= KIND_BIT(kind);
			if (remind <= now)
				reminds |= KIND_BIT(kind);
			else
				glance->due = Min(glance->due, remind);
		}
	}

	for (int kind = 0; kind < NUM_KINDS; kind++)
	{
		bool		reopens = (seat->unrecorded & KIND_BIT(kind)) && incident_has_room();

		if ((verdict.leaking & KIND_BIT(kind)) &&
			(reopens || !(present & KIND_BIT(kind))) &&
			!(present & verdict_shadows(kind)))
		{
			opens |= KIND_BIT(kind);
			present |= KIND_BIT(kind);
		}
	}

	/*
	 * What is still to be decided or recorded is visited in every scan, and
	 * what changes without a trace in the status entry: the horizon of a
	 * session that is running a statement.
	 */
	decide = needs_decision(seat, &policy, &verdict);
	if (decide || seat->unrecorded != 0 ||
		(session->state == SESSION_ACTIVE && has_incidents(seat)))
		glance->version = NO_VERSION;

	if (opens != 0 || reminds != 0 || decide)
	{
		Work	   *work = palloc0(sizeof(Work));

		work->seat = seat;
		work->policy = policy;
		work->verdict = verdict;
		work->opens = opens;
		work->reminds = reminds;
		work->decided = MESSAGE_OPENED;
		work->decided_on = -1;
		worklist = lappend(worklist, work);
	}
}

/*
 * There is no session in this slot, but there may be about to be: a backend
 * gets its role's and database's settings before it shows itself.  If it has
 * published a limit, the next look must not come later than that.
 */
static void
await_session(int slot, Glance *glance)
{
	Session		coming;
	SlotOverrides overrides;

	glance->due = DT_NOEND;
	glance->shortest_limit = 0;
	if (slot_owner(slot, &coming) &&
		coming.since[SINCE_BACKEND] + START_TIME > now &&
		slot_overrides(&coming, &overrides))
	{
		Policy		policy;

		slot_effective_policy(&server_policy, &overrides, &policy);
		glance->shortest_limit = verdict_shortest_limit(&policy);
		glance->due = coming.since[SINCE_BACKEND] + START_TIME;
	}
}

/* ---------- the agenda ---------- */

/*
 * By when each slot has to be looked at.  Whatever a session does, and
 * whoever takes its place, none can meet a limit sooner after a look than the
 * shortest limit in force there: so a look is good for that long, or until
 * the limit that the session is about to meet, if that comes first.  What a
 * session publishes brings the look forward, and changed settings all of them.
 *
 * Looks that are due in the time until the next scan are taken now instead,
 * so as not to wake for each; only a session that will meet a limit is waited
 * for.
 *
 * A session with an open incident announces that it goes on or ends.  What
 * passes by our hooks does not, an empty statement for example, so a look
 * there is good for no longer than FOLLOW_MS.  A slot with anything left to
 * decide is looked at in every scan.
 */
#define EVERY_SCAN	DT_NOBEGIN
#define FOLLOW_MS	5000

static void
enter_into_agenda(int slot)
{
	const Glance *glance = &glances[slot];
	int			rest = server_shortest_limit;

	if ((glance->version & 1) != 0)
	{
		agenda[slot] = EVERY_SCAN;
		return;
	}
	if (rest == 0 || (glance->shortest_limit > 0 && glance->shortest_limit < rest))
		rest = glance->shortest_limit;
	if (glance->followed && (rest == 0 || rest > FOLLOW_MS))
		rest = FOLLOW_MS;
	agenda[slot] = glance->due;
	if (rest > 0)
		agenda[slot] = Min(agenda[slot], now + rest * INT64CONST(1000));
}

/* Have this slot visited in the coming walk. */
static void
expect(int slot)
{
	glances[slot].version = NO_VERSION;
	agenda[slot] = EVERY_SCAN;
}

/* Who asked for a scan wants to see every incident as it is now. */
static void
follow_all(void)
{
	for (int slot = 0; slot < MaxBackends; slot++)
	{
		if (glances[slot].followed)
			agenda[slot] = EVERY_SCAN;
	}
}

/* Look at a slot in which something has happened or is due. */
static void
visit(int slot)
{
	Seat	   *seat = &seats[slot];
	Glance	   *glance = &glances[slot];
	int			version = session_version(slot);
	Session		session;

	/* the version is read before what it stands for: no change is lost */
	if (!session_read(slot, &session))
	{
		if (seat->session.pid != 0)
			vacate(seat);
		glance->version = version;
		await_session(slot, glance);
	}
	else
	{
		if (seat->session.pid != session.pid ||
			seat->session.since[SINCE_BACKEND] != session.since[SINCE_BACKEND])
		{
			if (seat->session.pid != 0)
				vacate(seat);
			seat->session = session;
		}
		judge(seat, glance, &session);
	}
	glance->followed = has_incidents(seat);
	enter_into_agenda(slot);
}

/*
 * Look at every slot that has to be looked at before the scan after this one.
 * Returns when that has to be, DT_NOEND for any time, and in *shortest the
 * shortest limit seen (ms, 0: none).
 */
static TimestampTz
walk(int *shortest)
{
	TimestampTz next = DT_NOEND;
	TimestampTz horizon = now + guc_scan_interval * INT64CONST(1000);
	bool		all = settings_changed;

	settings_changed = false;
	*shortest = server_shortest_limit;
	slot_take_announced(expect);

	for (int slot = 0; slot < MaxBackends; slot++)
	{
		const Glance *glance = &glances[slot];

		if (likely(agenda[slot] > horizon && !all))
			continue;

		/* nothing to be seen before its limit is met? */
		if (all || agenda[slot] <= now || agenda[slot] != glance->due)
		{
			if (all || glance->due <= now || (glance->version & 1) != 0 ||
				glance->version != session_version(slot))
				visit(slot);
			else
				enter_into_agenda(slot);
		}

		if (agenda[slot] > now)
			next = Min(next, agenda[slot]);
		else if (glance->due > now)
			next = Min(next, glance->due);
		if (glance->shortest_limit > 0 &&
			(*shortest == 0 || glance->shortest_limit < *shortest))
			*shortest = glance->shortest_limit;
	}
	return next;
}

/* ---------- harm ---------- */

/*
 * Take a new survey if the last is older than interval, and not too recent
 * for what it cost.  Returns whether the picture is of this scan.
 */
static bool
survey(int64 interval)
{
	int64		began;

	if (surveyed_at == monotonic)
		return true;
	if (monotonic - surveyed_at < Max(interval, survey_cost * SURVEY_REST))
		return false;

	/* time alone would blame a survey of nothing for a busy machine */
	began = monotonic_now();
	waiting = impact_survey();
	if (waiting > 0 || worklist != NIL)
		horizon_survey();
	survey_cost = waiting > FEW_WAITERS ? monotonic_now() - began : 0;
	surveyed_at = monotonic;
	return true;
}

/*
 * How often to survey while nothing is to be decided or said.  Who asked for
 * a scan wants to see what is, not what was.
 */
static int64
survey_interval(bool asked)
{
	if (asked)
		return SURVEY_INTERVAL;
	return Max(SURVEY_INTERVAL, ProcGlobal->allProcCount * USECS_PER_SEC / SURVEY_PACE);
}

/* What harm a session does, by the last survey. */
typedef struct Harm
{
	int			blocked;
	HeldLock	lock;
	uint32		holdings;
	int64		alone;
} Harm;

/* Allocates, and so is done before the incident is edited. */
static void
measure_harm(const Session *session, Harm *harm)
{
	harm->blocked = impact_blocked(session);
	if (!impact_strongest_lock(session, &harm->lock))
		harm->lock.mode = NoLock;
	harm->holdings = impact_holdings(session);
	harm->alone = horizon_alone(session);
}

static void
note_harm(Incident *incident, const Harm *harm)
{
	incident->blocked_sessions = harm->blocked;
	incident->blocked_peak = Max(incident->blocked_peak, harm->blocked);
	if (harm->lock.mode != NoLock)
		incident->lock = harm->lock;
	incident->holdings |= harm->holdings;
	incident->alone_peak = Max(incident->alone_peak, harm->alone);
}

/* Keep up with the harm of all open incidents, while anybody waits. */
static void
follow_harm(void)
{
	static bool any = true;

	/* nobody, now as before */
	if (!any && waiting == 0)
		return;

	any = false;
	for (int slot = 0; slot < MaxBackends; slot++)
	{
		Seat	   *seat = &seats[slot];
		int			blocked;

		if (!glances[slot].followed)
			continue;
		blocked = impact_blocked(&seat->session);
		any |= blocked > 0;

		for (int kind = 0; kind < NUM_KINDS; kind++)
		{
			int			index = seat->incident[kind];
			const Incident *incident;
			Harm		harm;
			bool		record;

			if (index < 0)
				continue;
			incident = incident_peek(index);
			if (blocked == 0 && incident->blocked_sessions == 0)
				continue;
			measure_harm(&seat->session, &harm);
			record = blocked > incident->blocked_peak;
			note_harm(incident_edit(index), &harm);
			incident_edited(index, record);
		}
	}
}

/* ---------- acting on the worklist ---------- */

static void
judge_again(const Seat *seat)
{
	glances[seat->session.slot].version = NO_VERSION;
	enter_into_agenda(seat->session.slot);
}

static void
be_due(const Seat *seat, TimestampTz at)
{
	Glance	   *glance = &glances[seat->session.slot];

	glance->due = Min(glance->due, at);
	enter_into_agenda(seat->session.slot);
}

/* An incident of this kind, as it is when it is found. */
static Incident *
new_incident(const Work *work, LeakKind kind)
{
	const Session *session = &work->seat->session;
	Incident   *incident = palloc0(sizeof(Incident));
	Harm		harm;

	incident->kind = kind;
	incident->session = *session;
	incident->names = work->names;
	incident->text = work->text;
	if (!guc_capture_query)
		incident->text.query[0] = '\0';
	incident->gained = session->gained[verdict_clock(kind)];
	incident->detected_at = now;
	incident->last_seen_at = now;
	incident->warned_at = now;
	incident->warn_limit = work->policy.value[POLICY_WARN(kind)];
	incident->terminate_limit = work->policy.value[POLICY_TERMINATE(kind)];
	incident->action = ACTION_WARNED;
	measure_harm(session, &harm);
	note_harm(incident, &harm);
	incident->horizon = horizon_of(session);
	incident->xmin_age_peak = -1;
	incident->outcome = OUTCOME_OPEN;
	return incident;
}

/* The session may want to tell its client, of what is said most precisely. */
static void
tell_session(const Work *work, const Incident *incident)
{
	const Session *session = &incident->session;
	SessionClock clock = verdict_clock(incident->kind);
	SlotReport	report = {
		.backend_start = session->since[SINCE_BACKEND],
		.kind = incident->kind,
		.at = now,
		.since = session->since[clock] + session->gained[clock],
		.limit_index = report_exceeded(incident, now),
	};

	report.limit = work->policy.value[report.limit_index];
	slot_set_report(session->slot, &report);
}

static void
open_incidents(Work *work)
{
	Seat	   *seat = work->seat;

	for (int kind = 0; kind < NUM_KINDS; kind++)
	{
		bool		reported = (seat->unrecorded & KIND_BIT(kind)) != 0;
		Incident   *incident;

		if (!(work->opens & KIND_BIT(kind)))
			continue;

		incident = new_incident(work, kind);
		seat->incident[kind] = incident_open(incident, trail_buffer);
		if (seat->incident[kind] < 0)
		{
			seat->unrecorded |= KIND_BIT(kind);
			judge_again(seat);
			work->unrecorded = incident;
		}
		else
			seat->unrecorded &= ~KIND_BIT(kind);

		if (!reported)
		{
			if (work->opened == 0)
				tell_session(work, incident);
			work->opened |= KIND_BIT(kind);
			control_count(COUNT_REPORTED, 1);
			if (seat->incident[kind] < 0)
				control_count(COUNT_DROPPED, 1);
		}

		if (seat->incident[kind] >= 0)
		{
			glances[seat->session.slot].followed = true;
			be_due(seat, remind_at(incident));
			pfree(incident);
		}
	}
}

/* Count a rule that holds a termination back once for each incident. */
static void
note_held(int index, HoldRule rule)
{
	static const Counter counter[NUM_HOLD_RULES] = {
		[HOLD_SUPERUSER] = COUNT_HELD_SUPERUSER,
		[HOLD_ACTIVE] = COUNT_HELD_ACTIVE,
		[HOLD_APPLICATION] = COUNT_HELD_APPLICATION,
		[HOLD_ADDRESS] = COUNT_HELD_ADDRESS,
		[HOLD_NOT_BLOCKING] = COUNT_HELD_NOT_BLOCKING,
		[HOLD_BRAKE] = COUNT_HELD_BRAKE,
	};

	if (index < 0 || (incident_peek(index)->held & (1u << rule)))
		return;
	incident_edit(index)->held |= 1u << rule;
	incident_edited(index, false);
	control_count(counter[rule], 1);
}

/* Does any rule hold back the termination of this session now? */
static bool
is_held(const Work *work, int index)
{
	const Session *session = &work->seat->session;
	uint32		protections = enforce_protections(session, &work->text,
												  work->names.superuser);

	if (protections != 0)
	{
		for (int rule = 0; rule < NUM_HOLD_RULES; rule++)
		{
			if (protections & (1u << rule))
				note_held(index, rule);
		}
		return true;
	}

	if (guc_terminate_when == TERMINATE_BLOCKING)
	{
		/* an old picture decides nothing */
		if (!survey(0))
			return true;
		if (impact_blocked(session) == 0)
		{
			note_held(index, HOLD_NOT_BLOCKING);
			return true;
		}
	}
	return false;
}

/* Note in an incident that it led to this. */
static void
note_decision(int index, IncidentAction action, const SlotReason *reason)
{
	Incident   *incident;

	if (index < 0)
		return;
	incident = incident_edit(index);
	incident->action = action;
	incident->terminate_limit = reason->limit;
	if (action == ACTION_TERMINATED)
		report_limit(reason, incident->outcome_detail, INCIDENT_DETAIL_SIZE);
	incident_edited(index, true);
}

/* A session is over a terminate limit: decide and act. */
static void
decide_termination(Work *work)
{
	Seat	   *seat = work->seat;
	LeakKind	kind = verdict_first_kind(work->verdict.terminate);
	int			index = decision_incident(seat, kind);

	/* one that there is no room for is told of all the same */
	work->decided_on = index;
	if (index < 0 && work->unrecorded == NULL)
		work->unrecorded = new_incident(work, kind);

	work->reason.backend_start = seat->session.since[SINCE_BACKEND];
	work->reason.kind = kind;
	work->reason.age = verdict_age(&seat->session, verdict_clock(kind), now);
	work->reason.limit = work->policy.value[POLICY_TERMINATE(kind)];

	if (is_held(work, index))
		return;

	if (work->policy.value[POLICY_MODE] != MODE_ENFORCE)
	{
		/* said once; without a record there is no telling whether it was */
		if (index >= 0 && incident_peek(index)->action < ACTION_WOULD_TERMINATE)
		{
			note_decision(index, ACTION_WOULD_TERMINATE, &work->reason);
			work->decided = MESSAGE_WOULD_TERMINATE;
			control_count(COUNT_ANNOUNCED, 1);
		}
		return;
	}

	if (!enforce_brake(monotonic))
	{
		note_held(index, HOLD_BRAKE);
		return;
	}

	switch (enforce_terminate(&seat->session, &work->reason))
	{
		case ENFORCE_SIGNALLED:
			seat->signalled = true;
			note_decision(index, ACTION_TERMINATED, &work->reason);
			work->decided = MESSAGE_TERMINATED;
			control_count(COUNT_TERMINATED, 1);
			break;
		case ENFORCE_SPARED:
			control_count(COUNT_TERMINATE_SPARED, 1);
			break;
		case ENFORCE_FAILED:
			ereport(LOG,
					(errcode(ERRCODE_SYSTEM_ERROR),
					 errmsg("could not send signal to process %d: %m", seat->session.pid)));
			control_count(COUNT_TERMINATE_FAILED, 1);
			break;
	}
}

static void
act(Work *work)
{
	Seat	   *seat = work->seat;

	/*
	 * Mark the slot first and then make sure that the session is still there
	 * as it was judged: slot.c says why in this order.
	 */
	if (work->opens != 0)
		slot_watch(seat->session.slot, seat->session.since[SINCE_BACKEND]);
	if (!session_read_text(&seat->session, &work->text))
	{
		if (!has_incidents(seat))
			slot_unwatch(seat->session.slot);
		work->reminds = 0;
		judge_again(seat);
		return;
	}

	if (!guc_capture_query ||
		!trail_read(&seat->session, seat->session.since[SINCE_TRANSACTION], trail_buffer))
		memset(trail_buffer, 0, trail_size());

	look_up_names(&seat->session, &work->names);
	if (work->opens != 0)
		open_incidents(work);
	if (work->verdict.terminate != 0 && !seat->signalled)
		decide_termination(work);

	/* in a storm this would be half of what there is to remember */
	if (work->opened == 0 || work->unrecorded != NULL)
	{
		work->trail = palloc(trail_size());
		memcpy(work->trail, trail_buffer, trail_size());
	}
}

/* ---------- messages ---------- */

static void
remind(Seat *seat, LeakKind kind)
{
	int			index = seat->incident[kind];
	Incident   *edit;
	Harm		harm;

	if (index < 0)
		return;
	measure_harm(&seat->session, &harm);
	edit = incident_edit(index);
	note_harm(edit, &harm);
	edit->reminders++;
	edit->warned_at = now;
	edit->last_seen_at = now;
	incident_edited(index, true);
	be_due(seat, remind_at(edit));
	report_incident(MESSAGE_REMINDER, edit, incident_trail(index), NULL, now);
}

static const Trail *
trail_of(const Work *work, int index)
{
	return work->trail != NULL ? work->trail : incident_trail(index);
}

static void
say(const Work *work)
{
	Seat	   *seat = work->seat;
	const Incident *decided_on = work->decided_on >= 0 ?
		incident_peek(work->decided_on) : work->unrecorded;

	for (int kind = 0; kind < NUM_KINDS; kind++)
	{
		const Incident *incident = NULL;

		if (seat->incident[kind] >= 0)
			incident = incident_peek(seat->incident[kind]);
		else if (work->unrecorded != NULL && work->unrecorded->kind == kind)
			incident = work->unrecorded;

		/* one message tells of both */
		if (incident == NULL ||
			(work->decided != MESSAGE_OPENED && incident == decided_on))
			continue;
		if (work->opened & KIND_BIT(kind))
			report_incident(MESSAGE_OPENED, incident, trail_of(work, seat->incident[kind]), NULL, now);
		else if (work->reminds & KIND_BIT(kind))
			remind(seat, kind);
	}
	if (work->decided != MESSAGE_OPENED && decided_on != NULL)
		report_incident(work->decided, decided_on, trail_of(work, work->decided_on),
						&work->reason, now);
}

/* ---------- the scan ---------- */

/*
 * One scan.  Returns for how many milliseconds the watcher may sleep.
 */
static long
scan(void)
{
	static uint64 served = 0;
	uint64		ticket = scan_requested();
	TimestampTz next;
	int			shortest;
	int			cadence;
	int64		elapsed;
	ListCell   *lc;

	/* a transaction in between has left us in another */
	MemoryContextSwitchTo(scan_context);

	/* after a jump, ages are other than they were when they were judged */
	if (clock_read(&now, &monotonic))
		settings_changed = true;

	report_at(monotonic);
	worklist = NIL;
	if (ticket != served && incident_open_count() > 0)
		follow_all();
	next = walk(&shortest);
	incident_reclaim();

	if (worklist != NIL)
	{
		survey(0);
		foreach(lc, worklist)
		{
			CHECK_FOR_INTERRUPTS();
			act(lfirst(lc));
		}
		end_look_ups();
		foreach(lc, worklist)
		{
			Work	   *work = lfirst(lc);
			TimestampTz due;

			CHECK_FOR_INTERRUPTS();
			say(work);
			due = glances[work->seat->session.slot].due;
			if (due > now)
				next = Min(next, due);
		}
	}

	if (incident_open_count() > 0 && survey(survey_interval(ticket != served)))
		follow_harm();
	if (worklist != NIL || surveyed_at == monotonic)
		MemoryContextReset(scan_context);

	/* a session that starts just after this scan is seen before its limit */
	cadence = guc_scan_interval;
	if (shortest > 0)
		cadence = Min(cadence, Max(shortest, MIN_LIMIT_MS));
	control_set_policy(&server_policy, cadence);

	/* a summary that waits for its time */
	if (report_due() < PG_INT64_MAX)
		next = Min(next, now + report_due() - monotonic);

	previous_scan = now;
	elapsed = monotonic_now() - monotonic;
	scan_served(ticket, now, elapsed);
	served = ticket;

	/* rounded up, so as not to wake a moment before the limit */
	if (next != DT_NOEND && next - now < cadence * INT64CONST(1000))
		return Max((next - now - elapsed + 999) / 1000, 1);
	return cadence;
}

/* ---------- the recorder ---------- */

static void
recorder_back_off(void)
{
	recorder_retry_at = monotonic + recorder_retry_wait;
	recorder_retry_wait = Min(recorder_retry_wait * 2, RECORDER_RETRY_MAX);
}

static void
start_recorder(void)
{
	BackgroundWorker worker = {
		.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION,
		.bgw_start_time = BgWorkerStart_RecoveryFinished,
		.bgw_restart_time = BGW_NEVER_RESTART,
		.bgw_notify_pid = MyProcPid,
	};
	MemoryContext oldcontext;

	snprintf(worker.bgw_name, BGW_MAXLEN, "leakwatch recorder");
	snprintf(worker.bgw_type, BGW_MAXLEN, "leakwatch recorder");
	snprintf(worker.bgw_library_name, sizeof(worker.bgw_library_name), "leakwatch");
	snprintf(worker.bgw_function_name, BGW_MAXLEN, "leakwatch_recorder_main");

	/* the handle outlives the scan, and is freed when the recorder is gone */
	oldcontext = MemoryContextSwitchTo(TopMemoryContext);
	if (!RegisterDynamicBackgroundWorker(&worker, &recorder_handle))
	{
		static const char message[] = "no background worker slot is free";
		ActorStatus status;

		recorder_handle = NULL;
		if (actor_status(RECORDER, &status) && strcmp(status.condition, message) != 0)
			ereport(WARNING,
					(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
					 errmsg("leakwatch could not start its recorder: %s", message),
					 errdetail("Incidents wait in shared memory and are written as soon as that is possible."),
					 errhint("You might need to increase max_worker_processes.")));
		actor_error(RECORDER, message);
		actor_condition(RECORDER, message);
		recorder_back_off();
	}
	MemoryContextSwitchTo(oldcontext);
}

/*
 * See to it that a recorder runs while there is something to write.  The
 * incidents wait where they are when none can.
 */
static void
tend_recorder(void)
{
	bool		work;

	if (recorder_wanted())
	{
		recorder_retry_at = 0;
		recorder_retry_wait = RECORDER_RETRY_MIN;
		housekeeping_at = 0;
	}
	if (RecoveryInProgress())
		return;

	if (monotonic >= housekeeping_at)
	{
		housekeeping_at = monotonic + HOUSEKEEPING_INTERVAL;
		housekeeping_request();
	}
	work = incident_unrecorded() || housekeeping_requested();

	if (recorder_handle != NULL)
	{
		pid_t		pid;
		ActorStatus status;

		if (GetBackgroundWorkerPid(recorder_handle, &pid) != BGWH_STOPPED)
		{
			if (work)
				actor_wake(RECORDER);
			return;
		}
		pfree(recorder_handle);
		recorder_handle = NULL;

		/* it says so if something kept it from its work */
		if (actor_status(RECORDER, &status) && status.condition[0] != '\0')
			recorder_back_off();
		else
			recorder_retry_wait = RECORDER_RETRY_MIN;
	}

	if (!work || monotonic < recorder_retry_at)
		return;

	/* one that a former watcher started has no handle here */
	if (actor_is_running(RECORDER))
		actor_wake(RECORDER);
	else
		start_recorder();
}

/* ---------- the process ---------- */

static void
read_settings(void)
{
	memcpy(server_policy.value, guc_policy, sizeof(guc_policy));
	server_shortest_limit = verdict_shortest_limit(&server_policy);
	settings_changed = true;
}

/* incident_attach() hands us what our predecessor left open. */
static void
adopt(int index, const Incident *incident)
{
	Seat	   *seat = &seats[incident->session.slot];

	/* all open incidents of a slot are of one session */
	seat->session = incident->session;
	seat->incident[incident->kind] = index;
	seat->signalled |= incident->action == ACTION_TERMINATED;
}

static void
prepare(void)
{
	int64		duration;

	seats = MemoryContextAllocZero(TopMemoryContext, mul_size(sizeof(Seat), MaxBackends));
	glances = MemoryContextAllocZero(TopMemoryContext, mul_size(sizeof(Glance), MaxBackends));
	agenda = MemoryContextAllocZero(TopMemoryContext, mul_size(sizeof(TimestampTz), MaxBackends));
	for (int slot = 0; slot < MaxBackends; slot++)
	{
		glances[slot].version = NO_VERSION;
		for (int kind = 0; kind < NUM_KINDS; kind++)
			seats[slot].incident[kind] = -1;
	}
	impact_survey();
	scan_last(&previous_scan, &duration);
	trail_buffer = MemoryContextAllocZero(TopMemoryContext, trail_size());
	incident_attach(adopt);
	read_settings();
}

/*
 * Settings that a server or database may have made for its users, and that
 * must not reach into the watcher's few catalog look-ups.
 */
static void
neutralise_settings(void)
{
	SetConfigOption("search_path", "", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("statement_timeout", "0", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("lock_timeout", NAME_LOCK_TIMEOUT, PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("idle_in_transaction_session_timeout", "0", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("default_transaction_isolation", "read committed", PGC_SUSET, PGC_S_OVERRIDE);
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
	MemoryContextReset(scan_context);
	RESUME_INTERRUPTS();
}

static void
nap(long ms, uint32 wait_event)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, ms, wait_event);
	ResetLatch(MyLatch);
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
		ProcessConfigFile(PGC_SIGHUP);
		read_settings();
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
	neutralise_settings();

	scan_context = AllocSetContextCreate(TopMemoryContext, "leakwatch scan",
										 ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(scan_context);
	wait_event = compat_wait_event("LeakwatchWatcherMain");
	prepare();
	actor_start(WATCHER);
	pgstat_report_activity(STATE_IDLE, NULL);

	if (sigsetjmp(local_sigjmp_buf, 1) != 0)
	{
		recover();
		nap(ERROR_NAP_MS, wait_event);
	}
	PG_exception_stack = &local_sigjmp_buf;

	for (;;)
	{
		long		ms = scan();

		tend_recorder();
		nap(ms, wait_event);
	}
}
