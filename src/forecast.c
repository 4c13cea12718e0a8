/*-------------------------------------------------------------------------
 *
 * forecast.c
 *	  When connections will be used up, if it goes on like this.
 *
 * Pure: use a minute in, a forecast out.  A leak raises what stays when a pool
 * has shrunk again, so what counts is the least of each ten minutes, the
 * floor; and only while it is at its highest.  The growth is the median of the
 * slopes between any two floors (Theil and Sen), which a single step does not
 * move.  test/unit/forecast_test.c compares it with a line through all
 * minutes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "forecast.h"

#define MAX_SLOPES	(FORECAST_MAX_BLOCKS * (FORECAST_MAX_BLOCKS - 1) / 2)

static int
floor_of(const int *used)
{
	int			least = used[0];

	for (int i = 1; i < FORECAST_BLOCK; i++)
		least = Min(least, used[i]);
	return least;
}

/* Is the newest floor the highest of all? */
static bool
is_at_its_highest(const int *floors, int count)
{
	for (int i = 0; i < count - 1; i++)
	{
		if (floors[i] > floors[count - 1])
			return false;
	}
	return true;
}

static int
by_value(const void *a, const void *b)
{
	double		da = *(const double *) a;
	double		db = *(const double *) b;

	return da < db ? -1 : da > db;
}

/* The median of the slopes between any two floors, a minute. */
static double
median_slope(const int *floors, int count)
{
	double		slopes[MAX_SLOPES] = {0};
	int			n = 0;

	for (int i = 0; i < count; i++)
	{
		for (int j = i + 1; j < count; j++)
			slopes[n++] = (floors[j] - floors[i]) / (double) ((j - i) * FORECAST_BLOCK);
	}
	qsort(slopes, n, sizeof(double), by_value);
	return n % 2 == 1 ? slopes[n / 2] : (slopes[n / 2 - 1] + slopes[n / 2]) / 2;
}

/* used[] is by the minute, the newest last. */
Forecast
forecast_use(const int *used, int count, int limit)
{
	Forecast	forecast = {
		.growth = 0,
		.minutes = -1,
	};
	int			blocks = Min(count / FORECAST_BLOCK, FORECAST_MAX_BLOCKS);
	int			first = count - blocks * FORECAST_BLOCK;
	int			floors[FORECAST_MAX_BLOCKS];
	double		slope;
	double		minutes;

	if (blocks < FORECAST_MIN_BLOCKS)
		return forecast;
	for (int i = 0; i < blocks; i++, first += FORECAST_BLOCK)
		floors[i] = floor_of(&used[first]);
	if (!is_at_its_highest(floors, blocks))
		return forecast;

	slope = median_slope(floors, blocks);
	if (slope <= 0)
		return forecast;
	forecast.growth = slope;
	minutes = Max(limit - used[count - 1], 0) / slope;
	if (minutes < PG_INT32_MAX)
		forecast.minutes = (int) minutes;
	return forecast;
}
