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

	excess = verdict_excess(KIND_WAITING_FOR_CLIENT, 60000, 0, 0, 2 * SEC);
	excess.client_gone = true;
	ok(strcmp(words_excess(&excess, words, sizeof(words)),
			  "running a statement whose client is gone for 2 s") == 0,
	   "who has no client is over no limit yet");
	excess = verdict_excess(KIND_WAITING_FOR_CLIENT, 0, 2000, 0, 3 * SEC);
	excess.client_gone = true;
	ok(strcmp(words_excess(&excess, words, sizeof(words)),
			  "running a statement whose client is gone for 3 s, over the limit of 2 s (leakwatch.waiting_for_client_terminate)") == 0,
	   "or is");
}

/* The outcome of a FATAL with this SQLSTATE and this message. */
static Outcome
outcome_of(int sqlerrcode, const char *message, bool signalled, bool stopping, const char **detail)
{
	return outcome_of_end(sqlerrcode, outcome_fatal(sqlerrcode, message), signalled, stopping,
						  detail);
}

static void
test_outcome(void)
{
	static const char by_admin[] = "terminating connection due to administrator command";
	const char *detail;

	ok(outcome_of(0, NULL, false, false, &detail) == OUTCOME_DISCONNECTED && detail == NULL,
	   "who ends without a word has disconnected");
	ok(outcome_of(0, NULL, true, false, &detail) == OUTCOME_TERMINATED, "unless it was told to end");
	ok(outcome_of(ERRCODE_ADMIN_SHUTDOWN, by_admin, false, false, &detail) == OUTCOME_TERMINATED_BY_ADMIN &&
	   detail == NULL, "who is told by somebody else was terminated by an administrator");
	ok(outcome_of(ERRCODE_ADMIN_SHUTDOWN, by_admin, true, true, &detail) == OUTCOME_TERMINATED,
	   "by us, even while the server stops");
	ok(outcome_of(ERRCODE_ADMIN_SHUTDOWN, by_admin, false, true, &detail) == OUTCOME_SERVER_RESTART,
	   "by the server, when it stops");
	ok(outcome_of(ERRCODE_ADMIN_SHUTDOWN, NULL, false, false, &detail) == OUTCOME_TERMINATED_BY_ADMIN,
	   "a message without a key is none that is known");
	ok(outcome_of(ERRCODE_IDLE_SESSION_TIMEOUT, NULL, false, false, &detail) == OUTCOME_TIMED_OUT &&
	   strcmp(detail, "idle_session_timeout") == 0, "a timeout is named");
	ok(outcome_of(ERRCODE_IDLE_IN_TRANSACTION_SESSION_TIMEOUT, NULL, true, false, &detail) == OUTCOME_TIMED_OUT &&
	   strcmp(detail, "idle_in_transaction_session_timeout") == 0, "even when we were about to");
	ok(outcome_of(COMPAT_ERRCODE_TRANSACTION_TIMEOUT, NULL, false, false, &detail) ==
	   (COMPAT_ERRCODE_TRANSACTION_TIMEOUT == ERRCODE_QUERY_CANCELED ?
		OUTCOME_ENDED_BY_SERVER : OUTCOME_TIMED_OUT),
	   "transaction_timeout is one where the server has it");
}

/* FATALs by which the server ends a session, and what is said of each. */
static void
test_ended_by_server(void)
{
	static const char conflict[] = "terminating connection due to conflict with recovery";
	static const struct
	{
		int			sqlerrcode;
		const char *message;
		const char *words;
	}			cases[] = {
		{ERRCODE_T_R_SERIALIZATION_FAILURE, conflict, "conflict with recovery"},
		{ERRCODE_DATABASE_DROPPED, conflict, "conflict with recovery: its database was dropped"},
		{ERRCODE_ADMIN_SHUTDOWN, "terminating connection due to unexpected postmaster exit", "the postmaster had exited"},
		{ERRCODE_CONNECTION_FAILURE, "connection to client lost", "connection to client lost"},
		{ERRCODE_CONNECTION_FAILURE, "some other", "broken connection"},
		{ERRCODE_CONNECTION_DOES_NOT_EXIST, NULL, "broken connection"},
		{ERRCODE_PROTOCOL_VIOLATION, "terminating connection because protocol synchronization was lost", "protocol synchronization was lost"},
		{ERRCODE_PROTOCOL_VIOLATION, "invalid frontend message type %d", "protocol violation by the client"},
		{ERRCODE_OUT_OF_MEMORY, NULL, "out of memory"},
		{ERRCODE_DISK_FULL, NULL, "disk full"},
		{ERRCODE_TOO_MANY_CONNECTIONS, NULL, "insufficient resources"},
		{ERRCODE_IO_ERROR, NULL, "system error"},
		{ERRCODE_DATA_CORRUPTED, NULL, "corrupted data"},
		{ERRCODE_INDEX_CORRUPTED, NULL, "corrupted index"},
		{ERRCODE_INTERNAL_ERROR, NULL, "internal error"},
		{ERRCODE_T_R_SERIALIZATION_FAILURE, "some other", "error"},
		{ERRCODE_DIVISION_BY_ZERO, NULL, "error"},
	};

	for (int i = 0; i < lengthof(cases); i++)
	{
		const char *words;

		ok(outcome_of(cases[i].sqlerrcode, cases[i].message, false, false, &words) == OUTCOME_ENDED_BY_SERVER &&
		   strcmp(words, cases[i].words) == 0, "the server: %s", cases[i].words);
	}
}

static void
test_client_left(void)
{
	static const char unexpected[] = "unexpected EOF on client connection with an open transaction";

	ok(outcome_client_left(ERRCODE_CONNECTION_FAILURE, unexpected), "a client that has left");
	ok(!outcome_client_left(ERRCODE_CONNECTION_FAILURE, "connection to client lost") &&
	   !outcome_client_left(ERRCODE_CONNECTION_FAILURE, NULL) &&
	   !outcome_client_left(ERRCODE_PROTOCOL_VIOLATION, unexpected), "and what is none");
}

static void
test_names(void)
{
	for (int outcome = OUTCOME_OPEN; outcome <= OUTCOME_SERVER_RESTART; outcome++)
		ok(outcome_name(outcome) != NULL, "%s has a name", outcome_name(outcome));
}

int
main(void)
{
	test_duration();
	test_excess();
	test_outcome();
	test_ended_by_server();
	test_client_left();
	test_names();
	return done_testing();
}
