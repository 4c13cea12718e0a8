/*-------------------------------------------------------------------------
 *
 * calls.c
 *	  Where the watcher is to look, and whether at once.
 *
 * Owns the "leakwatch calls" segment: a bit for each entry of the backend status
 * array, set by a backend when the watcher should look there, and cleared by the
 * watcher before it does: after it has changed in its slot what it is judged by,
 * and when the watcher follows it and it goes on or ends.  So the watcher need
 * not look into any other slot.
 *
 * One that is followed also calls the watcher, who may sleep for long: the
 * first sets "called", and wakes it.  The watcher clears that before it reads
 * the bits, but no more often than once in CALL_PAUSE, and comes by itself for
 * what is announced meanwhile, so that no number of busy sessions keeps it awake.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "calls.h"
#include "control.h"
#include "datatype/timestamp.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "port/pg_bitutils.h"
#include "storage/shmem.h"

/* Slots whose bits are in one word. */
#define SLOTS_PER_WORD	64

/* For how long the watcher is not woken again by calls, in us. */
#define CALL_PAUSE	USECS_PER_SEC

typedef struct Calls
{
	pg_atomic_uint64 called;	/* 0 or 1 */
	pg_atomic_uint64 announced[FLEXIBLE_ARRAY_MEMBER];
} Calls;

static Calls *calls = NULL;

static int
word_count(void)
{
	return (MaxBackends + SLOTS_PER_WORD - 1) / SLOTS_PER_WORD;
}

Size
calls_shmem_size(void)
{
	return add_size(offsetof(Calls, announced), mul_size(sizeof(pg_atomic_uint64), word_count()));
}

/* Called with AddinShmemInitLock held. */
void
calls_shmem_init(void)
{
	bool		found;

	calls = ShmemInitStruct("leakwatch calls", calls_shmem_size(), &found);
	if (found)
		return;
	pg_atomic_init_u64(&calls->called, 0);
	for (int i = 0; i < word_count(); i++)
		pg_atomic_init_u64(&calls->announced[i], 0);
}

/*
 * Have the watcher look at a slot in its next scan.  Done even if the bit is
 * set, for the barrier: the watcher may be about to clear it, and must then
 * see what has been written before.
 */
void
calls_announce(int slot)
{
	pg_atomic_fetch_or_u64(&calls->announced[slot / SLOTS_PER_WORD],
						   UINT64CONST(1) << (slot % SLOTS_PER_WORD));
}

/* The same at once, or as soon as it is not only just awake. */
void
calls_make(int slot)
{
	calls_announce(slot);
	if (pg_atomic_read_u64(&calls->called) == 0 && pg_atomic_exchange_u64(&calls->called, 1) == 0)
		control_wake(WATCHER);
}

/* Has anything been announced that the watcher has not taken? */
bool
calls_any(void)
{
	for (int i = 0; i < word_count(); i++)
	{
		if (pg_atomic_read_u64(&calls->announced[i]) != 0)
			return true;
	}
	return false;
}

/*
 * The watcher: call expect() for each slot of which anything has been
 * announced since the last call.  Returns when it has to come for more by
 * itself, by the monotonic clock, PG_INT64_MAX for any time.
 */
int64
calls_take(int64 monotonic, void (*expect) (int slot))
{
	static int64 answered_at = 0;
	int64		due = PG_INT64_MAX;

	if (pg_atomic_read_u64(&calls->called) != 0)
	{
		if (monotonic - answered_at < CALL_PAUSE)
			due = answered_at + CALL_PAUSE;
		else
		{
			pg_atomic_exchange_u64(&calls->called, 0);
			answered_at = monotonic;
		}
	}

	for (int i = 0; i < word_count(); i++)
	{
		uint64		word;

		if (likely(pg_atomic_read_u64(&calls->announced[i]) == 0))
			continue;
		for (word = pg_atomic_exchange_u64(&calls->announced[i], 0); word != 0; word &= word - 1)
			expect(i * SLOTS_PER_WORD + pg_rightmost_one_pos64(word));
	}
	return due;
}
