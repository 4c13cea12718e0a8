/*-------------------------------------------------------------------------
 *
 * enforce.c
 *	  The rules of termination.
 *
 * Pure: facts in, a decision out.  test/unit shows each rule and each pair of
 * them.  The watcher acts on the decision and the sessions view shows it, so
 * there is no second place that knows a rule.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "enforce.h"

/* What protects the session as it is now. */
static uint32
protections(const EnforceFacts *facts)
{
	uint32		held = 0;

	if (!facts->terminate_superusers)
	{
		if (facts->superuser)
			held |= RULE_BIT(RULE_SUPERUSER);
		if (facts->role_unknown)
			held |= RULE_BIT(RULE_UNKNOWN_ROLE);
	}
	if (!facts->terminate_active)
	{
		if (facts->state == SESSION_ACTIVE && !facts->awaits_client)
			held |= RULE_BIT(RULE_ACTIVE);
		if (facts->state == SESSION_UNKNOWN)
			held |= RULE_BIT(RULE_UNKNOWN_STATE);
		if (facts->maintenance)
			held |= RULE_BIT(RULE_MAINTENANCE);
	}

	if (facts->listed_application)
		held |= RULE_BIT(RULE_APPLICATION);
	if (facts->listed_address)
		held |= RULE_BIT(RULE_ADDRESS);

	/* the end of who is in its way lets it go on */
	if (facts->waiting)
		held |= RULE_BIT(RULE_WAITING);
	if (facts->committing)
		held |= RULE_BIT(RULE_COMMITTING);
	if (facts->exported_snapshot)
		held |= RULE_BIT(RULE_EXPORTED_SNAPSHOT);
	return held;
}

/* Does this condition ask whether others wait for the session's locks? */
bool
enforce_asks_blocking(TerminateWhen when)
{
	return when == TERMINATE_BLOCKING || when == TERMINATE_BLOCKING_OR_SATURATED;
}

/* Does it ask whether connections run out? */
bool
enforce_asks_saturated(TerminateWhen when)
{
	return when == TERMINATE_SATURATED || when == TERMINATE_BLOCKING_OR_SATURATED;
}

/*
 * Does the condition hold?  The rules that it does not hold for; in *unknown
 * whether it can't be told whether others wait.  Nobody is ended on a guess,
 * and no rule is to blame then.
 */
static uint32
unmet_conditions(const EnforceFacts *facts, bool *unknown)
{
	bool		blocking = enforce_asks_blocking(facts->terminate_when);
	bool		saturated = enforce_asks_saturated(facts->terminate_when);
	bool		must_block = facts->is_blocker ||
	(blocking && !(saturated && facts->saturated));
	bool		must_saturate = saturated && !facts->saturated &&
	!(blocking && facts->blocked != 0);
	uint32		held = 0;

	if (must_block && facts->blocked == 0)
		held |= RULE_BIT(RULE_NOT_BLOCKING);
	if (must_saturate)
		held |= RULE_BIT(RULE_NOT_SATURATED);
	*unknown = must_block && facts->blocked < 0;
	return held;
}

/*
 * Decide about a session over a terminate limit.  Protections and the
 * condition are asked before the mode, so that what is announced is what would
 * be done; the brake only of what nothing else holds back, because it counts.
 */
Decision
enforce_decide(const EnforceFacts *facts)
{
	Decision	decision = {
		.verb = ENFORCE_HOLD,
		.held = protections(facts),
	};
	bool		unknown;

	decision.held |= unmet_conditions(facts, &unknown);
	if (decision.held != 0 || unknown)
		return decision;

	switch (facts->mode)
	{
		case MODE_OFF:
			break;
		case MODE_OBSERVE:
			decision.verb = ENFORCE_ANNOUNCE;
			break;
		case MODE_ENFORCE:
			if (facts->brake_allows)
				decision.verb = ENFORCE_TERMINATE;
			else
				decision.held = RULE_BIT(RULE_BRAKE);
			break;
	}
	return decision;
}

/* As protected_by of the sessions view names it. */
const char *
enforce_rule_name(Rule rule)
{
	switch (rule)
	{
		case RULE_SUPERUSER:
			return "superuser";
		case RULE_UNKNOWN_ROLE:
			return "role unknown";
		case RULE_ACTIVE:
			return "active";
		case RULE_UNKNOWN_STATE:
			return "state unknown";
		case RULE_APPLICATION:
			return "application";
		case RULE_ADDRESS:
			return "address";
		case RULE_WAITING:
			return "waiting";
		case RULE_COMMITTING:
			return "committing";
		case RULE_MAINTENANCE:
			return "maintenance";
		case RULE_EXPORTED_SNAPSHOT:
			return "exported snapshot";
		case RULE_NOT_BLOCKING:
			return "not blocking";
		case RULE_NOT_SATURATED:
			return "not saturated";
		case RULE_BRAKE:
			return "brake";
	}
	return NULL;
}
