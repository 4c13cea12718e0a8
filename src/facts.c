/*-------------------------------------------------------------------------
 *
 * facts.c
 *	  The facts of an incident as values of a row.
 *
 * The same for the table and for the view of open incidents, whose columns
 * have the same names.  Those that only the table has are left out of the
 * view by row.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "facts.h"
#include "kind.h"
#include "utils/timestamp.h"
#include "waiters.h"

/* What identifies an incident, as the key of the table has it. */
void
facts_key(Row *row, const Incident *incident)
{
	row_text(row, "kind", kind_info(incident->kind)->name);
	row_int(row, "pid", incident->session.pid);
	row_time(row, "backend_start", incident->session.since[SINCE_BACKEND]);
	row_time(row, "since", incident->since);
	row_key_text(row, "gid", incident_gid(incident), incident->names.encoding);
}

/* The same of an incident that there would be of a prepared transaction. */
void
facts_prepared_key(Row *row, const PreparedTransaction *transaction)
{
	Session		session = {
		.database = transaction->database,
		.role = transaction->owner,
	};
	SessionNames names = {0};

	session_names(&session, &names);
	row_text(row, "kind", kind_info(KIND_PREPARED_TRANSACTION)->name);
	row_int(row, "pid", 0);
	row_time(row, "backend_start", transaction->prepared_at);
	row_time(row, "since", transaction->prepared_at);
	row_key_text(row, "gid", transaction->gid, names.encoding);
}

static const char *
holding_name(int bit)
{
	return locks_holding_name(bit);
}

/* What everybody may see who sees the row, as of a time. */
void
facts_public(Row *row, const Incident *incident, TimestampTz at, TransactionId next_xid)
{
	int64		xmin_age = incident_xmin_age(incident, next_xid);

	row_bigint(row, "id", incident->id);
	row_text(row, "kind", kind_info(incident->kind)->name);
	row_int(row, "pid", incident->session.pid);
	row_time(row, "backend_start", incident->session.since[SINCE_BACKEND]);
	row_time(row, "since", incident->since);
	row_foreign_text(row, "gid", incident_gid(incident), incident->names.encoding);
	row_text(row, "datname", incident->names.database);
	row_text(row, "usename", incident->names.role);
	row_time(row, "detected_at", incident->detected_at);
	row_time(row, "last_seen_at", incident->last_seen_at);
	if (incident->outcome != OUTCOME_OPEN)
		row_time(row, "ended_at", incident->ended_at);
	row_interval(row, "duration", incident_duration(incident, at));
	row_limit(row, "warn_limit", incident->warn_limit);
	row_limit(row, "terminate_limit", incident->terminate_limit);
	row_text(row, "action", outcome_action_name(incident->action));
	row_text(row, "outcome", outcome_name(incident->outcome));
	row_text(row, "outcome_detail", incident->outcome_detail);
	row_int(row, "blocked_sessions", incident->blocked_peak);
	row_lock(row, "strongest_lock", &incident->lock);
	row_names(row, "holds", incident->holdings, NUM_HOLDINGS, holding_name);
	if (incident->kind != KIND_PREPARED_TRANSACTION)
		row_bool(row, "client_gone", incident->session.client_gone);
	if (incident->kind == KIND_SUSPECTED_LEAK)
		row_float(row, "confidence", incident->session.suspicion / 100.0);
	if (xmin_age >= 0)
	{
		row_bigint(row, "xmin_age", xmin_age);
		row_bigint(row, "xmin_age_alone", incident->alone_peak);
	}
}

/*
 * Whom it blocks; of the one that waits longest what pg_stat_activity shows to
 * those with rights on that one's session, unless everything is asked for.
 */
void
facts_waiters(Row *row, const Incident *incident, bool everything)
{
	Waiters		waiters;
	bool		same_database;

	if (incident->blocked_peak == 0 || !waiters_read(&incident->session, &waiters))
		return;
	row_ints(row, "blocked_pids", waiters.pids, waiters.npids);
	if (!everything && !session_is_visible_to_user(waiters.role))
		return;
	same_database = waiters.database == incident->session.database;
	row_text(row, "blocked_application", waiters.application_name);
	row_foreign_text(row, "blocked_query", waiters.query,
					 same_database ? incident->names.encoding : -1);
}

/*
 * What pg_stat_activity shows only to those with rights on the session, which a
 * prepared transaction does not have.  Returns whether it has a trail, which
 * then is in trail.
 */
bool
facts_private(Row *row, const Incident *incident, int index, Trail *trail)
{
	char		reason[SUSPECT_REASON_SIZE];

	if (incident->kind == KIND_PREPARED_TRANSACTION)
		return false;
	row_text(row, "application_name", incident->text.application_name);
	row_client(row, &incident->text.client);
	row_text(row, "state", session_state_name(incident->session.state));
	if (incident->kind == KIND_SUSPECTED_LEAK)
		row_text(row, "reason", incident_reason(incident, reason, sizeof(reason)));
	row_foreign_text(row, "query", incident->text.query, incident->names.encoding);
	if (incident->text.query_id != 0)
		row_bigint(row, "query_id", (int64) incident->text.query_id);
	if (!incident_copy_trail(index, incident, trail))
		return false;
	row_trail(row, trail, incident->names.encoding);
	return true;
}
