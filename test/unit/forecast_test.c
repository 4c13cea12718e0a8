/*-------------------------------------------------------------------------
 *
 * forecast_test.c
 *	  Compares the forecast of connections with a line through all of them.
 *
 * On made shapes of a day or so, 97 connections at the most, ten of each with
 * other noise.  Prints TAP, and as comments the table of doc/saturation.md:
 * for shapes in which connections are used up, how many minutes before that
 * it is warned of (the least and the most of ten); for the others, in how much
 * of the time it is warned of nothing, in percent.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "forecast.h"
#include "tap.h"

#define LIMIT		97
#define MINUTES		1440
#define SEEDS		10
#define PI			3.14159265358979323846

/* What leakwatch.saturation_forecast is by default, and twice that. */
static const int horizons[] = {30, 60};

/* Minutes that the naive forecast looks at. */
#define NAIVE_WINDOW	60

static uint64 random_state;

/* Between -1 and 1, the same in each run. */
static double
noise(void)
{
	random_state = random_state * UINT64CONST(6364136223846793005) + UINT64CONST(1442695040888963407);
	return (double) (random_state >> 33) / (1U << 30) - 1;
}

/* ---------- shapes ---------- */

static double
slow_leak(int t)
{
	return 20 + t * 77 / 480.0 + 3 * noise();
}

static double
fast_leak(int t)
{
	return 20 + t * 77 / 120.0 + 3 * noise();
}

static double
leak_under_sawtooth(int t)
{
	return 15 + t * 72 / 240.0 + t % 60 / 6.0 + 2 * noise();
}

static double
burst(int t)
{
	bool		on = (t >= 300 && t < 310) || (t >= 700 && t < 705) || (t >= 1100 && t < 1120);

	return 20 + 60 * on + 3 * noise();
}

static double
daily_wave(int t)
{
	return 45 - 35 * cos(2 * PI * t / MINUTES) + 4 * noise();
}

/* Each connection is there twice for a minute or two. */
static double
deploy(int t)
{
	bool		on = (t >= 500 && t < 502) || t == 900;

	return 40 + 40 * on + 3 * noise();
}

static double
sawtooth(int t)
{
	return 20 + t % 60 + 3 * noise();
}

static double
step(int t)
{
	return (t < 400 ? 20 : 60) + 3 * noise();
}

static double
restless(int t)
{
	return 45 + 25 * noise();
}

static const struct
{
	const char *name;
	double		(*use) (int t);
	bool		ends;			/* connections are used up */
}			shapes[] = {
	{"slow leak, in 8 h", slow_leak, true},
	{"faster leak, in 2 h", fast_leak, true},
	{"leak under a saw-tooth, in 4 h", leak_under_sawtooth, true},
	{"bursts of 5 to 20 min", burst, false},
	{"daily wave", daily_wave, false},
	{"deploys that double them for a minute", deploy, false},
	{"hourly saw-tooth", sawtooth, false},
	{"step", step, false},
	{"restless", restless, false},
};

/* Returns how many minutes the shape lasts. */
static int
make(int shape, int seed, int *used)
{
	random_state = seed * 1000 + shape;
	for (int t = 0; t < MINUTES; t++)
	{
		int			connections = (int) lround(shapes[shape].use(t));

		used[t] = Max(Min(connections, LIMIT), 0);
		if (shapes[shape].ends && used[t] == LIMIT)
			return t + 1;
	}
	return MINUTES;
}

/* ---------- forecasts ---------- */

/* A line through the last hour. */
static int
naive(const int *used, int count)
{
	int			n = Min(count, NAIVE_WINDOW);
	const int  *u = used + count - n;
	double		mean = 0;
	double		covariance = 0;
	double		variance = 0;

	if (n < NAIVE_WINDOW / 2)
		return -1;
	for (int i = 0; i < n; i++)
		mean += (double) u[i] / n;
	for (int i = 0; i < n; i++)
	{
		double		x = i - (n - 1) / 2.0;

		covariance += x * (u[i] - mean);
		variance += x * x;
	}
	return covariance <= 0 ? -1 : (int) ((LIMIT - u[n - 1]) * variance / covariance);
}

static int
ours(const int *used, int count)
{
	return forecast_use(used, count, LIMIT).minutes;
}

/* Minutes in which it is warned, and when first within three times as long. */
static int
warnings(int (*forecast) (const int *, int), const int *used, int length, int horizon, int *lead)
{
	int			count = 0;

	*lead = 0;
	for (int t = 1; t < length; t++)
	{
		int			minutes = forecast(used, t);

		if (minutes < 0 || minutes >= horizon)
			continue;
		count++;
		if (*lead == 0 && length - t <= 3 * horizon)
			*lead = length - t;
	}
	return count;
}

typedef struct Score
{
	int			least;			/* lead, minutes */
	int			most;
	double		percent;		/* of the time in which it is warned */
} Score;

static Score
score(int (*forecast) (const int *, int), int shape, int horizon)
{
	Score		score = {.least = PG_INT32_MAX};
	int			minutes = 0;
	int			warned = 0;

	for (int seed = 1; seed <= SEEDS; seed++)
	{
		int			used[MINUTES];
		int			length = make(shape, seed, used);
		int			lead;

		warned += warnings(forecast, used, length, horizon, &lead);
		minutes += length;
		score.least = Min(score.least, lead);
		score.most = Max(score.most, lead);
	}
	score.percent = 100.0 * warned / minutes;
	return score;
}

static void
compare(int horizon)
{
	for (int shape = 0; shape < lengthof(shapes); shape++)
	{
		Score		line = score(naive, shape, horizon);
		Score		our = score(ours, shape, horizon);

		if (shapes[shape].ends)
		{
			printf("# | %s | %d min | %d to %d min | %d to %d min |\n", shapes[shape].name,
				   horizon, line.least, line.most, our.least, our.most);
			ok(our.least >= horizon / 3, "%s is seen in time, %d min ahead", shapes[shape].name,
			   horizon);
		}
		else
		{
			printf("# | %s | %d min | %.1f %% | %.1f %% |\n", shapes[shape].name, horizon,
				   line.percent, our.percent);
			ok(our.percent <= 0.5, "%s raises no alarm, %d min ahead", shapes[shape].name,
			   horizon);
		}
	}
}

static void
test_edges(void)
{
	int			used[FORECAST_WINDOW];
	Forecast	forecast;

	for (int i = 0; i < FORECAST_WINDOW; i++)
		used[i] = i / 10;
	forecast = forecast_use(used, 0, LIMIT);
	ok(forecast.minutes == -1 && forecast.growth == 0, "nothing is said of nothing");
	ok(forecast_use(used, FORECAST_MIN_BLOCKS * FORECAST_BLOCK - 1, LIMIT).minutes == -1,
	   "nor after less than an hour");
	forecast = forecast_use(used, FORECAST_WINDOW, LIMIT);
	ok(fabs(forecast.growth - 0.1) < 1e-9 && forecast.minutes == 800,
	   "one more in ten minutes: 80 more in 800");
	ok(forecast_use(used, FORECAST_WINDOW, 17).minutes == 0, "used up is now");
	ok(forecast_use(used, FORECAST_WINDOW, 3).minutes == 0, "and so is more than that");
	used[FORECAST_WINDOW - 1] = 0;
	ok(forecast_use(used, FORECAST_WINDOW, LIMIT).minutes == -1,
	   "connections that are given back are no leak");
	for (int i = 0; i < FORECAST_WINDOW; i++)
		used[i] = 50;
	ok(forecast_use(used, FORECAST_WINDOW, LIMIT).minutes == -1, "what stays as it is never ends");
}

int
main(void)
{
	test_edges();
	printf("# | shape | warned of | a line through the last hour | leakwatch |\n");
	for (int i = 0; i < lengthof(horizons); i++)
		compare(horizons[i]);
	return done_testing();
}
