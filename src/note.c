/*-------------------------------------------------------------------------
 *
 * note.c
 *	  What a backend notes of the statements that it executes.
 *
 * Owns nothing shared: it tells trail.c.  What is noted is what the client
 * sent.  The server keeps the text of the message that it works on in
 * debug_query_string, and what functions run inside has another text, so the
 * text tells one from the other without any count of nesting levels.  The time
 * of the message tells a string of several statements, or the inner query of
 * EXPLAIN, from a new message.
 *
 * Values stay out of it: EXECUTE is noted as the statement that it executes.
 * So do passwords: of a statement that may hold one there is only the command.
 * A string of several statements with anything like that in it is noted
 * statement by statement.  Its text is looked through once.
 *
 * Nothing here allocates, locks or throws.  Every statement passes through: what
 * most are is worked out in the header, and the rest stands apart.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "access/xact.h"
#include "commands/prepare.h"
#include "executor/spi.h"
#include "guc.h"
#include "note.h"
#include "parser/scansup.h"
#include "tcop/pquery.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "trail.h"
#include "utils/plancache.h"

Noted		noted = {
	.place = TRAIL_NOWHERE
};

/*
 * The last error in it, whatever became of that.  The log hook does not see
 * errors that log_min_messages hides; error context callbacks see them all.
 */
static struct
{
	int			sqlerrcode;
	TimestampTz at;
	const char *source;
}			last_error;

/* ---------- statements ---------- */

/* The text of a message of several statements, looked through once. */
static struct
{
	TimestampTz at;				/* when it came in */
	const char *source;
	size_t		length;
	bool		has_secret_word;
}			message;

/* Does the text, which has several statements, have to be taken apart? */
static pg_noinline bool
message_has_secret_word(const char *source, TimestampTz at)
{
	if (message.at != at || message.source != source)
	{
		message.at = at;
		message.source = source;
		message.length = strlen(source);
		message.has_secret_word = statement_has_secret_word(source, message.length);
	}
	return message.has_secret_word;
}

/* The same text as that of the message, wherever it is? */
pg_noinline bool
note_is_text_of_message(const char *source)
{
	return debug_query_string != NULL && strcmp(source, debug_query_string) == 0;
}

/* What has been noted is found to change something by what it executes. */
static pg_noinline void
note_change(const PlannedStmt *statement)
{
	if (noted.changed || !command_changes(statement))
		return;
	noted.changed = true;
	if (noted.place >= 0)
		trail_set_changed(noted.place);
}

/*
 * Where it starts in its string.  The first starts with the comments before it,
 * which some versions leave out of its location.
 */
static inline int
start_of(const PlannedStmt *statement, const char *source, bool goes_on)
{
	int			location = statement->stmt_location;

	if (location <= 0 || (!goes_on && !statement_is_preceded(source, location)))
		return 0;
	return location;
}

/* Where it ends in its string, if it ends before that does. */
static inline size_t
end_of(const PlannedStmt *statement)
{
	return Max(statement->stmt_location, 0) + statement->stmt_len;
}

/* One of several in a string: note it alone. */
static pg_noinline void
cut_out(TrailNote *note, const PlannedStmt *statement, int location)
{
	const char *text = message.source + location;
	size_t		length = (statement->stmt_len > 0 ? end_of(statement) : message.length) - location;

	while (length > 0 && scanner_isspace(*text))
	{
		text++;
		length--;
	}
	note->text = text;
	note->length = length;
	note->redacted = true;
}

/* Put what can be shown in place of the text, where that can't be. */
static pg_noinline void
redact(TrailNote *note, const Node *utility)
{
	static char buffer[NAMEDATALEN + sizeof(STATEMENT_NOT_SHOWN)];
	const ExecuteStmt *execute = command_execute(utility);
	PreparedStatement *prepared = execute != NULL ?
	FetchPreparedStatement(execute->name, false) : NULL;

	if (prepared != NULL)
		note->text = prepared->plansource->query_string;
	else if (execute != NULL)
	{
		snprintf(buffer, sizeof(buffer), "EXECUTE %s", execute->name);
		note->text = buffer;
	}
	else if (command_has_secret(utility, note->text, note->length))
	{
		snprintf(buffer, sizeof(buffer), "%s " STATEMENT_NOT_SHOWN,
				 GetCommandTagName(CreateCommandTag(unconstify(Node *, utility))));
		note->text = buffer;
	}
	else
		return;
	note->length = strlen(note->text);
	note->redacted = true;
}

/*
 * A pool asks whether its connection is alive, outside a transaction: that is
 * no reason to forget the last one.
 */
static pg_noinline bool
is_passed_over(const PlannedStmt *statement)
{
	return statement->relationOids == NIL && !IsTransactionBlock() &&
		trail_of_application(&trail_own.slot->trail, false) != NULL;
}

/*
 * Note a statement of any kind, in any message, if it is the client's and not
 * yet noted.
 */
void
note_other(const PlannedStmt *statement, const char *source, TimestampTz at, bool executed)
{
	static TrailNote note;
	const Node *utility = statement->utilityStmt;
	TimestampTz transaction = GetCurrentTransactionStartTimestamp();
	int			location = NOTE_WHOLE;
	int			start;
	bool		goes_on = at == noted.at;
	bool		several;

	if (unlikely(!guc_capture_query))
	{
		noted.place = TRAIL_NOWHERE;
		trail_clear();
		return;
	}
	if ((goes_on && noted.location == NOTE_WHOLE && trail_own.transaction == transaction) ||
		!note_is_clients(source))
	{
		if (executed && goes_on)
			note_change(statement);
		return;
	}

	note.at = at;
	note.text = source;
	note.query_id = (uint64) statement->queryId;
	note.changed = executed && command_changes(statement);
	note.redacted = false;
	start = start_of(statement, source, goes_on);
	several = goes_on || start > 0 ||
		(statement->stmt_len > 0 && statement_is_followed(source + end_of(statement)));
	if (!several)
		note.length = strlen(source);
	else if (!message_has_secret_word(source, at))
		note.length = message.length;
	else
	{
		location = start;
		if (goes_on && location <= noted.location)
		{
			if (executed)
				note_change(statement);
			return;
		}
		cut_out(&note, statement, location);
	}

	note.class = several && location == NOTE_WHOLE ?
		COMMAND_APPLICATION : command_class(statement, note.changed);
	if (note.class == COMMAND_FRAMEWORK && is_passed_over(statement))
	{
		noted.at = at;
		noted.location = location;
		noted.place = TRAIL_NOWHERE;
		noted.changed = false;
		return;
	}
	if (utility != NULL && !IsA(utility, TransactionStmt))
		redact(&note, utility);
	else if (utility != NULL && ((const TransactionStmt *) utility)->chain)
	{
		/* the transaction that this begins has the time of the message */
		transaction = at;
	}
	note_add(transaction, location, note);
}

/* Note a utility statement that is about to be executed. */
void
note_utility(const PlannedStmt *statement, const char *source, TimestampTz at)
{
	if (likely(trail_own.slot != NULL) || (guc_trail_length > 0 && trail_find_own()))
		note_other(statement, source, at, true);
}

/* A statement is executed within one that has been noted. */
void
note_within(const PlannedStmt *statement, TimestampTz at)
{
	if (!noted.changed && noted.at == at)
		note_change(statement);
}

/* ---------- failures, and ends ---------- */

/* An error context callback that adds no context. */
static void
on_error(void *arg)
{
	last_error.sqlerrcode = geterrcode();
	last_error.at = GetCurrentStatementStartTimestamp();
	last_error.source = debug_query_string;
}

/*
 * Be told of errors, if that is not so yet.  An uncaught error empties the
 * stack of callbacks, and what is put on it within PG_TRY is off it after
 * that, so this is done between statements: at the end of each transaction.
 * A stack that is not empty is left alone: it is made of others' variables,
 * which need not be there any more.
 */
static ErrorContextCallback error_watch = {.callback = on_error};

/* Never on the stack. */
static ErrorContextCallback nobody;

ErrorContextCallback *note_calm = &nobody;

static void
watch_errors(void)
{
	if (error_context_stack == NULL)
		error_context_stack = &error_watch;
}

/* Where what has failed is noted, or TRAIL_NOWHERE. */
static int
find_failed(const Trail *trail, const TrailNote *note)
{
	const TrailStatement *newest;

	if (noted.at == note->at)
		return noted.place;

	/* a portal is noted when it is bound, and fails when it is executed */
	newest = trail_before(trail, NULL);
	if (newest == NULL || trail->transaction != GetCurrentTransactionStartTimestamp() ||
		newest->sqlerrcode != 0 || !trail_is_same(newest, note))
		return TRAIL_NOWHERE;
	return newest - trail->statements;
}

/*
 * Mark the statement that has failed and so aborts the transaction.  One that
 * could not be understood is noted only now.
 */
void
note_failure(int sqlerrcode, const char *source)
{
	const Trail *trail = trail_mine();
	TrailNote	note = {
		.text = source,
		.sqlerrcode = sqlerrcode,
		.class = COMMAND_APPLICATION,
	};
	int			failed;

	/* what comes after the failure is not to blame for it */
	if (trail == NULL || source == NULL || !guc_capture_query ||
		sqlerrcode == ERRCODE_IN_FAILED_SQL_TRANSACTION || IsAbortedTransactionBlockState())
		return;

	note.at = GetCurrentStatementStartTimestamp();
	note.length = strlen(source);
	failed = find_failed(trail, &note);
	if (failed >= 0)
	{
		trail_set_failed(failed, sqlerrcode);
		return;
	}

	if (sqlerrcode == ERRCODE_SYNTAX_ERROR ? statement_has_secret_word(source, note.length) :
		statement_is_suspect(source))
	{
		note.text = STATEMENT_NOT_SHOWN;
		note.length = strlen(STATEMENT_NOT_SHOWN);
		note.redacted = true;
	}
	note_add(GetCurrentTransactionStartTimestamp(), NOTE_WHOLE, note);
}

/*
 * A transaction or a subtransaction is rolled back.  If nobody asked for that
 * or has caught the error, the stack of context callbacks has been emptied.
 */
void
note_rollback(void)
{
	if (error_context_stack == NULL && last_error.sqlerrcode != 0 &&
		last_error.at == GetCurrentStatementStartTimestamp())
		note_failure(last_error.sqlerrcode, last_error.source);
}

/*
 * A transaction has ended otherwise than most do.  When a procedure has ended
 * it, what it does next belongs to the same CALL.
 */
void
note_end_otherwise(void)
{
	bool		goes_on;

	if (!trail_is_there())
	{
		note_calm = NULL;
		return;
	}
	goes_on = error_context_stack != NULL && error_context_stack != &error_watch &&
		SPI_inside_nonatomic_context();
	trail_set_goes_on(goes_on);
	watch_errors();
	note_calm = goes_on ? &nobody : &error_watch;
}
