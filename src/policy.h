/*-------------------------------------------------------------------------
 *
 * policy.h
 *	  The words of judgement: kinds of leak, policy values, session facts.
 *
 * Pure data, shared by everything.  A policy is an array of integers so that
 * "each value with where it comes from" is a loop and not eleven copies.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_POLICY_H
#define LEAKWATCH_POLICY_H

#include "datatype/timestamp.h"

/* The order is that of specificity; kind.c has a row for each. */
typedef enum LeakKind
{
	KIND_IDLE_IN_TRANSACTION,
	KIND_ABORTED_TRANSACTION,
	KIND_WAITING_FOR_CLIENT,
	KIND_IDLE_BLOCKER,
	KIND_SUSPECTED_LEAK,
	KIND_IDLE_SESSION,
	KIND_TRANSACTION,
	KIND_SESSION,

	/* of no session and so of no policy: its one limit is the server's */
	KIND_PREPARED_TRANSACTION
} LeakKind;

/* The kinds of sessions, and all of them. */
#define NUM_KINDS		(KIND_SESSION + 1)
#define NUM_ALL_KINDS	(KIND_PREPARED_TRANSACTION + 1)

#define KIND_BIT(kind)	(1u << (kind))

typedef enum PolicyMode
{
	MODE_OFF,
	MODE_OBSERVE,
	MODE_ENFORCE
} PolicyMode;

/* The condition under which sessions over a terminate limit are terminated. */
typedef enum TerminateWhen
{
	TERMINATE_ALWAYS,
	TERMINATE_BLOCKING,			/* only while others wait for its locks */
	TERMINATE_SATURATED,		/* only while connections run out */
	TERMINATE_BLOCKING_OR_SATURATED
} TerminateWhen;

/*
 * Index of a value in a policy: the mode, then the warn limits by kind, then
 * the terminate limits by kind.  Limits are in ms, and 0 is "off".
 */
#define POLICY_MODE				0
#define POLICY_WARN(kind)		(1 + (kind))
#define POLICY_TERMINATE(kind)	(1 + NUM_KINDS + (kind))
#define NUM_POLICY_VALUES		(1 + 2 * NUM_KINDS)

/* The other way round: of which kind a limit is, and what it does. */
#define POLICY_KIND(limit_index)		((LeakKind) (((limit_index) - 1) % NUM_KINDS))
#define POLICY_TERMINATES(limit_index)	((limit_index) > NUM_KINDS)

/*
 * Smallest limit that can be set, in ms.  It bounds how often the watcher
 * scans for limits that it has not seen yet.
 */
#define MIN_LIMIT_MS	10

typedef struct Policy
{
	int			value[NUM_POLICY_VALUES];
} Policy;

typedef enum SessionState
{
	SESSION_UNKNOWN,			/* starting, or track_activities is off */
	SESSION_ACTIVE,
	SESSION_IDLE,
	SESSION_IDLE_IN_TRANSACTION,
	SESSION_IDLE_IN_ABORTED_TRANSACTION
} SessionState;

#define NUM_SESSION_STATES	(SESSION_IDLE_IN_ABORTED_TRANSACTION + 1)

/* What a session in the middle of a statement waits for its client to do. */
typedef enum ClientWait
{
	CLIENT_NOTHING,
	CLIENT_READ,				/* to send: the server reads */
	CLIENT_WRITE				/* to take: the server writes */
} ClientWait;

/*
 * The clocks that limits run on.  The first are the server's; the others start
 * with what the watcher sees, and are 0 while it does not: see observe.c.
 */
typedef enum SessionClock
{
	SINCE_STATE,				/* last change of state */
	SINCE_TRANSACTION,			/* start of the transaction, 0 outside one */
	SINCE_BACKEND,				/* start of the backend */
	SINCE_WAITING,				/* waits for its client within a statement */
	SINCE_BLOCKING				/* is idle and others wait for its locks */
} SessionClock;

#define NUM_CLOCKS			(SINCE_BLOCKING + 1)
#define NUM_SERVER_CLOCKS	(SINCE_BACKEND + 1)
#define NUM_OBSERVED_CLOCKS (NUM_CLOCKS - NUM_SERVER_CLOCKS)

/*
 * What is judged.  since[] is as the backend published it and is what
 * identifies an incident; gained[] is by how many microseconds the wall
 * clock has jumped since then, which counts for nobody's age.
 */
typedef struct Session
{
	int			slot;
	int			version;		/* change count of its status entry */
	int			pid;
	Oid			database;
	Oid			role;
	SessionState state:8;
	ClientWait	waiting:8;		/* as of the look that SINCE_WAITING is of */
	bool		listening:1;
	bool		client_gone:1;	/* the watcher has seen that it has none */
	bool		client_unknown:1;	/* it has looked, and could not tell */
	bool		vacuuming:1;	/* its transaction keeps nobody's rows */
	uint8		suspicion;		/* percent, that its application has forgotten
								 * it; 0: none */
	TimestampTz since[NUM_CLOCKS];
	int64		gained[NUM_CLOCKS];
} Session;

/*
 * A prepared transaction stands where sessions do, as one without a process: of
 * pid 0, with a slot below 0 for its place among the server's prepared
 * transactions, begun when it was prepared.
 */
#define PREPARED_SLOT(place)	(-1 - (place))
#define PREPARED_PLACE(slot)	(-1 - (slot))

/* Who holds locks and horizons: a process, or the slot of one without. */
static inline int
session_holder(const Session *session)
{
	return session->pid != 0 ? session->pid : session->slot;
}

#endif							/* LEAKWATCH_POLICY_H */
