/*-------------------------------------------------------------------------
 *
 * outcome.c
 *	  How an incident has ended.
 *
 * Pure: nothing here calls the server.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "outcome.h"

/* The server's own timeouts, each by the SQLSTATE of its FATAL. */
static const struct
{
	int			sqlerrcode;
	const char *setting;
}			timeouts[] =

{
	{ERRCODE_IDLE_IN_TRANSACTION_SESSION_TIMEOUT, "idle_in_transaction_session_timeout"},
	{ERRCODE_IDLE_SESSION_TIMEOUT, "idle_session_timeout"},
	/* a server without this timeout has another meaning for the code */
	{COMPAT_ERRCODE_TRANSACTION_TIMEOUT == ERRCODE_QUERY_CANCELED ?
	0 : COMPAT_ERRCODE_TRANSACTION_TIMEOUT, "transaction_timeout"},
};

/*
 * How a session ended, from the SQLSTATE of its FATAL (0: none in the log),
 * whether we had told it to end, and whether the server is being shut down.
 * Sets *detail to what there is to say beyond the outcome, or NULL.
 */
Outcome
outcome_of_end(int sqlerrcode, bool signalled, bool stopping, const char **detail)
{
	*detail = NULL;

	/* without a FATAL there is only what we did to it */
	if (sqlerrcode == 0)
		return signalled ? OUTCOME_TERMINATED : OUTCOME_DISCONNECTED;

	if (sqlerrcode == ERRCODE_ADMIN_SHUTDOWN)
	{
		if (signalled)
			return OUTCOME_TERMINATED;
		return stopping ? OUTCOME_SERVER_RESTART : OUTCOME_TERMINATED_BY_ADMIN;
	}

	for (int i = 0; i < lengthof(timeouts); i++)
	{
		if (sqlerrcode == timeouts[i].sqlerrcode)
		{
			*detail = timeouts[i].setting;
			return OUTCOME_TIMED_OUT;
		}
	}
	return OUTCOME_DISCONNECTED;
}

/* As the table and the views name it. */
const char *
outcome_name(Outcome outcome)
{
	switch (outcome)
	{
		case OUTCOME_OPEN:
			return "open";
		case OUTCOME_FINISHED:
			return "finished";
		case OUTCOME_DISCONNECTED:
			return "disconnected";
		case OUTCOME_TERMINATED:
			return "terminated";
		case OUTCOME_TERMINATED_BY_ADMIN:
			return "terminated_by_admin";
		case OUTCOME_TIMED_OUT:
			return "timed_out";
		case OUTCOME_SERVER_RESTART:
			return "server_restart";
	}
	return NULL;
}
