/*-------------------------------------------------------------------------
 *
 * enforce_test.c
 *	  Shows each rule of termination and each pair of them, without a server.
 *
 * Prints TAP.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "enforce.h"
#include "tap.h"

/* Nothing holds back the termination of this session. */
static EnforceFacts
doomed(void)
{
	EnforceFacts facts = {
		.mode = MODE_ENFORCE,
		.state = SESSION_IDLE_IN_TRANSACTION,
		.blocked = 1,
		.terminate_when = TERMINATE_ALWAYS,
		.brake_allows = true,
	};

	return facts;
}

/* Have a rule hold it back. */
static void
apply(Rule rule, EnforceFacts *facts)
{
	switch (rule)
	{
		case RULE_SUPERUSER:
			facts->superuser = true;
			break;
		case RULE_UNKNOWN_ROLE:
			facts->role_unknown = true;
			break;
		case RULE_ACTIVE:
			facts->state = SESSION_ACTIVE;
			break;
		case RULE_UNKNOWN_STATE:
			facts->state = SESSION_UNKNOWN;
			break;
		case RULE_APPLICATION:
			facts->listed_application = true;
			break;
		case RULE_ADDRESS:
			facts->listed_address = true;
			break;
		case RULE_WAITING:
			facts->waiting = true;
			break;
		case RULE_COMMITTING:
			facts->committing = true;
			break;
		case RULE_MAINTENANCE:
			facts->maintenance = true;
			break;
		case RULE_EXPORTED_SNAPSHOT:
			facts->exported_snapshot = true;
			break;
		case RULE_NOT_BLOCKING:
			facts->terminate_when = TERMINATE_BLOCKING;
			facts->blocked = 0;
			break;
		case RULE_NOT_SATURATED:
			facts->terminate_when = facts->terminate_when == TERMINATE_BLOCKING ?
				TERMINATE_BLOCKING_OR_SATURATED : TERMINATE_SATURATED;
			facts->saturated = false;
			break;
		case RULE_BRAKE:
			facts->brake_allows = false;
			break;
	}
}

static void
test_no_rule(void)
{
	EnforceFacts facts = doomed();
	Decision	decision = enforce_decide(&facts);

	ok(decision.verb == ENFORCE_TERMINATE && decision.held == 0, "nothing holds it back");

	facts.mode = MODE_OBSERVE;
	decision = enforce_decide(&facts);
	ok(decision.verb == ENFORCE_ANNOUNCE && decision.held == 0, "observe only announces");

	facts.mode = MODE_OFF;
	decision = enforce_decide(&facts);
	ok(decision.verb == ENFORCE_HOLD && decision.held == 0, "off does nothing");

	facts = doomed();
	facts.terminate_when = TERMINATE_BLOCKING;
	ok(enforce_decide(&facts).verb == ENFORCE_TERMINATE, "who blocks is terminated under blocking");
	facts.blocked = -1;
	decision = enforce_decide(&facts);
	ok(decision.verb == ENFORCE_HOLD && decision.held == 0,
	   "while it is not known whether it blocks, nothing is done and no rule is blamed");
	facts.mode = MODE_OBSERVE;
	ok(enforce_decide(&facts).verb == ENFORCE_HOLD, "nor announced");
}

static void
test_each_rule(void)
{
	for (int rule = 0; rule < NUM_RULES; rule++)
	{
		const char *name = enforce_rule_name(rule);

		for (int mode = MODE_OFF; mode <= MODE_ENFORCE; mode++)
		{
			EnforceFacts facts = doomed();
			Decision	decision;

			apply(rule, &facts);
			facts.mode = mode;
			decision = enforce_decide(&facts);
			ok(decision.verb != ENFORCE_TERMINATE, "%s: not terminated in mode %d", name, mode);
			if (rule != RULE_BRAKE)
				ok(decision.verb == ENFORCE_HOLD && decision.held == RULE_BIT(rule),
				   "%s: held back by that alone in mode %d", name, mode);
			else if (mode == MODE_ENFORCE)
				ok(decision.verb == ENFORCE_HOLD && decision.held == RULE_BIT(rule),
				   "brake: holds back what would be terminated");
			else
				ok(decision.held == 0, "brake: does not ask in mode %d", mode);
		}
	}
}

static void
test_each_pair(void)
{
	for (int first = 0; first < NUM_RULES; first++)
	{
		for (int second = first + 1; second < NUM_RULES; second++)
		{
			EnforceFacts facts = doomed();
			uint32		expected = RULE_BIT(first);
			Decision	decision;

			/* a state is known or not */
			if (first == RULE_ACTIVE && second == RULE_UNKNOWN_STATE)
				continue;

			/* the brake is asked only of what nothing else holds back */
			if (second != RULE_BRAKE)
				expected |= RULE_BIT(second);
			apply(first, &facts);
			apply(second, &facts);
			decision = enforce_decide(&facts);
			ok(decision.verb == ENFORCE_HOLD && decision.held == expected,
			   "%s and %s", enforce_rule_name(first), enforce_rule_name(second));
		}
	}
}

/* The four words, whether it blocks (-1: not known), whether connections run out. */
static void
test_conditions(void)
{
	static const struct
	{
		TerminateWhen when;
		int			blocked;
		bool		saturated;
		EnforceVerb verb;
		uint32		held;
	}			cases[] = {
		{TERMINATE_ALWAYS, 0, false, ENFORCE_TERMINATE, 0},
		{TERMINATE_ALWAYS, -1, false, ENFORCE_TERMINATE, 0},
		{TERMINATE_ALWAYS, 1, true, ENFORCE_TERMINATE, 0},
		{TERMINATE_BLOCKING, 1, false, ENFORCE_TERMINATE, 0},
		{TERMINATE_BLOCKING, 0, true, ENFORCE_HOLD, RULE_BIT(RULE_NOT_BLOCKING)},
		{TERMINATE_BLOCKING, -1, true, ENFORCE_HOLD, 0},
		{TERMINATE_SATURATED, 0, true, ENFORCE_TERMINATE, 0},
		{TERMINATE_SATURATED, -1, true, ENFORCE_TERMINATE, 0},
		{TERMINATE_SATURATED, 1, false, ENFORCE_HOLD, RULE_BIT(RULE_NOT_SATURATED)},
		{TERMINATE_SATURATED, -1, false, ENFORCE_HOLD, RULE_BIT(RULE_NOT_SATURATED)},
		{TERMINATE_BLOCKING_OR_SATURATED, 1, false, ENFORCE_TERMINATE, 0},
		{TERMINATE_BLOCKING_OR_SATURATED, 0, true, ENFORCE_TERMINATE, 0},
		{TERMINATE_BLOCKING_OR_SATURATED, -1, true, ENFORCE_TERMINATE, 0},
		{TERMINATE_BLOCKING_OR_SATURATED, -1, false, ENFORCE_HOLD, 0},
		{TERMINATE_BLOCKING_OR_SATURATED, 0, false, ENFORCE_HOLD,
		RULE_BIT(RULE_NOT_BLOCKING) | RULE_BIT(RULE_NOT_SATURATED)},
	};

	for (int i = 0; i < lengthof(cases); i++)
	{
		EnforceFacts facts = doomed();
		Decision	decision;

		facts.terminate_when = cases[i].when;
		facts.blocked = cases[i].blocked;
		facts.saturated = cases[i].saturated;
		decision = enforce_decide(&facts);
		ok(decision.verb == cases[i].verb && decision.held == cases[i].held,
		   "terminate_when %d: blocks %d, saturated %d", cases[i].when, cases[i].blocked,
		   cases[i].saturated);

		/* over the limit on idle blockers it has to block in any case */
		facts.is_blocker = true;
		decision = enforce_decide(&facts);
		ok((decision.verb == ENFORCE_TERMINATE) ==
		   (cases[i].verb == ENFORCE_TERMINATE && cases[i].blocked > 0),
		   "terminate_when %d, an idle blocker: blocks %d, saturated %d", cases[i].when,
		   cases[i].blocked, cases[i].saturated);
	}
}

static void
test_settings(void)
{
	EnforceFacts facts = doomed();

	facts.superuser = true;
	facts.terminate_superusers = true;
	ok(enforce_decide(&facts).verb == ENFORCE_TERMINATE, "terminate_superusers lifts superuser");
	facts.listed_address = true;
	ok(enforce_decide(&facts).held == RULE_BIT(RULE_ADDRESS), "and nothing else");

	facts = doomed();
	facts.state = SESSION_ACTIVE;
	facts.terminate_active = true;
	ok(enforce_decide(&facts).verb == ENFORCE_TERMINATE, "terminate_active lifts active");
	facts.listed_application = true;
	ok(enforce_decide(&facts).held == RULE_BIT(RULE_APPLICATION), "and nothing else");

	facts = doomed();
	facts.state = SESSION_ACTIVE;
	facts.awaits_client = true;
	ok(enforce_decide(&facts).verb == ENFORCE_TERMINATE, "active does not protect who waits for its client");
	facts.listed_application = true;
	ok(enforce_decide(&facts).held == RULE_BIT(RULE_APPLICATION), "all else does");
	facts = doomed();
	facts.state = SESSION_UNKNOWN;
	facts.awaits_client = true;
	ok(enforce_decide(&facts).verb == ENFORCE_HOLD, "nor is one ended whose state is not known");

	facts = doomed();
	facts.role_unknown = true;
	facts.terminate_superusers = true;
	ok(enforce_decide(&facts).verb == ENFORCE_TERMINATE,
	   "terminate_superusers lifts what may be a superuser");

	facts = doomed();
	facts.state = SESSION_UNKNOWN;
	facts.terminate_active = true;
	ok(enforce_decide(&facts).verb == ENFORCE_TERMINATE,
	   "terminate_active lifts a state that is not known");

	facts = doomed();
	facts.state = SESSION_ACTIVE;
	facts.maintenance = true;
	ok(enforce_decide(&facts).held == (RULE_BIT(RULE_ACTIVE) | RULE_BIT(RULE_MAINTENANCE)),
	   "maintenance is a statement too");
	facts.terminate_active = true;
	ok(enforce_decide(&facts).verb == ENFORCE_TERMINATE, "terminate_active lifts both");
	facts.committing = true;
	ok(enforce_decide(&facts).held == RULE_BIT(RULE_COMMITTING), "but not a commit");
	facts.committing = false;
	facts.waiting = true;
	ok(enforce_decide(&facts).held == RULE_BIT(RULE_WAITING), "nor who waits for a lock");
	facts.terminate_when = TERMINATE_BLOCKING;
	ok(enforce_decide(&facts).held == RULE_BIT(RULE_WAITING), "though others wait for it in turn");

	facts = doomed();
	facts.is_blocker = true;
	ok(enforce_decide(&facts).verb == ENFORCE_TERMINATE, "who ends for blocking others blocks them");
	facts.blocked = 0;
	ok(enforce_decide(&facts).held == RULE_BIT(RULE_NOT_BLOCKING),
	   "and does not end once nobody waits, whatever terminate_when says");
	facts.blocked = -1;
	ok(enforce_decide(&facts).verb == ENFORCE_HOLD, "nor while that is not known");

	facts = doomed();
	facts.blocked = 0;
	ok(enforce_decide(&facts).verb == ENFORCE_TERMINATE,
	   "who blocks nobody is terminated all the same under always");
}

int
main(void)
{
	test_no_rule();
	test_each_rule();
	test_each_pair();
	test_conditions();
	test_settings();
	return done_testing();
}
