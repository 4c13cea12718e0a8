/*-------------------------------------------------------------------------
 *
 * terminate.c
 *	  From the facts about a session to its end.
 *
 * Gathers what the rules of enforce.c ask, keeps the brake, and does what was
 * decided.
 *
 * Owns the "leakwatch brake" segment, which only the watcher reads and
 * writes; it is shared so that a new watcher does not start with a new
 * allowance.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include <signal.h>

#include "activity.h"
#include "control.h"
#include "guc.h"
#include "incident.h"
#include "observe.h"
#include "protection.h"
#include "slot.h"
#include "snapshots.h"
#include "storage/shmem.h"
#include "terminate.h"
#include "utils/timestamp.h"

typedef struct Brake
{
	int64		since;			/* monotonic us; start of the running minute */
	int			count;			/* terminations in that minute */
	bool		warned;			/* the log has been told in that minute */
} Brake;

static Brake *brake = NULL;

Size
terminate_shmem_size(void)
{
	return MAXALIGN(sizeof(Brake));
}

/* Called with AddinShmemInitLock held. */
void
terminate_shmem_init(void)
{
	bool		found;

	brake = ShmemInitStruct("leakwatch brake", sizeof(Brake), &found);
	if (!found)
		memset(brake, 0, sizeof(Brake));
}

/*
 * What the rules ask of a session, all but the brake and the kind of limit,
 * which are left open.  Exported snapshots are those of the last look at them.
 * Allocates in the current context.
 */
void
terminate_facts(const Session *session, const SessionText *text,
				const SessionNames *names, const Policy *policy, const Verdict *verdict,
				TimestampTz now, int blocked, bool saturated, EnforceFacts *facts)
{
	Activity	activity;

	activity_read(session, &activity);
	facts->mode = policy->value[POLICY_MODE];
	facts->state = session->state;
	facts->awaits_client = verdict_waits(session, verdict, now);
	facts->superuser = names->superuser;
	facts->role_unknown = names->role_unknown;
	facts->listed_application = protection_application(text->application_name);
	facts->listed_address = protection_address(&text->client.any, sizeof(text->client));
	facts->waiting = activity.waits_for_lock || observe_waited(session, now);
	facts->committing = activity.committing;
	facts->maintenance = activity.progress.command != NULL;
	facts->exported_snapshot = snapshots_exported(session);
	facts->is_blocker = false;
	facts->blocked = blocked;
	facts->saturated = saturated;
	facts->terminate_superusers = guc_terminate_superusers;
	facts->terminate_active = guc_terminate_active;
	facts->terminate_when = guc_terminate_when;
	facts->brake_allows = true;
}

/* Is the minute over that the brake counts in? */
static bool
minute_is_over(int64 monotonic)
{
	return brake->since == 0 || monotonic - brake->since >= USECS_PER_MINUTE;
}

/*
 * May one more session be terminated?  A minute starts with the first
 * termination in it.
 */
bool
terminate_brake_allows(int64 monotonic)
{
	return guc_max_terminations_per_minute == 0 || minute_is_over(monotonic) ||
		brake->count < guc_max_terminations_per_minute;
}

static void
count_termination(int64 monotonic)
{
	if (minute_is_over(monotonic))
	{
		brake->since = monotonic;
		brake->count = 0;
		brake->warned = false;
	}
	brake->count++;
}

/* The brake has held a termination back: say so once a minute. */
void
terminate_brake_held(void)
{
	if (brake->warned)
		return;
	HOLD_INTERRUPTS();
	ereport(guc_log_level,
			(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			 errmsg("leakwatch terminates no more sessions in this minute"),
			 errdetail_plural("%d session has been terminated in it, and more are over their limits.",
							  "%d sessions have been terminated in it, and more are over their limits.",
							  brake->count, brake->count),
			 errhint("If the limits are as intended, raise leakwatch.max_terminations_per_minute.")));
	brake->warned = true;
	RESUME_INTERRUPTS();
}

/* Count each rule that holds a termination back, once for each incident. */
void
terminate_note_held(int index, uint32 held)
{
	static const Counter counter[NUM_RULES] = {
		[RULE_SUPERUSER] = COUNT_HELD_SUPERUSER,
		[RULE_UNKNOWN_ROLE] = COUNT_HELD_SUPERUSER,
		[RULE_ACTIVE] = COUNT_HELD_ACTIVE,
		[RULE_UNKNOWN_STATE] = COUNT_HELD_ACTIVE,
		[RULE_APPLICATION] = COUNT_HELD_APPLICATION,
		[RULE_ADDRESS] = COUNT_HELD_ADDRESS,
		[RULE_WAITING] = COUNT_HELD_WAITING,
		[RULE_COMMITTING] = COUNT_HELD_COMMITTING,
		[RULE_MAINTENANCE] = COUNT_HELD_MAINTENANCE,
		[RULE_EXPORTED_SNAPSHOT] = COUNT_HELD_EXPORTED_SNAPSHOT,
		[RULE_NOT_BLOCKING] = COUNT_HELD_NOT_BLOCKING,
		[RULE_NOT_SATURATED] = COUNT_HELD_NOT_SATURATED,
		[RULE_BRAKE] = COUNT_HELD_BRAKE,
	};
	uint32		fresh;

	if (index < 0)
		return;
	fresh = held & ~incident_peek(index)->held;
	if (fresh == 0)
		return;
	incident_edit(index)->held |= fresh;
	incident_edited(index, false);
	for (int rule = 0; rule < NUM_RULES; rule++)
	{
		if (fresh & RULE_BIT(rule))
			control_count(counter[rule], 1);
	}
}

/*
 * Has it begun to commit, or to wait for somebody, since it was judged?  What
 * begins between this look and the signal no process can see from outside.
 */
static bool
may_not_end_now(const Session *session)
{
	Activity	activity;

	activity_read(session, &activity);
	return activity.committing || activity.waits_for_lock;
}

/*
 * Terminate a session if it still is exactly what was judged, and, if that
 * counted, still waits for its client.  Nothing here waits.  As
 * pg_terminate_backend does, this signals the process group; on failure errno
 * tells why.
 */
TerminateResult
terminate_session(const Session *session, bool waits, const Excess *excess, int64 monotonic)
{
	Session		now;
	TerminateResult result;

	/* 0 and below are not processes to kill(), but groups of them */
	if (session->pid <= 0)
		return TERMINATE_SPARED;

	/* tell it why first: once the signal is sent it is too late */
	slot_set_reason(session->slot, session->since[SINCE_BACKEND], excess);

	/* one that is just changing its state goes on */
	if (session_read(session->slot, &now) != READ_DONE || !session_is_same(session, &now) ||
		may_not_end_now(&now) || (waits && !observe_still_waits(session)))
		result = TERMINATE_SPARED;
#ifdef HAVE_SETSID
	else if (kill(-session->pid, SIGTERM) == 0)
#else
	else if (kill(session->pid, SIGTERM) == 0)
#endif
	{
		count_termination(monotonic);
		return TERMINATE_SIGNALLED;
	}
	else
		result = errno == ESRCH ? TERMINATE_SPARED : TERMINATE_FAILED;

	slot_set_reason(session->slot, 0, NULL);
	return result;
}
