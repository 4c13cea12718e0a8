/*-------------------------------------------------------------------------
 *
 * histogram.c
 *	  How many durations were how long.
 *
 * Buckets are as wide as they are far out, so that what is told from them is
 * right to a factor of two, be it a millisecond or a day.
 *
 * Pure: nothing here calls the server.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "histogram.h"

#define MSEC	INT64CONST(1000)

/* Where a bucket begins, in us. */
static double
lower_bound(int bucket)
{
	return bucket == 0 ? MSEC / 2.0 : ldexp((double) MSEC, bucket - 1);
}

int64
histogram_total(const int64 counts[HISTOGRAM_BUCKETS])
{
	int64		total = 0;

	for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
		total += counts[i];
	return total;
}

/* The duration, in us, that this fraction of them does not exceed. */
int64
histogram_quantile(const int64 counts[HISTOGRAM_BUCKETS], double fraction)
{
	double		rank = fraction * (double) histogram_total(counts);
	double		before = 0;

	for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
	{
		double		count = (double) counts[i];

		if (count > 0 && before + count >= rank)
			return (int64) (lower_bound(i) * exp2(Max(rank - before, 0) / count));
		before += count;
	}
	return 0;
}

/*
 * How many lasted for so many us or longer.  Within its bucket that number may
 * fall evenly or as steeply as from its beginning to its end: the mean of both.
 */
int64
histogram_over(const int64 counts[HISTOGRAM_BUCKETS], int64 usec)
{
	int			bucket = histogram_bucket(usec);
	double		part = log2(Max((double) usec, 1) / lower_bound(bucket));
	double		end = 0;
	double		begin;

	for (int i = bucket + 1; i < HISTOGRAM_BUCKETS; i++)
		end += (double) counts[i];
	begin = end + (double) counts[bucket];
	if (begin == 0)
		return 0;
	part = Min(Max(part, 0), 1);
	return (int64) rint((begin + (end - begin) * part + begin * pow(Max(end, 0.5) / begin, part)) / 2);
}
