/*-------------------------------------------------------------------------
 *
 * samples.h
 *	  How connections were used, minute by minute, for a day.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_SAMPLES_H
#define LEAKWATCH_SAMPLES_H

#include "datatype/timestamp.h"
#include "forecast.h"

/* Minutes that are kept in shared memory. */
#define NUM_SAMPLES	1440

/* One minute. */
typedef struct Sample
{
	int32		minute;			/* it began so many minutes after 2000-01-01 */
	int32		passed;			/* minutes since the sample before */
	int32		used;			/* at its end, as the next three */
	int32		idle;
	int32		in_transaction; /* idle in one, failed or not */
	int32		leaked;			/* open incidents */
	int32		peak;			/* the most in use at once within it */
	int32		refused;		/* clients turned away within it */
} Sample;

extern Size samples_shmem_size(void);
extern void samples_shmem_init(void);

/* The watcher's. */
extern bool samples_are_due(TimestampTz now);
extern TimestampTz samples_next_due(TimestampTz now);
extern void samples_add(Sample *sample, TimestampTz now, int64 monotonic, uint64 refused);

/* The recorder's. */
extern void samples_mark_written(uint64 upto);
extern void samples_set_table(Oid database, Oid relation);

/* Anybody's.  Samples are numbered from 0. */
extern uint64 samples_begin(void);
extern uint64 samples_end(void);
extern uint64 samples_written(void);
extern bool samples_read(uint64 number, Sample *sample);
extern Forecast samples_forecast(int limit);

static inline TimestampTz
samples_time(const Sample *sample)
{
	return sample->minute * USECS_PER_MINUTE;
}

#endif							/* LEAKWATCH_SAMPLES_H */
