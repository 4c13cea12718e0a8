/*-------------------------------------------------------------------------
 *
 * busy.c
 *	  For tests: a session that is stopped in the middle of a change.
 *
 * A change counter that is odd is what others see of a process that has been
 * stopped, swapped out or throttled while it writes its backend status entry.
 * Call it only for sessions that do nothing in between.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "utils/backend_status.h"

PG_MODULE_MAGIC;

PGDLLEXPORT Datum busy(PG_FUNCTION_ARGS);

PG_FUNCTION_INFO_V1(busy);

/* busy(pid int, busy bool): is it in the middle of a change from now on? */
Datum
busy(PG_FUNCTION_ARGS)
{
	volatile PgBackendStatus *base = MyBEEntry - compat_my_slot();

	for (int slot = 0; slot < MaxBackends; slot++)
	{
		if (base[slot].st_procpid == PG_GETARG_INT32(0) &&
			((base[slot].st_changecount & 1) != 0) != PG_GETARG_BOOL(1))
		{
			base[slot].st_changecount++;
			PG_RETURN_BOOL(true);
		}
	}
	PG_RETURN_BOOL(false);
}
