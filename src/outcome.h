/*-------------------------------------------------------------------------
 *
 * outcome.h
 *	  How an incident has ended.
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
	OUTCOME_SERVER_RESTART
} Outcome;

extern Outcome outcome_of_end(int sqlerrcode, bool signalled, bool stopping,
							  const char **detail);
extern const char *outcome_name(Outcome outcome);

#endif							/* LEAKWATCH_OUTCOME_H */
