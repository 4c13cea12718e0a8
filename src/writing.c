/*-------------------------------------------------------------------------
 *
 * writing.c
 *	  Transactions of the recorder, as the owner of the table of incidents.
 *
 * Each is as the owner of the table, within a security-restricted operation,
 * and only with the table that belongs to the extension.  The recorder is a
 * replica for it, so triggers and rules fire only where the owner has enabled
 * them for that.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "commands/extension.h"
#include "executor/spi.h"
#include "incident.h"
#include "known.h"
#include "pgstat.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/timeout.h"
#include "writing.h"

#define STATEMENT_TIMEOUT_MS	10000

/*
 * The table, locked for writing.  NULL when the extension is not there: a
 * table of that name alone is not ours.
 */
static Relation
open_table(void)
{
	Oid			namespace = get_namespace_oid("leakwatch", true);
	Oid			extension = get_extension_oid("leakwatch", true);
	Oid			relation;
	Relation	table;

	if (!OidIsValid(namespace) || !OidIsValid(extension))
		return NULL;
	relation = get_relname_relid("incidents", namespace);
	if (!OidIsValid(relation))
		return NULL;
	table = try_table_open(relation, RowExclusiveLock);
	if (table != NULL && getExtensionOfObject(RelationRelationId, relation) != extension)
	{
		table_close(table, RowExclusiveLock);
		return NULL;
	}
	return table;
}

/* Begin a transaction that has nothing to do with the table. */
void
writing_begin_without_table(const char *activity, Writing *writing)
{
	writing->table = NULL;
	writing->memory_context = CurrentMemoryContext;
	GetUserIdAndSecContext(&writing->user, &writing->security_context);

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	pgstat_report_activity(STATE_RUNNING, activity);
	enable_timeout_after(STATEMENT_TIMEOUT, STATEMENT_TIMEOUT_MS);
}

/* Begin a transaction.  Its table is NULL when the extension is not there. */
void
writing_begin(const char *activity, Writing *writing)
{
	writing_begin_without_table(activity, writing);
	PushActiveSnapshot(GetTransactionSnapshot());
	writing->table = open_table();
	PopActiveSnapshot();
}

/* Begin one that writes, as the owner of the table and with SPI connected. */
void
writing_begin_as_owner(const char *activity, Writing *writing)
{
	writing_begin(activity, writing);
	if (writing->table == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("extension \"leakwatch\" has not been created")));
	incident_set_table(MyDatabaseId, RelationGetRelid(writing->table));
	known_set_table(MyDatabaseId, RelationGetRelid(writing->table));

	/* the end of the transaction takes this back, whichever end it is */
	SetUserIdAndSecContext(writing->table->rd_rel->relowner, SECURITY_RESTRICTED_OPERATION);
	SPI_connect();
	PushActiveSnapshot(GetTransactionSnapshot());
}

/* End one that writing_begin() or writing_begin_without_table() has begun. */
void
writing_end(const Writing *writing)
{
	if (writing->table != NULL)
		table_close(writing->table, NoLock);
	SetUserIdAndSecContext(writing->user, writing->security_context);
	disable_timeout(STATEMENT_TIMEOUT, false);
	CommitTransactionCommand();
	MemoryContextSwitchTo(writing->memory_context);
	pgstat_report_stat(true);
	pgstat_report_activity(STATE_IDLE, NULL);
}

/* End one that writing_begin_as_owner() has begun. */
void
writing_end_as_owner(const Writing *writing)
{
	SPI_finish();
	PopActiveSnapshot();
	writing_end(writing);
}

/*
 * Take back whatever was begun, after an error: in a PG_CATCH block or its
 * like.  The error comes back, copied into the context.
 */
ErrorData *
writing_abort(MemoryContext context)
{
	ErrorData  *error;

	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	FlushErrorState();
	disable_all_timeouts(false);
	AbortCurrentTransaction();
	MemoryContextSwitchTo(context);
	pgstat_report_activity(STATE_IDLE, NULL);
	return error;
}

/* An SPI call has returned something else than it should: an error. */
void
writing_expect(int result, int expected)
{
	if (result != expected)
		elog(ERROR, "unexpected SPI result: %s", SPI_result_code_string(result));
}
