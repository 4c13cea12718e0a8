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

extern int	impact_survey(void);
extern TransactionId impact_next_xid(void);
extern TransactionId impact_horizon(const Session *session);
extern int	impact_blocked(const Session *session);

#endif							/* LEAKWATCH_IMPACT_H */
