/*-------------------------------------------------------------------------
 *
 * impact.h
 *	  What harm a session does: whom it blocks, what VACUUM horizon it holds.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_IMPACT_H
#define LEAKWATCH_IMPACT_H

#include "policy.h"

typedef struct Impact
{
	int			blocked_sessions;	/* directly and through others */
	int64		xmin_age;		/* transactions; -1: it holds none */
} Impact;

extern int	impact_survey(void);
extern void impact_of(const Session *session, Impact *impact);

#endif							/* LEAKWATCH_IMPACT_H */
