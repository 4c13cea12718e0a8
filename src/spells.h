/*-------------------------------------------------------------------------
 *
 * spells.h
 *	  How long transactions lasted, and sessions were idle in them, by who it was.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_SPELLS_H
#define LEAKWATCH_SPELLS_H

#include "histogram.h"
#include "policy.h"

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
extern void spells_note_idle(void);
extern void spells_note_transaction(void);
extern void spells_fold(void);

/* Called by anybody, and by the recorder, who takes them out. */
extern bool spells_read(int group, SpellGroup *copy);
extern void spells_take(int group, SpellGroup *copy);
extern void spells_give_back(int group, const SpellGroup *copy);

#endif							/* LEAKWATCH_SPELLS_H */
