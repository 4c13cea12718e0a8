/*-------------------------------------------------------------------------
 *
 * alarm.h
 *	  When something is to be said about connections that run out.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_ALARM_H
#define LEAKWATCH_ALARM_H

#include "datatype/timestamp.h"

/* Points below the threshold at which it is over. */
#define ALARM_MARGIN	5

/* How often to look whether it is over, once it is below the threshold, in us. */
#define ALARM_LOOK	USECS_PER_SEC

/* After so many repetitions nothing is repeated any more. */
#define ALARM_MAX_REMINDERS	20

/* What has been said of one scope.  Times are monotonic, in us; 0: never. */
typedef struct Alarm
{
	bool		on;				/* it was said, and is not over yet */
	bool		foreseen;		/* the forecast was said, and still holds */
	int			reminders;
	int64		said_at;
	int64		refused_at;		/* when refusals were said */
	int64		foreseen_at;	/* when the forecast was */
	uint64		refused;		/* clients that have been told of so far */
} Alarm;

/* How it is with that scope now. */
typedef struct AlarmFacts
{
	int64		monotonic;
	int			used;
	int			limit;			/* -1: none */
	int			warn;			/* percent; 0: off */
	uint64		refused;		/* clients so far */
	bool		in_sight;		/* used up sooner than is to be warned of */
	int64		repeat;			/* us; 0: once */
} AlarmFacts;

/* What is to be said. */
typedef enum AlarmVerb
{
	ALARM_NOTHING,
	ALARM_REFUSED,				/* clients are turned away */
	ALARM_HIGH,					/* the threshold is crossed */
	ALARM_STILL_HIGH,
	ALARM_IN_SIGHT,				/* it will be, if it goes on like this */
	ALARM_OVER
} AlarmVerb;

extern int	alarm_threshold(int limit, int warn);
extern AlarmVerb alarm_judge(Alarm *alarm, const AlarmFacts *facts);
extern int64 alarm_due(const Alarm *alarm, const AlarmFacts *facts);

#endif							/* LEAKWATCH_ALARM_H */
