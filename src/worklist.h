/*-------------------------------------------------------------------------
 *
 * worklist.h
 *	  What a scan has to do, and doing it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_WORKLIST_H
#define LEAKWATCH_WORKLIST_H

#include "agenda.h"
#include "follow.h"

extern void worklist_clear(void);
extern bool worklist_is_empty(void);
extern void worklist_add(Seat *seat, const Judgement *judgement, Look *look,
						 const Moment *moment);
extern TimestampTz worklist_carry_out(const Moment *moment);

#endif							/* LEAKWATCH_WORKLIST_H */
