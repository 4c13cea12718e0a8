/*-------------------------------------------------------------------------
 *
 * reminder.c
 *	  When an open incident is warned about again.
 *
 * Pure.  The time between two warnings doubles with each.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "reminder.h"

/* After so many an incident is not repeated any more. */
#define MAX_REMINDERS	20

/*
 * When the next warning is due after the last; repeat in s, 0: never, as is
 * DT_NOEND.
 */
TimestampTz
reminder_at(TimestampTz warned_at, int repeat, int reminders)
{
	if (repeat == 0 || reminders >= MAX_REMINDERS)
		return DT_NOEND;
	return warned_at + ((int64) repeat << reminders) * USECS_PER_SEC;
}

/*
 * How many reminders there have been, of an incident of which only the times of
 * the first and the last warning are known.
 */
int
reminder_count(TimestampTz detected_at, TimestampTz warned_at, int repeat)
{
	TimestampTz due = detected_at;

	for (int count = 0; count < MAX_REMINDERS; count++)
	{
		due = reminder_at(due, repeat, count);
		if (due > warned_at)
			return count;
	}
	return MAX_REMINDERS;
}
