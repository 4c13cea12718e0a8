/*-------------------------------------------------------------------------
 *
 * judge.h
 *	  A session judged by the policy in force for it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_JUDGE_H
#define LEAKWATCH_JUDGE_H

#include "slot.h"
#include "verdict.h"

typedef struct Judgement
{
	SlotOverrides overrides;	/* what of the policy is the session's own */
	Policy		policy;
	Verdict		verdict;
} Judgement;

extern bool judge_session(Session *session, const Policy *server, TimestampTz now,
						  Judgement *judgement);

#endif							/* LEAKWATCH_JUDGE_H */
