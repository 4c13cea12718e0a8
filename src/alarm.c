/*-------------------------------------------------------------------------
 *
 * alarm.c
 *	  When something is to be said about connections that run out.
 *
 * Pure: what was said of a scope and how it is now in, what is to be said out.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "alarm.h"

/* How many connections are warn percent of a limit; 0: nothing is warned of. */
int
alarm_threshold(int limit, int warn)
{
	if (limit < 0 || warn <= 0)
		return 0;
	return Max((int) (((int64) limit * warn + 99) / 100), 1);
}

/* Is it far enough below the threshold for it to be over? */
static bool
is_calm(const AlarmFacts *facts)
{
	int			warn = facts->warn > 0 ? facts->warn : 100;

	if (facts->limit < 0 || facts->used == 0)
		return true;
	return facts->used * INT64CONST(100) < facts->limit * (int64) (warn - ALARM_MARGIN);
}

static bool
is_high(const AlarmFacts *facts)
{
	int			threshold = alarm_threshold(facts->limit, facts->warn);

	return threshold > 0 && facts->used >= threshold;
}

/* Clients turned away are said at once, but not more often than repeat. */
static bool
has_refusals_to_say(const Alarm *alarm, const AlarmFacts *facts)
{
	if (facts->refused == alarm->refused)
		return false;
	if (alarm->refused_at == 0)
		return true;
	return facts->repeat > 0 ? facts->monotonic - alarm->refused_at >= facts->repeat : !alarm->on;
}

static bool
is_to_be_repeated(const Alarm *alarm, const AlarmFacts *facts)
{
	return facts->repeat > 0 && alarm->reminders < ALARM_MAX_REMINDERS &&
		facts->monotonic - alarm->said_at >= facts->repeat << alarm->reminders;
}

static AlarmVerb
raise_alarm(Alarm *alarm, const AlarmFacts *facts, AlarmVerb verb)
{
	alarm->reminders = verb == ALARM_STILL_HIGH ? alarm->reminders + 1 : 0;
	alarm->on = true;
	alarm->said_at = facts->monotonic;
	if (facts->refused != alarm->refused)
		alarm->refused_at = facts->monotonic;
	alarm->refused = facts->refused;
	return verb;
}

/* The forecast is said once, and not again soon if it comes and goes. */
static AlarmVerb
judge_forecast(Alarm *alarm, const AlarmFacts *facts)
{
	if (!facts->in_sight)
		alarm->foreseen = false;
	else if (!alarm->foreseen &&
			 (alarm->foreseen_at == 0 || facts->monotonic - alarm->foreseen_at >= facts->repeat))
	{
		alarm->foreseen = true;
		alarm->foreseen_at = facts->monotonic;
		return ALARM_IN_SIGHT;
	}
	return ALARM_NOTHING;
}

/* What is to be said now; it counts as said. */
AlarmVerb
alarm_judge(Alarm *alarm, const AlarmFacts *facts)
{
	if (has_refusals_to_say(alarm, facts))
		return raise_alarm(alarm, facts, ALARM_REFUSED);
	if (!alarm->on && is_high(facts))
		return raise_alarm(alarm, facts, ALARM_HIGH);
	if (alarm->on && is_calm(facts))
	{
		alarm->on = false;
		return ALARM_OVER;
	}
	if (alarm->on && is_high(facts) && is_to_be_repeated(alarm, facts))
		return raise_alarm(alarm, facts, ALARM_STILL_HIGH);
	if (!alarm->on)
		return judge_forecast(alarm, facts);
	return ALARM_NOTHING;
}

/*
 * When to judge it again, by the monotonic clock, PG_INT64_MAX for any time:
 * that a threshold is crossed, and that a client is turned away, is announced.
 */
int64
alarm_due(const Alarm *alarm, const AlarmFacts *facts)
{
	int64		due = PG_INT64_MAX;

	if (facts->refused != alarm->refused && facts->repeat > 0)
		due = alarm->refused_at + facts->repeat;
	if (!alarm->on)
		return facts->refused != alarm->refused && facts->repeat == 0 ? facts->monotonic : due;
	if (!is_high(facts))
		return Min(due, facts->monotonic + ALARM_LOOK);
	if (facts->repeat > 0 && alarm->reminders < ALARM_MAX_REMINDERS)
		due = Min(due, alarm->said_at + (facts->repeat << alarm->reminders));
	return due;
}
