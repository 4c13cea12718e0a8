/*-------------------------------------------------------------------------
 *
 * tally.c
 *	  How many incidents there have been, of which kind, and how they ended.
 *
 * Owns the "leakwatch tally" segment: counters since the server started, each
 * a single atomic that the watcher writes and anybody reads.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "tally.h"
#include "port/atomics.h"
#include "storage/shmem.h"

typedef struct Tally
{
	pg_atomic_uint64 opened[NUM_ALL_KINDS];
	pg_atomic_uint64 ended[NUM_ALL_KINDS][NUM_OUTCOMES][NUM_ACTIONS];
} Tally;

static Tally *tally = NULL;

Size
tally_shmem_size(void)
{
	return MAXALIGN(sizeof(Tally));
}

/* Called with AddinShmemInitLock held. */
void
tally_shmem_init(void)
{
	bool		found;

	tally = ShmemInitStruct("leakwatch tally", sizeof(Tally), &found);
	if (found)
		return;
	for (int kind = 0; kind < NUM_ALL_KINDS; kind++)
	{
		pg_atomic_init_u64(&tally->opened[kind], 0);
		for (int outcome = 0; outcome < NUM_OUTCOMES; outcome++)
		{
			for (int action = 0; action < NUM_ACTIONS; action++)
				pg_atomic_init_u64(&tally->ended[kind][outcome][action], 0);
		}
	}
}

/* There is one writer, so no locked instruction is needed. */
static void
count(pg_atomic_uint64 *counter)
{
	pg_atomic_write_u64(counter, pg_atomic_read_u64(counter) + 1);
}

void
tally_opened(LeakKind kind)
{
	count(&tally->opened[kind]);
}

void
tally_ended(LeakKind kind, Outcome outcome, IncidentAction action)
{
	count(&tally->ended[kind][outcome][action]);
}

uint64
tally_count_opened(LeakKind kind)
{
	return pg_atomic_read_u64(&tally->opened[kind]);
}

uint64
tally_count_ended(LeakKind kind, Outcome outcome, IncidentAction action)
{
	return pg_atomic_read_u64(&tally->ended[kind][outcome][action]);
}
