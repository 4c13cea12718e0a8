/*-------------------------------------------------------------------------
 *
 * enforce.c
 *	  What stands between a session and its end, and the end.
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

#include "enforce.h"
#include "guc.h"
#include "protection.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

typedef struct Brake
{
	int64		since;			/* monotonic us; start of the running minute */
	int			count;			/* terminations in it */
	bool		warned;			/* in it */
} Brake;

static Brake *brake = NULL;

Size
enforce_shmem_size(void)
{
	return MAXALIGN(sizeof(Brake));
}

/* Called with AddinShmemInitLock held. */
void
enforce_shmem_init(void)
{
	bool		found;

	brake = ShmemInitStruct("leakwatch brake", sizeof(Brake), &found);
	if (!found)
		memset(brake, 0, sizeof(Brake));
}

/*
 * What protects a session as it is now, as a mask of 1 << HoldRule.  A state
 * that is not known counts as running a statement.  Allocates in the current
 * context.
 */
uint32
enforce_protections(const Session *session, const SessionText *text, bool superuser)
{
	uint32		protections = 0;

	if (superuser && !guc_terminate_superusers)
		protections |= 1u << HOLD_SUPERUSER;
	if ((session->state == SESSION_ACTIVE || session->state == SESSION_UNKNOWN) &&
		!guc_terminate_active)
		protections |= 1u << HOLD_ACTIVE;
	if (protection_application(text->application_name))
		protections |= 1u << HOLD_APPLICATION;
	if (protection_address(&text->client))
		protections |= 1u << HOLD_ADDRESS;
	return protections;
}

/*
 * May one more session be terminated?  The minute starts with the first
 * question in it.
 */
bool
enforce_brake(int64 monotonic)
{
	if (brake->since == 0 || monotonic - brake->since >= USECS_PER_MINUTE)
	{
		brake->since = monotonic;
		brake->count = 0;
		brake->warned = false;
	}
	if (guc_max_terminations_per_minute == 0 ||
		brake->count < guc_max_terminations_per_minute)
		return true;

	if (!brake->warned)
	{
		brake->warned = true;
		ereport(guc_log_level,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("leakwatch terminates no more sessions in this minute"),
				 errdetail_plural("%d session has been terminated in it, and more are over their limits.",
								  "%d sessions have been terminated in it, and more are over their limits.",
								  brake->count, brake->count),
				 errhint("If the limits are as intended, raise leakwatch.max_terminations_per_minute.")));
	}
	return false;
}

/*
 * Terminate a session if it still is exactly what was judged.  Nothing here
 * waits.  As pg_terminate_backend does, this signals the process group; on
 * failure errno tells why.
 */
EnforceResult
enforce_terminate(const Session *session, const SlotReason *reason)
{
	Session		now;
	EnforceResult result;

	/* tell it why first: once the signal is sent it is too late */
	slot_set_reason(session->slot, reason);

	if (!session_read(session->slot, &now) || !session_is_same(session, &now))
		result = ENFORCE_SPARED;
#ifdef HAVE_SETSID
	else if (kill(-session->pid, SIGTERM) == 0)
#else
	else if (kill(session->pid, SIGTERM) == 0)
#endif
	{
		brake->count++;
		return ENFORCE_SIGNALLED;
	}
	else
		result = errno == ESRCH ? ENFORCE_SPARED : ENFORCE_FAILED;

	slot_set_reason(session->slot, NULL);
	return result;
}

/* As protected_by of the sessions view names it. */
const char *
enforce_rule_name(HoldRule rule)
{
	switch (rule)
	{
		case HOLD_SUPERUSER:
			return "superuser";
		case HOLD_ACTIVE:
			return "active";
		case HOLD_APPLICATION:
			return "application";
		case HOLD_ADDRESS:
			return "address";
		case HOLD_NOT_BLOCKING:
			return "not blocking";
		case HOLD_BRAKE:
			return "brake";
	}
	return NULL;
}
