/*-------------------------------------------------------------------------
 *
 * awake.c
 *	  For tests: a session that waits for a lock, and is awake for a moment.
 *
 * A waiter wakes up now and then, to look for a deadlock or to answer a signal,
 * and shows no wait event until it sleeps again.  awake() holds it in that moment.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "storage/proc.h"
#include "storage/procarray.h"

PG_MODULE_MAGIC;

PGDLLEXPORT Datum awake(PG_FUNCTION_ARGS);

PG_FUNCTION_INFO_V1(awake);

Datum
awake(PG_FUNCTION_ARGS)
{
	PGPROC	   *proc = BackendPidGetProc(PG_GETARG_INT32(0));

	if (proc != NULL)
		*(volatile uint32 *) &proc->wait_event_info = 0;
	PG_RETURN_BOOL(proc != NULL);
}
