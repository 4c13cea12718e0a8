/*-------------------------------------------------------------------------
 *
 * trail.c
 *	  The last statements of a session's transaction.
 *
 * Owns the "leakwatch trails" segment: a trail for each entry of the backend
 * status array, written by its backend alone under a change counter.  A
 * trail whose owner is not the session of the status entry counts as empty.
 *
 * What is noted is what the client sent.  The server keeps the text of the
 * message that it works on in debug_query_string, and what functions run
 * inside has another text, so the text tells one from the other without any
 * count of nesting levels.  The time of the message tells a string of several
 * statements, or the inner query of EXPLAIN, from a new message.
 *
 * Values stay out of it: EXECUTE is noted as the statement that it executes.
 * So do passwords: of a statement that may hold one there is only the command.
 * A string of several statements with anything like that in it is noted
 * statement by statement.
 *
 * Nothing here allocates, locks or throws.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include <ctype.h>

#include "access/xact.h"
#include "changes.h"
#include "commands/prepare.h"
#include "guc.h"
#include "mb/pg_wchar.h"
#include "nodes/parsenodes.h"
#include "storage/ipc.h"
#include "storage/shmem.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "trail.h"
#include "utils/plancache.h"

/* What stands for the middle of a long text. */
#define GAP			" ... "

/* Its beginning; the end gets twice as much, because tags stand there. */
#define HEAD_SIZE	((TRAIL_TEXT_SIZE - (int) sizeof(GAP) + 1) / 3)

#define NOT_SHOWN	"<not shown: it may contain a password>"

typedef struct TrailSlot
{
	pg_atomic_uint32 changes;
	Trail		trail;
} TrailSlot;

static char *slots = NULL;

/* What this backend has noted last. */
static TimestampTz noted_at = 0;
static int	noted_location = 0;	/* of the statement in its string; -1: of all */

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

/* ---------- shared memory ---------- */

Size
trail_size(void)
{
	return add_size(offsetof(Trail, statements),
					mul_size(sizeof(TrailStatement), guc_trail_length));
}

static Size
slot_size(void)
{
	return CACHELINEALIGN(add_size(offsetof(TrailSlot, trail), trail_size()));
}

Size
trail_shmem_size(void)
{
	return guc_trail_length == 0 ? 0 : mul_size(slot_size(), MaxBackends);
}

static TrailSlot *
get_slot(int index)
{
	return (TrailSlot *) (slots + slot_size() * index);
}

/* Called with AddinShmemInitLock held. */
void
trail_shmem_init(void)
{
	bool		found;

	if (guc_trail_length == 0)
		return;
	slots = ShmemInitStruct("leakwatch trails", trail_shmem_size(), &found);
	if (found)
		return;

	memset(slots, 0, trail_shmem_size());
	for (int i = 0; i < MaxBackends; i++)
		pg_atomic_init_u32(&get_slot(i)->changes, 0);
}

/* ---------- texts ---------- */

/* Does the text contain this word, which is in lower case? */
static bool
contains(const char *text, size_t length, const char *word)
{
	size_t		word_length = strlen(word);

	for (; length >= word_length; text++, length--)
	{
		if ((*text | 0x20) == *word && pg_strncasecmp(text, word, word_length) == 0)
			return true;
	}
	return false;
}

/* The first place at or after this that does not split a character. */
static const char *
next_character(const char *text, const char *end)
{
	if (GetDatabaseEncoding() == PG_UTF8)
	{
		while (text < end && ((unsigned char) *text & 0xC0) == 0x80)
			text++;
	}
	else if (pg_database_encoding_max_length() > 1)
	{
		/* only from the start of the text could one tell better */
		while (text < end && IS_HIGHBIT_SET(*text))
			text++;
	}
	return text;
}

/* Copy a text, without its middle if it is long. */
static void
copy_text(char *copy, const char *text, size_t length)
{
	const char *end;
	const char *tail;
	int			head;

	if (length <= TRAIL_TEXT_SIZE)
	{
		memcpy(copy, text, length);
		copy[length] = '\0';
		return;
	}

	end = text + length;
	head = pg_mbcliplen(text, HEAD_SIZE + MAX_MULTIBYTE_CHAR_LEN, HEAD_SIZE);
	tail = next_character(end - (TRAIL_TEXT_SIZE - HEAD_SIZE - strlen(GAP)), end);
	memcpy(copy, text, head);
	memcpy(copy + head, GAP, strlen(GAP));
	copy += head + strlen(GAP);
	memcpy(copy, tail, end - tail);
	copy[end - tail] = '\0';
}

/* The EXECUTE that this is, or explains or makes a table of; else NULL. */
static const ExecuteStmt *
find_execute(const Node *statement)
{
	const Node *query = NULL;

	switch (nodeTag(statement))
	{
		case T_ExecuteStmt:
			return (const ExecuteStmt *) statement;
		case T_ExplainStmt:
			query = ((const ExplainStmt *) statement)->query;
			break;
		case T_CreateTableAsStmt:
			query = ((const CreateTableAsStmt *) statement)->query;
			break;
		default:
			break;
	}
	if (query != NULL && IsA(query, Query))
		query = ((const Query *) query)->utilityStmt;
	return query != NULL && IsA(query, ExecuteStmt) ? (const ExecuteStmt *) query : NULL;
}

/* May there be a password in this utility statement? */
static bool
has_secret(const Node *statement, const char *text, size_t length)
{
	switch (nodeTag(statement))
	{
			/* options of any name may be one */
		case T_CreateUserMappingStmt:
		case T_AlterUserMappingStmt:
		case T_CreateForeignServerStmt:
		case T_AlterForeignServerStmt:
		case T_CreateFdwStmt:
		case T_AlterFdwStmt:
		case T_CreateSubscriptionStmt:
		case T_AlterSubscriptionStmt:
			return true;

			/* these spell the word, or are code in which it stands */
		case T_CreateRoleStmt:
		case T_AlterRoleStmt:
		case T_AlterRoleSetStmt:
		case T_AlterDatabaseSetStmt:
		case T_AlterSystemStmt:
		case T_VariableSetStmt:
		case T_CreateFunctionStmt:
		case T_DoStmt:
			return contains(text, length, "password");

		default:
			return false;
	}
}

/* ---------- writing ---------- */

/*
 * The trail of this process, or NULL when it has none.  Only sessions of
 * clients are judged; a parallel worker has its leader's text before it.
 */
static TrailSlot *
my_slot(void)
{
	int			index = compat_my_slot();

	if (slots == NULL || index < 0 || MyBackendType != B_BACKEND || proc_exit_inprogress)
		return NULL;
	return get_slot(index);
}

/* Begin to write; the trail is made empty if it is of another transaction. */
static Trail *
begin_trail(TrailSlot *slot, TimestampTz transaction)
{
	Trail	   *trail = &slot->trail;

	change_begin(&slot->changes);
	if (trail->transaction != transaction || trail->pid != MyProcPid ||
		trail->backend_start != MyStartTimestamp)
	{
		trail->pid = MyProcPid;
		trail->backend_start = MyStartTimestamp;
		trail->transaction = transaction;
		trail->total = 0;
	}
	return trail;
}

/* Where statement n is, or gets its place, counting from 0. */
static int
place(int64 n)
{
	if (n == 0 || guc_trail_length == 1)
		return 0;
	return 1 + (n - 1) % (guc_trail_length - 1);
}

/* Add a statement: its text, after the name of a command if there is one. */
static void
add_statement(TrailSlot *slot, TimestampTz transaction, uint64 query_id,
			  const char *command, const char *text, size_t length, int sqlerrcode)
{
	Trail	   *trail = begin_trail(slot, transaction);
	TrailStatement *statement = &trail->statements[place(trail->total)];

	statement->at = noted_at;
	statement->query_id = query_id;
	statement->sqlerrcode = sqlerrcode;
	if (command != NULL)
		snprintf(statement->text, sizeof(statement->text), "%s %.*s",
				 command, (int) length, text);
	else
		copy_text(statement->text, text, length);
	trail->total++;
	change_end(&slot->changes);
}

/* Text is no longer wanted: drop what there is. */
static void
clear_trail(TrailSlot *slot)
{
	if (slot->trail.total == 0)
		return;
	change_begin(&slot->changes);
	slot->trail.total = 0;
	slot->trail.transaction = 0;
	memset(slot->trail.statements, 0, sizeof(TrailStatement) * guc_trail_length);
	change_end(&slot->changes);
}

/* An error context callback that adds no context. */
static void
on_error(void *arg)
{
	last_error.sqlerrcode = geterrcode();
	last_error.at = GetCurrentStatementStartTimestamp();
	last_error.source = debug_query_string;
}

/*
 * Be told of errors, if that is not so yet.  What is put on the stack within
 * PG_TRY is off it after that, and an uncaught error empties it, so this is
 * done between statements: at the end of each transaction.
 */
static void
watch_errors(void)
{
	static ErrorContextCallback callback = {.callback = on_error};
	ErrorContextCallback **bottom = &error_context_stack;

	while (*bottom != NULL && *bottom != &callback)
		bottom = &(*bottom)->previous;
	*bottom = &callback;
}

/* Is there another statement in a string that this one is at the start of? */
static bool
is_followed(const char *rest)
{
	return rest[strspn(rest, "; \t\r\n\f\v")] != '\0';
}

/*
 * Note a statement that is about to be executed, if it is one that the client
 * sent and not yet noted.
 */
void
trail_note(const PlannedStmt *statement, const char *source)
{
	TrailSlot  *slot = my_slot();
	const Node *utility = statement->utilityStmt;
	TimestampTz at = GetCurrentStatementStartTimestamp();
	TimestampTz transaction = GetCurrentTransactionStartTimestamp();
	int			location = -1;
	const ExecuteStmt *execute;
	const char *command = NULL;
	size_t		length;

	if (slot == NULL || debug_query_string == NULL || source == NULL)
		return;
	if (!guc_capture_query)
	{
		clear_trail(slot);
		return;
	}

	/* the rest of what has been noted as one */
	if (at == noted_at && noted_location < 0 && slot->trail.transaction == transaction)
		return;
	if (source != debug_query_string && strcmp(source, debug_query_string) != 0)
		return;

	length = strlen(source);
	if (statement->stmt_location > 0 ||
		(statement->stmt_len > 0 && is_followed(source + statement->stmt_len)) ||
		(at == noted_at && noted_location >= 0))
	{
		/* one of several, unless all can be shown as they are */
		if (contains(source, length, "password") || contains(source, length, "execute"))
		{
			location = Max(statement->stmt_location, 0);
			if (at == noted_at && location <= noted_location)
				return;
			source += location;
			length = statement->stmt_len > 0 ? (size_t) statement->stmt_len : length - location;
			while (length > 0 && isspace((unsigned char) *source))
			{
				source++;
				length--;
			}
		}
	}
	noted_at = at;
	noted_location = location;

	if (utility != NULL)
	{
		execute = find_execute(utility);
		if (execute != NULL)
		{
			PreparedStatement *prepared = FetchPreparedStatement(execute->name, false);

			if (prepared != NULL)
			{
				source = prepared->plansource->query_string;
				length = strlen(source);
			}
			else
			{
				command = "EXECUTE";
				source = execute->name;
				length = strlen(source);
			}
		}
		else if (has_secret(utility, source, length))
		{
			command = GetCommandTagName(CreateCommandTag(unconstify(Node *, utility)));
			source = NOT_SHOWN;
			length = strlen(NOT_SHOWN);
		}

		/* the transaction that this begins has the time of the message */
		if (IsA(utility, TransactionStmt) && ((const TransactionStmt *) utility)->chain)
			transaction = at;
	}
	add_statement(slot, transaction, (uint64) statement->queryId, command, source, length, 0);
}

/*
 * Mark the statement that has failed and so aborts the transaction.  One that
 * could not be understood is noted only now.
 */
void
trail_note_failure(int sqlerrcode, const char *source)
{
	TrailSlot  *slot = my_slot();
	TimestampTz transaction = GetCurrentTransactionStartTimestamp();
	size_t		length;
	char		text[TRAIL_TEXT_SIZE + 1];

	/* what comes after the failure is not to blame for it */
	if (slot == NULL || source == NULL || !guc_capture_query ||
		sqlerrcode == ERRCODE_IN_FAILED_SQL_TRANSACTION || IsAbortedTransactionBlockState())
		return;

	length = strlen(source);
	copy_text(text, source, length);
	if (slot->trail.total > 0 && slot->trail.transaction == transaction)
	{
		TrailStatement *newest = &slot->trail.statements[place(slot->trail.total - 1)];

		/* a portal is noted when it is bound, and fails when it is executed */
		if (noted_at == GetCurrentStatementStartTimestamp() ||
			(newest->sqlerrcode == 0 && strcmp(newest->text, text) == 0))
		{
			change_begin(&slot->changes);
			newest->sqlerrcode = sqlerrcode;
			change_end(&slot->changes);
			return;
		}
	}

	noted_at = GetCurrentStatementStartTimestamp();
	noted_location = -1;
	if (contains(source, length, "password") ||
		(sqlerrcode == ERRCODE_SYNTAX_ERROR && contains(source, length, "execute")))
	{
		source = NOT_SHOWN;
		length = strlen(NOT_SHOWN);
	}
	add_statement(slot, transaction, 0, NULL, source, length, sqlerrcode);
}

/*
 * A transaction or a subtransaction ends, or with aborted is rolled back.  If
 * nobody asked for that or has caught the error, the stack of context
 * callbacks has been emptied.
 */
void
trail_note_end(bool aborted)
{
	if (my_slot() == NULL)
		return;
	if (aborted && error_context_stack == NULL && last_error.sqlerrcode != 0 &&
		last_error.at == GetCurrentStatementStartTimestamp())
		trail_note_failure(last_error.sqlerrcode, last_error.source);
	watch_errors();
}

/* ---------- reading ---------- */

/*
 * Copy the trail of a session.  False when there is none of this transaction
 * (0: of any), known by when it began.
 */
bool
trail_read(const Session *session, TimestampTz transaction, Trail *trail)
{
	TrailSlot  *slot;

	if (slots == NULL)
		return false;
	slot = get_slot(session->slot);
	return change_copy(&slot->changes, trail, &slot->trail, trail_size()) &&
		trail->pid == session->pid &&
		trail->backend_start == session->since[SINCE_BACKEND] &&
		trail->total > 0 &&
		(transaction == 0 || trail->transaction == transaction);
}

/* How many statements there are in it. */
int
trail_count(const Trail *trail)
{
	return (int) Min(trail->total, guc_trail_length);
}

static int64
trail_dropped(const Trail *trail)
{
	return trail->total - trail_count(trail);
}

/*
 * How many there were just before statement n that have no place any more:
 * between the first and the others, or with one place before it.
 */
int64
trail_dropped_before(const Trail *trail, int n)
{
	return n == (trail_count(trail) > 1 ? 1 : 0) ? trail_dropped(trail) : 0;
}

/* The statement n of trail_count(), oldest first. */
const TrailStatement *
trail_statement(const Trail *trail, int n)
{
	return &trail->statements[place(n == 0 && guc_trail_length > 1 ? 0 :
									trail_dropped(trail) + n)];
}
