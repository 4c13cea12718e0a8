/*-------------------------------------------------------------------------
 *
 * locks.h
 *	  Whom a session blocks, and with what.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_LOCKS_H
#define LEAKWATCH_LOCKS_H

#include "lib/stringinfo.h"
#include "policy.h"
#include "storage/lock.h"

/* What a session holds that does harm, as a mask of 1 << Holding. */
typedef enum Holding
{
	HOLDING_ADVISORY_LOCKS,
	HOLDING_TEMPORARY_TABLES,
	HOLDING_SNAPSHOT,			/* though it is idle: a cursor, or the
								 * isolation level */
	HOLDING_EXPORTED_SNAPSHOT	/* that others may import */
} Holding;

#define NUM_HOLDINGS	(HOLDING_EXPORTED_SNAPSHOT + 1)

/* How many of those that wait for a session are told by their PIDs. */
#define WAITERS_NAMED	10

typedef struct HeldLock
{
	LOCKMODE	mode;			/* NoLock: nothing is known */
	LOCKTAG		tag;
} HeldLock;

/* A process that waits for a lock. */
typedef struct Waiter
{
	int			pid;
	int			slot;
	TimestampTz since;
} Waiter;

extern int	locks_survey(void);
extern bool locks_blocks(int pid);
extern bool locks_waits(const Session *session);
extern int	locks_prepared_blocker(const Session *session);
extern TimestampTz locks_blocked_since(const Session *session);
extern int64 locks_cost(void);
extern int	locks_blocked(const Session *session);
extern int	locks_waiters(const Session *session, int pids[WAITERS_NAMED],
						  Waiter *longest);
extern uint32 locks_holdings(const Session *session);
extern bool locks_strongest(const Session *session, HeldLock *lock);
extern const char *locks_holding_name(Holding holding);
extern void locks_describe(StringInfo out, const HeldLock *lock, const char *relation);

#endif							/* LEAKWATCH_LOCKS_H */
