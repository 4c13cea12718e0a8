/*-------------------------------------------------------------------------
 *
 * activity.c
 *	  What a session is at that must not, or need not, be disturbed.
 *
 * Reads fields of other processes without a lock, as pg_stat_activity does:
 * each is one word, and tells of a moment.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "activity.h"
#include "session.h"
#include "statement.h"

static volatile PGPROC *
process_of(const Session *session)
{
	volatile PGPROC *proc = compat_slot_proc(session->slot);

	return proc != NULL && proc->pid == session->pid ? proc : NULL;
}

/*
 * Is a commit on its way to the client, which a signal would no longer undo
 * but keep from being known?
 *
 * The commit record is being written while the process delays checkpoints.
 * Then the process waits for a synchronous standby, if one is asked for.  After
 * that the transaction has no number any more, though its start is still shown;
 * and at last no start either, while the session is not yet shown idle.  That
 * is also how a statement begins, which comes to no harm by being left alone
 * for a moment; and a pipeline that skips messages up to Sync, which is told
 * by its waiting for the client.
 */
static bool
is_committing(const Session *session, const volatile PGPROC *proc, uint32 wait_event)
{
	if (wait_event == WAIT_EVENT_SYNC_REP)
		return true;
	if (session->state != SESSION_ACTIVE && session->state != SESSION_UNKNOWN)
		return false;
	if ((proc->delayChkptFlags & COMPAT_DELAY_CHKPT_IN_COMMIT) == COMPAT_DELAY_CHKPT_IN_COMMIT)
		return true;
	if (session->state == SESSION_UNKNOWN)
		return false;
	if (session->since[SINCE_TRANSACTION] != 0)
		return compat_proc_lxid(proc) == InvalidLocalTransactionId;
	return (wait_event & 0xFF000000) != PG_WAIT_CLIENT;
}

/* What a session is at; nothing of all this if it is gone. */
void
activity_read(const Session *session, Activity *activity)
{
	volatile PGPROC *proc = process_of(session);
	ProgressCommandType command;
	int64		param[PGSTAT_NUM_PROGRESS_PARAM];
	uint32		wait_event;

	memset(activity, 0, sizeof(Activity));
	activity->progress.percent = -1;
	if (proc == NULL)
		return;

	wait_event = proc->wait_event_info;
	activity->waits_for_lock = proc->waitLock != NULL;
	activity->replicating = wait_event == WAIT_EVENT_SYNC_REP;
	activity->committing = is_committing(session, proc, wait_event);
	if (session->state == SESSION_ACTIVE && session_progress(session, &command, param))
		activity->progress = progress_of(command, param);
}

static bool
begins_with_vacuum(const char *query)
{
	while (*query == ' ' || *query == '\t' || *query == '\n' || *query == '\r')
		query++;
	return pg_strncasecmp(query, "VACUUM", 6) == 0;
}

/*
 * Does a session vacuum, so that its transaction keeps nobody's dead rows?
 * The server notes that with the process, but takes it back between one table
 * and the next, and while it analyzes; the statement tells then.  VACUUM FULL
 * keeps them as everybody does, and so does CREATE INDEX CONCURRENTLY.
 */
bool
activity_is_vacuum(const Session *session)
{
	volatile PGPROC *proc = process_of(session);
	SessionText text;

	if (session->state != SESSION_ACTIVE || proc == NULL)
		return false;
	if (proc->statusFlags & PROC_IN_VACUUM)
		return true;
	return session_read_text(session, &text) && begins_with_vacuum(text.query) &&
		!statement_contains(text.query, strlen(text.query), "full");
}
