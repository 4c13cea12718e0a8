/*-------------------------------------------------------------------------
 *
 * snapshots.c
 *	  Which sessions have exported a snapshot.
 *
 * The server keeps an exported snapshot in a file that is named after the
 * virtual transaction of its owner, and removes it when that ends.
 *
 * Owns a private picture of that directory, taken by snapshots_survey() and
 * good until the next one.  A transaction that is over is nobody's any more,
 * so an old picture names nobody wrongly.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "snapshots.h"
#include "storage/fd.h"
#include "utils/memutils.h"

#define SNAPSHOT_DIRECTORY	"pg_snapshots"

/* More than there can be sessions; an application can export many each. */
#define MAX_OWNERS	10000

typedef struct Owner
{
	uint32		process;		/* the two numbers of a virtual transaction */
	uint32		lxid;
} Owner;

static Owner *owners = NULL;	/* in a context of its own */
static int	nowners = 0;
static int	room = 0;

static void
add_owner(const Owner *owner)
{
	if (nowners >= MAX_OWNERS)
		return;
	if (owners == NULL)
	{
		room = 64;
		owners = MemoryContextAlloc(TopMemoryContext, room * sizeof(Owner));
	}
	else if (nowners == room)
	{
		owners = repalloc(owners, mul_size(sizeof(Owner), 2 * (Size) room));
		room *= 2;
	}
	owners[nowners++] = *owner;
}

/* Take the picture.  A directory that can't be read is one without snapshots. */
void
snapshots_survey(void)
{
	DIR		   *directory = AllocateDir(SNAPSHOT_DIRECTORY);
	struct dirent *entry;

	nowners = 0;
	while ((entry = ReadDirExtended(directory, SNAPSHOT_DIRECTORY, LOG)) != NULL)
	{
		Owner		owner;

		if (sscanf(entry->d_name, "%8X-%8X-", &owner.process, &owner.lxid) == 2)
			add_owner(&owner);
	}
	if (directory != NULL)
		FreeDir(directory);
}

/* Had this session exported a snapshot, in the transaction that it is in? */
bool
snapshots_exported(const Session *session)
{
	volatile PGPROC *proc;

	/* who has exported one can't prepare its transaction */
	if (nowners == 0 || session->pid == 0)
		return false;
	proc = compat_slot_proc(session->slot);
	if (proc == NULL || proc->pid != session->pid)
		return false;
	for (int i = 0; i < nowners; i++)
	{
		if (owners[i].process == compat_proc_vxid_owner(proc) &&
			owners[i].lxid == compat_proc_lxid(proc))
			return true;
	}
	return false;
}
