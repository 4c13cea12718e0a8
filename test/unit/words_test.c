/*-------------------------------------------------------------------------
 *
 * words_test.c
 *	  Shows durations, limits and ends in words, without a server.
 *
 * Prints TAP.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "compat.h"
#include "outcome.h"
#include "tap.h"
#include "words.h"

#define SEC		INT64CONST(1000000)

static void
test_duration(void)
{
	static const struct
	{
		int64		usec;
		const char *words;
	}			cases[] = {
		{0, "0 ms"},
		{999, "0 ms"},
		{SEC - 1, "999 ms"},
		{SEC, "1 s"},
		{SEC + 99999, "1 s"},
		{SEC + 100000, "1.1 s"},
		{60 * SEC - 1, "59.9 s"},
		{60 * SEC, "1 min"},
		{61 * SEC, "1 min 1 s"},
		{3600 * SEC - 1, "59 min 59 s"},
		{3600 * SEC, "1 h"},
		{3660 * SEC, "1 h 1 min"},
		{86400 * SEC, "1 d"},
		{86400 * SEC + 3600 * SEC, "1 d 1 h"},
	};
	char		buffer[WORDS_DURATION_SIZE];

	for (int i = 0; i < lengthof(cases); i++)
		ok(strcmp(words_duration(cases[i].usec, buffer, sizeof(buffer)), cases[i].words) == 0,
		   "%s", cases[i].words);

	ok(strlen(words_duration(PG_INT64_MAX, buffer, sizeof(buffer))) < sizeof(buffer) - 1,
	   "the longest has room");
}

static void
test_excess(void)
{
	Excess		excess = verdict_excess(KIND_ABORTED_TRANSACTION, INT_MAX, INT_MAX, 0, PG_INT64_MAX);
	char		words[WORDS_EXCESS_SIZE];
	char		limit[WORDS_LIMIT_SIZE];

	ok(strlen(words_excess(&excess, words, sizeof(words))) < sizeof(words) - 1 &&
	   words[strlen(words) - 1] == ')', "the longest excess has room");

	excess = verdict_excess(KIND_TRANSACTION, 0, 2000, 0, 5 * SEC);
	ok(strcmp(words_excess(&excess, words, sizeof(words)),
			  "in a transaction for 5 s, over the limit of 2 s (leakwatch.transaction_terminate)") == 0,
	   "an excess in words");
	ok(strcmp(words_limit(&excess, limit, sizeof(limit)), "leakwatch.transaction_terminate = 2 s") == 0,
	   "a limit in words");
}

static void
test_outcome(void)
{
	const char *detail;

	ok(outcome_of_end(0, false, false, &detail) == OUTCOME_DISCONNECTED && detail == NULL,
	   "who ends without a word has disconnected");
	ok(outcome_of_end(0, true, false, &detail) == OUTCOME_TERMINATED, "unless it was told to end");
	ok(outcome_of_end(ERRCODE_ADMIN_SHUTDOWN, false, false, &detail) == OUTCOME_TERMINATED_BY_ADMIN,
	   "who is told by somebody else was terminated by an administrator");
	ok(outcome_of_end(ERRCODE_ADMIN_SHUTDOWN, true, true, &detail) == OUTCOME_TERMINATED,
	   "by us, even while the server stops");
	ok(outcome_of_end(ERRCODE_ADMIN_SHUTDOWN, false, true, &detail) == OUTCOME_SERVER_RESTART,
	   "by the server, when it stops");
	ok(outcome_of_end(ERRCODE_IDLE_SESSION_TIMEOUT, false, false, &detail) == OUTCOME_TIMED_OUT &&
	   strcmp(detail, "idle_session_timeout") == 0, "a timeout is named");
	ok(outcome_of_end(ERRCODE_IDLE_IN_TRANSACTION_SESSION_TIMEOUT, true, false, &detail) == OUTCOME_TIMED_OUT &&
	   strcmp(detail, "idle_in_transaction_session_timeout") == 0, "even when we were about to");
	ok(outcome_of_end(ERRCODE_CONNECTION_FAILURE, false, false, &detail) == OUTCOME_DISCONNECTED &&
	   detail == NULL, "of other ends the caller has the SQLSTATE");
	ok(outcome_of_end(COMPAT_ERRCODE_TRANSACTION_TIMEOUT, false, false, &detail) ==
	   (COMPAT_ERRCODE_TRANSACTION_TIMEOUT == ERRCODE_QUERY_CANCELED ?
		OUTCOME_DISCONNECTED : OUTCOME_TIMED_OUT),
	   "transaction_timeout is one where the server has it");

	for (int outcome = OUTCOME_OPEN; outcome <= OUTCOME_SERVER_RESTART; outcome++)
		ok(outcome_name(outcome) != NULL, "%s has a name", outcome_name(outcome));
}

int
main(void)
{
	test_duration();
	test_excess();
	test_outcome();
	return done_testing();
}
