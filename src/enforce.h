/*-------------------------------------------------------------------------
 *
 * enforce.h
 *	  What stands between a session and its end, and the end.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_ENFORCE_H
#define LEAKWATCH_ENFORCE_H

#include "policy.h"
#include "session.h"
#include "slot.h"

/* The rules that hold a termination back, in the order they are asked. */
typedef enum HoldRule
{
	HOLD_SUPERUSER,
	HOLD_ACTIVE,
	HOLD_APPLICATION,
	HOLD_ADDRESS,
	HOLD_NOT_BLOCKING,
	HOLD_BRAKE
} HoldRule;

#define NUM_HOLD_RULES	(HOLD_BRAKE + 1)

typedef enum EnforceResult
{
	ENFORCE_SIGNALLED,
	ENFORCE_SPARED,				/* it had gone on, or gone */
	ENFORCE_FAILED
} EnforceResult;

extern Size enforce_shmem_size(void);
extern void enforce_shmem_init(void);

extern uint32 enforce_protections(const Session *session, const SessionText *text,
								  bool superuser);
extern bool enforce_brake(int64 monotonic);
extern EnforceResult enforce_terminate(const Session *session, const SlotReason *reason);
extern const char *enforce_rule_name(HoldRule rule);

#endif							/* LEAKWATCH_ENFORCE_H */
