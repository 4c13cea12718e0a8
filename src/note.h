/*-------------------------------------------------------------------------
 *
 * note.h
 *	  What a backend notes of the statements that it executes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_NOTE_H
#define LEAKWATCH_NOTE_H

#include "access/xact.h"
#include "guc.h"
#include "local.h"
#include "tcop/pquery.h"
#include "tcop/tcopprot.h"
#include "trail.h"

extern void note_utility(const PlannedStmt *statement, const char *source, TimestampTz at);
extern void note_within(const PlannedStmt *statement, TimestampTz at);
extern void note_failure(int sqlerrcode, const char *source);
extern void note_rollback(void);

/*
 * private part: what every statement and every transaction passes through
 */

/* In place of where a statement is in its string: all of them are noted as one. */
#define NOTE_WHOLE	(-1)

/* What has been noted last. */
typedef struct Noted
{
	TimestampTz at;				/* when the message came in */
	int			location;		/* of the statement in it, or NOTE_WHOLE */
	int			place;			/* of its entry, or TRAIL_NOWHERE */
	bool		changed;		/* as its entry has it */
} Noted;

extern LEAKWATCH_LOCAL Noted noted;

/* How the stack of error contexts is when an end has nothing to note. */
extern LEAKWATCH_LOCAL ErrorContextCallback *note_calm;

extern bool note_is_text_of_message(const char *source);
extern void note_other(const PlannedStmt *statement, const char *source, TimestampTz at,
					   bool executed);
extern void note_end_otherwise(void);

/*
 * Is it what the client sent, and not the text of a function?  The portal
 * without a name is the client's, and may have a copy of the text.
 */
static inline bool
note_is_clients(const char *source)
{
	return source != NULL &&
		(source == debug_query_string ||
		 (ActivePortal != NULL && ActivePortal->sourceText == source &&
		  ActivePortal->name[0] == '\0') ||
		 note_is_text_of_message(source));
}

/* Add it to the trail, as the newest of its message and of that transaction. */
static inline void
note_add(TimestampTz transaction, int location, TrailNote note)
{
	noted.at = note.at;
	noted.location = location;
	noted.changed = note.changed;
	noted.place = trail_add(transaction, note);
}

/* May there be more in its message than this statement? */
static inline bool
note_may_be_one_of_several(const PlannedStmt *statement, const char *source)
{
	return unlikely(statement->stmt_location > 0) ||
		(statement->stmt_len > 0 && statement_is_followed(source + statement->stmt_len));
}

/*
 * Note a query that is about to be executed (or only planned), of a message that
 * came in at this time, if it is one that the client sent and not yet noted.
 * What most are, the first and only one of its message and one that reads
 * tables, is worked out here.
 */
static inline void
note_query(const PlannedStmt *statement, const char *source, TimestampTz at, bool executed)
{
	TrailNote	note;

	if (unlikely(trail_own.slot == NULL) && (guc_trail_length == 0 || !trail_find_own()))
		return;
	if (unlikely(at == noted.at || !guc_capture_query || statement->relationOids == NIL ||
				 linitial_oid(statement->relationOids) < FirstNormalObjectId ||
				 !note_is_clients(source) || note_may_be_one_of_several(statement, source)))
	{
		note_other(statement, source, at, executed);
		return;
	}
	note.changed = executed && command_query_changes(statement);
	note.at = at;
	note.query_id = (uint64) statement->queryId;
	note.text = source;
	note.length = strlen(source);
	note.sqlerrcode = 0;
	note.class = COMMAND_APPLICATION;
	note.redacted = false;
	note_add(GetCurrentTransactionStartTimestamp(), NOTE_WHOLE, note);
}

/* A transaction or a subtransaction has ended. */
static inline void
note_end(void)
{
	if (unlikely(error_context_stack != note_calm))
		note_end_otherwise();
}

#endif							/* LEAKWATCH_NOTE_H */
