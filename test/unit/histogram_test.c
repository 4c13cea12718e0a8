/*-------------------------------------------------------------------------
 *
 * histogram_test.c
 *	  Shows what a histogram tells of distributions that are known.
 *
 * Prints TAP.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>
#include <stdlib.h>

#include "histogram.h"
#include "tap.h"

#define MSEC	INT64CONST(1000)
#define SEC		INT64CONST(1000000)
#define DAY		(86400 * SEC)
#define N		100000

static int64 counts[HISTOGRAM_BUCKETS];
static int64 durations[N];

static void
test_buckets(void)
{
	ok(histogram_bucket(-5) == 0 && histogram_bucket(0) == 0 && histogram_bucket(999) == 0,
	   "what is shorter than a millisecond is in the first");
	ok(histogram_bucket(MSEC) == 1 && histogram_bucket(2 * MSEC - 1) == 1 &&
	   histogram_bucket(2 * MSEC) == 2, "each is twice as wide as the one before");
	ok(histogram_bucket(60 * SEC) == 16, "a minute is in the 16th");
	ok(histogram_bucket(DAY) == HISTOGRAM_BUCKETS - 1 &&
	   histogram_bucket(PG_INT64_MAX) == HISTOGRAM_BUCKETS - 1, "and the last has no end");
}

static int
compare(const void *a, const void *b)
{
	int64		da = *(const int64 *) a;
	int64		db = *(const int64 *) b;

	return da < db ? -1 : da > db;
}

/* Is it right to a factor of two? */
static bool
is_near(double told, double is)
{
	return told <= 2 * is && told >= is / 2;
}

/* Compare what is told of these durations with what is so. */
static void
test_against(const char *what)
{
	const double fraction[] = {0.5, 0.9, 0.99, 0.999};

	memset(counts, 0, sizeof(counts));
	for (int i = 0; i < N; i++)
		counts[histogram_bucket(durations[i])]++;
	qsort(durations, N, sizeof(int64), compare);
	ok(histogram_total(counts) == N, what);
	for (int i = 0; i < lengthof(fraction); i++)
	{
		int64		quantile = durations[(int) (fraction[i] * N) - 1];
		int64		limit = quantile + quantile / 3;
		int			over = 0;

		for (int k = 0; k < N; k++)
			over += durations[k] >= limit;
		ok(is_near(histogram_quantile(counts, fraction[i]), quantile), "a quantile");
		ok(is_near(histogram_over(counts, limit), over) || over < 20, "how many are over a limit");
	}
}

/* A number above 0 and up to 1. */
static double
chance(void)
{
	return (random() + 1.0) / 2147483648.0;
}

static void
test_distributions(void)
{
	srandom(1);
	for (int i = 0; i < N; i++)
		durations[i] = (int64) (-200 * MSEC * log(chance()));
	test_against("exponential: users who think");
	for (int i = 0; i < N; i++)
		durations[i] = (int64) (5 * MSEC / pow(chance(), 1.0 / 1.5));
	test_against("Pareto: a few take very long");
	for (int i = 0; i < N; i++)
		durations[i] = (int64) (10 * SEC * chance());
	test_against("even, up to ten seconds");
	for (int i = 0; i < N; i++)
		durations[i] = i % 100 == 0 ? 30 * SEC + i : 3 * MSEC + i % 1000;
	test_against("two sorts of work");
}

static void
test_edges(void)
{
	memset(counts, 0, sizeof(counts));
	ok(histogram_quantile(counts, 0.5) == 0 && histogram_over(counts, SEC) == 0, "nothing is told of nothing");
	counts[0] = 10;
	ok(histogram_quantile(counts, 1) == MSEC && histogram_over(counts, 2 * MSEC) == 0,
	   "what is shorter than a millisecond is no longer than that");
	ok(histogram_over(counts, 0) == 10, "all are over no limit");
	counts[HISTOGRAM_BUCKETS - 1] = 5;
	ok(histogram_over(counts, 60 * SEC) == 5, "the longest are over any in between");
}

int
main(void)
{
	test_buckets();
	test_distributions();
	test_edges();
	return done_testing();
}
