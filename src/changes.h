/*-------------------------------------------------------------------------
 *
 * changes.h
 *	  Change counter: one writer, any number of readers, nobody waits.
 *
 * The protocol of PgBackendStatus for our own shared structs.  The counter
 * is odd while its one writer is at work.  A reader copies what it guards
 * and keeps the copy if the counter was even before and is unchanged after.
 * A writer that was cut off (ERROR between begin and end) leaves the counter
 * odd; the next change_begin() mends that, and readers see "no answer" until
 * then instead of looping.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_CHANGES_H
#define LEAKWATCH_CHANGES_H

#include "port/atomics.h"
#include "storage/s_lock.h"		/* SPIN_DELAY() */

/* How often a reader tries before it gives up: a write takes nanoseconds. */
#define CHANGE_READ_TRIES	1000

/* What came of a look at something that another process may be writing. */
typedef enum Reading
{
	READ_NONE,					/* there is nothing to be read */
	READ_DONE,
	READ_BUSY					/* it is being written: what was known may
								 * hold */
} Reading;

static inline void
change_begin(pg_atomic_uint32 *changes)
{
	pg_atomic_write_u32(changes, pg_atomic_read_u32(changes) | 1);
	pg_write_barrier();
}

static inline void
change_end(pg_atomic_uint32 *changes)
{
	pg_write_barrier();
	pg_atomic_write_u32(changes, pg_atomic_read_u32(changes) + 1);
}

/*
 * Copy size bytes that the counter guards.  False when no consistent copy
 * could be had.
 */
static inline bool
change_copy(pg_atomic_uint32 *changes, void *copy, const void *shared, Size size)
{
	for (int i = 0; i < CHANGE_READ_TRIES; i++)
	{
		uint32		before = pg_atomic_read_u32(changes);
		uint32		after;

		pg_read_barrier();
		memcpy(copy, shared, size);
		pg_read_barrier();
		after = pg_atomic_read_u32(changes);
		if (before == after && (before & 1) == 0)
			return true;
		SPIN_DELAY();
	}
	return false;
}

#endif							/* LEAKWATCH_CHANGES_H */
