/*-------------------------------------------------------------------------
 *
 * report.h
 *	  The watcher's messages about incidents.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_REPORT_H
#define LEAKWATCH_REPORT_H

#include "clock.h"
#include "incident.h"

extern void report_at(int64 monotonic);
extern TimestampTz report_due(const Moment *moment);
extern void report_incident(Message message, const Incident *incident, const Trail *trail,
							const Excess *excess);
extern void report_owed(int index, const Trail *trail);
extern void report_flush(void);

#endif							/* LEAKWATCH_REPORT_H */
