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
	OUTCOME_ENDED_BY_SERVER,
	OUTCOME_SERVER_RESTART
} Outcome;

extern int	outcome_fatal(int sqlerrcode, const char *message);
extern bool outcome_client_left(int sqlerrcode, const char *message);
extern Outcome outcome_of_end(int sqlerrcode, int fatal, bool signalled, bool stopping,
							  const char **words);
extern const char *outcome_name(Outcome outcome);

#endif							/* LEAKWATCH_OUTCOME_H */
