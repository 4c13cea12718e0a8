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

#include "catalog/pg_type.h"
#include "control.h"
#include "datum.h"
#include "funcapi.h"
#include "guc.h"
#include "incident.h"
#include "judge.h"
#include "kind.h"
#include "terminate.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

/* Columns at the most of any function here. */
#define MAX_COLUMNS		48

PGDLLEXPORT Datum leakwatch_leaks(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum leakwatch_sessions(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum leakwatch_status(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum leakwatch_scan(PG_FUNCTION_ARGS);

PG_FUNCTION_INFO_V1(leakwatch_leaks);
PG_FUNCTION_INFO_V1(leakwatch_sessions);
PG_FUNCTION_INFO_V1(leakwatch_status);
PG_FUNCTION_INFO_V1(leakwatch_scan);

/* A row being filled from left to right. */
typedef struct RowBuilder
{
	int			count;
	Datum		values[MAX_COLUMNS];
	bool		nulls[MAX_COLUMNS];
} RowBuilder;

static void
add(RowBuilder *row, Datum value)
{
	row->values[row->count] = value;
	row->nulls[row->count++] = false;
}

static void
add_null(RowBuilder *row)
{
	row->values[row->count] = (Datum) 0;
	row->nulls[row->count++] = true;
}

static void
add_text(RowBuilder *row, const char *text, int encoding)
{
	datum_text(text, encoding, &row->values[row->count], &row->nulls[row->count]);
	row->count++;
}

static void
add_limit(RowBuilder *row, int ms)
{
	datum_limit(ms, &row->values[row->count], &row->nulls[row->count]);
	row->count++;
}

static void
add_time(RowBuilder *row, TimestampTz time)
{
	if (time == 0)
		add_null(row);
	else
		add(row, TimestampTzGetDatum(time));
}

static void
add_client(RowBuilder *row, const SockAddr *client)
{
	datum_client(client, &row->values[row->count], &row->nulls[row->count],
				 &row->values[row->count + 1], &row->nulls[row->count + 1]);
	row->count += 2;
}

/* The trail of an incident, and its tags. */
static void
add_trail(RowBuilder *row, const Trail *trail, int encoding)
{
	datum_trail(trail, encoding, &row->values[row->count], &row->nulls[row->count]);
	row->count++;
	datum_tags(trail, encoding, &row->values[row->count], &row->nulls[row->count]);
	row->count++;
}

static void
add_counter(RowBuilder *row, Counter counter)
{
	add(row, Int64GetDatum((int64) control_counter(counter)));
}

static void
put(RowBuilder *row, FunctionCallInfo fcinfo)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;

	Assert(row->count == result->setDesc->natts);
	tuplestore_putvalues(result->setResult, result->setDesc, row->values, row->nulls);
	row->count = 0;
}

/* The names of the bits that are set, as text[]; NULL for none. */
static void
add_names(RowBuilder *row, uint32 bits, int nbits, const char *(*name) (int bit))
{
	Datum		names[32];
	int			count = 0;

	for (int bit = 0; bit < nbits; bit++)
	{
		if (bits & (1u << bit))
			names[count++] = CStringGetTextDatum(name(bit));
	}
	if (count == 0)
		add_null(row);
	else
		add(row, PointerGetDatum(construct_array(names, count, TEXTOID, -1, false, TYPALIGN_INT)));
}

static const char *
holding_name(int bit)
{
	return locks_holding_name(bit);
}

static const char *
rule_name(int bit)
{
	return enforce_rule_name(bit);
}

static void
add_lock(RowBuilder *row, const HeldLock *lock)
{
	datum_lock(lock, &row->values[row->count], &row->nulls[row->count]);
	row->count++;
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
	RowBuilder	row = {0};

	InitMaterializedSRF(fcinfo, 0);
	horizon_survey();

	for (int i = 0; i < incident_max(); i++)
	{
		const Session *session = &incident->session;
		bool		visible;
		int64		xmin_age;

		CHECK_FOR_INTERRUPTS();
		if (incident_copy(i, incident) == 0 || incident->outcome != OUTCOME_OPEN)
			continue;
		visible = session_is_visible_to_user(session->role);

		add_text(&row, kind_info(incident->kind)->name, -1);
		add(&row, Int32GetDatum(session->pid));
		add_time(&row, session->since[SINCE_BACKEND]);
		add_text(&row, incident->names.database, -1);
		add_text(&row, incident->names.role, -1);
		if (visible)
		{
			add_text(&row, incident->text.application_name, -1);
			add_client(&row, &incident->text.client);
			add_text(&row, session_state_name(session->state), -1);
		}
		else
		{
			for (int n = 0; n < 4; n++)
				add_null(&row);
		}
		add_time(&row, incident->since);
		add(&row, datum_interval(incident_duration(incident, now)));
		add_limit(&row, incident->warn_limit);
		add_limit(&row, incident->terminate_limit);
		add_text(&row, incident_action_name(incident->action), -1);
		add(&row, Int32GetDatum(incident->blocked_sessions));
		xmin_age = incident_xmin_age(incident, next_xid);
		if (xmin_age >= 0)
			add(&row, Int64GetDatum(xmin_age));
		else
			add_null(&row);
		if (visible)
			add_text(&row, incident->text.query, incident->names.encoding);
		else
			add_text(&row, "<insufficient privilege>", -1);
		if (!visible || !incident_copy_trail(i, incident, trail))
			trail->total = 0;
		add_trail(&row, trail, incident->names.encoding);
		add_lock(&row, &incident->lock);
		add_names(&row, incident->holdings, NUM_HOLDINGS, holding_name);
		if (xmin_age >= 0)
			add(&row, Int64GetDatum(Max(incident->alone_peak, horizon_alone(session))));
		else
			add_null(&row);
		put(&row, fcinfo);
	}
	return (Datum) 0;
}

/* What will happen to a session next: what, by which kind, when. */
static void
add_next_action(RowBuilder *row, const Verdict *verdict, EnforceVerb verb, TimestampTz now)
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
	{
		for (int n = 0; n < 3; n++)
			add_null(row);
		return;
	}
	add_text(row, action, -1);
	add_text(row, kind_info(kind)->name, -1);
	add(row, TimestampTzGetDatum(at));
}

static void
add_policy(RowBuilder *row, const Policy *policy, const SlotOverrides *overrides)
{
	add_text(row, guc_mode_name(policy->value[POLICY_MODE]), -1);
	add_text(row, guc_source_name(overrides->source[POLICY_MODE]), -1);
	for (int kind = 0; kind < NUM_KINDS; kind++)
	{
		add_limit(row, policy->value[POLICY_WARN(kind)]);
		add_text(row, guc_source_name(overrides->source[POLICY_WARN(kind)]), -1);
		add_limit(row, policy->value[POLICY_TERMINATE(kind)]);
		add_text(row, guc_source_name(overrides->source[POLICY_TERMINATE(kind)]), -1);
	}
}

static void
add_age(RowBuilder *row, const Session *session, SessionClock clock, TimestampTz now)
{
	if (session->since[clock] == 0)
		add_null(row);
	else
		add(row, datum_interval(Max(verdict_age(session, clock, now), 0)));
}

static void
put_session(Session *session, const Policy *server_policy, TimestampTz now,
			FunctionCallInfo fcinfo)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	RowBuilder	row = {0};
	SessionText text;
	SessionNames names;
	Judgement	judgement;
	EnforceFacts facts;
	Decision	decision;

	/* between the two readings it may have gone, or gone on: try again */
	while (!session_read_text(session, &text))
	{
		CHECK_FOR_INTERRUPTS();
		if (!session_read(session->slot, session))
			return;
	}
	if (!judge_session(session, server_policy, now, &judgement))
		return;
	session_names(session, &names);

	add(&row, Int32GetDatum(session->pid));
	add_time(&row, session->since[SINCE_BACKEND]);
	add_text(&row, names.database, -1);
	add_text(&row, names.role, -1);
	if (!session_is_visible_to_user(session->role))
	{
		while (row.count < result->setDesc->natts)
			add_null(&row);
		put(&row, fcinfo);
		return;
	}
	add_text(&row, text.application_name, -1);
	add_client(&row, &text.client);
	add_text(&row, session_state_name(session->state), -1);
	add(&row, BoolGetDatum(session->listening));
	add_age(&row, session, SINCE_STATE, now);
	add_age(&row, session, SINCE_TRANSACTION, now);
	add_age(&row, session, SINCE_BACKEND, now);
	add_policy(&row, &judgement.policy, &judgement.overrides);

	terminate_facts(session, &text, &names, &judgement.policy,
					guc_terminate_when == TERMINATE_BLOCKING ? locks_blocked(session) : -1,
					&facts);
	decision = enforce_decide(&facts);
	add_names(&row, decision.held, NUM_RULES, rule_name);
	add_next_action(&row, &judgement.verdict, decision.verb, now);
	put(&row, fcinfo);
}

/*
 * leakwatch.sessions(): every client session, the policy in force for it,
 * and what will happen to it.
 */
Datum
leakwatch_sessions(PG_FUNCTION_ARGS)
{
	TimestampTz now = GetCurrentTimestamp();
	Policy		server_policy;

	InitMaterializedSRF(fcinfo, 0);
	control_policy(&server_policy);
	if (guc_terminate_when == TERMINATE_BLOCKING)
		locks_survey();

	for (int slot = 0; slot < MaxBackends; slot++)
	{
		Session		session;

		CHECK_FOR_INTERRUPTS();
		if (session_read(slot, &session))
			put_session(&session, &server_policy, now, fcinfo);
	}
	return (Datum) 0;
}

static void
add_last_error(RowBuilder *row, const ActorStatus *watcher, const ActorStatus *recorder)
{
	bool		of_recorder = recorder->last_error_at > watcher->last_error_at;
	const ActorStatus *last = of_recorder ? recorder : watcher;

	if (last->last_error_at == 0)
	{
		for (int n = 0; n < 3; n++)
			add_null(row);
		return;
	}
	add_text(row, of_recorder ? "recorder" : "watcher", -1);
	add_text(row, last->last_error, -1);
	add_time(row, last->last_error_at);
}

/*
 * leakwatch.status(): one row about leakwatch itself.
 */
Datum
leakwatch_status(PG_FUNCTION_ARGS)
{
	static const Counter decisions[] = {
		COUNT_REPORTED, COUNT_FINISHED, COUNT_ANNOUNCED, COUNT_TERMINATED,
		COUNT_HELD_SUPERUSER, COUNT_HELD_ACTIVE, COUNT_HELD_APPLICATION,
		COUNT_HELD_ADDRESS, COUNT_HELD_NOT_BLOCKING, COUNT_HELD_BRAKE,
		COUNT_TERMINATE_SPARED, COUNT_TERMINATE_FAILED, COUNT_CLOCK_JUMPS
	};
	ActorStatus watcher;
	ActorStatus recorder;
	TimestampTz scan_at;
	int64		scan_time;
	RowBuilder	row = {0};

	InitMaterializedSRF(fcinfo, 0);

	if (!control_status(WATCHER, &watcher) || !control_status(RECORDER, &recorder))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("could not read the state of leakwatch"),
				 errhint("Try again.")));
	control_last_scan(&scan_at, &scan_time);

	if (watcher.pid == 0)
		add_text(&row, "the watcher is not running", -1);
	else if (recorder.condition[0] != '\0')
		add_text(&row, psprintf("incidents are not recorded in database \"%s\": %s",
								 guc_database, recorder.condition), -1);
	else
		add_text(&row, "ok", -1);

	if (watcher.pid != 0)
		add(&row, Int32GetDatum(watcher.pid));
	else
		add_null(&row);
	add_time(&row, watcher.started_at);
	if (recorder.pid != 0)
		add(&row, Int32GetDatum(recorder.pid));
	else
		add_null(&row);

	add_counter(&row, COUNT_SCANS);
	add_time(&row, scan_at);
	add(&row, datum_interval(scan_time));
	add(&row, datum_interval((int64) control_counter(COUNT_SCAN_TIME)));
	add(&row, Int32GetDatum(session_count()));

	add(&row, Int32GetDatum(incident_open_count()));
	add(&row, Int32GetDatum(incident_pending_count()));
	add_counter(&row, COUNT_WRITTEN);
	add_counter(&row, COUNT_DROPPED);
	add(&row, Int32GetDatum(incident_max()));

	for (int i = 0; i < lengthof(decisions); i++)
		add_counter(&row, decisions[i]);
	add_last_error(&row, &watcher, &recorder);
	put(&row, fcinfo);
	return (Datum) 0;
}

/*
 * leakwatch.scan(): have the watcher scan now, and wait for it.  An error
 * when it does not answer.
 */
Datum
leakwatch_scan(PG_FUNCTION_ARGS)
{
	control_scan_now();
	PG_RETURN_VOID();
}
