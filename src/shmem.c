/*-------------------------------------------------------------------------
 *
 * shmem.c
 *	  The shared memory of all of leakwatch: requested and created here.
 *
 * Everything is sized at server start.  Each segment belongs to the file of its
 * two functions below.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "calls.h"
#include "client.h"
#include "clock.h"
#include "control.h"
#include "incident.h"
#include "known.h"
#include "observe.h"
#include "prepared.h"
#include "samples.h"
#include "saturation.h"
#include "shmem.h"
#include "slot.h"
#include "spells.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "tally.h"
#include "terminate.h"
#include "trail.h"
#include "use.h"
#include "waiters.h"

static const struct
{
	Size		(*size) (void);
	void		(*init) (void);
}			segments[] =

{
	{control_shmem_size, control_shmem_init},
	{slot_shmem_size, slot_shmem_init},
	{calls_shmem_size, calls_shmem_init},
	{observe_shmem_size, observe_shmem_init},
	{client_shmem_size, client_shmem_init},
	{clock_shmem_size, clock_shmem_init},
	{trail_shmem_size, trail_shmem_init},
	{terminate_shmem_size, terminate_shmem_init},
	{incident_shmem_size, incident_shmem_init},
	{tally_shmem_size, tally_shmem_init},
	{waiters_shmem_size, waiters_shmem_init},
	{known_shmem_size, known_shmem_init},
	{saturation_shmem_size, saturation_shmem_init},
	{samples_shmem_size, samples_shmem_init},
	{prepared_shmem_size, prepared_shmem_init},
	{spells_shmem_size, spells_shmem_init},
	{use_shmem_size, use_shmem_init},
};

static shmem_request_hook_type prev_shmem_request = NULL;
static shmem_startup_hook_type prev_shmem_startup = NULL;

/* Set once all segments are there, in the postmaster and so in all processes. */
static bool created = false;

static void
on_shmem_request(void)
{
	if (prev_shmem_request)
		prev_shmem_request();
	for (int i = 0; i < lengthof(segments); i++)
		RequestAddinShmemSpace(segments[i].size());
}

static void
on_shmem_startup(void)
{
	if (prev_shmem_startup)
		prev_shmem_startup();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	for (int i = 0; i < lengthof(segments); i++)
		segments[i].init();
	LWLockRelease(AddinShmemInitLock);
	created = true;
}

/* An error where the library has not been loaded when the server started. */
void
shmem_require(void)
{
	if (!created)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("leakwatch must be loaded when the server starts"),
				 errdetail("It needs shared memory and a background worker, which can be set up only then."),
				 errhint("Add \"leakwatch\" to shared_preload_libraries in postgresql.conf and restart the server.")));
}

void
shmem_install(void)
{
	prev_shmem_request = shmem_request_hook;
	shmem_request_hook = on_shmem_request;
	prev_shmem_startup = shmem_startup_hook;
	shmem_startup_hook = on_shmem_startup;
}
