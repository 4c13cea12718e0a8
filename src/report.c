/*-------------------------------------------------------------------------
 *
 * report.c
 *	  The watcher's messages about incidents.
 *
 * An incident owes a message from when there is something to say until it has
 * been said, so that an error in between neither loses nor doubles it: whoever
 * writes a message lets nothing interrupt it until it counts as written.
 *
 * Owns the window, private to the watcher: a time in which log_burst messages
 * are written.  The rest is summed up in one when it is over.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "activity.h"
#include "cause.h"
#include "guc.h"
#include "kind.h"
#include "known.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "pgtime.h"
#include "prepared.h"
#include "report.h"
#include "summary.h"
#include "tags.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "waiters.h"
#include "words.h"

/* Length of a window, in us. */
#define WINDOW	USECS_PER_SEC

static int64 window_end = 0;	/* monotonic, us */
static int	said = 0;

/* The primary message of a prepared transaction: what, how long, which limit. */
static char *
prepared_text(Message message, const Incident *incident, const Excess *excess)
{
	char		words[WORDS_EXCESS_SIZE];

	return psprintf(message == MESSAGE_REMINDER ?
					"transaction \"%s\" is still there and has been %s" :
					"transaction \"%s\" has been %s",
					incident_gid(incident), words_excess(excess, words, sizeof(words)));
}

/* The same of a session. */
static char *
message_text(Message message, const Incident *incident, const Excess *excess)
{
	static const char *const form[] = {
		[MESSAGE_OPENED] = "session with PID %d has been %s",
		[MESSAGE_REMINDER] = "session with PID %d is still there and has been %s",
		[MESSAGE_WOULD_TERMINATE] = "session with PID %d would be terminated: it has been %s",
		[MESSAGE_TERMINATED] = "session with PID %d has been told to end: it had been %s",
		[MESSAGE_LINGERING] = "session with PID %d is still there %s after it was told to end",
	};
	char		words[WORDS_EXCESS_SIZE];

	if (message == MESSAGE_LINGERING)
		return psprintf(form[message], incident->session.pid,
						words_duration(excess->at - incident->told_at, words, sizeof(words)));
	return psprintf(form[message], incident->session.pid,
					words_excess(excess, words, sizeof(words)));
}

/* It may end within a character. */
static void
append_query(StringInfo out, const char *query, int encoding)
{
	int			length = strlen(query);

	if (encoding >= 0)
		length = pg_encoding_mbcliplen(encoding, query, length, length);
	appendBinaryStringInfo(out, query, length);
}

/*
 * Is this what pg_stat_activity shows?  A portal is noted when it is bound, and
 * shown when it is executed.
 */
static bool
is_activity(const TrailStatement *statement, const SessionText *text)
{
	return statement->last_at == text->query_start || statement->length == strlen(text->query);
}

/*
 * The statement that runs, or that came last.  What a driver or a framework
 * has sent after it tells nothing of the code.
 */
static const char *
last_statement(const Session *session, const SessionText *text, const Trail *trail)
{
	const TrailStatement *own = trail_of_application(trail, true);

	if (session->state == SESSION_ACTIVE ||
		session->state == SESSION_IDLE_IN_ABORTED_TRANSACTION ||
		own == NULL || text->query[0] == '\0' ||
		(own == trail_before(trail, NULL) && is_activity(own, text)))
		return text->query;
	return own->text;
}

/*
 * How the transaction began, what failed in it, and the tags that tell which
 * code it was.
 */
static void
add_trail_detail(StringInfo out, const Trail *trail, const SessionText *text, const char *last)
{
	const TrailStatement *newest = trail_before(trail, NULL);
	const TrailStatement *first;
	char	   *tags;

	if (newest == NULL)
		return;
	first = trail_of_application(trail, false);
	if (first == NULL)
		first = trail_statement(trail, 0);
	if (trail_count(trail) > 1 && strcmp(first->text, last) != 0 && !is_activity(first, text))
		appendStringInfo(out, "\nFirst statement of the transaction: %s", first->text);
	if (newest->sqlerrcode != 0)
	{
		appendStringInfo(out, "\nFailed with SQLSTATE %s", unpack_sql_state(newest->sqlerrcode));
		if (strcmp(newest->text, last) == 0)
			appendStringInfoChar(out, '.');
		else
			appendStringInfo(out, ": %s", newest->text);
	}
	tags = tags_in_words(trail);
	if (tags != NULL)
		appendStringInfo(out, "\nTags: %s", tags);
}

/* Whom it blocks, and what the one that waits longest is kept from. */
static void
add_waiters_detail(StringInfo out, const Incident *incident, TimestampTz now)
{
	Waiters		waiters;
	char		duration[WORDS_DURATION_SIZE];

	if (incident->blocked_sessions == 0 || !waiters_read(&incident->session, &waiters))
		return;
	appendStringInfoString(out, "\nWaiting for its locks, longest first: PID ");
	for (int i = 0; i < waiters.npids; i++)
		appendStringInfo(out, "%s%d", i > 0 ? ", " : "", waiters.pids[i]);
	if (waiters.npids < incident->blocked_sessions)
		appendStringInfoString(out, ", ...");

	/* no client session, or already gone */
	if (waiters.since == 0)
		return;
	appendStringInfo(out, "\nThe first, application \"%s\",", waiters.application_name);
	if (waiters.since < now)
		appendStringInfo(out, " has waited for %s",
						 words_duration(now - waiters.since, duration, sizeof(duration)));
	else
		appendStringInfoString(out, " has begun to wait");
	if (waiters.query[0] != '\0')
	{
		appendStringInfoString(out, " to execute: ");
		append_query(out, waiters.query,
					 waiters.database == incident->session.database ? incident->names.encoding : -1);
	}
}

/* How many it blocks, and with what. */
static void
add_harm_detail(StringInfo out, const Incident *incident)
{
	if (incident->blocked_sessions == 0)
		return;
	appendStringInfo(out, incident->blocked_sessions == 1 ?
					 " Blocks %d other session." : " Blocks %d other sessions.",
					 incident->blocked_sessions);
	if (incident->lock.mode == NoLock)
		return;
	appendStringInfoString(out, " Its strongest lock is ");
	locks_describe(out, &incident->lock, NULL);
	appendStringInfoChar(out, '.');
}

/* A time as the log has it. */
static void
append_time(StringInfo out, TimestampTz time)
{
	pg_time_t	seconds = timestamptz_to_time_t(time);
	char		buffer[64];

	pg_strftime(buffer, sizeof(buffer), "%Y-%m-%d %H:%M:%S %Z",
				pg_localtime(&seconds, log_timezone));
	appendStringInfoString(out, buffer);
}

/* Before this incident; once it is in the table it has been counted too. */
static void
append_history(StringInfo out, const Known *known, TimestampTz detected_at)
{
	char		duration[WORDS_DURATION_SIZE];

	if (known->incidents == 1)
		appendStringInfoString(out, ": seen once, ");
	else
	{
		appendStringInfo(out, ": seen " INT64_FORMAT " times since ", known->incidents);
		append_time(out, known->first_seen);
		appendStringInfoString(out, ", last ");
	}
	appendStringInfo(out, "%s ago",
					 words_duration(detected_at - known->last_seen, duration, sizeof(duration)));
}

/* What is known of its cause: how often it has been seen, and whether it was cured. */
static void
add_cause_detail(StringInfo out, Message message, const Incident *incident, const Trail *trail)
{
	Known		known;

	if (!known_any() || !known_find(cause_of(incident, trail), &known))
		return;
	appendStringInfo(out, "\nCause " INT64_FORMAT, known.cause);
	if (known.resolved_at != 0)
	{
		appendStringInfoString(out, " was resolved at ");
		append_time(out, known.resolved_at);
		if (incident->detected_at > known.resolved_at)
			appendStringInfoString(out, " and has come back");
	}
	if (message != MESSAGE_REMINDER && message != MESSAGE_LINGERING && known.incidents > 0 &&
		known.last_seen < incident->detected_at)
		append_history(out, &known, incident->detected_at);
	appendStringInfoChar(out, '.');
}

/* What there is to say of its client. */
static void
add_client_detail(StringInfo out, const Session *session)
{
	if (session->client_gone)
		appendStringInfoString(out, " Its client is gone.");
	else if (session->waiting == CLIENT_READ)
		appendStringInfoString(out, " It waits for its client to send.");
	else if (session->waiting == CLIENT_WRITE)
		appendStringInfoString(out, " It waits for its client to read.");
}

/* Why it is suspected of having been forgotten. */
static void
add_suspicion_detail(StringInfo out, const Incident *incident)
{
	char		words[SUSPECT_REASON_SIZE];
	const char *reason = incident_reason(incident, words, sizeof(words));

	if (incident->kind == KIND_SUSPECTED_LEAK && reason != NULL)
		appendStringInfo(out, " Suspected with a confidence of %d %%: %s.",
						 incident->session.suspicion, reason);
}

/* What keeps a session that has been told to end. */
static void
add_lingering_detail(StringInfo out, const Session *session)
{
	uint32		event = session_wait_event(session);

	if (event != 0)
		appendStringInfo(out, " Its wait event is %s of type %s.",
						 pgstat_get_wait_event(event), pgstat_get_wait_event_type(event));
	else
		appendStringInfoString(out, " It is running.");
}

/* It waits for a lock: of a prepared transaction, if it is that. */
static void
add_lock_wait_detail(StringInfo out, const Session *session)
{
	int			place = locks_prepared_blocker(session);
	PreparedList *list;
	const PreparedTransaction *transaction = NULL;

	if (place < 0)
	{
		appendStringInfoString(out, " It waits for a lock itself.");
		return;
	}
	list = prepared_new_list();
	if (prepared_copy(list))
		transaction = prepared_find(list, prepared_xid(place));
	if (transaction != NULL)
		appendStringInfo(out, " It waits for a lock of the prepared transaction \"%s\".",
						 transaction->gid);
	else
		appendStringInfoString(out, " It waits for a lock of a prepared transaction.");
	pfree(list);
}

/* What a session that runs a statement is at. */
static void
add_activity_detail(StringInfo out, const Session *session, const Activity *activity)
{
	const Progress *progress = &activity->progress;

	if (activity->replicating)
		appendStringInfoString(out, " It has committed, and waits for a synchronous standby.");
	if (activity->waits_for_lock)
		add_lock_wait_detail(out, session);
	if (progress->command == NULL)
		return;
	appendStringInfo(out, " It runs %s", progress->command);
	if (progress->phase != NULL)
		appendStringInfo(out, ": %s", progress->phase);
	if (progress->percent >= 0)
		appendStringInfo(out, ", %d %% done", progress->percent);
	appendStringInfoChar(out, '.');
}

/* What its people can do about it, or somebody else. */
static const char *
message_hint(Message message, LeakKind kind, const Session *session, const Activity *activity)
{
	const char *hint = kind_info(kind)->hint;

	if (message == MESSAGE_LINGERING)
		return "A session ends when it gets to where it can be interrupted. A function in another language, or a system that does not answer, may keep it from that.";
	if (activity->replicating && kind != KIND_SESSION)
		return "See in pg_stat_replication whether the standbys are there that synchronous_standby_names asks for: each commit waits for them.";
	if (message == MESSAGE_WOULD_TERMINATE)
		return "Set leakwatch.mode to \"enforce\" to have it terminated.";
	if (activity->progress.command != NULL && kind != KIND_SESSION)
		return "Maintenance takes its time: run it when its locks are in nobody's way, and raise leakwatch.transaction_warn for the role that does.";
	if (session->client_gone)
		return "The server notices that a client is gone when it next sends to it. Set client_connection_check_interval to have it look meanwhile.";
	if (session->client_unknown)
		return psprintf("%s Whether its client is still there is not known: set client_connection_check_interval to have the server look.",
						hint);
	return hint;
}

/* The DETAIL: who it is, what it holds, what it did last. */
static char *
message_detail(Message message, const Incident *incident, const Trail *trail,
			   const Activity *activity, TimestampTz now)
{
	const Session *session = &incident->session;
	const SessionText *text = &incident->text;
	StringInfoData out;
	char		address[NI_MAXHOST];
	char		duration[WORDS_DURATION_SIZE];
	const char *last;
	int			port;

	initStringInfo(&out);
	appendStringInfo(&out, "User \"%s\", database \"%s\", application \"%s\", client ",
					 incident->names.role, incident->names.database,
					 text->application_name);
	if (!session_client(&text->client, address, sizeof(address), &port))
		appendStringInfoString(&out, "unknown");
	else if (port < 0)
		appendStringInfoString(&out, "[local]");
	else
		appendStringInfo(&out, "%s(%d)", address, port);
	appendStringInfoChar(&out, '.');

	if (session->since[SINCE_TRANSACTION] != 0)
		appendStringInfo(&out, " Transaction open for %s.",
						 words_duration(verdict_age(session, SINCE_TRANSACTION, now),
										duration, sizeof(duration)));
	add_client_detail(&out, session);
	add_suspicion_detail(&out, incident);
	add_activity_detail(&out, session, activity);
	if (message == MESSAGE_LINGERING)
		add_lingering_detail(&out, session);
	add_harm_detail(&out, incident);
	if (incident->holdings & (1u << HOLDING_EXPORTED_SNAPSHOT))
		appendStringInfoString(&out, " It has exported its snapshot to others.");
	last = last_statement(session, text, trail);
	if (last[0] != '\0')
	{
		appendStringInfoString(&out, session->state == SESSION_ACTIVE ?
							   " Statement: " : " Last statement: ");
		append_query(&out, last, incident->names.encoding);
	}
	add_trail_detail(&out, trail, text, last);
	add_waiters_detail(&out, incident, now);
	add_cause_detail(&out, message, incident, trail);
	return out.data;
}

/* Of a prepared transaction: whose it is, and what harm it does. */
static char *
prepared_detail(Message message, const Incident *incident, TimestampTz now)
{
	int64		age = incident_xmin_age(incident, horizon_next_xid());
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfo(&out, "User \"%s\", database \"%s\".", incident->names.role,
					 incident->names.database);
	if (age > 0)
		appendStringInfo(&out, " It has kept VACUUM from removing dead rows for " INT64_FORMAT " transaction%s.",
						 age, age == 1 ? "" : "s");
	add_harm_detail(&out, incident);
	add_waiters_detail(&out, incident, now);
	add_cause_detail(&out, message, incident, NULL);
	return out.data;
}

static char *
prepared_hint(const Incident *incident)
{
	char	   *gid = quote_literal_cstr(incident_gid(incident));

	return psprintf("Execute COMMIT PREPARED %s or ROLLBACK PREPARED %s in database \"%s\", as user \"%s\" or a superuser. Its transaction manager knows which of the two.",
					gid, gid, incident->names.database, incident->names.role);
}

static void
report_prepared(Message message, const Incident *incident, const Excess *excess)
{
	ereport(guc_log_level,
			(errcode(kind_info(excess->kind)->sqlerrcode),
			 errmsg_internal("%s", prepared_text(message, incident, excess)),
			 errdetail_internal("%s", prepared_detail(message, incident, excess->at)),
			 errhint("%s", prepared_hint(incident))));
}

static void
report_session(Message message, const Incident *incident, const Trail *trail,
			   const Excess *excess)
{
	Activity	activity;
	char	   *detail;

	activity_read(&incident->session, &activity);
	/* the lexer may throw, which no message that is being made survives */
	detail = message_detail(message, incident, trail, &activity, excess->at);
	ereport(guc_log_level,
			(errcode(kind_info(excess->kind)->sqlerrcode),
			 errmsg_internal("%s", message_text(message, incident, excess)),
			 errdetail_internal("%s", detail),
			 errhint("%s", message_hint(message, excess->kind, &incident->session, &activity))));
}

/*
 * Say something of an incident in the server log, or only count it when enough
 * has been said in this window.  excess is of the limit that it is about.
 */
void
report_incident(Message message, const Incident *incident, const Trail *trail,
				const Excess *excess)
{
	if (guc_log_burst > 0 && said >= guc_log_burst)
	{
		summary_add(message, incident, trail);
		return;
	}
	if (incident->kind == KIND_PREPARED_TRANSACTION)
		report_prepared(message, incident, excess);
	else
		report_session(message, incident, trail, excess);
	said++;
}

/*
 * Say what an incident owes, if it does: with this trail, or by default the one
 * that was kept with it.
 */
void
report_owed(int index, const Trail *trail)
{
	const Incident *incident = incident_peek(index);

	if (incident->owed == MESSAGE_NONE)
		return;
	HOLD_INTERRUPTS();
	report_incident(incident->owed, incident, trail != NULL ? trail : incident_trail(index),
					&incident->owed_excess);
	incident_edit(index)->owed = MESSAGE_NONE;
	incident_edited(index, false);
	RESUME_INTERRUPTS();
}

/* Sum up now what has not been said yet. */
void
report_flush(void)
{
	HOLD_INTERRUPTS();
	summary_write();
	said = 0;
	RESUME_INTERRUPTS();
}

/*
 * What is said from now on belongs to the window of this time, which is in us
 * and monotonic.
 */
void
report_at(int64 monotonic)
{
	if (monotonic < window_end)
		return;
	report_flush();
	window_end = monotonic + WINDOW;
}

/*
 * When report_at() is to be called next, DT_NOEND when there is nothing to sum
 * up.
 */
TimestampTz
report_due(const Moment *moment)
{
	return !summary_is_empty() ? clock_wall(moment, window_end) : DT_NOEND;
}
