/*-------------------------------------------------------------------------
 *
 * command.h
 *	  What a statement is, by its parse tree.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_COMMAND_H
#define LEAKWATCH_COMMAND_H

#include "access/transam.h"
#include "nodes/parsenodes.h"
#include "nodes/plannodes.h"
#include "nodes/primnodes.h"

/* Whose it is: what comes later is the more worth remembering. */
typedef enum CommandClass
{
	COMMAND_CONTROL,			/* begins or ends a transaction or savepoint */
	COMMAND_FRAMEWORK,			/* what drivers, pools and frameworks send */
	COMMAND_APPLICATION
} CommandClass;

extern const ExecuteStmt *command_execute(const Node *utility);
extern bool command_has_secret(const Node *utility, const char *text, size_t length);

/*
 * private part: what every statement passes through
 */

extern bool command_is_advisory_lock(Oid function);
extern bool command_utility_changes(const Node *utility);
extern CommandClass command_utility_class(const Node *utility);
extern bool command_reads_nothing(const PlannedStmt *statement);

/* Does a query that returns these lock anything by what it calls? */
static inline bool
command_locks(const List *targets)
{
	const ListCell *cell;
	const ListCell *end;

	if (targets == NIL)
		return false;
	end = targets->elements + targets->length;
	for (cell = targets->elements; cell < end; cell++)
	{
		const Node *expression = (const Node *) ((const TargetEntry *) lfirst(cell))->expr;

		if (unlikely(expression != NULL && IsA(expression, FuncExpr)) &&
			command_is_advisory_lock(((const FuncExpr *) expression)->funcid))
			return true;
	}
	return false;
}

/* Does a query change or lock anything? */
static inline bool
command_query_changes(const PlannedStmt *statement)
{
	return statement->commandType != CMD_SELECT || statement->hasModifyingCTE ||
		statement->rowMarks != NIL || command_locks(statement->planTree->targetlist);
}

/*
 * Does the statement itself change or lock anything?  What is executed within
 * it is asked about by itself.
 */
static inline bool
command_changes(const PlannedStmt *statement)
{
	const Node *utility = statement->utilityStmt;

	if (utility == NULL)
		return command_query_changes(statement);
	return !IsA(utility, TransactionStmt) && command_utility_changes(utility);
}

/* Whose statement it is.  What changes something is the application's. */
static inline CommandClass
command_class(const PlannedStmt *statement, bool changes)
{
	if (changes)
		return COMMAND_APPLICATION;
	if (statement->utilityStmt != NULL)
		return IsA(statement->utilityStmt, TransactionStmt) ? COMMAND_CONTROL :
			command_utility_class(statement->utilityStmt);
	if (statement->relationOids != NIL &&
		linitial_oid(statement->relationOids) >= FirstNormalObjectId)
		return COMMAND_APPLICATION;
	return command_reads_nothing(statement) ? COMMAND_FRAMEWORK : COMMAND_APPLICATION;
}

#endif							/* LEAKWATCH_COMMAND_H */
