/*-------------------------------------------------------------------------
 *
 * capacity.h
 *	  The watcher's look at the use of connections.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_CAPACITY_H
#define LEAKWATCH_CAPACITY_H

#include "clock.h"

extern void capacity_tend(const Moment *moment, bool asked);
extern TimestampTz capacity_due(const Moment *moment);

#endif							/* LEAKWATCH_CAPACITY_H */
