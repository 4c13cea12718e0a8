/*-------------------------------------------------------------------------
 *
 * views.c
 *	  The SQL functions behind the views, and scan().
 *
 * Everything comes from shared memory, so it works on a standby and while
 * nothing can be written.  What a role could not see of a session in
 * pg_stat_activity it does not see here either, should anybody grant it more
 * than the extension does.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "control.h"
#include "facts.h"
#include "funcapi.h"
#include "guc.h"
#include "incident.h"
#include "judge.h"
#include "kind.h"
#include "known.h"
#include "patience.h"
#include "shmem.h"
#include "row.h"
#include "saturation.h"
#include "snapshots.h"
#include "terminate.h"
#include "utils/timestamp.h"

PGDLLEXPORT Datum leakwatch_leaks(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum leakwatch_sessions(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum leakwatch_status(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum leakwatch_scan(PG_FUNCTION_ARGS);

PG_FUNCTION_INFO_V1(leakwatch_leaks);
PG_FUNCTION_INFO_V1(leakwatch_sessions);
PG_FUNCTION_INFO_V1(leakwatch_status);
PG_FUNCTION_INFO_V1(leakwatch_scan);

/* Begin a set of rows, and the first of them. */
static void
begin_rows(FunctionCallInfo fcinfo, Row *row)
{
	shmem_require();
	InitMaterializedSRF(fcinfo, 0);
	row_init(row, ((ReturnSetInfo *) fcinfo->resultinfo)->setDesc);
}

/*
 * leakwatch.leaks(): the open incidents.
 */
Datum
leakwatch_leaks(PG_FUNCTION_ARGS)
{
	Incident   *incident = palloc(sizeof(Incident));
	Trail	   *trail = palloc(trail_size());
	TimestampTz now = GetCurrentTimestamp();
	TransactionId next_xid = horizon_next_xid();
	Patience	patience = {0};
	Row			row;

	begin_rows(fcinfo, &row);
	horizon_survey();

	for (int i = 0; i < incident_max(); i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (!patience_copy_incident(&patience, i, incident) ||
			incident->outcome != OUTCOME_OPEN)
			continue;

		facts_public(&row, incident, now, next_xid);
		row_int(&row, "blocked_sessions", incident->blocked_sessions);
		if (incident_xmin_age(incident, next_xid) >= 0)
			row_bigint(&row, "xmin_age_alone",
					   Max(incident->alone_peak, horizon_alone(&incident->session)));
		if (incident->blocked_sessions > 0)
			facts_waiters(&row, incident, false);
		if (incident->kind == KIND_PREPARED_TRANSACTION ||
			session_is_visible_to_user(incident->session.role))
		{
			(void) facts_private(&row, incident, i, trail);
			/* made from its statements, as a query identifier is */
			if (known_cause(i, incident) != 0)
				row_bigint(&row, "cause", known_cause(i, incident));
		}
		else
			row_text(&row, "query", "<insufficient privilege>");
		row_put(&row, fcinfo);
	}
	return (Datum) 0;
}

/* What will happen to a session next: what, by which kind, when. */
static void
add_next_action(Row *row, const Verdict *verdict, EnforceVerb verb, TimestampTz now)
{
	const char *action = NULL;
	LeakKind	kind = verdict->next_kind;
	TimestampTz at = verdict->next;

	if (verdict->terminate != 0 && verb == ENFORCE_TERMINATE)
	{
		action = "terminate";
		kind = verdict_first_kind(verdict->terminate);
		at = now;
	}
	else if (verdict->next != DT_NOEND)
	{
		/* a terminate limit reports what it may not terminate */
		if (verdict->next_terminates && verb != ENFORCE_HOLD)
			action = verb == ENFORCE_TERMINATE ? "terminate" : "would_terminate";
		else if (!verdict->next_terminates || !(verdict->leaking & KIND_BIT(kind)))
			action = "warn";
	}

	if (action == NULL)
		return;
	row_text(row, "next_action", action);
	row_text(row, "next_action_kind", kind_info(kind)->name);
	row_time(row, "next_action_at", at);
}

/* A value of the policy, and where it comes from. */
static void
add_source(Row *row, const char *name, const SlotOverrides *overrides, int index)
{
	row_text(row, psprintf("%s_source", name), guc_source_name(overrides->source[index]));
}

static void
add_policy_limit(Row *row, const char *kind, const char *what, const Policy *policy,
				 const SlotOverrides *overrides, int index)
{
	char	   *name = psprintf("%s_%s", kind, what);

	row_limit(row, name, policy->value[index]);
	add_source(row, name, overrides, index);
}

static void
add_policy(Row *row, const Policy *policy, const SlotOverrides *overrides)
{
	row_text(row, "mode", guc_mode_name(policy->value[POLICY_MODE]));
	add_source(row, "mode", overrides, POLICY_MODE);
	for (int kind = 0; kind < NUM_KINDS; kind++)
	{
		const char *name = kind_info(kind)->name;

		add_policy_limit(row, name, "warn", policy, overrides, POLICY_WARN(kind));
		add_policy_limit(row, name, "terminate", policy, overrides, POLICY_TERMINATE(kind));
	}
}

static void
add_age(Row *row, const char *name, const Session *session, SessionClock clock,
		TimestampTz now)
{
	if (session->since[clock] != 0)
		row_interval(row, name, Max(verdict_age(session, clock, now), 0));
}

static const char *
rule_name(int bit)
{
	return enforce_rule_name(bit);
}

/*
 * Read and judge the session in a slot.  Between the readings it may have gone,
 * or gone on: then all of them are taken again.
 */
static Reading
read_session(Patience *patience, int slot, const Policy *server_policy, TimestampTz now,
			 Session *session, SessionText *text, Judgement *judgement)
{
	for (;;)
	{
		Reading		reading = patience_read_session(patience, slot, session);

		CHECK_FOR_INTERRUPTS();
		if (reading != READ_DONE)
			return reading;
		if (!session_read_text(session, text))
			continue;
		if (judge_session(session, server_policy, now, judgement))
			return READ_DONE;
		if (!patience_wait(patience))
			return READ_BUSY;
	}
}

/* Put the session in a slot; of one that can't be read there is only its pid. */
static void
put_session(Row *row, Patience *patience, int slot, const Policy *server_policy,
			TimestampTz now, FunctionCallInfo fcinfo)
{
	Session		current;
	Session    *session = &current;
	SessionText text;
	SessionNames names;
	Judgement	judgement;
	EnforceFacts facts;
	Decision	decision;

	switch (read_session(patience, slot, server_policy, now, session, &text, &judgement))
	{
		case READ_NONE:
			return;
		case READ_BUSY:
			row_int(row, "pid", session->pid);
			row_put(row, fcinfo);
			return;
		case READ_DONE:
			break;
	}
	session_names(session, &names);

	row_int(row, "pid", session->pid);
	row_time(row, "backend_start", session->since[SINCE_BACKEND]);
	row_text(row, "datname", names.database);
	row_text(row, "usename", names.role);
	if (!session_is_visible_to_user(session->role))
	{
		row_put(row, fcinfo);
		return;
	}
	row_text(row, "application_name", text.application_name);
	row_client(row, &text.client);
	row_text(row, "state", session_state_name(session->state));
	row_bool(row, "listening", session->listening);
	add_age(row, "state_age", session, SINCE_STATE, now);
	add_age(row, "transaction_age", session, SINCE_TRANSACTION, now);
	add_age(row, "session_age", session, SINCE_BACKEND, now);
	add_policy(row, &judgement.policy, &judgement.overrides);

	terminate_facts(session, &text, &names, &judgement.policy, &judgement.verdict, now,
					enforce_asks_blocking(guc_terminate_when) ? locks_blocked(session) : -1,
					saturation_is_high(session->database, session->role), &facts);
	decision = enforce_decide(&facts);
	row_names(row, "protected_by", decision.held, NUM_RULES, rule_name);
	row_text(row, "waiting_for", session_waiting_name(session_waiting(session)));
	row_bool(row, "client_gone", session->client_gone);
	add_next_action(row, &judgement.verdict, decision.verb, now);
	row_put(row, fcinfo);
}

/*
 * leakwatch.sessions(): every client session, the policy in force for it,
 * and what will happen to it.
 */
Datum
leakwatch_sessions(PG_FUNCTION_ARGS)
{
	TimestampTz now = GetCurrentTimestamp();
	Patience	patience = {0};
	Policy		server_policy;
	Row			row;

	begin_rows(fcinfo, &row);
	control_policy(&server_policy);
	if (enforce_asks_blocking(guc_terminate_when))
		locks_survey();
	snapshots_survey();

	for (int slot = 0; slot < MaxBackends; slot++)
	{
		CHECK_FOR_INTERRUPTS();
		put_session(&row, &patience, slot, &server_policy, now, fcinfo);
	}
	return (Datum) 0;
}

/* Counters, by the columns that show them. */
static const struct
{
	const char *name;
	Counter		counter;
}			counters[] = {
	{"scans", COUNT_SCANS},
	{"written", COUNT_WRITTEN},
	{"dropped", COUNT_DROPPED},
	{"reported", COUNT_REPORTED},
	{"finished", COUNT_FINISHED},
	{"announced", COUNT_ANNOUNCED},
	{"terminated", COUNT_TERMINATED},
	{"held_superuser", COUNT_HELD_SUPERUSER},
	{"held_active", COUNT_HELD_ACTIVE},
	{"held_application", COUNT_HELD_APPLICATION},
	{"held_address", COUNT_HELD_ADDRESS},
	{"held_waiting", COUNT_HELD_WAITING},
	{"held_committing", COUNT_HELD_COMMITTING},
	{"held_maintenance", COUNT_HELD_MAINTENANCE},
	{"held_exported_snapshot", COUNT_HELD_EXPORTED_SNAPSHOT},
	{"held_not_blocking", COUNT_HELD_NOT_BLOCKING},
	{"held_not_saturated", COUNT_HELD_NOT_SATURATED},
	{"held_brake", COUNT_HELD_BRAKE},
	{"spared", COUNT_TERMINATE_SPARED},
	{"failed", COUNT_TERMINATE_FAILED},
	{"clock_jumps", COUNT_CLOCK_JUMPS},
	{"suspected", COUNT_SUSPECTED},
	{"confirmed", COUNT_CONFIRMED},
	{"refuted", COUNT_REFUTED},
};

static const char *
health(const ActorStatus *watcher, const ActorStatus *recorder)
{
	if (watcher->pid == 0)
		return "the watcher is not running";
	if (recorder->condition[0] != '\0')
		return psprintf("incidents are not recorded in database \"%s\": %s",
						guc_database, recorder->condition);
	return recorder->notice[0] != '\0' ? recorder->notice : "ok";
}

static void
add_last_error(Row *row, const ActorStatus *watcher, const ActorStatus *recorder)
{
	bool		of_recorder = recorder->last_error_at > watcher->last_error_at;
	const ActorStatus *last = of_recorder ? recorder : watcher;

	if (last->last_error_at == 0)
		return;
	row_text(row, "last_error_of", of_recorder ? "recorder" : "watcher");
	row_text(row, "last_error", last->last_error);
	row_time(row, "last_error_at", last->last_error_at);
}

static void
add_workers(Row *row)
{
	ActorStatus watcher;
	ActorStatus recorder;

	if (!control_status(WATCHER, &watcher) || !control_status(RECORDER, &recorder))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("could not read the state of leakwatch"),
				 errhint("Try again.")));
	row_text(row, "health", health(&watcher, &recorder));
	if (watcher.pid != 0)
		row_int(row, "watcher_pid", watcher.pid);
	row_time(row, "watcher_started_at", watcher.started_at);
	if (recorder.pid != 0)
		row_int(row, "recorder_pid", recorder.pid);
	add_last_error(row, &watcher, &recorder);
}

/*
 * leakwatch.status(): one row about leakwatch itself.
 */
Datum
leakwatch_status(PG_FUNCTION_ARGS)
{
	TimestampTz scan_at;
	int64		scan_time;
	Row			row;

	begin_rows(fcinfo, &row);
	add_workers(&row);

	control_last_scan(&scan_at, &scan_time);
	row_time(&row, "last_scan_at", scan_at);
	row_interval(&row, "last_scan_time", scan_time);
	row_interval(&row, "total_scan_time", (int64) control_counter(COUNT_SCAN_TIME));
	row_int(&row, "sessions", session_count());
	row_int(&row, "open", incident_open_count());
	row_int(&row, "pending", incident_pending_count());
	row_int(&row, "room", incident_max());
	row_int(&row, "lingering", incident_lingering_count());
	for (int i = 0; i < lengthof(counters); i++)
		row_bigint(&row, counters[i].name, (int64) control_counter(counters[i].counter));
	row_put(&row, fcinfo);
	return (Datum) 0;
}

/*
 * leakwatch.scan(): have the watcher scan now, and wait for it.  An error
 * when it does not answer.
 */
Datum
leakwatch_scan(PG_FUNCTION_ARGS)
{
	shmem_require();
	control_scan_now();
	PG_RETURN_VOID();
}
