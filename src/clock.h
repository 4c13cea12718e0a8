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

extern Size clock_shmem_size(void);
extern void clock_shmem_init(void);

extern bool clock_read(TimestampTz *now, int64 *monotonic);
extern void clock_apply(Session *session);

#endif							/* LEAKWATCH_CLOCK_H */
