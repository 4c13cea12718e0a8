/*-------------------------------------------------------------------------
 *
 * histogram.h
 *	  How many durations were how long.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_HISTOGRAM_H
#define LEAKWATCH_HISTOGRAM_H

/*
 * Bucket 0 is of what is shorter than 1 ms, each after it of what is up to twice
 * as long as the one before, and the last of all that is longer than 18 hours.
 */
#define HISTOGRAM_BUCKETS	28

extern int	histogram_bucket(int64 usec);
extern int64 histogram_total(const int64 counts[HISTOGRAM_BUCKETS]);
extern int64 histogram_quantile(const int64 counts[HISTOGRAM_BUCKETS], double fraction);
extern int64 histogram_over(const int64 counts[HISTOGRAM_BUCKETS], int64 usec);

#endif							/* LEAKWATCH_HISTOGRAM_H */
