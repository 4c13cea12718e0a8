/*-------------------------------------------------------------------------
 *
 * trail.h
 *	  What a session did in its transaction.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_TRAIL_H
#define LEAKWATCH_TRAIL_H

#include "changes.h"
#include "command.h"
#include "local.h"
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

/* Called by a backend, for itself, if it has a trail. */
extern bool trail_is_same(const TrailStatement *statement, const TrailNote *note);
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

/*
 * private part: what every statement passes through
 */

/* A trail in shared memory. */
typedef struct TrailSlot
{
	pg_atomic_uint32 changes;
	Trail		trail;
} TrailSlot;

/* That of this process; only this file and trail.c change it. */
typedef struct TrailOwn
{
	TrailSlot  *slot;			/* NULL: it has not been asked for */
	TimestampTz transaction;	/* that it is of; 0: of none yet */
} TrailOwn;

extern LEAKWATCH_LOCAL TrailOwn trail_own;

extern bool trail_is_there(void);
extern bool trail_find_own(void);
extern int	trail_go_on(const TrailNote *note);
extern void trail_copy_long(TrailStatement *statement, const char *text, size_t length);
extern bool trail_has_tags(const TrailStatement *statement);

/* The trail of this process, taken over; NULL when it has none. */
static inline const Trail *
trail_mine(void)
{
	if (unlikely(proc_exit_inprogress) ||
		(unlikely(trail_own.slot == NULL) && !trail_find_own()))
		return NULL;
	return &trail_own.slot->trail;
}

/* Does it start or end with what may be a comment?  Most start with a letter. */
static inline bool
trail_may_have_tags(const char *text, size_t length)
{
	if (likely((unsigned char) text[0] > '/') && length > 0 &&
		(unsigned char) text[length - 1] > '/' && text[length - 1] != ';')
		return false;
	while (length > 0 && (text[length - 1] == ';' || text[length - 1] <= ' '))
		length--;
	return length > 0 && (text[0] == '/' || text[length - 1] == '/' || text[0] <= ' ');
}

/* A statement gets a place. */
static inline void
trail_fill(Trail *trail, TrailStatement *statement, TrailNote note)
{
	statement->at = note.at;
	statement->last_at = note.at;
	statement->query_id = note.query_id;
	statement->sqlerrcode = note.sqlerrcode;
	statement->count = 1;
	statement->dropped = trail->dropped;
	statement->ordinal = (uint32) trail->total;
	statement->last_ordinal = (uint32) trail->total;
	statement->length = (uint32) note.length;
	statement->class = note.class;
	statement->changed = note.changed;
	statement->redacted = note.redacted;
	trail->dropped = 0;
	if (likely(note.length <= STATEMENT_SIZE))
	{
		memcpy(statement->text, note.text, note.length);
		statement->text[note.length] = '\0';
	}
	else
		trail_copy_long(statement, note.text, note.length);
	statement->tagged = unlikely(trail_may_have_tags(note.text, note.length)) &&
		trail_has_tags(statement);
}

/* A transaction's first statement: what there is is of another one. */
static inline void
trail_begin(TimestampTz transaction, TrailNote note)
{
	TrailSlot  *slot = trail_own.slot;
	Trail	   *trail = &slot->trail;

	change_begin(&slot->changes);
	trail_own.transaction = transaction;
	trail->transaction = transaction;
	trail->goes_on = false;
	trail->used = 1;
	trail->dropped = 0;
	trail->total = 1;
	trail_fill(trail, &trail->statements[0], note);
	change_end(&slot->changes);
}

/*
 * Add a statement to the trail of this process, which it has, or count it if
 * it is there.  Returns its place, or TRAIL_NOWHERE.
 */
static inline int
trail_add(TimestampTz transaction, TrailNote note)
{
	static TrailNote next;

	if (trail_own.transaction != transaction)
	{
		trail_begin(transaction, note);
		return 0;
	}
	next = note;
	return trail_go_on(&next);
}

#endif							/* LEAKWATCH_TRAIL_H */
