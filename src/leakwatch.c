/*-------------------------------------------------------------------------
 *
 * leakwatch.c
 *	  Entry point of the library.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "client.h"
#include "commands/extension.h"
#include "guc.h"
#include "hooks.h"
#include "shmem.h"
#include "watcher.h"

LEAKWATCH_MODULE_MAGIC;

PGDLLEXPORT void _PG_init(void);

/*
 * Everything works through shared memory and a worker, so the library has to
 * be there from the start of the server.  Loaded later it does nothing:
 * pg_upgrade loads it to see whether it is there, into a server that may not
 * preload yet, and makes its functions, which then say what is missing.  Who
 * creates the extension means to use it and is told at once.
 */
void
_PG_init(void)
{
	if (!process_shared_preload_libraries_in_progress)
	{
		if (creating_extension)
			shmem_require();
		return;
	}

	guc_define();
	guc_define_postmaster();
	shmem_install();
	client_install();
	hooks_install();

	/* pg_upgrade wants a server in which nobody but itself does anything */
	if (!IsBinaryUpgrade)
		watcher_register();
}
