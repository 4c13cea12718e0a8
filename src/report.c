/*-------------------------------------------------------------------------
 *
 * report.c
 *	  The words: messages about incidents, and what a terminated session says.
 *
 * Owns the tally of the messages, private to the watcher: in each window of
 * time log_burst of them are written, and the rest is summed up in one when
 * the window is over.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "guc.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "report.h"
#include "tags.h"
#include "utils/hsearch.h"
#include "verdict.h"

/* Applications that the summary names. */
#define SUMMARY_APPLICATIONS	10

/* Length of a window, in us. */
#define WINDOW	USECS_PER_SEC

/* What was not said one by one in this window. */
typedef struct Unsaid
{
	char		application[NAMEDATALEN];	/* hash key */
	int			count;
} Unsaid;

static int64 window_end = 0;	/* monotonic, us */
static int	said = 0;
static int	unsaid = 0;
static int	unsaid_terminated = 0;
static HTAB *unsaid_by_application = NULL;

/*
 * A duration as people say it: two units at most, and below a minute with a
 * fraction.
 */
const char *
report_duration(int64 usec, char *buffer, Size size)
{
	int64		ms = usec / 1000;
	int64		sec = ms / 1000;

	if (ms < 1000)
		snprintf(buffer, size, INT64_FORMAT " ms", ms);
	else if (sec < 60 && ms % 1000 / 100 != 0)
		snprintf(buffer, size, INT64_FORMAT ".%d s", sec, (int) (ms % 1000 / 100));
	else if (sec < 60)
		snprintf(buffer, size, INT64_FORMAT " s", sec);
	else if (sec < 3600 && sec % 60 != 0)
		snprintf(buffer, size, INT64_FORMAT " min %d s", sec / 60, (int) (sec % 60));
	else if (sec < 3600)
		snprintf(buffer, size, INT64_FORMAT " min", sec / 60);
	else if (sec < 86400 && sec % 3600 / 60 != 0)
		snprintf(buffer, size, INT64_FORMAT " h %d min", sec / 3600, (int) (sec % 3600 / 60));
	else if (sec < 86400)
		snprintf(buffer, size, INT64_FORMAT " h", sec / 3600);
	else if (sec % 86400 / 3600 != 0)
		snprintf(buffer, size, INT64_FORMAT " d %d h", sec / 86400, (int) (sec % 86400 / 3600));
	else
		snprintf(buffer, size, INT64_FORMAT " d", sec / 86400);
	return buffer;
}

/* What a session of this kind has been, for the place before "for 5 min". */
static const char *
kind_phrase(LeakKind kind)
{
	switch (kind)
	{
		case KIND_IDLE_IN_TRANSACTION:
			return "idle in transaction";
		case KIND_ABORTED_TRANSACTION:
			return "idle in an aborted transaction";
		case KIND_TRANSACTION:
			return "in a transaction";
		case KIND_IDLE_SESSION:
			return "idle";
		case KIND_SESSION:
			return "connected";
	}
	return NULL;
}

/* What its people can do about it. */
const char *
report_hint(LeakKind kind)
{
	switch (kind)
	{
		case KIND_IDLE_IN_TRANSACTION:
			return "Commit or roll back on every path through the code, and before waiting for anything other than the database.";
		case KIND_ABORTED_TRANSACTION:
			return "A statement failed and the transaction was not rolled back: send ROLLBACK on every error path.";
		case KIND_TRANSACTION:
			return "Split the work into shorter transactions: as long as this one is open, VACUUM cannot remove rows that it may still see.";
		case KIND_IDLE_SESSION:
			return "The connection is held and not used: close it or return it to its pool, or let the pool keep fewer idle connections.";
		case KIND_SESSION:
			return "Let the connection pool replace its connections after a maximum lifetime.";
	}
	return NULL;
}

static int
kind_sqlstate(LeakKind kind)
{
	switch (kind)
	{
		case KIND_IDLE_IN_TRANSACTION:
		case KIND_ABORTED_TRANSACTION:
			return ERRCODE_IDLE_IN_TRANSACTION_SESSION_TIMEOUT;
		case KIND_TRANSACTION:
			return COMPAT_ERRCODE_TRANSACTION_TIMEOUT;
		case KIND_IDLE_SESSION:
		case KIND_SESSION:
			return ERRCODE_IDLE_SESSION_TIMEOUT;
	}
	return ERRCODE_WARNING;
}

/* "idle in transaction for 5 s, over the limit of 2 s (leakwatch....)" */
static void
describe_excess(StringInfo out, LeakKind kind, int64 age, int limit, const char *setting)
{
	char		duration[DURATION_SIZE];
	char		limit_text[DURATION_SIZE];

	appendStringInfo(out, "%s for %s, over the limit of %s (%s)",
					 kind_phrase(kind),
					 report_duration(age, duration, sizeof(duration)),
					 report_duration(limit * INT64CONST(1000), limit_text, sizeof(limit_text)),
					 setting);
}

/* The terminate limit that was exceeded, for the incident's row. */
void
report_limit(const SlotReason *reason, char *buffer, Size size)
{
	char		limit_text[DURATION_SIZE];

	snprintf(buffer, size, "%s = %s", guc_limit_name(POLICY_TERMINATE(reason->kind)),
			 report_duration(reason->limit * INT64CONST(1000), limit_text, sizeof(limit_text)));
}

/* The DETAIL of a terminated session, palloc'd. */
char *
report_reason_detail(const SlotReason *reason)
{
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfoString(&out, "leakwatch terminated the session because it had been ");
	describe_excess(&out, reason->kind, reason->age, reason->limit,
					guc_limit_name(POLICY_TERMINATE(reason->kind)));
	appendStringInfoChar(&out, '.');
	return out.data;
}

/*
 * Which limit an incident is over, as its index in the policy: the one that
 * warns, or the one that terminates where that is shorter.
 */
int
report_exceeded(const Incident *incident, TimestampTz now)
{
	if (incident->warn_limit > 0 &&
		(incident->terminate_limit == 0 ||
		 incident_duration(incident, now) >= incident->warn_limit * INT64CONST(1000)))
		return POLICY_WARN(incident->kind);
	return POLICY_TERMINATE(incident->kind);
}

static void
describe_incident(StringInfo out, const Incident *incident, TimestampTz now)
{
	int			exceeded = report_exceeded(incident, now);

	describe_excess(out, incident->kind, incident_duration(incident, now),
					exceeded == POLICY_WARN(incident->kind) ?
					incident->warn_limit : incident->terminate_limit,
					guc_limit_name(exceeded));
}

/* "idle in transaction for 5 s, over the limit of ...", palloc'd. */
char *
report_excess(const Incident *incident, TimestampTz now)
{
	StringInfoData out;

	initStringInfo(&out);
	describe_incident(&out, incident, now);
	return out.data;
}

/*
 * The session tells its own client that it has been reported: now is when the
 * statement came in with which it goes on.  Not for the server log, where it
 * stands already.
 */
void
report_to_client(const SlotReport *report, TimestampTz now)
{
	StringInfoData out;

	initStringInfo(&out);
	describe_excess(&out, report->kind, Max(now - report->since, 0), report->limit,
					guc_limit_name(report->limit_index));
	ereport(WARNING_CLIENT_ONLY,
			(errcode(ERRCODE_WARNING),
			 errmsg("this session had been %s", out.data),
			 errhint("%s", report_hint(report->kind))));
	pfree(out.data);
}

/* The primary message: what, how long, which limit. */
static char *
message_text(Message message, const Incident *incident, const SlotReason *reason,
			 TimestampTz now)
{
	StringInfoData out;
	int			pid = incident->session.pid;

	initStringInfo(&out);
	switch (message)
	{
		case MESSAGE_OPENED:
		case MESSAGE_REMINDER:
			appendStringInfo(&out, message == MESSAGE_OPENED ?
							 "session with PID %d has been " :
							 "session with PID %d is still there and has been ", pid);
			break;
		case MESSAGE_WOULD_TERMINATE:
			appendStringInfo(&out, "session with PID %d would be terminated: it has been ", pid);
			break;
		case MESSAGE_TERMINATED:
			appendStringInfo(&out, "terminated session with PID %d: it had been ", pid);
			break;
	}

	if (reason != NULL)
		describe_excess(&out, reason->kind, reason->age, reason->limit,
						guc_limit_name(POLICY_TERMINATE(reason->kind)));
	else
		describe_incident(&out, incident, now);
	return out.data;
}

/*
 * How the transaction began, what failed in it, and the tags that tell which
 * code it was.
 */
static void
describe_trail(StringInfo out, const Trail *trail, const char *last_statement)
{
	int			count = trail_count(trail);
	const TrailStatement *first;
	const TrailStatement *newest;
	char	   *tags;

	if (count == 0)
		return;
	first = trail_statement(trail, 0);
	newest = trail_statement(trail, count - 1);
	if (count > 1 && strcmp(first->text, newest->text) != 0)
		appendStringInfo(out, "\nFirst statement of the transaction: %s", first->text);
	if (newest->sqlerrcode != 0)
	{
		appendStringInfo(out, "\nFailed with SQLSTATE %s", unpack_sql_state(newest->sqlerrcode));
		if (strcmp(newest->text, last_statement) == 0)
			appendStringInfoChar(out, '.');
		else
			appendStringInfo(out, ": %s", newest->text);
	}
	tags = tags_in_words(trail);
	if (tags != NULL)
		appendStringInfo(out, "\nTags: %s", tags);
}

/* The DETAIL: who it is, what it holds, what it did last. */
static char *
message_detail(const Incident *incident, const Trail *trail, TimestampTz now)
{
	const Session *session = &incident->session;
	const SessionText *text = &incident->text;
	StringInfoData out;
	char		address[NI_MAXHOST];
	char		duration[DURATION_SIZE];
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
						 report_duration(verdict_age(session, SINCE_TRANSACTION, now),
										 duration, sizeof(duration)));
	if (incident->blocked_sessions > 0)
		appendStringInfo(&out, incident->blocked_sessions == 1 ?
						 " Blocks %d other session." : " Blocks %d other sessions.",
						 incident->blocked_sessions);
	if (incident->blocked_sessions > 0 && incident->lock.mode != NoLock)
	{
		appendStringInfoString(&out, " Its strongest lock is ");
		impact_describe_lock(&out, &incident->lock, NULL);
		appendStringInfoChar(&out, '.');
	}
	if (text->query[0] != '\0')
	{
		/* it may end within a character */
		int			length = strlen(text->query);

		if (incident->names.encoding >= 0)
			length = pg_encoding_mbcliplen(incident->names.encoding, text->query,
										   length, length);
		appendStringInfoString(&out, session->state == SESSION_ACTIVE ?
							   " Statement: " : " Last statement: ");
		appendBinaryStringInfo(&out, text->query, length);
	}
	describe_trail(&out, trail, text->query);
	return out.data;
}

static void
tally(Message message, const Incident *incident)
{
	Unsaid	   *entry;
	bool		found;

	if (unsaid_by_application == NULL)
	{
		HASHCTL		info = {
			.keysize = NAMEDATALEN,
			.entrysize = sizeof(Unsaid),
		};

		/* in a context of its own, below TopMemoryContext */
		unsaid_by_application = hash_create("leakwatch unsaid", 64, &info,
											HASH_ELEM | HASH_STRINGS);
	}
	entry = hash_search(unsaid_by_application, incident->text.application_name,
						HASH_ENTER, &found);
	entry->count = found ? entry->count + 1 : 1;
	unsaid++;
	if (message == MESSAGE_TERMINATED)
		unsaid_terminated++;
}

/*
 * Say something of an incident in the server log, or only count it when enough
 * has been said in this window.  reason is the terminate limit exceeded, or
 * NULL.
 */
void
report_incident(Message message, const Incident *incident, const Trail *trail,
				const SlotReason *reason, TimestampTz now)
{
	LeakKind	kind = reason != NULL ? reason->kind : incident->kind;

	if (guc_log_burst > 0 && said >= guc_log_burst)
	{
		tally(message, incident);
		return;
	}
	said++;
	ereport(guc_log_level,
			(errcode(kind_sqlstate(kind)),
			 errmsg_internal("%s", message_text(message, incident, reason, now)),
			 errdetail_internal("%s", message_detail(incident, trail, now)),
			 message == MESSAGE_WOULD_TERMINATE ?
			 errhint("Set leakwatch.mode to \"enforce\" to have it terminated.") :
			 errhint("%s", report_hint(kind))));
}

static int
by_count(const void *a, const void *b)
{
	const Unsaid *ua = *(const Unsaid *const *) a;
	const Unsaid *ub = *(const Unsaid *const *) b;

	if (ua->count != ub->count)
		return ub->count - ua->count;
	return strcmp(ua->application, ub->application);
}

/* Sum up what was not said. */
static void
summarise(void)
{
	HASH_SEQ_STATUS seq;
	Unsaid	   *entry;
	Unsaid	  **sorted;
	int			count = 0;
	int			rest = unsaid;
	StringInfoData out;

	sorted = palloc(sizeof(Unsaid *) * hash_get_num_entries(unsaid_by_application));
	hash_seq_init(&seq, unsaid_by_application);
	while ((entry = hash_seq_search(&seq)) != NULL)
		sorted[count++] = entry;
	qsort(sorted, count, sizeof(Unsaid *), by_count);

	initStringInfo(&out);
	for (int i = 0; i < count && i < SUMMARY_APPLICATIONS; i++)
	{
		appendStringInfo(&out, "%s\"%s\": %d", i > 0 ? ", " : "By application: ",
						 sorted[i]->application, sorted[i]->count);
		rest -= sorted[i]->count;
	}
	if (rest > 0)
		appendStringInfo(&out, ", others: %d", rest);
	appendStringInfoChar(&out, '.');

	ereport(guc_log_level,
			(errcode(ERRCODE_WARNING),
			 unsaid_terminated > 0 ?
			 errmsg("%d more messages about sessions over a limit, %d of them about terminated ones",
					unsaid, unsaid_terminated) :
			 errmsg("%d more messages about sessions over a limit", unsaid),
			 errdetail_internal("%s", out.data),
			 errhint("The view leakwatch.leaks lists the sessions, and the table leakwatch.incidents all that have been found. leakwatch.log_burst sets how many messages are written one by one.")));
	pfree(out.data);
	pfree(sorted);
}

/*
 * Sum up now what has not been said yet.
 */
void
report_flush(void)
{
	if (unsaid > 0)
		summarise();
	if (unsaid_by_application != NULL)
		hash_destroy(unsaid_by_application);
	unsaid_by_application = NULL;
	said = unsaid = unsaid_terminated = 0;
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
 * When report_at() is to be called next, in us and monotonic; PG_INT64_MAX
 * when there is nothing to sum up.
 */
int64
report_due(void)
{
	return unsaid > 0 ? window_end : PG_INT64_MAX;
}
