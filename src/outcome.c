/*-------------------------------------------------------------------------
 *
 * outcome.c
 *	  What became of an incident: what was done about it, and how it ended.
 *
 * Pure: nothing here calls the server.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "outcome.h"

/*
 * The FATALs by which the server itself ends a session, by SQLSTATE, and by
 * the untranslated message where one has several meanings.  What comes first
 * counts.
 */
static const struct
{
	int			sqlerrcode;
	Outcome		outcome;
	const char *message;		/* NULL: any */
	const char *words;			/* what there is to say beyond the outcome */
}			ends[] =

{
	{ERRCODE_ADMIN_SHUTDOWN, OUTCOME_ENDED_BY_SERVER, "terminating connection due to unexpected postmaster exit", "the postmaster had exited"},
	{ERRCODE_IDLE_IN_TRANSACTION_SESSION_TIMEOUT, OUTCOME_TIMED_OUT, NULL, "idle_in_transaction_session_timeout"},
	{ERRCODE_IDLE_SESSION_TIMEOUT, OUTCOME_TIMED_OUT, NULL, "idle_session_timeout"},
	/* a server without this timeout has another meaning for the code */
	{COMPAT_ERRCODE_TRANSACTION_TIMEOUT == ERRCODE_QUERY_CANCELED ?
	0 : COMPAT_ERRCODE_TRANSACTION_TIMEOUT, OUTCOME_TIMED_OUT, NULL, "transaction_timeout"},
	{ERRCODE_T_R_SERIALIZATION_FAILURE, OUTCOME_ENDED_BY_SERVER, "terminating connection due to conflict with recovery", "conflict with recovery"},
	{ERRCODE_DATABASE_DROPPED, OUTCOME_ENDED_BY_SERVER, NULL, "conflict with recovery: its database was dropped"},
	{ERRCODE_CONNECTION_FAILURE, OUTCOME_ENDED_BY_SERVER, "connection to client lost", "connection to client lost"},
	{ERRCODE_PROTOCOL_VIOLATION, OUTCOME_ENDED_BY_SERVER, "terminating connection because protocol synchronization was lost", "protocol synchronization was lost"},
	{ERRCODE_PROTOCOL_VIOLATION, OUTCOME_ENDED_BY_SERVER, NULL, "protocol violation by the client"},
	{ERRCODE_OUT_OF_MEMORY, OUTCOME_ENDED_BY_SERVER, NULL, "out of memory"},
	{ERRCODE_DISK_FULL, OUTCOME_ENDED_BY_SERVER, NULL, "disk full"},
	{ERRCODE_DATA_CORRUPTED, OUTCOME_ENDED_BY_SERVER, NULL, "corrupted data"},
	{ERRCODE_INDEX_CORRUPTED, OUTCOME_ENDED_BY_SERVER, NULL, "corrupted index"},
};

/* The same for what the table above does not have, by class of the SQLSTATE. */
static const struct
{
	int			category;
	const char *words;
}			classes[] =

{
	{ERRCODE_TO_CATEGORY(ERRCODE_CONNECTION_EXCEPTION), "broken connection"},
	{ERRCODE_TO_CATEGORY(ERRCODE_INSUFFICIENT_RESOURCES), "insufficient resources"},
	{ERRCODE_TO_CATEGORY(ERRCODE_SYSTEM_ERROR), "system error"},
	{ERRCODE_TO_CATEGORY(ERRCODE_INTERNAL_ERROR), "internal error"},
};

/*
 * Which of these a FATAL is, as outcome_of_end() takes it; 0 for none of them.
 * message is the untranslated one, or NULL.
 */
int
outcome_fatal(int sqlerrcode, const char *message)
{
	for (int i = 0; i < lengthof(ends); i++)
	{
		if (sqlerrcode == ends[i].sqlerrcode && sqlerrcode != 0 &&
			(ends[i].message == NULL ||
			 (message != NULL && strcmp(ends[i].message, message) == 0)))
			return i + 1;
	}
	return 0;
}

/*
 * Does this message say that the client has left in the middle of a statement?
 * The FATAL that may come after that is of no account.
 */
bool
outcome_client_left(int sqlerrcode, const char *message)
{
	return sqlerrcode == ERRCODE_CONNECTION_FAILURE && message != NULL &&
		strcmp(message, "unexpected EOF on client connection with an open transaction") == 0;
}

/*
 * How a session ended, from the SQLSTATE of its FATAL (0: none in the log) and
 * which one that is, whether we had told it to end, and whether the server is
 * being shut down.  Sets *words to what there is to say beyond the outcome, or
 * NULL.
 */
Outcome
outcome_of_end(int sqlerrcode, int fatal, bool signalled, bool stopping, const char **words)
{
	*words = NULL;

	/* without a FATAL there is only what we did to it */
	if (sqlerrcode == 0)
		return signalled ? OUTCOME_TERMINATED : OUTCOME_DISCONNECTED;

	if (fatal > 0 && fatal <= lengthof(ends))
	{
		*words = ends[fatal - 1].words;
		return ends[fatal - 1].outcome;
	}
	if (sqlerrcode == ERRCODE_ADMIN_SHUTDOWN)
	{
		if (signalled)
			return OUTCOME_TERMINATED;
		return stopping ? OUTCOME_SERVER_RESTART : OUTCOME_TERMINATED_BY_ADMIN;
	}

	*words = "error";
	for (int i = 0; i < lengthof(classes); i++)
	{
		if (ERRCODE_TO_CATEGORY(sqlerrcode) == classes[i].category)
			*words = classes[i].words;
	}
	return OUTCOME_ENDED_BY_SERVER;
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
		case OUTCOME_ENDED_BY_SERVER:
			return "ended_by_server";
		case OUTCOME_SERVER_RESTART:
			return "server_restart";
	}
	return NULL;
}

/* The same of what has been done about it. */
const char *
outcome_action_name(IncidentAction action)
{
	switch (action)
	{
		case ACTION_WARNED:
			return "warned";
		case ACTION_WOULD_TERMINATE:
			return "would_terminate";
		case ACTION_TERMINATED:
			return "terminated";
	}
	return NULL;
}
