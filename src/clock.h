/*-------------------------------------------------------------------------
 *
 * clock.h
 *	  Time that does not jump.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_CLOCK_H
#define LEAKWATCH_CLOCK_H

#include "policy.h"

/* How far the clocks may part before it is a jump, in microseconds. */
#define CLOCK_TOLERANCE	USECS_PER_SEC

/* One reading of both clocks, in microseconds. */
typedef struct Moment
{
	TimestampTz now;			/* wall clock */
	int64		monotonic;
	int64		jump;			/* of the wall clock since the last reading */
} Moment;

/* When it will be so late by the monotonic clock, by the wall clock. */
static inline TimestampTz
clock_wall(const Moment *moment, int64 monotonic)
{
	return moment->now + (monotonic - moment->monotonic);
}

/*
 * After how much of such a time what is due at its end is done, when the watcher
 * is awake anyway: so it need not wake for each.
 */
static inline int64
clock_soonest(int64 pause)
{
	return pause - pause / 4;
}

extern Size clock_shmem_size(void);
extern void clock_shmem_init(void);

extern int64 clock_monotonic(void);
extern int64 clock_cpu(void);
extern bool clock_read(Moment *moment);
extern void clock_report_jump(const Moment *moment);
extern bool clock_apply(Session *session);

#endif							/* LEAKWATCH_CLOCK_H */
