/*-------------------------------------------------------------------------
 *
 * enforce.h
 *	  The rules of termination.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_ENFORCE_H
#define LEAKWATCH_ENFORCE_H

#include "policy.h"

/* The rules that hold a termination back, in the order they are asked. */
typedef enum Rule
{
	RULE_SUPERUSER,
	RULE_UNKNOWN_ROLE,
	RULE_ACTIVE,
	RULE_UNKNOWN_STATE,
	RULE_APPLICATION,
	RULE_ADDRESS,
	RULE_WAITING,
	RULE_COMMITTING,
	RULE_MAINTENANCE,
	RULE_EXPORTED_SNAPSHOT,
	RULE_NOT_BLOCKING,
	RULE_NOT_SATURATED,
	RULE_BRAKE
} Rule;

#define NUM_RULES	(RULE_BRAKE + 1)

#define RULE_BIT(rule)	(1u << (rule))

/* What is asked of a session that is over a terminate limit, as values. */
typedef struct EnforceFacts
{
	/* the session */
	PolicyMode	mode;
	SessionState state;
	bool		awaits_client;	/* it is active only for its client to go on */
	bool		superuser;		/* its role is one */
	bool		role_unknown;	/* it may be one */
	bool		listed_application; /* on leakwatch.protected_applications */
	bool		listed_address; /* on leakwatch.protected_addresses */
	bool		waiting;		/* for a lock that somebody else has */
	bool		committing;
	bool		maintenance;
	bool		exported_snapshot;
	bool		is_blocker;		/* it is to end for being in others' way */
	int			blocked;		/* how many wait for its locks; -1: not known */
	bool		saturated;		/* connections run out, and its end is needed */

	/* the server's settings, and what they leave */
	bool		terminate_superusers;
	bool		terminate_active;
	TerminateWhen terminate_when;
	bool		brake_allows;	/* one more in this minute */
} EnforceFacts;

typedef enum EnforceVerb
{
	ENFORCE_HOLD,				/* a rule holds it back, or nothing can be
								 * said */
	ENFORCE_ANNOUNCE,			/* it would be terminated under mode enforce */
	ENFORCE_TERMINATE
} EnforceVerb;

typedef struct Decision
{
	EnforceVerb verb;
	uint32		held;			/* rules that hold it back, as RULE_BIT()s */
} Decision;

extern bool enforce_asks_blocking(TerminateWhen when);
extern bool enforce_asks_saturated(TerminateWhen when);
extern Decision enforce_decide(const EnforceFacts *facts);
extern const char *enforce_rule_name(Rule rule);

#endif							/* LEAKWATCH_ENFORCE_H */
