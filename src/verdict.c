/*-------------------------------------------------------------------------
 *
 * verdict.c
 *	  Pure judgement: a session, a policy and a time in, a verdict out.
 *
 * Nothing here calls the server, reads a clock or looks at shared memory, so
 * that test/unit can show every case without a server.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "kind.h"
#include "verdict.h"

/* After so many us without anything from or to its client, a session rests. */
#define READ_PAUSE	INT64CONST(1000000)
#define WRITE_PAUSE	INT64CONST(5000000)

/* The most specific of some kinds, of which there is at least one. */
LeakKind
verdict_first_kind(uint32 kinds)
{
	LeakKind	kind = 0;

	while (!(kinds & KIND_BIT(kind)))
		kind++;
	return kind;
}

/* Age in microseconds by one clock, without what the wall clock gained. */
int64
verdict_age(const Session *session, SessionClock clock, TimestampTz now)
{
	return now - session->since[clock] - session->gained[clock];
}

/* Is it idle in whatever way, or waiting for its client within a statement? */
bool
verdict_is_idle(const Session *session)
{
	switch (session->state)
	{
		case SESSION_IDLE:
		case SESSION_IDLE_IN_TRANSACTION:
		case SESSION_IDLE_IN_ABORTED_TRANSACTION:
			return true;
		case SESSION_ACTIVE:
		case SESSION_UNKNOWN:
			break;
	}
	return session->since[SINCE_WAITING] != 0;
}

/* The kinds that a session in this state can be of, whatever the limits. */
uint32
verdict_applies(const Session *session)
{
	uint32		applies = KIND_BIT(KIND_SESSION);

	if (session->since[SINCE_TRANSACTION] != 0 && !session->vacuuming)
		applies |= KIND_BIT(KIND_TRANSACTION);
	if (session->since[SINCE_WAITING] != 0)
		applies |= KIND_BIT(KIND_WAITING_FOR_CLIENT);
	if (session->since[SINCE_BLOCKING] != 0 && verdict_is_idle(session))
		applies |= KIND_BIT(KIND_IDLE_BLOCKER);

	switch (session->state)
	{
		case SESSION_IDLE_IN_TRANSACTION:
			applies |= KIND_BIT(KIND_IDLE_IN_TRANSACTION);
			break;
		case SESSION_IDLE_IN_ABORTED_TRANSACTION:
			applies |= KIND_BIT(KIND_ABORTED_TRANSACTION);
			break;
		case SESSION_IDLE:
			/* waiting for notifications is what a listener is for */
			if (!session->listening)
				applies |= KIND_BIT(KIND_IDLE_SESSION);
			if (!session->listening && session->suspicion > 0)
				applies |= KIND_BIT(KIND_SUSPECTED_LEAK);
			break;
		case SESSION_ACTIVE:
		case SESSION_UNKNOWN:
			break;
	}
	return applies;
}

/* Does the clock of this kind run while a session waits for a lock? */
static bool
runs_while_waiting(LeakKind kind)
{
	return kind_info(kind)->clock == SINCE_TRANSACTION || kind_info(kind)->clock == SINCE_BACKEND;
}

/*
 * Judge a session by its policy at a time.  A session is leaking once it has
 * met the first of the two limits of a kind: a terminate limit below the
 * warn limit is allowed and then does both.
 */
void
verdict_judge(const Session *session, const Policy *policy, TimestampTz now,
			  Verdict *verdict)
{
	verdict->applies = 0;
	verdict->leaking = 0;
	verdict->terminate = 0;
	verdict->next = DT_NOEND;
	verdict->next_kind = KIND_SESSION;
	verdict->next_terminates = false;
	verdict->ends_at = DT_NOEND;

	if (policy->value[POLICY_MODE] == MODE_OFF)
		return;

	verdict->applies = verdict_applies(session);

	for (int kind = 0; kind < NUM_KINDS; kind++)
	{
		SessionClock clock = kind_info(kind)->clock;

		if (!(verdict->applies & KIND_BIT(kind)))
			continue;

		for (int terminates = 0; terminates <= 1; terminates++)
		{
			int			limit = policy->value[terminates ? POLICY_TERMINATE(kind) : POLICY_WARN(kind)];
			TimestampTz deadline;

			if (limit == 0)
				continue;
			deadline = session->since[clock] + session->gained[clock] + limit * INT64CONST(1000);
			/* the limit is for clients that may come back */
			if (kind == KIND_WAITING_FOR_CLIENT && session->client_gone && !terminates)
				deadline = Min(deadline, now);
			if (now >= deadline)
			{
				verdict->leaking |= KIND_BIT(kind);
				if (terminates)
					verdict->terminate |= KIND_BIT(kind);
				continue;
			}
			if (deadline < verdict->next)
			{
				verdict->next = deadline;
				verdict->next_kind = kind;
				verdict->next_terminates = terminates;
			}
			if (terminates && runs_while_waiting(kind))
				verdict->ends_at = Min(verdict->ends_at, deadline);
		}
	}
}

/*
 * The kinds of which an incident is to be opened: those that leak and are not
 * present yet, unless one that is present, or opens now, says the same more
 * precisely.
 */
uint32
verdict_opens(uint32 leaking, uint32 present)
{
	uint32		opens = 0;

	for (int kind = 0; kind < NUM_KINDS; kind++)
	{
		if ((leaking & ~present & KIND_BIT(kind)) &&
			!((present | opens) & kind_info(kind)->shadowed_by))
			opens |= KIND_BIT(kind);
	}
	return opens;
}

/*
 * Over which of the two limits (ms, 0: off) of a kind somebody is who has been
 * so since then: the one that warns, or the one that terminates where only
 * that is met.
 */
Excess
verdict_excess(LeakKind kind, int warn_limit, int terminate_limit,
			   TimestampTz since, TimestampTz at)
{
	bool		warns = warn_limit > 0 &&
	(terminate_limit == 0 || at - since >= warn_limit * INT64CONST(1000));
	Excess		excess = {
		.kind = kind,
		.terminates = !warns,
		.limit = warns ? warn_limit : terminate_limit,
		.since = since,
		.at = Max(at, since),
	};

	return excess;
}

/* The same of a session over its terminate limit of this kind. */
Excess
verdict_terminate_excess(const Session *session, const Policy *policy, LeakKind kind,
						 TimestampTz at)
{
	SessionClock clock = kind_info(kind)->clock;
	Excess		excess = verdict_excess(kind, 0, policy->value[POLICY_TERMINATE(kind)],
										session->since[clock] + session->gained[clock], at);

	excess.client_gone = session->client_gone;
	return excess;
}

/*
 * Has it waited for its client for so long that it can't be said to be at
 * work?  Between two bits that a slow client takes there is a pause, which
 * no one between two that it sends can be told from.
 */
bool
verdict_waits(const Session *session, const Verdict *verdict, TimestampTz now)
{
	if (session->since[SINCE_WAITING] == 0)
		return false;
	return session->client_gone || (verdict->terminate & KIND_BIT(KIND_WAITING_FOR_CLIENT)) ||
		verdict_age(session, SINCE_WAITING, now) >=
		(session->waiting == CLIENT_WRITE ? WRITE_PAUSE : READ_PAUSE);
}

/* Does anything in a policy depend on whether a session waits for its client? */
bool
verdict_needs_waiting(const Policy *policy)
{
	return policy->value[POLICY_MODE] != MODE_OFF &&
		(policy->value[POLICY_WARN(KIND_WAITING_FOR_CLIENT)] != 0 ||
		 policy->value[POLICY_TERMINATE(KIND_WAITING_FOR_CLIENT)] != 0 ||
		 policy->value[POLICY_TERMINATE(KIND_TRANSACTION)] != 0 ||
		 policy->value[POLICY_TERMINATE(KIND_SESSION)] != 0);
}

/* Do all limits in a policy begin anew with whatever a session does next? */
bool
verdict_begins_anew(const Policy *policy)
{
	for (int i = POLICY_MODE + 1; i < NUM_POLICY_VALUES; i++)
	{
		if (kind_info(POLICY_KIND(i))->clock == SINCE_BACKEND && policy->value[i] != 0)
			return false;
	}
	return true;
}

/*
 * The shortest of the limits in a policy whose clocks the server keeps, in ms,
 * 0 when all are off: what a session does next meets none sooner.  Whoever is
 * suspected is looked at for that.
 */
int
verdict_shortest_limit(const Policy *policy)
{
	int			shortest = 0;

	if (policy->value[POLICY_MODE] == MODE_OFF)
		return 0;
	for (int i = POLICY_MODE + 1; i < NUM_POLICY_VALUES; i++)
	{
		LeakKind	kind = POLICY_KIND(i);

		if (kind != KIND_SUSPECTED_LEAK && kind_info(kind)->clock < NUM_SERVER_CLOCKS)
			shortest = verdict_shorter(shortest, policy->value[i]);
	}
	return shortest;
}

/*
 * For how long a look is good by one limit, in ms, 0 for ever.  The clock of who
 * waits for its client starts with a look, and so does not wait for the limit.
 * That of one in others' way starts with a survey, and not here, and nobody is
 * suspected for what is seen here.  Who may be ended after having waited for a
 * lock is looked at while it may still wait.
 */
static int
rest_of(int limit_index, int limit)
{
	LeakKind	kind = POLICY_KIND(limit_index);

	if (kind == KIND_SUSPECTED_LEAK)
		return 0;
	switch (kind_info(kind)->clock)
	{
		case SINCE_WAITING:
			return Max(limit / 2, Min(limit, 1000));
		case SINCE_BLOCKING:
			return 0;
		default:
			if (POLICY_TERMINATES(limit_index) && runs_while_waiting(kind))
				return Max(Max(limit / 2, limit - LOCK_GRACE_MS), Min(limit, 100));
			return limit;
	}
}

/*
 * How long a look at a session is good for, in ms, 0 for ever: whoever is
 * looked at that often is seen before a limit is met.
 */
int
verdict_rest(const Policy *policy)
{
	int			rest = 0;

	if (policy->value[POLICY_MODE] == MODE_OFF)
		return 0;
	for (int i = POLICY_MODE + 1; i < NUM_POLICY_VALUES; i++)
		rest = verdict_shorter(rest, rest_of(i, policy->value[i]));
	return rest;
}

/* The shorter limit on being in others' way, in ms, 0 when there is none. */
int
verdict_blocker_limit(const Policy *policy)
{
	if (policy->value[POLICY_MODE] == MODE_OFF)
		return 0;
	return verdict_shorter(policy->value[POLICY_WARN(KIND_IDLE_BLOCKER)],
						   policy->value[POLICY_TERMINATE(KIND_IDLE_BLOCKER)]);
}
