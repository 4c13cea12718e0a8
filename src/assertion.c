/*-------------------------------------------------------------------------
 *
 * assertion.c
 *	  assert_no_leaks(), the check for integration tests.
 *
 * Goes by what the watcher finds, so a test proves what a server in
 * production would report.  Writes nothing.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "access/twophase.h"
#include "access/xlog.h"
#include "control.h"
#include "encoding.h"
#include "guc.h"
#include "incident.h"
#include "judge.h"
#include "kind.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "patience.h"
#include "pgstat.h"
#include "prepared.h"
#include "shmem.h"
#include "storage/ipc.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "words.h"

/* How often to look again while the grace lasts, in ms. */
#define PAUSE_MS	20

/* How long the recorder may take to read what is prepared. */
#define READ_TIME	(10 * USECS_PER_SEC)

/* Leaks that an error lists at most. */
#define MAX_LISTED	20

PGDLLEXPORT Datum leakwatch_assert_no_leaks(PG_FUNCTION_ARGS);

PG_FUNCTION_INFO_V1(leakwatch_assert_no_leaks);

/* What to say when the assertion fails. */
typedef struct Findings
{
	List	   *known;			/* pids of all sessions with open incidents */
	List	   *pids;			/* of those that are meant */
	List	   *prepared;		/* numbers of the prepared transactions */
	int			leaks;
	LeakKind	kind;			/* of the first */
	StringInfoData detail;
} Findings;

static bool
are_any(const Findings *findings)
{
	return findings->pids != NIL || findings->prepared != NIL;
}

/*
 * Is this session one of those that the assertion is about?  A prepared
 * transaction is of no application.
 */
static bool
is_meant(const char *application, int pid, const char *application_name)
{
	if (pid == 0)
		return application == NULL;
	return pid != MyProcPid &&
		(application == NULL || strcmp(application_name, application) == 0);
}

static void
list_statements(StringInfo out, const Trail *trail, int encoding)
{
	int			count = trail_count(trail);

	for (int n = 0; n <= count; n++)
	{
		const TrailStatement *statement;
		int64		dropped = trail_dropped_before(trail, n);

		if (dropped > 0)
			appendStringInfo(out, "\n    (" INT64_FORMAT " more)", dropped);
		if (n == count)
			break;
		statement = trail_statement(trail, n);
		appendStringInfo(out, "\n    %s", encoding_to_database(statement->text, encoding));
		if (statement->count > 1)
			appendStringInfo(out, " (%u times)", statement->count);
		if (statement->sqlerrcode != 0)
			appendStringInfo(out, " [%s]", unpack_sql_state(statement->sqlerrcode));
	}
}

/* Its name is everybody's, as in pg_prepared_xacts. */
static void
describe_prepared(Findings *findings, const Incident *incident, TimestampTz now)
{
	StringInfo	out = &findings->detail;
	Excess		excess = incident_excess(incident, now);
	char		words[WORDS_EXCESS_SIZE];

	if (out->len > 0)
		appendStringInfoChar(out, '\n');
	appendStringInfo(out, "Prepared transaction \"%s\", user \"%s\", database \"%s\": %s",
					 encoding_to_database(incident_gid(incident), incident->names.encoding),
					 incident->names.role, incident->names.database,
					 words_excess(&excess, words, sizeof(words)));
}

static void
describe_leak(Findings *findings, int index, const Incident *incident, Trail *trail,
			  TimestampTz now)
{
	StringInfo	out = &findings->detail;
	int			encoding = incident->names.encoding;
	bool		visible = session_is_visible_to_user(incident->session.role);
	Excess		excess = incident_excess(incident, now);
	char		words[WORDS_EXCESS_SIZE];

	if (out->len > 0)
		appendStringInfoChar(out, '\n');
	appendStringInfo(out, "PID %d, user \"%s\", database \"%s\"", incident->session.pid,
					 incident->names.role, incident->names.database);
	if (visible)
		appendStringInfo(out, ", application \"%s\"",
						 incident->text.application_name);
	appendStringInfo(out, ": %s", words_excess(&excess, words, sizeof(words)));
	if (visible && incident_copy_trail(index, incident, trail))
		list_statements(out, trail, encoding);
}

/* The leaks that there are now. */
static void
find_leaks(const char *application, Findings *findings)
{
	Incident   *incident = palloc(sizeof(Incident));
	Trail	   *trail = palloc(trail_size());
	TimestampTz now = GetCurrentTimestamp();
	Patience	patience = {0};

	memset(findings, 0, sizeof(Findings));
	initStringInfo(&findings->detail);
	for (int i = 0; i < incident_max(); i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (!patience_copy_incident(&patience, i, incident) ||
			incident->outcome != OUTCOME_OPEN)
			continue;
		findings->known = lappend_int(findings->known, incident->session.pid);
		if (!is_meant(application, incident->session.pid, incident->text.application_name))
			continue;
		if (!are_any(findings))
			findings->kind = incident->kind;
		findings->leaks++;
		if (incident->kind == KIND_PREPARED_TRANSACTION)
			findings->prepared = lappend_oid(findings->prepared, incident->horizon);
		else
			findings->pids = list_append_unique_int(findings->pids, incident->session.pid);
		if (findings->leaks > MAX_LISTED)
			continue;
		if (incident->kind == KIND_PREPARED_TRANSACTION)
			describe_prepared(findings, incident, now);
		else
			describe_leak(findings, i, incident, trail, now);
	}
	if (findings->leaks > MAX_LISTED)
		appendStringInfo(&findings->detail, "\nand %d more.", findings->leaks - MAX_LISTED);
}

/* What there is to expect of the sessions that are not among the findings. */
typedef enum Outlook
{
	OUTLOOK_CLEAR,
	OUTLOOK_LEAK_COMING,		/* within the grace, if it goes on like this */
	OUTLOOK_UNKNOWN				/* the watcher may not have seen all of them */
} Outlook;

/* Read a session with its strings, all of one moment. */
static Reading
read_session(int slot, Session *session, SessionText *text)
{
	Reading		reading;

	do
	{
		CHECK_FOR_INTERRUPTS();
		reading = session_read(slot, session);
	}
	while (reading == READ_DONE && !session_read_text(session, text));
	return reading;
}

/*
 * What there is to expect of the session in a slot.  One that was over a limit
 * when the watcher scanned, and has no incident, could not be read then, or
 * there was no room for it.
 */
static Outlook
look_ahead(int slot, const char *application, const Findings *findings,
		   TimestampTz scanned_at, TimestampTz by, int *pid)
{
	Session		session;
	SessionText text;
	Judgement	judgement;
	Policy		server_policy;

	switch (read_session(slot, &session, &text))
	{
		case READ_NONE:
			return OUTLOOK_CLEAR;
		case READ_BUSY:
			*pid = session.pid;
			return session.pid == MyProcPid ? OUTLOOK_CLEAR : OUTLOOK_UNKNOWN;
		case READ_DONE:
			break;
	}
	*pid = session.pid;
	if (!is_meant(application, session.pid, text.application_name))
		return OUTLOOK_CLEAR;

	control_policy(&server_policy);
	if (!judge_session(&session, &server_policy, scanned_at, &judgement) ||
		(judgement.verdict.leaking != 0 && !list_member_int(findings->known, session.pid)))
		return OUTLOOK_UNKNOWN;
	return judgement.verdict.next <= by ? OUTLOOK_LEAK_COMING : OUTLOOK_CLEAR;
}

/*
 * The same of prepared transactions.  One that the recorder has not read was
 * prepared after it has read the others; if that may be too long ago, they have
 * to be read again.
 */
static Outlook
look_ahead_at_prepared(const char *application, const Findings *findings,
					   TimestampTz scanned_at, TimestampTz by)
{
	int64		limit = guc_prepared_transaction_warn * INT64CONST(1000);
	Outlook		worst = OUTLOOK_CLEAR;
	PreparedList *list;
	Policy		server_policy;

	control_policy(&server_policy);
	if (application != NULL || limit == 0 || server_policy.value[POLICY_MODE] == MODE_OFF ||
		max_prepared_xacts == 0 || RecoveryInProgress())
		return OUTLOOK_CLEAR;
	list = prepared_new_list();
	if (!prepared_copy(list))
		return OUTLOOK_UNKNOWN;
	for (int place = 0; place < max_prepared_xacts; place++)
	{
		TransactionId xid = prepared_xid(place);
		const PreparedTransaction *transaction = prepared_find(list, xid);
		TimestampTz since = transaction != NULL ? transaction->prepared_at : list->read_at;

		if (!TransactionIdIsValid(xid) || list_member_oid(findings->prepared, xid) ||
			since + limit > by)
			continue;
		if (transaction == NULL)
			prepared_want();
		if (transaction == NULL || since + limit <= scanned_at)
			return OUTLOOK_UNKNOWN;
		worst = OUTLOOK_LEAK_COMING;
	}
	return worst;
}

/* The worst of all outlooks, and a session that it is of; 0: of none. */
static Outlook
look_ahead_at_all(const char *application, const Findings *findings, TimestampTz by,
				  int *pid)
{
	Outlook		worst;
	TimestampTz scanned_at;
	int64		duration;

	control_last_scan(&scanned_at, &duration);
	worst = look_ahead_at_prepared(application, findings, scanned_at, by);
	for (int slot = 0; slot < MaxBackends; slot++)
	{
		int			slot_pid = 0;
		Outlook		outlook = look_ahead(slot, application, findings, scanned_at, by, &slot_pid);

		if (outlook > worst)
		{
			worst = outlook;
			*pid = slot_pid;
		}
	}
	return worst;
}

/* Neither "there are none" nor "there are some" would be true. */
static void
report_unknown(int pid)
{
	if (pid == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("could not tell whether prepared transactions leak"),
				 errdetail("They have to be read within a database, and the recorder of leakwatch has not done so, or leakwatch had no room for another incident."),
				 errhint("Try again. If that does not help, look at \"health\" in leakwatch.status.")));
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 errmsg("could not tell whether the session with PID %d leaks", pid),
			 errdetail("It was just changing its state whenever it was looked at, or leakwatch had no room for another incident."),
			 errhint("Try again. If that does not help, see whether its process has been stopped.")));
}

/* "there are 2 leaked sessions", and the like. */
static void
fail(const char *application, const Findings *findings)
{
	int			count = list_length(findings->pids);
	int			prepared = list_length(findings->prepared);

	ereport(ERROR,
			(errcode(ERRCODE_ASSERT_FAILURE),
			 count > 0 && prepared > 0 ?
			 errmsg("there are leaked sessions (%d) and prepared transactions that nobody has finished (%d)",
					count, prepared) :
			 prepared > 0 ?
			 errmsg_plural("there is %d prepared transaction that nobody has finished",
						   "there are %d prepared transactions that nobody has finished",
						   prepared, prepared) :
			 application != NULL ?
			 errmsg_plural("application \"%s\" has %d leaked session",
						   "application \"%s\" has %d leaked sessions",
						   count, application, count) :
			 errmsg_plural("there is %d leaked session",
						   "there are %d leaked sessions",
						   count, count),
			 errdetail_internal("%s", findings->detail.data),
			 errhint("%s", kind_info(findings->kind)->hint)));
}

/*
 * leakwatch.assert_no_leaks(application text, grace interval): returns if no
 * session with this application_name (NULL: with any, and no prepared
 * transaction), other than the caller's, is over a limit, and fails with
 * ERRCODE_ASSERT_FAILURE otherwise.
 *
 * What is over a limit may end within the grace (NULL: none), and what would
 * meet one within it is waited for.  So is, for a while, what can't be told; if
 * that remains so, the error is ERRCODE_OBJECT_IN_USE.
 */
Datum
leakwatch_assert_no_leaks(PG_FUNCTION_ARGS)
{
	static uint32 wait_event = 0;
	char	   *application = NULL;
	TimestampTz until;
	MemoryContext oldcontext;
	MemoryContext context;
	Findings	findings;
	Patience	patience = {0};
	Patience	patience_to_read;

	shmem_require();
	until = GetCurrentTimestamp();
	patience_to_read.until = until + READ_TIME;
	if (!PG_ARGISNULL(1))
		until = DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval,
														TimestampTzGetDatum(until),
														PG_GETARG_DATUM(1)));
	if (!PG_ARGISNULL(0))
	{
		/* the server cuts the name of a session here too */
		application = text_to_cstring(PG_GETARG_TEXT_PP(0));
		application[pg_mbcliplen(application, strlen(application), NAMEDATALEN - 1)] = '\0';
	}
	if (wait_event == 0)
		wait_event = compat_wait_event("LeakwatchAssertNoLeaks");

	/* what one look finds is gone before the next */
	context = AllocSetContextCreate(CurrentMemoryContext, "leakwatch assertion",
									ALLOCSET_DEFAULT_SIZES);
	oldcontext = MemoryContextSwitchTo(context);
	for (;;)
	{
		TimestampTz now;
		Outlook		outlook;
		int			pid = 0;

		MemoryContextReset(context);
		control_scan_now();
		find_leaks(application, &findings);
		outlook = look_ahead_at_all(application, &findings, until, &pid);
		now = GetCurrentTimestamp();
		if (are_any(&findings) ? now >= until : outlook == OUTLOOK_CLEAR)
			break;
		if (now >= until)
		{
			if (outlook == OUTLOOK_LEAK_COMING)
				break;
			if (!patience_wait(pid != 0 ? &patience : &patience_to_read))
				report_unknown(pid);
			continue;
		}

		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 Min(PAUSE_MS, (until - now) / 1000 + 1), wait_event);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}

	if (are_any(&findings))
		fail(application, &findings);
	MemoryContextSwitchTo(oldcontext);
	MemoryContextDelete(context);
	PG_RETURN_VOID();
}
