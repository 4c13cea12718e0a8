/*-------------------------------------------------------------------------
 *
 * samples.c
 *	  How connections were used, minute by minute, for a day.
 *
 * Owns the "leakwatch samples" segment, a ring.  The watcher writes it, each
 * sample and the number of them under the change counter; everybody reads.
 * The recorder, when it writes anything, writes the samples that the table
 * does not have, and says so in "written".
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "changes.h"
#include "samples.h"
#include "storage/shmem.h"

/* A sample as it is kept: what is more than a number can be is the most. */
typedef struct Packed
{
	int32		minute;
	uint16		passed;
	uint16		used;
	uint16		idle;
	uint16		in_transaction;
	uint16		leaked;
	uint16		peak;
	uint16		refused;
} Packed;

typedef struct Samples
{
	/* the watcher's, under the change counter */
	pg_atomic_uint32 changes;
	pg_atomic_uint64 end;		/* samples taken so far */
	Packed		sample[NUM_SAMPLES];

	/* the watcher's alone */
	int32		minute;			/* that runs; 0: none yet */
	int64		monotonic;		/* us; when the last sample was taken */
	uint64		refused;		/* clients until then */

	/* the recorder's */
	pg_atomic_uint64 written;	/* samples that the table has or never will */
	Oid			database;
	Oid			relation;
} Samples;

static Samples *samples = NULL;

Size
samples_shmem_size(void)
{
	return MAXALIGN(sizeof(Samples));
}

/* Called with AddinShmemInitLock held. */
void
samples_shmem_init(void)
{
	bool		found;

	samples = ShmemInitStruct("leakwatch samples", sizeof(Samples), &found);
	if (found)
		return;
	memset(samples, 0, sizeof(Samples));
	pg_atomic_init_u32(&samples->changes, 0);
	pg_atomic_init_u64(&samples->end, 0);
	pg_atomic_init_u64(&samples->written, 0);
}

static uint16
capped(int32 value)
{
	return (uint16) Min(value, PG_UINT16_MAX);
}

static void
pack(const Sample *sample, Packed *packed)
{
	packed->minute = sample->minute;
	packed->passed = capped(sample->passed);
	packed->used = capped(sample->used);
	packed->idle = capped(sample->idle);
	packed->in_transaction = capped(sample->in_transaction);
	packed->leaked = capped(sample->leaked);
	packed->peak = capped(sample->peak);
	packed->refused = capped(sample->refused);
}

static void
unpack(const Packed *packed, Sample *sample)
{
	sample->minute = packed->minute;
	sample->passed = packed->passed;
	sample->used = packed->used;
	sample->idle = packed->idle;
	sample->in_transaction = packed->in_transaction;
	sample->leaked = packed->leaked;
	sample->peak = packed->peak;
	sample->refused = packed->refused;
}

/* ---------- the watcher ---------- */

static int32
minute_of(TimestampTz time)
{
	return (int32) (time / USECS_PER_MINUTE);
}

/* Is the minute over that a sample is to be taken of? */
bool
samples_are_due(TimestampTz now)
{
	return minute_of(now) != samples->minute;
}

TimestampTz
samples_next_due(TimestampTz now)
{
	return (minute_of(now) + 1) * USECS_PER_MINUTE;
}

/*
 * A minute is over: add its sample, of which the caller knows all but the
 * times and how many clients were turned away within it.  The first minute
 * has begun before we were there and makes no sample.
 */
void
samples_add(Sample *sample, TimestampTz now, int64 monotonic, uint64 refused)
{
	uint64		end = pg_atomic_read_u64(&samples->end);
	bool		is_first = samples->minute == 0;

	sample->minute = samples->minute;
	sample->passed = (int32) Max((monotonic - samples->monotonic + USECS_PER_MINUTE / 2) / USECS_PER_MINUTE, 1);
	sample->refused = (int32) (refused - samples->refused);
	samples->minute = minute_of(now);
	samples->monotonic = monotonic;
	samples->refused = refused;
	if (is_first)
		return;

	change_begin(&samples->changes);
	pack(sample, &samples->sample[end % NUM_SAMPLES]);
	pg_atomic_write_u64(&samples->end, end + 1);
	change_end(&samples->changes);
}

/* ---------- the recorder ---------- */

/* All samples before this number are in the table. */
void
samples_mark_written(uint64 upto)
{
	pg_atomic_write_u64(&samples->written, upto);
}

/* Samples go into this table: if it is another than before, all of them. */
void
samples_set_table(Oid database, Oid relation)
{
	if (samples->database == database && samples->relation == relation)
		return;
	samples->database = database;
	samples->relation = relation;
	samples_mark_written(0);
}

/* ---------- reading ---------- */

/* The number of the oldest sample that is there. */
uint64
samples_begin(void)
{
	uint64		end = samples_end();

	return end > NUM_SAMPLES ? end - NUM_SAMPLES : 0;
}

/* One more than the number of the newest. */
uint64
samples_end(void)
{
	return pg_atomic_read_u64(&samples->end);
}

uint64
samples_written(void)
{
	return pg_atomic_read_u64(&samples->written);
}

/* False when the sample is not there any more. */
bool
samples_read(uint64 number, Sample *sample)
{
	Packed		packed;

	if (!change_copy(&samples->changes, &packed, &samples->sample[number % NUM_SAMPLES],
					 sizeof(Packed)))
		return false;
	unpack(&packed, sample);
	return number >= samples_begin() && number < samples_end();
}

/*
 * When the connections of the server will be used up.  A sample stands for all
 * minutes since the one before: nobody looked in between.
 */
Forecast
samples_forecast(int limit)
{
	int			used[FORECAST_WINDOW];
	int			first = FORECAST_WINDOW;
	uint64		number = samples_end();
	Sample		sample;

	while (first > 0 && number > 0 && samples_read(--number, &sample))
	{
		for (int i = 0; i < sample.passed && first > 0; i++)
			used[--first] = sample.used;
	}
	return forecast_use(used + first, FORECAST_WINDOW - first, limit);
}
