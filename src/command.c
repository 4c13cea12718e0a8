/*-------------------------------------------------------------------------
 *
 * command.c
 *	  What a statement is, by its parse tree: whose, whether it changes or
 *	  locks anything, and whether there may be a secret in its text.
 *
 * Called for each statement that is executed: nothing here looks into a
 * catalog, allocates or throws.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "command.h"
#include "statement.h"
#include "utils/fmgroids.h"

bool
command_is_advisory_lock(Oid function)
{
	return (function >= F_PG_ADVISORY_LOCK_INT8 &&
			function <= F_PG_TRY_ADVISORY_LOCK_SHARED_INT4_INT4) ||
		(function >= F_PG_ADVISORY_XACT_LOCK_INT8 &&
		 function <= F_PG_TRY_ADVISORY_XACT_LOCK_SHARED_INT4_INT4);
}

/* Does a utility statement other than of transactions change or lock anything itself? */
bool
command_utility_changes(const Node *utility)
{
	switch (nodeTag(utility))
	{
		case T_CallStmt:
		case T_CheckPointStmt:
		case T_ClosePortalStmt:
		case T_ConstraintsSetStmt:
		case T_DeallocateStmt:
		case T_DeclareCursorStmt:
		case T_DiscardStmt:
		case T_DoStmt:
		case T_ExecuteStmt:
		case T_ExplainStmt:
		case T_FetchStmt:
		case T_ListenStmt:
		case T_LoadStmt:
		case T_NotifyStmt:
		case T_PrepareStmt:
		case T_UnlistenStmt:
		case T_VariableSetStmt:
		case T_VariableShowStmt:
			return false;
		case T_CopyStmt:
			return ((const CopyStmt *) utility)->is_from;
		default:
			return true;
	}
}

/* What is asked to see whether the connection is alive, or what server it is. */
static bool
is_inquiry(const Node *expression)
{
	switch (nodeTag(expression))
	{
		case T_Const:
		case T_Param:
		case T_SQLValueFunction:
			return true;
		case T_FuncExpr:
			switch (((const FuncExpr *) expression)->funcid)
			{
				case F_CURRENT_DATABASE:
				case F_CURRENT_SCHEMA:
				case F_CURRENT_SETTING_TEXT:
				case F_CURRENT_SETTING_TEXT_BOOL:
				case F_NOW:
				case F_PG_BACKEND_PID:
				case F_PG_IS_IN_RECOVERY:
				case F_SET_CONFIG:
				case F_VERSION:
					return true;
			}
			return false;
		default:
			return false;
	}
}

/* Does it read nothing but constants and the like, or the system catalogs? */
bool
command_reads_nothing(const PlannedStmt *statement)
{
	const Plan *plan = statement->planTree;
	ListCell   *lc;

	if (statement->relationOids != NIL)
	{
		foreach(lc, statement->relationOids)
		{
			if (lfirst_oid(lc) >= FirstNormalObjectId)
				return false;
		}
		return true;
	}

	if (!IsA(plan, Result) || outerPlan(plan) != NULL || statement->subplans != NIL ||
		((const Result *) plan)->resconstantqual != NULL)
		return false;
	foreach(lc, plan->targetlist)
	{
		if (!is_inquiry((const Node *) ((const TargetEntry *) lfirst(lc))->expr))
			return false;
	}
	return true;
}

/* Whose it is if it does not. */
CommandClass
command_utility_class(const Node *utility)
{
	switch (nodeTag(utility))
	{
		case T_ClosePortalStmt:
		case T_ConstraintsSetStmt:
		case T_DeallocateStmt:
		case T_DiscardStmt:
		case T_FetchStmt:
		case T_VariableSetStmt:
		case T_VariableShowStmt:
			return COMMAND_FRAMEWORK;
		default:
			return COMMAND_APPLICATION;
	}
}

/* The EXECUTE that this is, or explains or makes a table of; else NULL. */
const ExecuteStmt *
command_execute(const Node *utility)
{
	const Node *query = NULL;

	switch (nodeTag(utility))
	{
		case T_ExecuteStmt:
			return (const ExecuteStmt *) utility;
		case T_ExplainStmt:
			query = ((const ExplainStmt *) utility)->query;
			break;
		case T_CreateTableAsStmt:
			query = ((const CreateTableAsStmt *) utility)->query;
			break;
		default:
			break;
	}
	if (query != NULL && IsA(query, Query))
		query = ((const Query *) query)->utilityStmt;
	return query != NULL && IsA(query, ExecuteStmt) ? (const ExecuteStmt *) query : NULL;
}

/*
 * May there be a password in this utility statement?  Each of these has one
 * of the words that statement_has_secret_word() looks for.
 */
bool
command_has_secret(const Node *utility, const char *text, size_t length)
{
	switch (nodeTag(utility))
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
			return statement_contains(text, length, "password");

		default:
			return false;
	}
}
