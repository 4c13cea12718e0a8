/*-------------------------------------------------------------------------
 *
 * judge.c
 *	  A session judged by the policy in force for it.
 *
 * The one way from a session that has been read to a verdict on it, for the
 * watcher, the sessions view and the assertion alike.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "activity.h"
#include "clock.h"
#include "judge.h"
#include "observe.h"

/*
 * Judge a session at this time, by the server's policy and what the session
 * overrides.  Fills in what session_read() left out.  False when what is
 * known of it is being written at this very moment; it is then better left
 * alone.
 */
bool
judge_session(Session *session, const Policy *server, TimestampTz now, Judgement *judgement)
{
	if (!slot_overrides(session, &judgement->overrides))
		return false;
	slot_effective_policy(server, &judgement->overrides, &judgement->policy);
	if (!clock_apply(session) || !observe_apply(session))
		return false;
	verdict_judge(session, &judgement->policy, now, &judgement->verdict);

	/* asked only of those that it matters for */
	if ((judgement->verdict.leaking & KIND_BIT(KIND_TRANSACTION)) && activity_is_vacuum(session))
	{
		session->vacuuming = true;
		verdict_judge(session, &judgement->policy, now, &judgement->verdict);
	}
	return true;
}
