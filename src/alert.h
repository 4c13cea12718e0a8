/*-------------------------------------------------------------------------
 *
 * alert.h
 *	  The watcher's messages about connections that run out.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_ALERT_H
#define LEAKWATCH_ALERT_H

#include "alarm.h"
#include "clock.h"
#include "forecast.h"
#include "saturation.h"

/* What there is to say of a scope. */
typedef struct Alert
{
	AlarmVerb	verb;
	ScopeUse	use;
	uint64		fresh;			/* clients turned away since the last message */
	Forecast	forecast;
} Alert;

extern void alert_say(const Alert *alert, const Moment *moment);

#endif							/* LEAKWATCH_ALERT_H */
