/*-------------------------------------------------------------------------
 *
 * quota.h
 *	  How many sessions have to go before connections run out no more.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_QUOTA_H
#define LEAKWATCH_QUOTA_H

#include "policy.h"

/* The watcher's. */
extern void quota_begin(void);
extern bool quota_needs(const Session *session, PolicyMode mode);
extern void quota_spend(const Session *session, PolicyMode mode);

#endif							/* LEAKWATCH_QUOTA_H */
