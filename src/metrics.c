/*-------------------------------------------------------------------------
 *
 * metrics.c
 *	  What is measured for those who watch from outside: one row a metric.
 *
 * Keeps nothing.  Names follow Prometheus: base units, "_total" for what only
 * grows, and only labels of which there is a bounded number.  What is not known
 * has no value.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "access/xlog.h"
#include "control.h"
#include "encoding.h"
#include "incident.h"
#include "kind.h"
#include "metrics.h"
#include "names.h"
#include "overview.h"
#include "prepared.h"
#include "samples.h"
#include "saturation.h"
#include "tally.h"
#include "utils/timestamp.h"

/* All that is measured at one time. */
typedef struct Measuring
{
	MetricSink	sink;
	void	   *arg;
	const Metric *metric;		/* the one whose turn it is */
	const char *label[METRIC_LABELS];	/* of its next value */
	int			num_labels;

	TimestampTz now;
	Overview	overview;
	ScopeUse	server;
	Forecast	forecast;
	ScopeUse	scopes[NUM_SCOPES]; /* databases and roles */
	const char *names[NUM_SCOPES];	/* theirs, each once a kind */
	int			num_scopes;
} Measuring;

/* ---------- values ---------- */

/* The next label of the value that is put next. */
static void
label(Measuring *m, const char *value)
{
	Assert(m->num_labels < METRIC_LABELS);
	m->label[m->num_labels++] = value;
}

static void
put(Measuring *m, double value)
{
	Assert(m->num_labels == metrics_label_count(m->metric));
	m->sink(m->arg, m->metric, m->label, value);
	m->num_labels = 0;
}

/* A number that has been measured, by its offset. */
static void
put_int(Measuring *m, int offset)
{
	put(m, *(const int *) ((const char *) m + offset));
}

static void
put_int64(Measuring *m, int offset)
{
	put(m, (double) *(const int64 *) ((const char *) m + offset));
}

static double
seconds(int64 usec)
{
	return (double) usec / USECS_PER_SEC;
}

/* ---------- what the server is, and leakwatch itself ---------- */

static void
put_version(Measuring *m, int unused)
{
	label(m, LEAKWATCH_VERSION);
	put(m, 1);
}

static void
put_up(Measuring *m, int unused)
{
	put(m, control_is_running(WATCHER));
}

static void
put_in_recovery(Measuring *m, int unused)
{
	put(m, RecoveryInProgress());
}

static void
put_recording(Measuring *m, int unused)
{
	ActorStatus recorder;

	if (control_status(RECORDER, &recorder))
		put(m, recorder.condition[0] == '\0');
}

static void
put_last_error_age(Measuring *m, int unused)
{
	static const char *const names[NUM_ACTORS] = {"watcher", "recorder"};

	for (int actor = 0; actor < NUM_ACTORS; actor++)
	{
		ActorStatus status;

		if (!control_status(actor, &status) || status.last_error_at == 0)
			continue;
		label(m, names[actor]);
		put(m, seconds(Max(m->now - status.last_error_at, 0)));
	}
}

/* Before the first scan, how long it has been waited for. */
static void
put_last_scan_age(Measuring *m, int unused)
{
	TimestampTz at;
	int64		duration;

	control_last_scan(&at, &duration);
	put(m, seconds(Max(m->now - (at != 0 ? at : control_init_time()), 0)));
}

static void
put_scan_interval(Measuring *m, int unused)
{
	put(m, control_cadence() / 1000.0);
}

static void
put_counter(Measuring *m, int counter)
{
	put(m, (double) control_counter(counter));
}

static void
put_seconds_counter(Measuring *m, int counter)
{
	put(m, seconds((int64) control_counter(counter)));
}

static void
put_pending(Measuring *m, int unused)
{
	put(m, incident_pending_count());
}

static void
put_refused(Measuring *m, int unused)
{
	put(m, incident_refused_count());
}

static void
put_room(Measuring *m, int unused)
{
	put(m, incident_max());
}

/* ---------- leaks ---------- */

static void
put_open(Measuring *m, int unused)
{
	for (int kind = 0; kind < NUM_ALL_KINDS; kind++)
	{
		label(m, kind_info(kind)->name);
		put(m, m->overview.all.open[kind]);
	}
}

static void
put_oldest(Measuring *m, int unused)
{
	for (int kind = 0; kind < NUM_ALL_KINDS; kind++)
	{
		label(m, kind_info(kind)->name);
		put(m, seconds(m->overview.all.oldest[kind]));
	}
}

static void
put_opened(Measuring *m, int unused)
{
	for (int kind = 0; kind < NUM_ALL_KINDS; kind++)
	{
		label(m, kind_info(kind)->name);
		put(m, (double) tally_count_opened(kind));
	}
}

/* Those that have happened: most of the products make no sense. */
static void
put_ended(Measuring *m, int unused)
{
	for (int n = 0; n < NUM_ALL_KINDS * NUM_OUTCOMES * NUM_ACTIONS; n++)
	{
		LeakKind	kind = n / (NUM_OUTCOMES * NUM_ACTIONS);
		Outcome		outcome = n / NUM_ACTIONS % NUM_OUTCOMES;
		IncidentAction action = n % NUM_ACTIONS;
		uint64		count = tally_count_ended(kind, outcome, action);

		if (count == 0)
			continue;
		label(m, kind_info(kind)->name);
		label(m, outcome_name(outcome));
		label(m, outcome_action_name(action));
		put(m, (double) count);
	}
}

/* ---------- termination ---------- */

static void
put_lingering(Measuring *m, int unused)
{
	put(m, incident_lingering_count());
}

static void
put_held(Measuring *m, int unused)
{
	static const struct
	{
		const char *rule;
		Counter		counter;
	}			rules[] = {
		{"superuser", COUNT_HELD_SUPERUSER},
		{"active", COUNT_HELD_ACTIVE},
		{"application", COUNT_HELD_APPLICATION},
		{"address", COUNT_HELD_ADDRESS},
		{"waiting", COUNT_HELD_WAITING},
		{"committing", COUNT_HELD_COMMITTING},
		{"maintenance", COUNT_HELD_MAINTENANCE},
		{"exported_snapshot", COUNT_HELD_EXPORTED_SNAPSHOT},
		{"not_blocking", COUNT_HELD_NOT_BLOCKING},
		{"not_saturated", COUNT_HELD_NOT_SATURATED},
		{"brake", COUNT_HELD_BRAKE},
	};

	for (int i = 0; i < lengthof(rules); i++)
	{
		label(m, rules[i].rule);
		put(m, (double) control_counter(rules[i].counter));
	}
}

/* ---------- connections ---------- */

static void
put_rejected(Measuring *m, int unused)
{
	put(m, (double) m->server.refused);
}

static void
put_growth(Measuring *m, int unused)
{
	put(m, m->forecast.growth / SECS_PER_MINUTE);
}

static void
put_exhausted_in(Measuring *m, int unused)
{
	if (m->forecast.minutes >= 0)
		put(m, (double) m->forecast.minutes * SECS_PER_MINUTE);
}

static const char *
state_label(int state)
{
	switch ((SessionState) state)
	{
		case SESSION_ACTIVE:
			return "active";
		case SESSION_IDLE:
			return "idle";
		case SESSION_IDLE_IN_TRANSACTION:
			return "idle_in_transaction";
		case SESSION_IDLE_IN_ABORTED_TRANSACTION:
			return "idle_in_aborted_transaction";
		case SESSION_UNKNOWN:
			break;
	}
	return "unknown";
}

static void
put_states(Measuring *m, int unused)
{
	for (int state = 0; state < NUM_SESSION_STATES; state++)
	{
		label(m, state_label(state));
		put(m, m->overview.all.sessions[state]);
	}
}

static void
put_prepared(Measuring *m, int unused)
{
	TimestampTz oldest;

	put(m, prepared_count(&oldest));
}

/* None if there is none, or if it is too young for anybody to have looked. */
static void
put_prepared_oldest(Measuring *m, int unused)
{
	TimestampTz oldest;

	if (prepared_count(&oldest) > 0 && oldest != 0)
		put(m, seconds(Max(m->now - oldest, 0)));
}

/* Of each scope of this kind, a value if there is one. */
static void
put_scopes(Measuring *m, ScopeKind kind, bool (*value) (const ScopeUse *use, double *result))
{
	for (int i = 0; i < m->num_scopes; i++)
	{
		double		result;

		if (m->scopes[i].kind != kind || !value(&m->scopes[i], &result))
			continue;
		label(m, m->names[i]);
		put(m, result);
	}
}

static bool
used_of(const ScopeUse *use, double *result)
{
	*result = use->used;
	return true;
}

static bool
limit_of(const ScopeUse *use, double *result)
{
	*result = use->limit;
	return use->limit >= 0;
}

static bool
rejected_of(const ScopeUse *use, double *result)
{
	*result = (double) use->refused;
	return true;
}

static void
put_scope_used(Measuring *m, int kind)
{
	put_scopes(m, kind, used_of);
}

static void
put_scope_limit(Measuring *m, int kind)
{
	put_scopes(m, kind, limit_of);
}

static void
put_scope_rejected(Measuring *m, int kind)
{
	put_scopes(m, kind, rejected_of);
}

/* ---------- applications ---------- */

/* Sessions in the states in which there are some. */
static void
put_application_sessions(Measuring *m, int unused)
{
	for (int i = 0; i < m->overview.count; i++)
	{
		const Application *application = m->overview.application[i];

		for (int state = 0; state < NUM_SESSION_STATES; state++)
		{
			if (application->sessions[state] == 0)
				continue;
			label(m, application->name);
			label(m, state_label(state));
			put(m, application->sessions[state]);
		}
	}
}

/* Of the kinds by which an application leaks, the number or the age. */
static void
put_application_kinds(Measuring *m, int ages)
{
	for (int i = 0; i < m->overview.count; i++)
	{
		const Application *application = m->overview.application[i];

		for (int kind = 0; kind < NUM_ALL_KINDS; kind++)
		{
			if (application->open[kind] == 0)
				continue;
			label(m, application->name);
			label(m, kind_info(kind)->name);
			put(m, ages ? seconds(application->oldest[kind]) : application->open[kind]);
		}
	}
}

/* Of the applications that leak, an int64 by its offset. */
static void
put_application_int64(Measuring *m, int offset)
{
	for (int i = 0; i < m->overview.count; i++)
	{
		const Application *application = m->overview.application[i];

		if (application->leaks == 0)
			continue;
		label(m, application->name);
		put(m, (double) *(const int64 *) ((const char *) application + offset));
	}
}

/* ---------- the table ---------- */

static const struct
{
	Metric		metric;
	void		(*put) (Measuring *m, int what);
	int			what;			/* for those of several metrics */
}			metrics[] =

{
	{{"leakwatch_build_info", METRIC_GAUGE, {"version"}, "Always 1; its label is the version of leakwatch"}, put_version, 0},
	{{"leakwatch_up", METRIC_GAUGE, {0}, "Whether the watcher runs"}, put_up, 0},
	{{"leakwatch_in_recovery", METRIC_GAUGE, {0}, "Whether the server is a standby, on which nothing is recorded"}, put_in_recovery, 0},
	{{"leakwatch_recording", METRIC_GAUGE, {0}, "Whether incidents can be recorded, as far as that has been tried"}, put_recording, 0},
	{{"leakwatch_last_error_age_seconds", METRIC_GAUGE, {"worker"}, "Time since the last error of a worker, if there was one"}, put_last_error_age, 0},
	{{"leakwatch_scans_total", METRIC_COUNTER, {0}, "Looks at the sessions"}, put_counter, COUNT_SCANS},
	{{"leakwatch_scan_seconds_total", METRIC_COUNTER, {0}, "Time that looks at the sessions have taken"}, put_seconds_counter, COUNT_SCAN_TIME},
	{{"leakwatch_last_scan_age_seconds", METRIC_GAUGE, {0}, "Time since the last look at the sessions"}, put_last_scan_age, 0},
	{{"leakwatch_scan_interval_seconds", METRIC_GAUGE, {0}, "Longest time that the watcher lets pass between two looks"}, put_scan_interval, 0},
	{{"leakwatch_clock_jumps_total", METRIC_COUNTER, {0}, "Jumps of the wall clock that were made up for"}, put_counter, COUNT_CLOCK_JUMPS},
	{{"leakwatch_pending_incidents", METRIC_GAUGE, {0}, "Incidents with something that is not in the table yet"}, put_pending, 0},
	{{"leakwatch_refused_incidents", METRIC_GAUGE, {0}, "Pending incidents that the table does not take"}, put_refused, 0},
	{{"leakwatch_incident_room", METRIC_GAUGE, {0}, "Incidents that there is room for in shared memory"}, put_room, 0},
	{{"leakwatch_dropped_incidents_total", METRIC_COUNTER, {0}, "Incidents that were lost for lack of room"}, put_counter, COUNT_DROPPED},
	{{"leakwatch_written_rows_total", METRIC_COUNTER, {0}, "Rows of incidents that were inserted or updated"}, put_counter, COUNT_WRITTEN},

	{{"leakwatch_open_incidents", METRIC_GAUGE, {"kind"}, "Open incidents"}, put_open, 0},
	{{"leakwatch_open_oldest_seconds", METRIC_GAUGE, {"kind"}, "Age of the oldest open incident; 0 if there is none"}, put_oldest, 0},
	{{"leakwatch_opened_incidents_total", METRIC_COUNTER, {"kind"}, "Incidents that were found"}, put_opened, 0},
	{{"leakwatch_incidents_total", METRIC_COUNTER, {"kind", "outcome", "action"}, "Incidents that have ended, as far as there were some"}, put_ended, 0},
	{{"leakwatch_suspected_total", METRIC_COUNTER, {0}, "Sessions that were suspected of having been forgotten"}, put_counter, COUNT_SUSPECTED},
	{{"leakwatch_suspected_confirmed_total", METRIC_COUNTER, {0}, "Suspected sessions that ended without having been used again"}, put_counter, COUNT_CONFIRMED},
	{{"leakwatch_suspected_refuted_total", METRIC_COUNTER, {0}, "Suspected sessions that were used again"}, put_counter, COUNT_REFUTED},
	{{"leakwatch_blocked_sessions", METRIC_GAUGE, {0}, "Sessions that wait for locks of leaked ones; who waits for two counts twice"}, put_int64, offsetof(Measuring, overview.all.blocked)},
	{{"leakwatch_xmin_age_transactions", METRIC_GAUGE, {0}, "For how many transactions a leaked session keeps VACUUM from removing dead rows"}, put_int64, offsetof(Measuring, overview.all.xmin_age)},
	{{"leakwatch_xmin_age_alone_transactions", METRIC_GAUGE, {0}, "For how many transactions a leaked session alone keeps VACUUM from removing dead rows of its database"}, put_int64, offsetof(Measuring, overview.all.xmin_age_alone)},

	{{"leakwatch_terminations_total", METRIC_COUNTER, {0}, "Sessions that were told to end"}, put_counter, COUNT_TERMINATED},
	{{"leakwatch_terminations_announced_total", METRIC_COUNTER, {0}, "Sessions that mode enforce would have told to end"}, put_counter, COUNT_ANNOUNCED},
	{{"leakwatch_terminations_held_total", METRIC_COUNTER, {"rule"}, "Terminations that a rule held back, once for each incident and rule"}, put_held, 0},
	{{"leakwatch_terminations_spared_total", METRIC_COUNTER, {0}, "Sessions that had gone on by the last look before their end"}, put_counter, COUNT_TERMINATE_SPARED},
	{{"leakwatch_terminations_failed_total", METRIC_COUNTER, {0}, "Sessions that could not be sent the signal to end"}, put_counter, COUNT_TERMINATE_FAILED},
	{{"leakwatch_lingering_sessions", METRIC_GAUGE, {0}, "Sessions still there some seconds after they were told to end"}, put_lingering, 0},

	{{"leakwatch_connections_used", METRIC_GAUGE, {0}, "Client sessions"}, put_int, offsetof(Measuring, server.used)},
	{{"leakwatch_connections_limit", METRIC_GAUGE, {0}, "Connections that ordinary roles can have"}, put_int, offsetof(Measuring, server.limit)},
	{{"leakwatch_connections_peak", METRIC_GAUGE, {0}, "Most client sessions at once since the server started"}, put_int, offsetof(Measuring, server.peak)},
	{{"leakwatch_connections_rejected_total", METRIC_COUNTER, {0}, "Clients that the limit of the server turned away"}, put_rejected, 0},
	{{"leakwatch_connections_growth_per_second", METRIC_GAUGE, {0}, "By how many sessions the use grows; 0 if it does not do so lastingly"}, put_growth, 0},
	{{"leakwatch_connections_exhausted_in_seconds", METRIC_GAUGE, {0}, "Time until the connections are used up if it goes on like this; none if that is not in sight"}, put_exhausted_in, 0},
	{{"leakwatch_state_sessions", METRIC_GAUGE, {"state"}, "Client sessions"}, put_states, 0},

	{{"leakwatch_prepared_transactions", METRIC_GAUGE, {0}, "Transactions that are prepared for two-phase commit"}, put_prepared, 0},
	{{"leakwatch_prepared_oldest_seconds", METRIC_GAUGE, {0}, "Age of the oldest prepared transaction, if there is one that is known"}, put_prepared_oldest, 0},

	{{"leakwatch_database_connections_used", METRIC_GAUGE, {"database"}, "Client sessions of the database"}, put_scope_used, SCOPE_DATABASE},
	{{"leakwatch_database_connections_limit", METRIC_GAUGE, {"database"}, "CONNECTION LIMIT of the database, if it has one"}, put_scope_limit, SCOPE_DATABASE},
	{{"leakwatch_database_connections_rejected_total", METRIC_COUNTER, {"database"}, "Clients that the limit of the database turned away"}, put_scope_rejected, SCOPE_DATABASE},
	{{"leakwatch_role_connections_used", METRIC_GAUGE, {"role"}, "Client sessions of the role"}, put_scope_used, SCOPE_ROLE},
	{{"leakwatch_role_connections_limit", METRIC_GAUGE, {"role"}, "CONNECTION LIMIT of the role, if it has one"}, put_scope_limit, SCOPE_ROLE},
	{{"leakwatch_role_connections_rejected_total", METRIC_COUNTER, {"role"}, "Clients that the limit of the role turned away"}, put_scope_rejected, SCOPE_ROLE},

	{{"leakwatch_application_sessions", METRIC_GAUGE, {"application", "state"}, "Client sessions of the application, where there are some"}, put_application_sessions, 0},
	{{"leakwatch_application_open_incidents", METRIC_GAUGE, {"application", "kind"}, "Open incidents of the application, where there are some"}, put_application_kinds, false},
	{{"leakwatch_application_open_oldest_seconds", METRIC_GAUGE, {"application", "kind"}, "Age of the oldest open incident of the application"}, put_application_kinds, true},
	{{"leakwatch_application_blocked_sessions", METRIC_GAUGE, {"application"}, "Sessions that wait for locks of the leaked ones of the application"}, put_application_int64, offsetof(Application, blocked)},
	{{"leakwatch_application_xmin_age_transactions", METRIC_GAUGE, {"application"}, "For how many transactions a leaked session of the application keeps VACUUM from removing dead rows"}, put_application_int64, offsetof(Application, xmin_age)},
};

/* ---------- measuring ---------- */

/*
 * The name of a scope as it can be shown here.  Names of other encodings may
 * have become the same, and two values with the same labels are refused.
 */
static const char *
scope_name(const Measuring *m, const ScopeUse *use, const char *name)
{
	char	   *shown = encoding_to_database(name, -1);

	for (int i = 0; i < m->num_scopes; i++)
	{
		if (m->scopes[i].kind == use->kind && strcmp(m->names[i], shown) == 0)
			return psprintf("%s (%u)", shown, use->oid);
	}
	return shown;
}

/* The databases and roles that have had sessions and are still there. */
static void
read_scopes(Measuring *m)
{
	for (int scope = SERVER_SCOPE + 1; scope < NUM_SCOPES; scope++)
	{
		ScopeUse   *use = &m->scopes[m->num_scopes];
		ScopeNames	names;

		CHECK_FOR_INTERRUPTS();
		if (!saturation_read(scope, use) || !names_read_scope(use->kind, use->oid, &names))
			continue;
		use->limit = names.limit;
		m->names[m->num_scopes] = scope_name(m, use, names.name);
		m->num_scopes++;
	}
}

/* Measure everything, in a transaction of the caller's. */
void
metrics_measure(MetricSink sink, void *arg)
{
	Measuring  *m = palloc0(sizeof(Measuring));

	m->sink = sink;
	m->arg = arg;
	m->now = GetCurrentTimestamp();
	overview_take(m->now, &m->overview);
	saturation_read(SERVER_SCOPE, &m->server);
	m->server.limit = Max(MaxConnections - compat_reserved_connections(), 0);
	m->forecast = samples_forecast(m->server.limit);
	read_scopes(m);

	for (int i = 0; i < lengthof(metrics); i++)
	{
		m->metric = &metrics[i].metric;
		metrics[i].put(m, metrics[i].what);
	}
	pfree(m);
}

const char *
metrics_type_name(MetricType type)
{
	return type == METRIC_COUNTER ? "counter" : "gauge";
}

int
metrics_label_count(const Metric *metric)
{
	int			count = 0;

	while (count < METRIC_LABELS && metric->label[count] != NULL)
		count++;
	return count;
}
