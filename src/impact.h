/*-------------------------------------------------------------------------
 *
 * impact.h
 *	  Whom a session blocks, and with what.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_IMPACT_H
#define LEAKWATCH_IMPACT_H

#include "lib/stringinfo.h"
#include "policy.h"
#include "storage/lock.h"

/* What a session holds that does harm, as a mask of 1 << Holding. */
typedef enum Holding
{
	HOLDING_ADVISORY_LOCKS,
	HOLDING_TEMPORARY_TABLES,
	HOLDING_SNAPSHOT			/* though it is idle: a cursor, or the isolation level */
} Holding;

#define NUM_HOLDINGS	(HOLDING_SNAPSHOT + 1)

typedef struct HeldLock
{
	LOCKMODE	mode;			/* NoLock: nothing is known */
	LOCKTAG		tag;
} HeldLock;

extern int	impact_survey(void);
extern int	impact_blocked(const Session *session);
extern uint32 impact_holdings(const Session *session);
extern bool impact_strongest_lock(const Session *session, HeldLock *lock);
extern const char *impact_holding_name(Holding holding);
extern void impact_describe_lock(StringInfo out, const HeldLock *lock, const char *relation);

#endif							/* LEAKWATCH_IMPACT_H */
