/*-------------------------------------------------------------------------
 *
 * horizon.h
 *	  What a session keeps VACUUM from.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_HORIZON_H
#define LEAKWATCH_HORIZON_H

#include "policy.h"

extern TransactionId horizon_next_xid(void);
extern TransactionId horizon_of(const Session *session);
extern void horizon_survey(void);
extern int64 horizon_alone(const Session *session);

#endif							/* LEAKWATCH_HORIZON_H */
