/*-------------------------------------------------------------------------
 *
 * hooks.c
 *	  Where every process of the server passes through leakwatch.
 *
 * Owns the chained hooks.  Nothing here may fail a statement or a message
 * that would not have failed without leakwatch.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "access/xact.h"
#include "executor/executor.h"
#include "guc.h"
#include "hooks.h"
#include "kind.h"
#include "listen.h"
#include "nodes/parsenodes.h"
#include "note.h"
#include "outcome.h"
#include "publication.h"
#include "saturation.h"
#include "slot.h"
#include "spells.h"
#include "storage/ipc.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "use.h"
#include "utils/backend_status.h"
#include "utils/elog.h"
#include "words.h"

static emit_log_hook_type prev_emit_log = NULL;

/* The server's own, if nobody else has been there before. */
static ExecutorStart_hook_type next_executor_start = standard_ExecutorStart;
static ProcessUtility_hook_type next_process_utility = standard_ProcessUtility;

/* Set in the two workers, whose errors the status view shows. */
static bool is_actor = false;
static Actor this_actor;

/* The client of this session has left it without a word. */
static bool client_left = false;

/* This transaction has created or updated the extension. */
static bool extension_changed = false;

/* on_proc_exit callback, so that it runs when the session is no longer seen */
static void
wake_watcher(int code, Datum arg)
{
	control_wake(WATCHER);
}

/*
 * This session is ending: publish why, and if the watcher ends it, tell the
 * client which limit it was over.
 */
static void
note_fatal(ErrorData *edata)
{
	int			sqlerrcode = client_left ? 0 : edata->sqlerrcode;
	Excess		reason;

	/* an end that the watcher waits for is noticed at once; last comes first */
	if (slot_publish_end(sqlerrcode, outcome_fatal(sqlerrcode, edata->message_id)))
	{
		on_proc_exit(wake_watcher, 0);
		slot_announce_exit();
	}

	if (edata->sqlerrcode == ERRCODE_ADMIN_SHUTDOWN && slot_my_reason(&reason))
	{
		char		excess[WORDS_EXCESS_SIZE];
		char	   *detail;

		detail = psprintf("leakwatch terminated the session because it had been %s.",
						  words_excess(&reason, excess, sizeof(excess)));

		/* what the server says in the log alone stays there */
		if (edata->detail_log != NULL)
			edata->detail_log = psprintf("%s\n%s", detail, edata->detail_log);
		edata->detail = detail;
		edata->hint = pstrdup(kind_info(reason.kind)->hint);
	}
}

/*
 * Called within the report of each message that goes to the server log; the
 * current context is the message's.
 */
static void
on_emit_log(ErrorData *edata)
{
	if (outcome_client_left(edata->sqlerrcode, edata->message_id))
	{
		client_left = true;
		if (slot_is_watched())
			slot_publish_leaving();
	}
	if (edata->elevel >= FATAL)
	{
		note_fatal(edata);
		saturation_note_refusal(edata);
	}
	/* an ERROR gets here only when nothing in the statement has caught it */
	if (edata->elevel == ERROR)
		note_failure(edata->sqlerrcode, debug_query_string);
	if (is_actor && edata->elevel >= ERROR && edata->message != NULL)
	{
		control_error(this_actor, edata->message);
		if (this_actor == RECORDER)
			control_condition(RECORDER, edata->message);
	}

	if (prev_emit_log)
		prev_emit_log(edata);
}

/* Say where the incidents will be, when that is not where the user looks. */
static void
note_extension_created(void)
{
	char	   *here = get_database_name(MyDatabaseId);
	char	   *publication;

	if (here != NULL && strcmp(here, guc_database) != 0)
	{
		ereport(NOTICE,
				(errmsg("leakwatch records incidents in database \"%s\", not in this one",
						guc_database),
				 errhint("Create the extension there, or set leakwatch.database to \"%s\".",
						 here)));
		return;
	}

	publication = publication_in_the_way();
	if (publication != NULL)
		ereport(WARNING,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("leakwatch records no incidents in this database while publication \"%s\" is FOR ALL TABLES",
						publication),
				 errdetail("It would send them to subscribers, and those that do not have the tables of the extension would stop."),
				 errhint("Set leakwatch.database to one without such a publication; or create the extension for each subscriber too, and set leakwatch.record_published to on.")));
}

/*
 * A session that was reported and went on may be gone, and another in its
 * place, before the watcher looks again: publish when it went on.  The arrival
 * of the statement is a time that is known already.  One whose transaction ends
 * because it leaves has not gone on.
 */
static pg_noinline void
go_on(void)
{
	if (!slot_is_watched())
		return;
	if (proc_exit_inprogress)
		slot_publish_leaving();
	else if (!client_left)
		slot_publish_going_on(GetCurrentStatementStartTimestamp());
}

static inline void
note_going_on(void)
{
	if (unlikely(slot_is_addressed()))
		go_on();
}

/* A transaction that has failed is over for the server when it fails. */
static bool
ends_failed_transaction(const TransactionStmt *statement)
{
	switch (statement->kind)
	{
		case TRANS_STMT_COMMIT:
		case TRANS_STMT_ROLLBACK:
		case TRANS_STMT_PREPARE:
			return IsAbortedTransactionBlockState();
		default:
			return false;
	}
}

/*
 * Tell the client that its session has been reported, once, with the statement
 * that came in at this time.  Only of what it left open in the transaction that
 * it goes on with: outside, a pooler may have given the session to another one.
 * Not for the server log, where it stands already.
 */
static void
tell_client(const Excess *report, TimestampTz at)
{
	Excess		excess = *report;
	char		words[WORDS_EXCESS_SIZE];

	if (kind_info(excess.kind)->clock == SINCE_BACKEND ||
		GetCurrentTransactionStartTimestamp() > excess.at)
		return;
	excess.at = Max(at, excess.since);
	ereport(WARNING_CLIENT_ONLY,
			(errcode(ERRCODE_WARNING),
			 errmsg("this session had been %s", words_excess(&excess, words, sizeof(words))),
			 errhint("%s", kind_info(excess.kind)->hint)));
}

/*
 * A statement is about to be executed, and the watcher has marked the session,
 * or reported it.  One that goes on says so to the watcher, and once to its
 * client.
 */
static pg_noinline void
answer_watcher(void)
{
	static TimestampTz announced_at = 0;
	TimestampTz at = GetCurrentStatementStartTimestamp();
	Excess		report;

	/*
	 * not for all that runs inside: a session that is seen active is looked
	 * at
	 */
	if (slot_is_watched() && announced_at != at)
	{
		announced_at = at;
		slot_announce();
	}
	if (slot_take_report(at, &report) && guc_warn_client && MyBackendType == B_BACKEND)
		tell_client(&report, at);
	slot_settle();
}

static void
on_executor_start(QueryDesc *queryDesc, int eflags)
{
	TimestampTz at = GetCurrentStatementStartTimestamp();

	spells_note_idle(at, false);
	if (unlikely(slot_is_addressed()))
		answer_watcher();
	use_note_query(queryDesc->plannedstmt, at);
	note_query(queryDesc->plannedstmt, queryDesc->sourceText, at,
			   (eflags & EXEC_FLAG_EXPLAIN_ONLY) == 0);
	next_executor_start(queryDesc, eflags);
}

static void
on_process_utility(PlannedStmt *pstmt, const char *queryString, bool readOnlyTree,
				   ProcessUtilityContext context, ParamListInfo params,
				   QueryEnvironment *queryEnv, DestReceiver *dest, QueryCompletion *qc)
{
	/* the statement's tree may not outlive its execution: note it before */
	Node	   *statement = pstmt->utilityStmt;
	TimestampTz at = GetCurrentStatementStartTimestamp();
	bool		creates_us;
	bool		updates_us;

	spells_note_idle(at, true);
	if (unlikely(slot_is_addressed()))
		answer_watcher();
	use_note_utility(pstmt, at);
	if (context == PROCESS_UTILITY_TOPLEVEL)
		note_utility(pstmt, queryString, at);
	else
		note_within(pstmt, at);
	if (IsA(statement, TransactionStmt))
	{
		if (ends_failed_transaction((const TransactionStmt *) statement))
			note_going_on();
		next_process_utility(pstmt, queryString, readOnlyTree, context, params,
							 queryEnv, dest, qc);
		return;
	}

	listen_note(statement);
	creates_us = IsA(statement, CreateExtensionStmt) &&
		strcmp(((CreateExtensionStmt *) statement)->extname, "leakwatch") == 0;
	updates_us = IsA(statement, AlterExtensionStmt) &&
		strcmp(((AlterExtensionStmt *) statement)->extname, "leakwatch") == 0;
	next_process_utility(pstmt, queryString, readOnlyTree, context, params, queryEnv, dest, qc);
	if (creates_us)
		note_extension_created();
	extension_changed |= creates_us || updates_us;
}

/*
 * Is this transaction one that the server makes in an idle session, to catch up
 * with what others have changed or to hand on a notification?  The client has
 * no part in it.
 */
static bool
is_of_server(void)
{
	return MyBEEntry != NULL && MyBEEntry->st_state == STATE_IDLE && !proc_exit_inprogress;
}

/* How far this process has come: only transactions of a client are counted. */
typedef enum Service
{
	SERVICE_STARTING,
	SERVICE_ENTERED,			/* the transaction of its start commits */
	SERVICE_CLIENTS,			/* what comes is of its client */
	SERVICE_OTHER				/* it has no client */
} Service;

static Service service = SERVICE_STARTING;

/* The first transaction is that of the start: its limits are all behind. */
static pg_noinline void
enter_service(void)
{
	service = MyBackendType == B_BACKEND ? SERVICE_ENTERED : SERVICE_OTHER;
	if (service == SERVICE_ENTERED)
	{
		saturation_enter();
		use_connect();
	}
}

/* A transaction has failed, perhaps before its statement was executed. */
static pg_noinline void
note_failed_transaction(void)
{
	spells_note_idle(GetCurrentStatementStartTimestamp(), true);
	note_rollback();
	note_end();
	use_end(true);
	note_going_on();
	extension_changed = false;
}

static void
on_transaction(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_PRE_COMMIT)
	{
		if (unlikely(service == SERVICE_STARTING))
			enter_service();
		return;
	}
	if ((event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT && event != XACT_EVENT_PREPARE) ||
		is_of_server())
		return;

	/* that of the start is none of the client's */
	if (likely(service == SERVICE_CLIENTS))
		spells_note_transaction();
	else if (service == SERVICE_ENTERED)
		service = SERVICE_CLIENTS;
	if (event == XACT_EVENT_ABORT)
	{
		note_failed_transaction();
		return;
	}
	note_end();
	use_end(false);
	note_going_on();
	if (unlikely(extension_changed))
	{
		if (event == XACT_EVENT_COMMIT)
			control_want_recorder();
		extension_changed = false;
	}
}

static void
on_subtransaction(SubXactEvent event, SubTransactionId mySubid,
				  SubTransactionId parentSubid, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
	{
		note_rollback();
		note_end();
	}
}

void
hooks_install(void)
{
	prev_emit_log = emit_log_hook;
	emit_log_hook = on_emit_log;
	if (ProcessUtility_hook != NULL)
		next_process_utility = ProcessUtility_hook;
	ProcessUtility_hook = on_process_utility;
	if (ExecutorStart_hook != NULL)
		next_executor_start = ExecutorStart_hook;
	ExecutorStart_hook = on_executor_start;
	if (guc_trail_length > 0)
		RegisterSubXactCallback(on_subtransaction, NULL);
	RegisterXactCallback(on_transaction, NULL);
}

/* From now on this process is that actor. */
void
hooks_note_errors_of(Actor actor)
{
	is_actor = true;
	this_actor = actor;
}
