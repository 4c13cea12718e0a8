/*-------------------------------------------------------------------------
 *
 * verdict.h
 *	  Pure judgement: a session, a policy and a time in, a verdict out.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_VERDICT_H
#define LEAKWATCH_VERDICT_H

#include "policy.h"

/* Bit masks are of KIND_BIT(). */
typedef struct Verdict
{
	uint32		applies;		/* kinds whose clock runs */
	uint32		leaking;		/* kinds over their warn or terminate limit */
	uint32		terminate;		/* kinds over their terminate limit */
	TimestampTz next;			/* when the next limit is met, or DT_NOEND */
	LeakKind	next_kind;		/* of that limit */
	bool		next_terminates;	/* it is a terminate limit */
	TimestampTz ends_at;		/* when the next terminate limit is met that
								 * waiting for a lock counts for, or DT_NOEND */
} Verdict;

/* How long who has waited for a lock is left alone, to do what it was kept from. */
#define LOCK_GRACE_MS	5000

/* Over which limit somebody is, and for how long: at - since. */
typedef struct Excess
{
	int			limit;			/* ms */
	uint8		kind;			/* LeakKind */
	bool		terminates;		/* the limit is the one that terminates */
	bool		client_gone;	/* it has none to wait for */
	TimestampTz since;			/* without what the wall clock gained */
	TimestampTz at;
} Excess;

/* The shorter of two limits, 0 being none. */
static inline int
verdict_shorter(int a, int b)
{
	if (a == 0 || b == 0)
		return Max(a, b);
	return Min(a, b);
}

extern LeakKind verdict_first_kind(uint32 kinds);
extern int64 verdict_age(const Session *session, SessionClock clock, TimestampTz now);
extern bool verdict_is_idle(const Session *session);
extern uint32 verdict_applies(const Session *session);
extern void verdict_judge(const Session *session, const Policy *policy,
						  TimestampTz now, Verdict *verdict);
extern uint32 verdict_opens(uint32 leaking, uint32 present);
extern Excess verdict_excess(LeakKind kind, int warn_limit, int terminate_limit,
							 TimestampTz since, TimestampTz at);
extern Excess verdict_terminate_excess(const Session *session, const Policy *policy,
									   LeakKind kind, TimestampTz at);
extern bool verdict_waits(const Session *session, const Verdict *verdict, TimestampTz now);
extern bool verdict_needs_waiting(const Policy *policy);
extern bool verdict_begins_anew(const Policy *policy);
extern int	verdict_shortest_limit(const Policy *policy);
extern int	verdict_rest(const Policy *policy);
extern int	verdict_blocker_limit(const Policy *policy);

#endif							/* LEAKWATCH_VERDICT_H */
