/*-------------------------------------------------------------------------
 *
 * report.h
 *	  The watcher's messages about incidents.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_REPORT_H
#define LEAKWATCH_REPORT_H

#include "incident.h"

/* What is said of an incident. */
typedef enum Message
{
	MESSAGE_NONE,
	MESSAGE_OPENED,
	MESSAGE_REMINDER,
	MESSAGE_WOULD_TERMINATE,
	MESSAGE_TERMINATED
} Message;

extern void report_at(int64 monotonic);
extern int64 report_due(void);
extern void report_incident(Message message, const Incident *incident, const Trail *trail,
							const Excess *excess);
extern void report_flush(void);

#endif							/* LEAKWATCH_REPORT_H */
