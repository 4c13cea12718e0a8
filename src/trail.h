/*-------------------------------------------------------------------------
 *
 * trail.h
 *	  The last statements of a session's transaction.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_TRAIL_H
#define LEAKWATCH_TRAIL_H

#include "nodes/plannodes.h"
#include "policy.h"

/* Bytes kept of a statement: the middle of a longer one is left out. */
#define TRAIL_TEXT_SIZE	512

typedef struct TrailStatement
{
	TimestampTz at;				/* when it came in */
	uint64		query_id;		/* 0: not computed */
	int			sqlerrcode;		/* 0: it has not failed */
	char		text[TRAIL_TEXT_SIZE + 1];	/* in its database's encoding */
} TrailStatement;

/*
 * The first statement is at 0 for good, the newest take turns at the other
 * places: trail_statement() knows the order.
 */
typedef struct Trail
{
	int			pid;			/* whose it is; 0: nobody's */
	TimestampTz backend_start;
	TimestampTz transaction;	/* when that began */
	int64		total;			/* statements, with those dropped */
	TrailStatement statements[FLEXIBLE_ARRAY_MEMBER];	/* leakwatch.trail_length */
} Trail;

extern Size trail_size(void);
extern Size trail_shmem_size(void);
extern void trail_shmem_init(void);

/* Called by a backend, for itself. */
extern void trail_note(const PlannedStmt *statement, const char *source);
extern void trail_note_failure(int sqlerrcode, const char *source);
extern void trail_note_end(bool aborted);

/* Called by the watcher. */
extern bool trail_read(const Session *session, TimestampTz transaction, Trail *trail);

/* Of a trail that is one's own. */
extern int	trail_count(const Trail *trail);
extern int64 trail_dropped_before(const Trail *trail, int n);
extern const TrailStatement *trail_statement(const Trail *trail, int n);

#endif							/* LEAKWATCH_TRAIL_H */
