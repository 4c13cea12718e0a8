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

#include "verdict.h"

static const SessionClock kind_clock[NUM_KINDS] = {
	[KIND_IDLE_IN_TRANSACTION] = SINCE_STATE,
	[KIND_ABORTED_TRANSACTION] = SINCE_STATE,
	[KIND_TRANSACTION] = SINCE_TRANSACTION,
	[KIND_IDLE_SESSION] = SINCE_STATE,
	[KIND_SESSION] = SINCE_BACKEND,
};

/* The clock that the limits of this kind run on. */
SessionClock
verdict_clock(LeakKind kind)
{
	return kind_clock[kind];
}

/*
 * The kinds that say the same more precisely: while an incident of one of
 * them is open, none of this kind opens.
 */
uint32
verdict_shadows(LeakKind kind)
{
	switch (kind)
	{
		case KIND_TRANSACTION:
			return KIND_BIT(KIND_IDLE_IN_TRANSACTION) | KIND_BIT(KIND_ABORTED_TRANSACTION);
		case KIND_SESSION:
			return KIND_BIT(KIND_IDLE_SESSION);
		default:
			return 0;
	}
}

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

/* The kinds that a session in this state can be of, whatever the limits. */
uint32
verdict_applies(const Session *session)
{
	uint32		applies = KIND_BIT(KIND_SESSION);

	if (session->since[SINCE_TRANSACTION] != 0)
		applies |= KIND_BIT(KIND_TRANSACTION);

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
			break;
		case SESSION_ACTIVE:
		case SESSION_UNKNOWN:
			break;
	}
	return applies;
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

	if (policy->value[POLICY_MODE] == MODE_OFF)
		return;

	verdict->applies = verdict_applies(session);

	for (int kind = 0; kind < NUM_KINDS; kind++)
	{
		SessionClock clock = kind_clock[kind];

		if (!(verdict->applies & KIND_BIT(kind)))
			continue;

		for (int terminates = 0; terminates <= 1; terminates++)
		{
			int			limit = policy->value[terminates ? POLICY_TERMINATE(kind) : POLICY_WARN(kind)];
			TimestampTz deadline;

			if (limit == 0)
				continue;
			deadline = session->since[clock] + session->gained[clock] + limit * INT64CONST(1000);
			if (now >= deadline)
			{
				verdict->leaking |= KIND_BIT(kind);
				if (terminates)
					verdict->terminate |= KIND_BIT(kind);
			}
			else if (deadline < verdict->next)
			{
				verdict->next = deadline;
				verdict->next_kind = kind;
				verdict->next_terminates = terminates;
			}
		}
	}
}

/*
 * The shortest limit in a policy, in ms, 0 when all are off.  A scan at
 * least that often sees every session before it meets a limit.
 */
int
verdict_shortest_limit(const Policy *policy)
{
	int			shortest = 0;

	if (policy->value[POLICY_MODE] == MODE_OFF)
		return 0;
	for (int i = POLICY_MODE + 1; i < NUM_POLICY_VALUES; i++)
	{
		if (policy->value[i] > 0 && (shortest == 0 || policy->value[i] < shortest))
			shortest = policy->value[i];
	}
	return shortest;
}
