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

extern TimestampTz capacity_tend(const Moment *moment, bool asked);

#endif							/* LEAKWATCH_CAPACITY_H */
