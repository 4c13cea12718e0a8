/*-------------------------------------------------------------------------
 *
 * histogram.h
 *	  How many durations were how long.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_HISTOGRAM_H
#define LEAKWATCH_HISTOGRAM_H

#include "port/pg_bitutils.h"

/*
 * Bucket 0 is of what is shorter than 1 ms, each after it of what is up to twice
 * as long as the one before, and the last of all that is longer than 18 hours.
 */
#define HISTOGRAM_BUCKETS	28

/* What is shorter is in the first of them, as most is; in us. */
#define HISTOGRAM_SHORT		1000

extern int64 histogram_total(const int64 counts[HISTOGRAM_BUCKETS]);
extern int64 histogram_quantile(const int64 counts[HISTOGRAM_BUCKETS], double fraction);
extern int64 histogram_over(const int64 counts[HISTOGRAM_BUCKETS], int64 usec);

/* The bucket of a duration; what is less than nothing is nothing. */
static inline int
histogram_bucket(int64 usec)
{
	if (usec < HISTOGRAM_SHORT)
		return 0;
	return Min(pg_leftmost_one_pos64((uint64) usec / 1000) + 1, HISTOGRAM_BUCKETS - 1);
}

#endif							/* LEAKWATCH_HISTOGRAM_H */
