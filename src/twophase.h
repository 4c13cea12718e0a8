/*-------------------------------------------------------------------------
 *
 * twophase.h
 *	  Prepared transactions that nobody finishes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_TWOPHASE_H
#define LEAKWATCH_TWOPHASE_H

#include "clock.h"
#include "incident.h"

extern void twophase_init(void);
extern void twophase_adopt(int index, const Incident *incident);
extern void twophase_jump(int64 jump);
extern void twophase_tend(const Moment *moment, bool asked);
extern TimestampTz twophase_due(const Moment *moment);
extern void twophase_harm(void);
extern int	twophase_open_count(void);

#endif							/* LEAKWATCH_TWOPHASE_H */
