/*-------------------------------------------------------------------------
 *
 * verdict_test.c
 *	  Shows the judgement of sessions at its boundaries, without a server.
 *
 * Prints TAP.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "kind.h"
#include "tap.h"
#include "verdict.h"

#define MS		INT64CONST(1000)
#define SEC		(1000 * MS)
#define START	(INT64CONST(800000000) * SEC)

/* All limits off, so that a test sees its own alone. */
static Policy
policy_of(PolicyMode mode)
{
	Policy		policy = {{0}};

	policy.value[POLICY_MODE] = mode;
	return policy;
}

static Policy
policy_with(int index, int limit)
{
	Policy		policy = policy_of(MODE_OBSERVE);

	policy.value[index] = limit;
	return policy;
}

/* Connected at START, in a transaction from 10 s on, in its state from 20 s on. */
static Session
session_in(SessionState state)
{
	Session		session = {
		.pid = 1,
		.state = state,
	};

	session.since[SINCE_BACKEND] = START;
	session.since[SINCE_TRANSACTION] = state == SESSION_IDLE ? 0 : START + 10 * SEC;
	session.since[SINCE_STATE] = START + 20 * SEC;
	return session;
}

static Verdict
judge(const Session *session, const Policy *policy, TimestampTz now)
{
	Verdict		verdict;

	verdict_judge(session, policy, now, &verdict);
	return verdict;
}

/* Each kind: the state it is of, and when its clock starts. */
static const struct
{
	const char *name;
	SessionState state;
	TimestampTz since;
}			kinds[NUM_KINDS] =

{
	[KIND_IDLE_IN_TRANSACTION] = {"idle_in_transaction", SESSION_IDLE_IN_TRANSACTION, START + 20 * SEC},
	[KIND_ABORTED_TRANSACTION] = {"aborted_transaction", SESSION_IDLE_IN_ABORTED_TRANSACTION, START + 20 * SEC},
	[KIND_WAITING_FOR_CLIENT] = {"waiting_for_client", SESSION_ACTIVE, START + 30 * SEC},
	[KIND_IDLE_BLOCKER] = {"idle_blocker", SESSION_IDLE, START + 30 * SEC},
	[KIND_SUSPECTED_LEAK] = {"suspected_leak", SESSION_IDLE, START + 20 * SEC},
	[KIND_TRANSACTION] = {"transaction", SESSION_ACTIVE, START + 10 * SEC},
	[KIND_IDLE_SESSION] = {"idle_session", SESSION_IDLE, START + 20 * SEC},
	[KIND_SESSION] = {"session", SESSION_ACTIVE, START},
};

/* A session in which the clock of this kind runs. */
static Session
session_of(LeakKind kind)
{
	Session		session = session_in(kinds[kind].state);

	if (kind_info(kind)->clock >= NUM_SERVER_CLOCKS)
		session.since[kind_info(kind)->clock] = kinds[kind].since;
	if (kind == KIND_SUSPECTED_LEAK)
		session.suspicion = 90;
	return session;
}

static void
test_boundaries(void)
{
	for (int kind = 0; kind < NUM_KINDS; kind++)
	{
		Session		session = session_of(kind);
		Policy		warn = policy_with(POLICY_WARN(kind), 5000);
		Policy		terminate = policy_with(POLICY_TERMINATE(kind), 5000);
		TimestampTz limit = kinds[kind].since + 5 * SEC;
		Verdict		verdict;

		verdict = judge(&session, &warn, limit - 1);
		ok(verdict.leaking == 0 && verdict.next == limit && verdict.next_kind == (LeakKind) kind &&
		   !verdict.next_terminates,
		   "%s: not leaking a microsecond before the limit", kinds[kind].name);

		verdict = judge(&session, &warn, limit);
		ok(verdict.leaking == KIND_BIT(kind) && verdict.terminate == 0 && verdict.next == DT_NOEND,
		   "%s: leaking at the limit", kinds[kind].name);

		verdict = judge(&session, &warn, limit + 1);
		ok(verdict.leaking == KIND_BIT(kind), "%s: leaking after the limit", kinds[kind].name);

		verdict = judge(&session, &terminate, limit - 1);
		ok(verdict.leaking == 0 && verdict.terminate == 0 && verdict.next_terminates,
		   "%s: not to be terminated before the limit", kinds[kind].name);

		verdict = judge(&session, &terminate, limit);
		ok(verdict.leaking == KIND_BIT(kind) && verdict.terminate == KIND_BIT(kind),
		   "%s: to be terminated, and so leaking, at the limit", kinds[kind].name);

		for (int other = 0; other < NUM_KINDS; other++)
		{
			Session		stranger = session_of(other);
			bool		applies = (verdict_applies(&stranger) & KIND_BIT(kind)) != 0;

			verdict = judge(&stranger, &terminate, START + 3600 * SEC);
			ok((verdict.leaking != 0) == applies,
			   "%s: a session in the state of %s is judged by it only if it applies", kinds[kind].name, kinds[other].name);
		}
	}
}

static void
test_applies(void)
{
	Session		session = session_in(SESSION_IDLE_IN_TRANSACTION);

	ok(verdict_applies(&session) == (KIND_BIT(KIND_IDLE_IN_TRANSACTION) |
									 KIND_BIT(KIND_TRANSACTION) | KIND_BIT(KIND_SESSION)),
	   "idle in transaction is all of what it is");

	session = session_in(SESSION_IDLE);
	ok(verdict_applies(&session) == (KIND_BIT(KIND_IDLE_SESSION) | KIND_BIT(KIND_SESSION)),
	   "an idle session is in no transaction");
	session.listening = true;
	ok(verdict_applies(&session) == KIND_BIT(KIND_SESSION),
	   "a listening session is not an idle one");

	session = session_in(SESSION_UNKNOWN);
	session.since[SINCE_TRANSACTION] = 0;
	ok(verdict_applies(&session) == KIND_BIT(KIND_SESSION),
	   "of a session without a known state only its age is judged");

	session = session_in(SESSION_IDLE_IN_ABORTED_TRANSACTION);
	session.since[SINCE_TRANSACTION] = 0;
	ok(verdict_applies(&session) == (KIND_BIT(KIND_ABORTED_TRANSACTION) | KIND_BIT(KIND_SESSION)),
	   "an aborted transaction has no transaction clock");
}

static void
test_blocker(void)
{
	uint32		blocker = KIND_BIT(KIND_IDLE_BLOCKER);
	Session		session = session_of(KIND_IDLE_BLOCKER);

	ok((verdict_applies(&session) & blocker) != 0, "who is idle and blocks is a blocker");
	session.state = SESSION_IDLE_IN_TRANSACTION;
	ok((verdict_applies(&session) & blocker) != 0, "in a transaction");
	session.state = SESSION_IDLE_IN_ABORTED_TRANSACTION;
	ok((verdict_applies(&session) & blocker) != 0, "in an aborted one");
	session.state = SESSION_ACTIVE;
	ok((verdict_applies(&session) & blocker) == 0, "who works is none");
	session.state = SESSION_IDLE;
	session.since[SINCE_BLOCKING] = 0;
	ok((verdict_applies(&session) & blocker) == 0, "nor is who blocks nobody");
	session = session_of(KIND_IDLE_BLOCKER);
	session.listening = true;
	ok((verdict_applies(&session) & blocker) != 0, "a listener has to let others go on too");
}

static void
test_suspected(void)
{
	uint32		suspected = KIND_BIT(KIND_SUSPECTED_LEAK);
	Session		session = session_of(KIND_SUSPECTED_LEAK);
	Policy		policy = policy_with(POLICY_WARN(KIND_SUSPECTED_LEAK), 5000);

	ok((verdict_applies(&session) & suspected) != 0, "who is idle and suspected is a suspected leak");
	session.listening = true;
	ok((verdict_applies(&session) & suspected) == 0, "a listener is none");
	session.listening = false;
	session.suspicion = 0;
	ok((verdict_applies(&session) & suspected) == 0, "nor is who is only idle");
	session.suspicion = 90;
	session.state = SESSION_ACTIVE;
	ok((verdict_applies(&session) & suspected) == 0, "nor who works");
	ok(verdict_shortest_limit(&policy) == 0, "nobody has to be looked at to be suspected");
	ok(verdict_opens(suspected | KIND_BIT(KIND_IDLE_SESSION), 0) == suspected,
	   "it says more than that a session is idle");
	ok(verdict_opens(suspected, KIND_BIT(KIND_IDLE_SESSION)) == suspected,
	   "also where that has been said before");
	ok(verdict_opens(suspected, KIND_BIT(KIND_IDLE_BLOCKER)) == 0,
	   "and less than that it is in others' way");
}

static void
test_vacuum(void)
{
	Session		session = session_in(SESSION_ACTIVE);

	session.vacuuming = true;
	ok(verdict_applies(&session) == KIND_BIT(KIND_SESSION),
	   "of who vacuums the transaction is not judged");
}

static void
test_off(void)
{
	TimestampTz late = START + 1000000 * SEC;
	Session		session = session_in(SESSION_IDLE_IN_TRANSACTION);
	Policy		policy = policy_of(MODE_ENFORCE);
	Verdict		verdict = judge(&session, &policy, late);

	ok(verdict.leaking == 0 && verdict.terminate == 0 && verdict.next == DT_NOEND,
	   "limits of 0 are off");

	for (int i = POLICY_MODE + 1; i < NUM_POLICY_VALUES; i++)
		policy.value[i] = MIN_LIMIT_MS;
	policy.value[POLICY_MODE] = MODE_OFF;
	verdict = judge(&session, &policy, late);
	ok(verdict.applies == 0 && verdict.leaking == 0 && verdict.terminate == 0 &&
	   verdict.next == DT_NOEND, "mode off judges nothing");
	ok(verdict_shortest_limit(&policy) == 0 && verdict_rest(&policy) == 0 &&
	   verdict_blocker_limit(&policy) == 0, "mode off has no limit to be early for");
}

static void
test_two_limits(void)
{
	Session		session = session_in(SESSION_IDLE_IN_TRANSACTION);
	TimestampTz since = session.since[SINCE_STATE];
	Policy		policy = policy_with(POLICY_WARN(KIND_IDLE_IN_TRANSACTION), 5000);
	Verdict		verdict;

	policy.value[POLICY_TERMINATE(KIND_IDLE_IN_TRANSACTION)] = 8000;
	verdict = judge(&session, &policy, since + 6 * SEC);
	ok(verdict.leaking == KIND_BIT(KIND_IDLE_IN_TRANSACTION) && verdict.terminate == 0,
	   "between the limits it is reported");
	ok(verdict.next == since + 8 * SEC && verdict.next_terminates,
	   "and the next is the terminate limit");
	ok(verdict.ends_at == DT_NOEND, "which no wait for a lock counts for");
	policy.value[POLICY_WARN(KIND_TRANSACTION)] = 30000;
	policy.value[POLICY_TERMINATE(KIND_TRANSACTION)] = 30000;
	verdict = judge(&session, &policy, since + 6 * SEC);
	ok(verdict.ends_at == session.since[SINCE_TRANSACTION] + 30 * SEC,
	   "but for that on the transaction, also where it warns at the same time");
	policy.value[POLICY_WARN(KIND_TRANSACTION)] = 0;
	policy.value[POLICY_TERMINATE(KIND_TRANSACTION)] = 0;

	policy.value[POLICY_TERMINATE(KIND_IDLE_IN_TRANSACTION)] = 2000;
	verdict = judge(&session, &policy, since + 3 * SEC);
	ok(verdict.leaking == KIND_BIT(KIND_IDLE_IN_TRANSACTION) &&
	   verdict.terminate == KIND_BIT(KIND_IDLE_IN_TRANSACTION),
	   "a terminate limit below the warn limit does both");

	/* the transaction is 10 s older than the state */
	policy = policy_with(POLICY_WARN(KIND_IDLE_IN_TRANSACTION), 5000);
	policy.value[POLICY_WARN(KIND_TRANSACTION)] = 12000;
	verdict = judge(&session, &policy, since);
	ok(verdict.next == since + 2 * SEC && verdict.next_kind == KIND_TRANSACTION,
	   "the nearest limit of several is the next");
	verdict = judge(&session, &policy, since + 6 * SEC);
	ok(verdict.leaking == (KIND_BIT(KIND_IDLE_IN_TRANSACTION) | KIND_BIT(KIND_TRANSACTION)),
	   "a session can be over several limits");
	ok(verdict_first_kind(verdict.leaking) == KIND_IDLE_IN_TRANSACTION,
	   "the most specific kind comes first");
}

static void
test_clock(void)
{
	Session		session = session_in(SESSION_IDLE_IN_TRANSACTION);
	TimestampTz since = session.since[SINCE_STATE];
	Policy		policy = policy_with(POLICY_WARN(KIND_IDLE_IN_TRANSACTION), 5000);
	Verdict		verdict;

	session.gained[SINCE_STATE] = 3600 * SEC;
	ok(verdict_age(&session, SINCE_STATE, since + 3601 * SEC) == SEC,
	   "what the clock gained is no age");
	verdict = judge(&session, &policy, since + 3604 * SEC);
	ok(verdict.leaking == 0 && verdict.next == since + 3605 * SEC,
	   "a jump forward makes nobody leak");
	verdict = judge(&session, &policy, since + 3605 * SEC);
	ok(verdict.leaking != 0, "and hides nobody who does");

	session.gained[SINCE_STATE] = -3600 * SEC;
	verdict = judge(&session, &policy, since - 3595 * SEC);
	ok(verdict.leaking != 0, "a jump back hides nobody");
	verdict = judge(&session, &policy, since - 3595 * SEC - 1);
	ok(verdict.leaking == 0, "and makes nobody leak");
}

static void
test_shadows(void)
{
	uint32		idle = KIND_BIT(KIND_IDLE_IN_TRANSACTION);
	uint32		transaction = KIND_BIT(KIND_TRANSACTION);
	uint32		blocker = KIND_BIT(KIND_IDLE_BLOCKER);
	uint32		idleness = KIND_BIT(KIND_IDLE_IN_TRANSACTION) |
	KIND_BIT(KIND_ABORTED_TRANSACTION) | KIND_BIT(KIND_WAITING_FOR_CLIENT);
	uint32		waiting = KIND_BIT(KIND_WAITING_FOR_CLIENT);

	for (int kind = 0; kind < NUM_KINDS; kind++)
	{
		if (!(idleness & KIND_BIT(kind)))
			continue;
		ok(kind_info(kind)->shadowed_by == blocker,
		   "%s is said once: first of a blocker, or first of its idleness", kinds[kind].name);
		ok(verdict_opens(KIND_BIT(kind) | blocker, 0) == KIND_BIT(kind),
		   "%s comes first when both are new", kinds[kind].name);
		ok(verdict_opens(KIND_BIT(kind) | blocker, blocker) == 0,
		   "%s does not open while the blocker is open", kinds[kind].name);
		ok(verdict_opens(KIND_BIT(kind) | blocker, KIND_BIT(kind)) == 0,
		   "nor the blocker while %s is", kinds[kind].name);
		ok(verdict_opens(KIND_BIT(kind), 0) == KIND_BIT(kind),
		   "%s opens when nobody waits any more", kinds[kind].name);
	}
	ok(kind_info(KIND_IDLE_BLOCKER)->shadowed_by == idleness, "a blocker is said once");
	ok(verdict_opens(blocker, KIND_BIT(KIND_IDLE_SESSION)) == blocker,
	   "that others wait now says more than that it is idle");
	ok((kind_info(KIND_TRANSACTION)->shadowed_by & (idle | blocker)) == (idle | blocker),
	   "an idle transaction is said once");
	ok((kind_info(KIND_SESSION)->shadowed_by & KIND_BIT(KIND_IDLE_SESSION)) != 0,
	   "an idle session is said once");
	ok((kind_info(KIND_TRANSACTION)->shadowed_by & waiting) != 0 &&
	   (kind_info(KIND_SESSION)->shadowed_by & waiting) != 0, "so is a wait for the client");

	ok(verdict_opens(0, 0) == 0, "nothing leaks, nothing opens");
	ok(verdict_opens(idle | transaction, 0) == idle, "of two the more specific opens");
	ok(verdict_opens(idle | transaction, idle) == 0, "while that is open the general one does not");
	ok(verdict_opens(transaction, 0) == transaction, "and does once it is not");
	ok(verdict_opens(transaction | KIND_BIT(KIND_SESSION), transaction) == KIND_BIT(KIND_SESSION),
	   "what does not shadow is in nobody's way");
}

static void
test_excess(void)
{
	Session		session = session_in(SESSION_IDLE_IN_TRANSACTION);
	Policy		policy = policy_with(POLICY_TERMINATE(KIND_TRANSACTION), 4000);
	Excess		excess = verdict_excess(KIND_TRANSACTION, 5000, 8000, START, START + 5 * SEC);

	ok(!excess.terminates && excess.limit == 5000 &&
	   excess.since == START && excess.at == START + 5 * SEC, "over its warn limit");
	excess = verdict_excess(KIND_TRANSACTION, 5000, 2000, START, START + 4 * SEC);
	ok(excess.terminates && excess.limit == 2000,
	   "over its terminate limit alone, which is shorter");
	excess = verdict_excess(KIND_TRANSACTION, 5000, 2000, START, START + 5 * SEC);
	ok(!excess.terminates, "over both it is the one that warns");
	excess = verdict_excess(KIND_TRANSACTION, 0, 2000, START, START + 4 * SEC);
	ok(excess.terminates, "a warn limit that is off is none");
	excess = verdict_excess(KIND_TRANSACTION, 5000, 0, START, START - 1);
	ok(excess.at == excess.since, "no age is below nought");

	session.gained[SINCE_TRANSACTION] = 7 * SEC;
	excess = verdict_terminate_excess(&session, &policy, KIND_TRANSACTION, START + 40 * SEC);
	ok(excess.limit == 4000 && excess.terminates &&
	   excess.since == session.since[SINCE_TRANSACTION] + 7 * SEC,
	   "what the clock gained is no age of an excess either");
}

static void
test_client(void)
{
	Session		session = session_of(KIND_WAITING_FOR_CLIENT);
	TimestampTz since = session.since[SINCE_WAITING];
	Policy		policy = policy_with(POLICY_WARN(KIND_WAITING_FOR_CLIENT), 60000);
	Verdict		verdict;

	session.waiting = CLIENT_READ;
	verdict = judge(&session, &policy, since + SEC);
	ok(!verdict_waits(&session, &verdict, since + SEC - 1), "who has just begun to wait is at work");
	ok(verdict_waits(&session, &verdict, since + SEC), "and is not once two looks have found it so");
	session.waiting = CLIENT_WRITE;
	ok(!verdict_waits(&session, &verdict, since + 5 * SEC - 1), "a client that reads may take its time");
	ok(verdict_waits(&session, &verdict, since + 5 * SEC), "and not for ever");
	session.gained[SINCE_WAITING] = SEC;
	ok(!verdict_waits(&session, &verdict, since + 5 * SEC), "by no clock that has jumped");
	session.gained[SINCE_WAITING] = 0;

	policy.value[POLICY_TERMINATE(KIND_WAITING_FOR_CLIENT)] = 2000;
	verdict = judge(&session, &policy, since + 2 * SEC);
	ok(verdict_waits(&session, &verdict, since + 2 * SEC), "a limit on just that counts from when it is met");

	policy.value[POLICY_TERMINATE(KIND_WAITING_FOR_CLIENT)] = 0;
	session.client_gone = true;
	verdict = judge(&session, &policy, since);
	ok(verdict_waits(&session, &verdict, since), "who has no client waits for it, whatever it does");
	ok(verdict.leaking == KIND_BIT(KIND_WAITING_FOR_CLIENT), "and is reported at once");
	policy.value[POLICY_WARN(KIND_WAITING_FOR_CLIENT)] = 0;
	verdict = judge(&session, &policy, since);
	ok(verdict.leaking == 0, "unless nobody wants to know");
	policy.value[POLICY_TERMINATE(KIND_WAITING_FOR_CLIENT)] = 2000;
	verdict = judge(&session, &policy, since + 2 * SEC - 1);
	ok(verdict.leaking == 0 && verdict.next == since + 2 * SEC, "but ended by its limit");

	session.since[SINCE_WAITING] = 0;
	session.client_gone = false;
	ok(!verdict_waits(&session, &verdict, since + 3600 * SEC), "who does not wait does not");
}

static void
test_needs_waiting(void)
{
	Policy		policy = policy_of(MODE_OBSERVE);
	static const int needing[] = {
		POLICY_WARN(KIND_WAITING_FOR_CLIENT), POLICY_TERMINATE(KIND_WAITING_FOR_CLIENT),
		POLICY_TERMINATE(KIND_TRANSACTION), POLICY_TERMINATE(KIND_SESSION),
	};

	ok(!verdict_needs_waiting(&policy), "without limits nobody asks who waits for a client");
	policy.value[POLICY_WARN(KIND_TRANSACTION)] = 1000;
	ok(!verdict_needs_waiting(&policy), "nor with one that is the same for all");
	for (int i = 0; i < lengthof(needing); i++)
	{
		policy = policy_with(needing[i], 1000);
		ok(verdict_needs_waiting(&policy), "limit %d asks", needing[i]);
		policy.value[POLICY_MODE] = MODE_OFF;
		ok(!verdict_needs_waiting(&policy), "and not in mode off");
	}
}

static void
test_kinds(void)
{
	for (int kind = 0; kind < NUM_KINDS; kind++)
	{
		const KindInfo *info = kind_info(kind);

		ok(info->kind == (LeakKind) kind, "the row of kind %d is its own", kind);
		ok(info->name && info->phrase && info->hint && info->sqlerrcode &&
		   info->warn_setting && info->warn_text && info->terminate_setting &&
		   info->terminate_text, "and has all its words");
		ok(kind_setting(kind, false) == info->warn_setting &&
		   kind_setting(kind, true) == info->terminate_setting,
		   "and its settings are found by their limits");
	}
	ok(kind_info(KIND_PREPARED_TRANSACTION)->kind == KIND_PREPARED_TRANSACTION &&
	   kind_info(KIND_PREPARED_TRANSACTION)->terminate_setting == NULL,
	   "what is of no session is never terminated");
}

static void
test_shortest(void)
{
	Policy		policy = policy_of(MODE_OBSERVE);

	ok(verdict_shortest_limit(&policy) == 0 && verdict_rest(&policy) == 0,
	   "no limits, none the shortest");
	policy.value[POLICY_WARN(KIND_TRANSACTION)] = 7000;
	policy.value[POLICY_TERMINATE(KIND_SESSION)] = 300;
	policy.value[POLICY_WARN(KIND_SESSION)] = 140;
	policy.value[POLICY_WARN(KIND_IDLE_SESSION)] = 400;
	ok(verdict_shortest_limit(&policy) == 140 && verdict_rest(&policy) == 140,
	   "the shortest of all that are on");
	policy.value[POLICY_WARN(KIND_SESSION)] = 0;
	ok(verdict_rest(&policy) == 150, "who may be ended after a wait for a lock is looked at before");
	ok(verdict_shortest_limit(&policy) == 300, "but meets its limit no sooner");
	policy.value[POLICY_TERMINATE(KIND_SESSION)] = 40;
	ok(verdict_rest(&policy) == 40, "nor is it more often than ten times a second for that");
	policy.value[POLICY_TERMINATE(KIND_SESSION)] = 300;
	policy.value[POLICY_WARN(KIND_WAITING_FOR_CLIENT)] = 120;
	ok(verdict_rest(&policy) == 120, "a short limit on waiting is one like all others");
	ok(verdict_shortest_limit(&policy) == 300, "but its clock starts with a look");
	policy.value[POLICY_WARN(KIND_WAITING_FOR_CLIENT)] = 60000;
	policy.value[POLICY_TERMINATE(KIND_SESSION)] = 40000;
	policy.value[POLICY_WARN(KIND_IDLE_SESSION)] = 50000;
	policy.value[POLICY_WARN(KIND_TRANSACTION)] = 70000;
	ok(verdict_rest(&policy) == 30000, "so that half of a longer one is as long as looks are good for");
	policy.value[POLICY_WARN(KIND_WAITING_FOR_CLIENT)] = 1500;
	ok(verdict_rest(&policy) == 1000, "but they come no more often than once in a second");
	policy.value[POLICY_WARN(KIND_IDLE_BLOCKER)] = 20;
	ok(verdict_rest(&policy) == 1000 && verdict_shortest_limit(&policy) == 40000,
	   "the clock of who is in others' way starts with no look");
	ok(verdict_blocker_limit(&policy) == 20, "its limit is asked for by itself");
	policy.value[POLICY_TERMINATE(KIND_IDLE_BLOCKER)] = 10;
	ok(verdict_blocker_limit(&policy) == 10, "the shorter of the two");
	policy.value[POLICY_WARN(KIND_IDLE_BLOCKER)] = 0;
	policy.value[POLICY_TERMINATE(KIND_IDLE_BLOCKER)] = 0;

	ok(!verdict_begins_anew(&policy), "a limit on the session does not begin anew");
	policy.value[POLICY_TERMINATE(KIND_SESSION)] = 0;
	ok(verdict_begins_anew(&policy), "all others do");
	policy.value[POLICY_WARN(KIND_SESSION)] = 40000;
	ok(!verdict_begins_anew(&policy), "whichever of its two it is");
	policy.value[POLICY_WARN(KIND_SESSION)] = 0;

	policy.value[POLICY_WARN(KIND_WAITING_FOR_CLIENT)] = 0;
	policy.value[POLICY_WARN(KIND_TRANSACTION)] = INT_MAX;
	policy.value[POLICY_TERMINATE(KIND_SESSION)] = INT_MAX;
	policy.value[POLICY_WARN(KIND_IDLE_SESSION)] = INT_MAX;
	ok(verdict_shortest_limit(&policy) == INT_MAX, "the longest that can be set is one");
	{
		Session		session = session_in(SESSION_IDLE);
		Verdict		verdict = judge(&session, &policy, START + 3600 * SEC);

		ok(verdict.leaking == 0 && verdict.next == START + INT_MAX * MS,
		   "and does not overflow");
	}
}

int
main(void)
{
	test_boundaries();
	test_applies();
	test_blocker();
	test_suspected();
	test_vacuum();
	test_off();
	test_two_limits();
	test_clock();
	test_shadows();
	test_excess();
	test_client();
	test_needs_waiting();
	test_kinds();
	test_shortest();
	return done_testing();
}
