/*-------------------------------------------------------------------------
 *
 * outcome.h
 *	  What became of an incident: what was done about it, and how it ended.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_OUTCOME_H
#define LEAKWATCH_OUTCOME_H

typedef enum Outcome
{
	OUTCOME_OPEN,
	OUTCOME_FINISHED,
	OUTCOME_DISCONNECTED,
	OUTCOME_TERMINATED,
	OUTCOME_TERMINATED_BY_ADMIN,
	OUTCOME_TIMED_OUT,
	OUTCOME_ENDED_BY_SERVER,
	OUTCOME_SERVER_RESTART
} Outcome;

#define NUM_OUTCOMES	(OUTCOME_SERVER_RESTART + 1)

typedef enum IncidentAction
{
	ACTION_WARNED,
	ACTION_WOULD_TERMINATE,
	ACTION_TERMINATED
} IncidentAction;

#define NUM_ACTIONS	(ACTION_TERMINATED + 1)

extern int	outcome_fatal(int sqlerrcode, const char *message);
extern bool outcome_client_left(int sqlerrcode, const char *message);
extern Outcome outcome_of_end(int sqlerrcode, int fatal, bool signalled, bool stopping,
							  const char **words);
extern const char *outcome_name(Outcome outcome);
extern const char *outcome_action_name(IncidentAction action);

#endif							/* LEAKWATCH_OUTCOME_H */
