/*-------------------------------------------------------------------------
 *
 * control.h
 *	  Health and counters of the two workers, and how they are woken.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_CONTROL_H
#define LEAKWATCH_CONTROL_H

#include "policy.h"
#include "port/atomics.h"
#include "storage/condition_variable.h"
#include "storage/latch.h"

typedef enum Actor
{
	WATCHER,
	RECORDER
} Actor;

#define NUM_ACTORS	(RECORDER + 1)

/*
 * Counted since the server started.  Each has one writer: the recorder that
 * of rows, the watcher all others.
 */
typedef enum Counter
{
	COUNT_SCANS,
	COUNT_SCAN_TIME,			/* microseconds, all scans together */
	COUNT_CLOCK_JUMPS,
	COUNT_REPORTED,				/* incidents opened */
	COUNT_FINISHED,				/* the session went on after it was reported */
	COUNT_ANNOUNCED,			/* would have been terminated */
	COUNT_TERMINATED,
	COUNT_TERMINATE_FAILED,		/* the signal could not be sent */
	COUNT_TERMINATE_SPARED,		/* the last look found that it had gone on */
	COUNT_HELD_SUPERUSER,
	COUNT_HELD_ACTIVE,
	COUNT_HELD_APPLICATION,
	COUNT_HELD_ADDRESS,
	COUNT_HELD_WAITING,
	COUNT_HELD_COMMITTING,
	COUNT_HELD_MAINTENANCE,
	COUNT_HELD_EXPORTED_SNAPSHOT,
	COUNT_HELD_NOT_BLOCKING,
	COUNT_HELD_NOT_SATURATED,
	COUNT_HELD_BRAKE,
	COUNT_SUSPECTED,
	COUNT_CONFIRMED,			/* a suspected session ended without use */
	COUNT_REFUTED,				/* it was used again */
	COUNT_DROPPED,				/* incidents that no room was left for */
	COUNT_WRITTEN				/* rows inserted or updated by the recorder */
} Counter;

#define NUM_COUNTERS	(COUNT_WRITTEN + 1)

#define ACTOR_MESSAGE_SIZE	256

/* What an actor says of itself, as copied for a reader. */
typedef struct ActorStatus
{
	int			pid;			/* 0: not running */
	TimestampTz started_at;
	TimestampTz last_error_at;	/* 0: none yet */
	char		last_error[ACTOR_MESSAGE_SIZE];
	char		condition[ACTOR_MESSAGE_SIZE];	/* what keeps it from its
												 * work; "" when nothing does */
	char		notice[ACTOR_MESSAGE_SIZE]; /* what it works in spite of; ""
											 * for nothing */
} ActorStatus;

extern Size control_shmem_size(void);
extern void control_shmem_init(void);
extern TimestampTz control_init_time(void);

extern void control_count(Counter counter, uint64 amount);
extern uint64 control_counter(Counter counter);

extern void control_start(Actor actor);
extern void control_error(Actor actor, const char *message);
extern void control_condition(Actor actor, const char *condition);
extern void control_notice(Actor actor, const char *notice);
extern bool control_is_running(Actor actor);
extern bool control_status(Actor actor, ActorStatus *status);
extern void control_wake(Actor actor);

/* The server's own policy: written by the watcher, read by all. */
extern void control_set_policy(const Policy *policy, int cadence_ms);
extern void control_policy(Policy *policy);
extern int	control_cadence(void);

/* Scans: asked for by anybody, served by the watcher. */
extern uint64 control_scan_requested(void);
extern void control_scan_served(uint64 ticket, TimestampTz at, int64 duration);
extern void control_scan_now(void);
extern void control_last_scan(TimestampTz *at, int64 *duration);

/* The recorder's launch: asked for by anybody, served by the watcher. */
extern void control_want_recorder(void);
extern bool control_recorder_wanted(void);
extern void control_request_housekeeping(void);
extern bool control_housekeeping_requested(void);
extern void control_housekeeping_done(void);

#endif							/* LEAKWATCH_CONTROL_H */
