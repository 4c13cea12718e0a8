/*-------------------------------------------------------------------------
 *
 * blockers.h
 *	  Since when idle sessions have been in others' way.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_BLOCKERS_H
#define LEAKWATCH_BLOCKERS_H

#include "clock.h"

extern void blockers_init(void);
extern void blockers_expect(int slot, int limit);
extern void blockers_jumped(const Moment *moment);
extern TimestampTz blockers_due(const Moment *moment);
extern bool blockers_are_nearly_due(const Moment *moment);
extern bool blockers_observe(const Moment *moment);

#endif							/* LEAKWATCH_BLOCKERS_H */
