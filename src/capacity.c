/*-------------------------------------------------------------------------
 *
 * capacity.c
 *	  The watcher's look at the use of connections.
 *
 * Sessions count themselves (saturation.c) and announce what is not for
 * waiting: a threshold crossed, a client turned away, a scope that nobody
 * knows the limit of.  Else a sample is taken once a minute, and now and then
 * limits are read again from the catalogs.  Otherwise a scan pays a few
 * comparisons here.
 *
 * Owns what the watcher keeps between two looks, which can be lost.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "alert.h"
#include "capacity.h"
#include "guc.h"
#include "incident.h"
#include "names.h"
#include "samples.h"
#include "session.h"
#include "twophase.h"
#include "utils/timestamp.h"

/*
 * How old a limit may be that nobody comes near, in us.  It is read along with a
 * sample, so that takes some minutes, less what samples are apart by chance.
 */
#define LIMITS_AGE	(5 * USECS_PER_MINUTE - 10 * USECS_PER_SEC)

static Forecast forecast;
static bool forecast_known = false;

/* When all limits were read; monotonic us. */
static int64 limits_read_at = 0;

/* When there may be something to be said, monotonic us; PG_INT64_MAX: never. */
static int64 alarms_due = 0;

/* What connections that ordinary roles can have. */
static int
server_limit(void)
{
	return Max(MaxConnections - compat_reserved_connections(), 0);
}

/* ---------- a sample ---------- */

static void
take_sample(const Moment *moment)
{
	Sample		sample = {0};
	ScopeUse	server;

	saturation_read(SERVER_SCOPE, &server);
	sample.used = server.used;
	sample.peak = saturation_take_peak();
	/* what is prepared takes no connection */
	sample.leaked = incident_open_count() - twophase_open_count();
	session_count_idle(&sample.idle, &sample.in_transaction);
	samples_add(&sample, moment->now, moment->monotonic, server.refused);
	forecast = samples_forecast(server_limit());
}

/* ---------- limits ---------- */

/* Read a limit and set the threshold; the use is read after it. */
static void
look_up_limit(int scope, ScopeUse *use, int64 monotonic)
{
	int			limit = server_limit();
	ScopeNames	names = {0};

	if (use->kind != SCOPE_SERVER)
	{
		if (names_look_up_scope(use->kind, use->oid, monotonic, &names))
			limit = names.limit;
		else
			limit = use->limit;
	}
	saturation_set_limit(scope, limit, alarm_threshold(limit, guc_saturation_warn));
	saturation_read(scope, use);
}

/* ---------- alarms ---------- */

/* Returns when to do so again, PG_INT64_MAX for any time. */
static int64
judge(int scope, const ScopeUse *use, const Moment *moment)
{
	Alarm	   *alarm = saturation_alarm(scope);
	bool		is_server = use->kind == SCOPE_SERVER;
	AlarmFacts	facts = {
		.monotonic = moment->monotonic,
		.used = use->used,
		.limit = Max(use->limit, NO_LIMIT),
		.warn = guc_saturation_warn,
		.refused = use->refused,
		.in_sight = is_server && forecast.minutes >= 0 &&
		forecast.minutes * INT64CONST(60) < guc_saturation_forecast,
		.repeat = guc_log_repeat * USECS_PER_SEC,
	};
	Alert		alert = {
		.use = *use,
		.fresh = use->refused - alarm->refused,
		.forecast = forecast,
	};

	alert.verb = alarm_judge(alarm, &facts);
	if (alert.verb != ALARM_NOTHING)
		alert_say(&alert, moment);
	return alarm_due(alarm, &facts);
}

/*
 * Is a limit to be looked up?  That of a scope that is in use, now and then;
 * and that which is to be warned of or has turned somebody away, for it may be
 * new.
 */
static bool
is_limit_wanted(int scope, const ScopeUse *use, bool all)
{
	const Alarm *alarm = saturation_alarm(scope);

	return use->limit == UNKNOWN_LIMIT || use->refused != alarm->refused ||
		(!alarm->on && saturation_is_reached(use)) ||
		(all && (use->used > 0 || use->threshold > 0));
}

/* Say once that there is no room for more databases and roles. */
static void
note_room(void)
{
	static bool said = false;

	if (said || !saturation_is_full())
		return;
	said = true;
	ereport(LOG,
			(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			 errmsg("leakwatch has no room for the connections of more databases and roles"),
			 errdetail("Those that connect for the first time from now on are counted for the server alone.")));
}

/* Look at all scopes.  all: read their limits again */
static void
look(const Moment *moment, bool all)
{
	int64		due = PG_INT64_MAX;

	/* until all have been looked at */
	alarms_due = 0;
	for (int scope = 0; scope < NUM_SCOPES; scope++)
	{
		ScopeUse	use;
		int64		scope_due;

		CHECK_FOR_INTERRUPTS();
		if (!saturation_read(scope, &use))
			continue;
		if (is_limit_wanted(scope, &use, all))
			look_up_limit(scope, &use, moment->monotonic);
		scope_due = judge(scope, &use, moment);
		due = Min(due, scope_due);
	}
	names_end_look_ups();
	note_room();
	alarms_due = due;
}

/* Have the settings changed that thresholds come from? */
static bool
threshold_changed(void)
{
	static int	warn = -1;
	bool		changed = warn != guc_saturation_warn;

	warn = guc_saturation_warn;
	return changed;
}

/*
 * Do what there is to do.
 * asked: somebody wants to see how it is now
 */
void
capacity_tend(const Moment *moment, bool asked)
{
	bool		due = samples_are_due(moment->now);
	bool		changed = threshold_changed();
	bool		all = asked || changed || (due && moment->monotonic - limits_read_at >= LIMITS_AGE);

	/* what our predecessor foresaw */
	if (!forecast_known)
		forecast = samples_forecast(server_limit());
	forecast_known = true;
	if (all || due || moment->monotonic >= alarms_due || saturation_is_announced())
	{
		saturation_take_announced();
		if (due)
			take_sample(moment);
		look(moment, all);
		if (all)
			limits_read_at = moment->monotonic;
	}
}

/* When to call this again at the latest. */
TimestampTz
capacity_due(const Moment *moment)
{
	TimestampTz due = samples_next_due(moment->now);

	return alarms_due == PG_INT64_MAX ? due : Min(due, clock_wall(moment, alarms_due));
}
