/*-------------------------------------------------------------------------
 *
 * leakwatch.c
 *	  Entry point of the library.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "guc.h"
#include "hooks.h"
#include "shmem.h"
#include "watcher.h"

LEAKWATCH_MODULE_MAGIC;

PGDLLEXPORT void _PG_init(void);

/*
 * Everything works through shared memory and a worker, so the library has to
 * be there from the start of the server.  Loaded later it would do nothing in
 * silence, which is worse than an error.
 */
void
_PG_init(void)
{
	if (!process_shared_preload_libraries_in_progress)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("leakwatch must be loaded when the server starts"),
				 errdetail("It needs shared memory and a background worker, which can be set up only then."),
				 errhint("Add \"leakwatch\" to shared_preload_libraries in postgresql.conf and restart the server.")));

	guc_define();
	guc_define_postmaster();
	shmem_install();
	hooks_install();

	/* pg_upgrade wants a server in which nobody but itself does anything */
	if (!IsBinaryUpgrade)
		watcher_register();
}
