/*-------------------------------------------------------------------------
 *
 * suspicion.h
 *	  Whom the watcher suspects of having been forgotten by its application.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_SUSPICION_H
#define LEAKWATCH_SUSPICION_H

#include "clock.h"
#include "outcome.h"
#include "suspect.h"

extern void suspicion_init(void);
extern void suspicion_tend(const Moment *moment, bool asked);
extern TimestampTz suspicion_due(void);
extern Suspicion suspicion_of(const Session *session);
extern void suspicion_ended(Outcome outcome);

#endif							/* LEAKWATCH_SUSPICION_H */
