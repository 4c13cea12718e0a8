/*-------------------------------------------------------------------------
 *
 * trail.h
 *	  What a session did in its transaction.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_TRAIL_H
#define LEAKWATCH_TRAIL_H

#include "command.h"
#include "policy.h"
#include "statement.h"
#include "storage/ipc.h"

/* A statement, with its repeats. */
typedef struct TrailStatement
{
	TimestampTz at;				/* when it came in, the first time */
	TimestampTz last_at;		/* and the last time */
	uint64		query_id;		/* 0: not computed */
	int			sqlerrcode;		/* of the last time; 0: it has not failed */
	uint32		count;			/* how often it came */
	uint32		dropped;		/* statements just before it that have no
								 * place */
	uint32		ordinal;		/* among those of the transaction, from 1 */
	uint32		last_ordinal;	/* the last time */
	uint32		length;			/* of what the text was copied from */
	uint8		class;			/* CommandClass */
	bool		changed;		/* it changed or locked something */
	bool		tagged;			/* there are tags in its text */
	bool		redacted;		/* what the client sent has more than the text */
	char		text[STATEMENT_SIZE + 1];	/* in its database's encoding */
} TrailStatement;

typedef struct Trail
{
	int			pid;			/* whose it is; 0: nobody's */
	TimestampTz backend_start;
	TimestampTz transaction;	/* when that began */
	bool		goes_on;		/* a procedure has committed that, and works
								 * in another */
	int			used;			/* places of statements */
	uint32		dropped;		/* statements after the last one that has a
								 * place */
	int64		total;			/* statements, with those dropped; 0: no trail */
	TrailStatement statements[FLEXIBLE_ARRAY_MEMBER];	/* leakwatch.trail_length */
} Trail;

/* What a backend notes of a statement. */
typedef struct TrailNote
{
	TimestampTz at;				/* when the message came in */
	const char *text;
	size_t		length;
	uint64		query_id;
	int			sqlerrcode;
	CommandClass class;
	bool		changed;
	bool		redacted;
} TrailNote;

/* In place of the index of a statement in a trail. */
#define TRAIL_NOWHERE	(-1)

extern Size trail_size(void);
extern Size trail_shmem_size(void);
extern void trail_shmem_init(void);

/* The trail of this process, once it is known to have one. */
extern const Trail *trail_own;
extern const Trail *trail_find_mine(void);

/* The trail of this process, or NULL when it has none. */
static inline const Trail *
trail_mine(void)
{
	if (unlikely(proc_exit_inprogress))
		return NULL;
	return likely(trail_own != NULL) ? trail_own : trail_find_mine();
}

/* Called by a backend, for itself, if it has a trail. */
extern bool trail_is_own(const Trail *trail);
extern bool trail_is_same(const TrailStatement *statement, const TrailNote *note);
extern int	trail_add(TimestampTz transaction, const TrailNote *note);
extern void trail_set_changed(int place);
extern void trail_set_failed(int place, int sqlerrcode);
extern void trail_set_goes_on(bool goes_on);
extern void trail_clear(void);

/* Called by the watcher. */
extern bool trail_read(const Session *session, TimestampTz transaction, Trail *trail);
extern void trail_redact(const Trail *trail, TimestampTz query_start, char *query, Size size);

/* Of a trail that is one's own. */
extern int	trail_count(const Trail *trail);
extern int64 trail_dropped_before(const Trail *trail, int n);
extern const TrailStatement *trail_statement(const Trail *trail, int n);
extern const TrailStatement *trail_before(const Trail *trail, const TrailStatement *newer);
extern const TrailStatement *trail_of_application(const Trail *trail, bool newest);

#endif							/* LEAKWATCH_TRAIL_H */
