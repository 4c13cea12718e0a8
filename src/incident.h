/*-------------------------------------------------------------------------
 *
 * incident.h
 *	  Leaks found: opened, followed and closed by the watcher, kept until the
 *	  recorder has written them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_INCIDENT_H
#define LEAKWATCH_INCIDENT_H

#include "horizon.h"
#include "locks.h"
#include "outcome.h"
#include "policy.h"
#include "session.h"
#include "suspect.h"
#include "trail.h"
#include "verdict.h"

/* What is said of an incident; the later ones say more. */
typedef enum Message
{
	MESSAGE_NONE,
	MESSAGE_OPENED,
	MESSAGE_REMINDER,
	MESSAGE_WOULD_TERMINATE,
	MESSAGE_TERMINATED,			/* told to end */
	MESSAGE_LINGERING			/* and is still there */
} Message;

#define INCIDENT_DETAIL_SIZE	56

/* What has been told of an incident. */
#define INCIDENT_TOLD_OPENED	1
#define INCIDENT_TOLD_ENDED		2

typedef struct Incident
{
	/* what identifies it; never changes */
	int64		id;				/* set by incident_open() */
	LeakKind	kind:8;
	Suspicion	suspicion;		/* of KIND_SUSPECTED_LEAK */
	TimestampTz since;			/* when the fact began */
	Session		session;		/* as it was when the incident opened */

	/* who it is; as of the opening too */
	SessionNames names;
	SessionText text;			/* of a prepared transaction, query is its GID */

	/* how it goes on */
	int64		gained;			/* by the wall clock, on this kind's clock */
	TimestampTz detected_at;
	TimestampTz last_seen_at;	/* as of the last change */
	TimestampTz ended_at;
	int			warn_limit;		/* ms */
	int			terminate_limit;	/* ms; of the limit that terminated it, if
									 * one did */
	IncidentAction action:8;
	Message		owed:8;			/* still to be said */
	Outcome		outcome:8;
	bool		normalized;		/* its statements are without values */
	int			blocked_sessions;	/* as of the last survey */
	int			blocked_peak;
	HeldLock	lock;			/* its strongest, as of when it last blocked */
	uint32		holdings;		/* seen so far */
	TransactionId horizon;		/* that it holds; invalid: none */
	int64		alone_peak;		/* transactions whose dead rows it alone kept */
	int64		xmin_age_peak;	/* of horizons before that one; -1: none */
	TimestampTz warned_at;		/* when last */
	TimestampTz told_at;		/* when its session was told to end; 0: not so
								 * far */
	int			reminders;		/* warnings repeated so far; with told_at, of
								 * that */
	uint32		held;			/* which rules have held termination back */
	Excess		owed_excess;	/* over the limit that it is about */
	char		outcome_detail[INCIDENT_DETAIL_SIZE];
} Incident;

/* The GID of a prepared transaction, "" of anything else. */
static inline const char *
incident_gid(const Incident *incident)
{
	return incident->kind == KIND_PREPARED_TRANSACTION ? incident->text.query : "";
}

/*
 * How long it has lasted or did last, in microseconds, without what the wall
 * clock gained.
 */
static inline int64
incident_duration(const Incident *incident, TimestampTz now)
{
	TimestampTz end = incident->outcome == OUTCOME_OPEN ? now : incident->ended_at;

	return Max(end - incident->since - incident->gained, 0);
}

/*
 * Why it is suspected; NULL: who suspected it has ended before it could be
 * noted.
 */
static inline const char *
incident_reason(const Incident *incident, char *buffer, Size size)
{
	return incident->suspicion.confidence > 0 ?
		suspect_reason(&incident->suspicion, buffer, size) : NULL;
}

/*
 * Has its session been told to end and not done so?  It has once that has been
 * said in the log.
 */
static inline bool
incident_lingers(const Incident *incident)
{
	return incident->outcome == OUTCOME_OPEN && incident->action == ACTION_TERMINATED &&
		incident->reminders > 0;
}

extern int	incident_max(void);
extern Size incident_shmem_size(void);
extern void incident_shmem_init(void);

/* The watcher's. */
extern void incident_attach(void (*adopt) (int index, const Incident *incident));
extern int	incident_open(const Incident *incident, const Trail *trail);
extern Incident *incident_edit(int index);
extern void incident_edited(int index, bool record);
extern const Incident *incident_peek(int index);
extern Trail *incident_trail(int index);
extern bool incident_has_room(void);
extern void incident_reclaim(void);

/* The recorder's. */
extern bool incident_is_pending(int index);
extern bool incident_is_refused(int index);
extern bool incident_is_open(int index);
extern uint64 incident_version(int index);
extern void incident_mark_written(int index, uint64 version);
extern uint32 incident_mark_told(int index, const Incident *incident);
extern void incident_mark_refused(int index, uint64 version);
extern void incident_retry_later(int64 monotonic);
extern void incident_no_retry(void);
extern uint64 incident_last_version(void);
extern void incident_all_tried(uint64 version);
extern void incident_set_table(Oid database, Oid relation);

/* Anybody's. */
extern bool incident_any_new(void);
extern bool incident_any_refused(void);
extern int64 incident_retry_at(void);
extern int	incident_open_count(void);
extern int	incident_pending_count(void);
extern int	incident_refused_count(void);
extern Reading incident_copy(int index, Incident *incident, uint64 *version);
extern bool incident_copy_trail(int index, const Incident *incident, Trail *trail);
extern pg_atomic_uint64 *incident_cause_word(int index);
extern void incident_owe(Incident *edit, Message message, const Excess *excess);
extern Excess incident_excess(const Incident *incident, TimestampTz now);
extern int	incident_lingering_count(void);
extern int64 incident_xmin_age(const Incident *incident, TransactionId next_xid);

/* Is it time to try again what was refused? */
static inline bool
incident_retry_is_due(int64 monotonic)
{
	int64		retry_at = incident_retry_at();

	return retry_at != 0 && monotonic >= retry_at;
}

#endif							/* LEAKWATCH_INCIDENT_H */
