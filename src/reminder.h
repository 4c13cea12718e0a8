/*-------------------------------------------------------------------------
 *
 * reminder.h
 *	  When an open incident is warned about again.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_REMINDER_H
#define LEAKWATCH_REMINDER_H

#include "datatype/timestamp.h"

extern TimestampTz reminder_at(TimestampTz warned_at, int repeat, int reminders);
extern int	reminder_count(TimestampTz detected_at, TimestampTz warned_at, int repeat);

#endif							/* LEAKWATCH_REMINDER_H */
