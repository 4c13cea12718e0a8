/*-------------------------------------------------------------------------
 *
 * use.h
 *	  How sessions are used: when they come back from idleness, and to what.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_USE_H
#define LEAKWATCH_USE_H

#include "datatype/timestamp.h"
#include "local.h"
#include "nodes/plannodes.h"
#include "port/atomics.h"
#include "pool.h"

/* Events between two scans that there is room for, in shared memory of 64 kB. */
#define USE_ROOM	2048

typedef enum UseEventKind
{
	USE_CONNECT,
	USE_TAKEN,					/* used again after it had been free */
	USE_DISCONNECT
} UseEventKind;

/* What the statements of a use came to. */
typedef struct UseWord
{
	uint32		print;			/* shape of the last work statement; 0: none */
	SuspectLast last;			/* what the last statement was */
	bool		failed;			/* it has */
} UseWord;

typedef struct UseEvent
{
	UseEventKind kind;
	int			slot;
	int			pid;
	TimestampTz at;
	TimestampTz free_since;		/* not of USE_CONNECT */
	UseWord		before;			/* the use before; not of USE_CONNECT */
	UseWord		now;			/* of USE_TAKEN: the statement that came in */
} UseEvent;

extern Size use_shmem_size(void);
extern void use_shmem_init(void);

/* How often there is a tick at least while statements come, in us. */
#define USE_TICK	USECS_PER_SEC

/* For how long a session has to be idle now to be told of, in us. */
extern int64 use_gap(int64 pace);

/* Called by a backend, for itself. */
extern void use_set_pace(int ms);
extern void use_connect(void);

/* Called by the watcher. */
extern void use_tick(TimestampTz now);
extern bool use_take(UseEvent *event);
extern bool use_take_missed(void);
extern UseWord use_of(int slot);

/*
 * private part: what every statement passes through
 */

/*
 * A use in a word: the first relation or function, a shape, what the last
 * statement was, whether it failed.
 */
#define USE_WORD(oid, shape, last) \
	((uint64) (oid) << 32 | (uint64) (uint16) (shape) << 16 | (uint64) (last) << 8)

/* The same work, and another last statement. */
#define USE_WORD_WITHOUT_WORK(word, last) \
	(((word) & ~UINT64CONST(0xFFFF)) | USE_WORD(0, 0, last))

/* What this session has noted. */
typedef struct UseNotes
{
	bool		on;				/* is anything to be noted? */
	bool		noted;			/* a statement of this transaction has been */
	bool		settled;		/* this message has had its work statement */
	bool		worked;			/* so has the session */
	TimestampTz at;				/* when the last message came in */
	TimestampTz ended_at;		/* when a transaction ended, if that is known
								 * to be later */
	int64		gap;			/* us */
	uint64		word;			/* as in the slot */
	pg_atomic_uint64 *published;	/* there; NULL: it is not a client's */
} UseNotes;

extern LEAKWATCH_LOCAL UseNotes use_notes;
extern LEAKWATCH_LOCAL pg_atomic_uint64 *use_ticked_at;

extern void use_note_news(TimestampTz at, uint64 word);
extern void use_note_other(const PlannedStmt *statement, TimestampTz at);
extern void use_end_otherwise(bool failed);

/* What this session was last used for. */
static inline void
use_publish(uint64 word)
{
	use_notes.word = word;
	pg_atomic_write_u64(use_notes.published, word);
}

/* A statement has come in at this time, which is this word. */
static inline void
use_note_word(TimestampTz at, uint64 word)
{
	if (unlikely(at - use_notes.at > use_notes.gap || !use_notes.worked))
		use_note_news(at, word);
	if (word != use_notes.word)
		use_publish(word);
	use_notes.at = at;
}

/* Is nothing more to be noted, at all or of a message that came in at this time? */
static inline bool
use_is_settled(TimestampTz at)
{
	return !use_notes.on || (at == use_notes.at && use_notes.settled);
}

/*
 * A query is about to be executed, the client's or one within it, of a message
 * that came in at this time.  Queries that differ only in their constants have
 * the same word.
 */
static inline void
use_note_query(const PlannedStmt *statement, TimestampTz at)
{
	if (use_is_settled(at))
		return;
	use_notes.noted = true;
	if (unlikely(statement->relationOids == NIL))
	{
		use_note_other(statement, at);
		return;
	}
	use_note_word(at, USE_WORD(linitial_oid(statement->relationOids),
							   statement->commandType | list_length(statement->planTree->targetlist) << 4,
							   SUSPECT_LAST_WORK));
	use_notes.settled = true;
}

/* The same of a utility statement.  What begins or ends a transaction is no work. */
static inline void
use_note_utility(const PlannedStmt *statement, TimestampTz at)
{
	if (use_is_settled(at))
		return;
	use_notes.noted = true;
	if (!IsA(statement->utilityStmt, TransactionStmt))
	{
		use_note_other(statement, at);
		return;
	}
	use_note_word(at, USE_WORD_WITHOUT_WORK(use_notes.word, SUSPECT_LAST_CONTROL));
	use_notes.settled = false;
}

/* A transaction has ended.  That is all if the last tick was just before it. */
static inline void
use_end(bool failed)
{
	if (likely(use_notes.noted && !failed &&
			   (uint64) use_notes.at - pg_atomic_read_u64(use_ticked_at) < USE_TICK))
		use_notes.noted = false;
	else
		use_end_otherwise(failed);
}

#endif							/* LEAKWATCH_USE_H */
