/*-------------------------------------------------------------------------
 *
 * command.h
 *	  What a statement is, by its parse tree.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_COMMAND_H
#define LEAKWATCH_COMMAND_H

#include "nodes/parsenodes.h"
#include "nodes/plannodes.h"

/* Whose it is: what comes later is the more worth remembering. */
typedef enum CommandClass
{
	COMMAND_CONTROL,			/* begins or ends a transaction or savepoint */
	COMMAND_FRAMEWORK,			/* what drivers, pools and frameworks send */
	COMMAND_APPLICATION
} CommandClass;

extern CommandClass command_class(const PlannedStmt *statement, bool changes);
extern bool command_changes(const PlannedStmt *statement);
extern const ExecuteStmt *command_execute(const Node *utility);
extern bool command_has_secret(const Node *utility, const char *text, size_t length);

#endif							/* LEAKWATCH_COMMAND_H */
