/*-------------------------------------------------------------------------
 *
 * spells.h
 *	  How long transactions lasted, and sessions were idle in them, by who it was.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_SPELLS_H
#define LEAKWATCH_SPELLS_H

#include "access/xact.h"
#include "histogram.h"
#include "local.h"
#include "pgstat.h"
#include "policy.h"
#include "storage/ipc.h"

/* What is counted, each the equal of a kind of leak that came to an end. */
typedef enum SpellKind
{
	SPELL_IDLE,					/* idle in a transaction, until it went on */
	SPELL_TRANSACTION			/* of a whole transaction */
} SpellKind;

#define NUM_SPELL_KINDS		(SPELL_TRANSACTION + 1)

/* Applications that there is room for, in shared memory of 39 kB. */
#define NUM_SPELL_GROUPS	128

/* What is known of one application. */
typedef struct SpellGroup
{
	Oid			database;		/* invalid: of all that no room was left for */
	Oid			role;
	bool		others;			/* of those of its applications likewise */
	char		application_name[NAMEDATALEN];
	int64		counts[NUM_SPELL_KINDS][HISTOGRAM_BUCKETS];
	int64		longest[NUM_SPELL_KINDS];	/* us */
} SpellGroup;

extern Size spells_shmem_size(void);
extern void spells_shmem_init(void);
extern LeakKind spells_kind(SpellKind kind);

/* Called by a backend, for itself. */
extern void spells_fold(void);

/* Called by anybody, and by the recorder, who takes them out. */
extern bool spells_read(int group, SpellGroup *copy);
extern void spells_take(int group, SpellGroup *copy);
extern void spells_give_back(int group, const SpellGroup *copy);

/*
 * private part: what every statement passes through
 */

/* How often a backend adds what it has counted, at the most, in us. */
#define SPELLS_FOLD_INTERVAL	USECS_PER_SEC

/* What this backend has counted and not added yet. */
typedef struct SpellsOwn
{
	uint32		count[NUM_SPELL_KINDS][HISTOGRAM_BUCKETS];
	uint32		filled[NUM_SPELL_KINDS];	/* bit mask of buckets */
	uint32		longest[NUM_SPELL_KINDS];	/* ms */
	TimestampTz folded_at;		/* 0: its end is not prepared yet */
	PgStat_Counter idle_seen;	/* what the server had added up of idleness in
								 * transactions, when last looked at */
} SpellsOwn;

extern LEAKWATCH_LOCAL SpellsOwn spells_own;

extern void spells_count_long(SpellKind kind, int64 usec);
extern void spells_fold_at(TimestampTz at);
extern void spells_went_on(TimestampTz at, bool utility);

/* Count a spell that ended at this time, and add what is counted if it is due. */
static inline void
spells_count(SpellKind kind, int64 usec, TimestampTz at)
{
	if (likely(usec < HISTOGRAM_SHORT))
	{
		spells_own.count[kind][0]++;
		spells_own.filled[kind] |= 1;
	}
	else
		spells_count_long(kind, usec);
	if (unlikely((uint64) (at - spells_own.folded_at) >= SPELLS_FOLD_INTERVAL))
		spells_fold_at(at);
}

/*
 * A transaction of a client is over.  When, the server will want to know in a
 * moment.
 */
static inline void
spells_note_transaction(void)
{
	TimestampTz at;

	if (proc_exit_inprogress)
		return;
	at = GetCurrentTransactionStopTimestamp();
	spells_count(SPELL_TRANSACTION, at - GetCurrentTransactionStartTimestamp(), at);
}

/* A statement of a message that came in at this time is about to be executed. */
static inline void
spells_note_idle(TimestampTz at, bool utility)
{
	if (unlikely(pgStatTransactionIdleTime != spells_own.idle_seen))
		spells_went_on(at, utility);
}

#endif							/* LEAKWATCH_SPELLS_H */
