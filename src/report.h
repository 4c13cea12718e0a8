/*-------------------------------------------------------------------------
 *
 * report.h
 *	  The words: messages about incidents, and what a terminated session says.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_REPORT_H
#define LEAKWATCH_REPORT_H

#include "incident.h"
#include "policy.h"
#include "slot.h"

/* Room for the longest duration in words. */
#define DURATION_SIZE	48

/* What is said of an incident. */
typedef enum Message
{
	MESSAGE_OPENED,
	MESSAGE_REMINDER,
	MESSAGE_WOULD_TERMINATE,
	MESSAGE_TERMINATED
} Message;

extern const char *report_duration(int64 usec, char *buffer, Size size);
extern void report_limit(const SlotReason *reason, char *buffer, Size size);
extern char *report_reason_detail(const SlotReason *reason);
extern int	report_exceeded(const Incident *incident, TimestampTz now);
extern char *report_excess(const Incident *incident, TimestampTz now);
extern void report_to_client(const SlotReport *report, TimestampTz now);
extern const char *report_hint(LeakKind kind);

extern void report_at(int64 monotonic);
extern int64 report_due(void);
extern void report_incident(Message message, const Incident *incident, const Trail *trail,
							const SlotReason *reason, TimestampTz now);
extern void report_flush(void);

#endif							/* LEAKWATCH_REPORT_H */
