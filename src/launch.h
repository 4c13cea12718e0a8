/*-------------------------------------------------------------------------
 *
 * launch.h
 *	  Keeps a recorder running while there is something to write.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_LAUNCH_H
#define LEAKWATCH_LAUNCH_H

#include "clock.h"

extern void launch_retry(void);
extern void launch_tend(int64 monotonic);
extern TimestampTz launch_due(const Moment *moment);

#endif							/* LEAKWATCH_LAUNCH_H */
