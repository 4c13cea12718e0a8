/*-------------------------------------------------------------------------
 *
 * alarm_test.c
 *	  Shows when something is said about connections that run out.
 *
 * Prints TAP.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "alarm.h"
#include "datatype/timestamp.h"
#include "tap.h"

/* As in facts_of(), in seconds. */
#define REPEAT	60

/* 10 connections, warned of at 9, said again after a minute. */
static AlarmFacts
facts_of(int used, uint64 refused, int64 seconds)
{
	AlarmFacts	facts = {
		.monotonic = (seconds + 1000) * USECS_PER_SEC,
		.used = used,
		.limit = 10,
		.warn = 90,
		.refused = refused,
		.repeat = USECS_PER_MINUTE,
	};

	return facts;
}

static AlarmVerb
judge(Alarm *alarm, int used, uint64 refused, int64 seconds)
{
	AlarmFacts	facts = facts_of(used, refused, seconds);

	return alarm_judge(alarm, &facts);
}

static void
test_threshold(void)
{
	ok(alarm_threshold(97, 90) == 88, "87 of 97 are less than 90 percent, 88 are not");
	ok(alarm_threshold(10, 90) == 9, "what is exactly the percentage counts");
	ok(alarm_threshold(1, 1) == 1 && alarm_threshold(0, 90) == 1, "nobody is never too many");
	ok(alarm_threshold(-1, 90) == 0, "no limit, no threshold");
	ok(alarm_threshold(10, 0) == 0, "nor when it is off");
	ok(alarm_threshold(PG_INT32_MAX, 100) == PG_INT32_MAX, "the greatest limit");
}

static void
test_crossing(void)
{
	Alarm		alarm = {0};

	ok(judge(&alarm, 8, 0, 0) == ALARM_NOTHING, "nothing below the threshold");
	ok(judge(&alarm, 9, 0, 1) == ALARM_HIGH, "it is crossed");
	ok(judge(&alarm, 10, 0, 2) == ALARM_NOTHING, "which is said once");
	ok(judge(&alarm, 9, 0, 60) == ALARM_NOTHING, "not before its time again");
	ok(judge(&alarm, 9, 0, 61) == ALARM_STILL_HIGH, "then again");
	ok(judge(&alarm, 9, 0, 180) == ALARM_NOTHING && judge(&alarm, 9, 0, 181) == ALARM_STILL_HIGH,
	   "and after twice the time");
	/* 85 percent of 10 is between 8 and 9 */
	ok(judge(&alarm, 8, 0, 182) == ALARM_OVER, "it is over");
	ok(judge(&alarm, 8, 0, 183) == ALARM_NOTHING, "which is said once");
	ok(judge(&alarm, 9, 0, 184) == ALARM_HIGH, "and it can begin again");
}

static void
test_margin(void)
{
	Alarm		alarm = {0};
	AlarmFacts	facts = facts_of(90, 0, 0);

	facts.limit = 100;
	ok(alarm_judge(&alarm, &facts) == ALARM_HIGH, "90 of 100");
	facts.used = 85;
	ok(alarm_judge(&alarm, &facts) == ALARM_NOTHING, "85 are not far enough below");
	facts.used = 90;
	ok(alarm_judge(&alarm, &facts) == ALARM_NOTHING, "so nothing is said when it is crossed again");
	facts.used = 84;
	ok(alarm_judge(&alarm, &facts) == ALARM_OVER, "84 are");
}

static void
test_refusals(void)
{
	Alarm		alarm = {0};

	ok(judge(&alarm, 10, 1, 0) == ALARM_REFUSED, "clients turned away are said at once");
	ok(judge(&alarm, 10, 2, 59) == ALARM_NOTHING, "but not each of them");
	ok(judge(&alarm, 10, 2, 60) == ALARM_REFUSED, "the others later");
	ok(judge(&alarm, 10, 2, 120) == ALARM_STILL_HIGH, "then it is only repeated");
	ok(judge(&alarm, 2, 3, 121) == ALARM_REFUSED, "whatever is in use when it is said");
	ok(judge(&alarm, 2, 3, 122) == ALARM_OVER, "and then it is over");
	ok(judge(&alarm, 2, 4, 123) == ALARM_NOTHING, "a burst does not say it each time");
	ok(judge(&alarm, 2, 4, 181) == ALARM_REFUSED, "but it is not lost");
}

static void
test_once(void)
{
	Alarm		alarm = {0};
	AlarmFacts	facts = facts_of(10, 1, 0);

	facts.repeat = 0;
	ok(alarm_judge(&alarm, &facts) == ALARM_REFUSED, "without repetition: said");
	facts.refused = 2;
	facts.monotonic += USECS_PER_DAY;
	ok(alarm_judge(&alarm, &facts) == ALARM_NOTHING, "and never again");
	facts.used = 0;
	ok(alarm_judge(&alarm, &facts) == ALARM_OVER, "before it was over");
	facts.refused = 3;
	ok(alarm_judge(&alarm, &facts) == ALARM_REFUSED, "but after that");
}

static void
test_off(void)
{
	Alarm		alarm = {0};
	AlarmFacts	facts = facts_of(10, 0, 0);

	facts.warn = 0;
	ok(alarm_judge(&alarm, &facts) == ALARM_NOTHING, "off: nothing is warned of");
	facts.refused = 1;
	ok(alarm_judge(&alarm, &facts) == ALARM_REFUSED, "but clients that are turned away");
	facts.used = 9;
	ok(alarm_judge(&alarm, &facts) == ALARM_OVER, "until it is below");

	memset(&alarm, 0, sizeof(alarm));
	facts = facts_of(10, 0, 0);
	facts.limit = -1;
	ok(alarm_judge(&alarm, &facts) == ALARM_NOTHING, "without a limit nothing is high");
}

static void
test_forecast(void)
{
	Alarm		alarm = {0};
	AlarmFacts	facts = facts_of(5, 0, 0);

	facts.in_sight = true;
	ok(alarm_judge(&alarm, &facts) == ALARM_IN_SIGHT, "the end is in sight");
	facts.monotonic += USECS_PER_HOUR;
	ok(alarm_judge(&alarm, &facts) == ALARM_NOTHING, "which is said once");
	facts.in_sight = false;
	alarm_judge(&alarm, &facts);
	facts.in_sight = true;
	ok(alarm_judge(&alarm, &facts) == ALARM_IN_SIGHT, "and again when it has not been for a while");
	facts.in_sight = false;
	alarm_judge(&alarm, &facts);
	facts.in_sight = true;
	facts.monotonic += USECS_PER_SEC;
	ok(alarm_judge(&alarm, &facts) == ALARM_NOTHING, "but not when it comes and goes");
	facts.used = 9;
	ok(alarm_judge(&alarm, &facts) == ALARM_HIGH, "what is so goes before what will be");
}

/* When to judge it again, in seconds; -1 for any time. */
static int64
due(const Alarm *alarm, int used, uint64 refused, int64 seconds)
{
	AlarmFacts	facts = facts_of(used, refused, seconds);
	int64		at = alarm_due(alarm, &facts);

	return at == PG_INT64_MAX ? -1 : at / USECS_PER_SEC - 1000;
}

static void
test_due(void)
{
	Alarm		alarm = {0};
	AlarmFacts	facts;

	ok(due(&alarm, 5, 0, 1) == -1, "as long as all is well, nothing is to be looked at");
	judge(&alarm, 9, 0, 100);
	ok(due(&alarm, 9, 0, 101) == 100 + REPEAT, "high: when it is to be repeated");
	judge(&alarm, 9, 0, 100 + REPEAT);
	ok(due(&alarm, 9, 0, 101 + REPEAT) == 100 + 3 * REPEAT, "which takes twice as long the next time");
	ok(due(&alarm, 8, 0, 200 + REPEAT) == 201 + REPEAT, "below: soon, for it may be over");

	judge(&alarm, 10, 1, 5000);
	ok(due(&alarm, 10, 2, 5010) == 5000 + REPEAT, "turned away: when that may be said again");
	facts = facts_of(10, 2, 5010);
	facts.repeat = 0;
	ok(alarm_due(&alarm, &facts) == PG_INT64_MAX, "without repetition: not before it is over");
	facts = facts_of(0, 2, 5020);
	facts.repeat = 0;
	ok(alarm_judge(&alarm, &facts) == ALARM_OVER && alarm_due(&alarm, &facts) == facts.monotonic,
	   "and then at once");
}

int
main(void)
{
	test_threshold();
	test_crossing();
	test_margin();
	test_refusals();
	test_once();
	test_off();
	test_forecast();
	test_due();
	return done_testing();
}
