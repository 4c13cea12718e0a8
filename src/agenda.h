/*-------------------------------------------------------------------------
 *
 * agenda.h
 *	  By when each slot has to be looked at.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_AGENDA_H
#define LEAKWATCH_AGENDA_H

#include "datatype/timestamp.h"

/* A version that no session has: whoever is there is looked at. */
#define AGENDA_NO_VERSION	(-1)

/* What a look at a slot has told. */
typedef struct Look
{
	TimestampTz at;				/* when it was taken */
	TimestampTz due;			/* to be judged again at this time */
	int			version;		/* of the session; odd: judge it anyway */
	int			shortest_limit; /* in force there, ms; 0: none */
	bool		followed;		/* it has open incidents */
	bool		active;			/* it does what its version does not tell */
} Look;

/* A walk through the agenda. */
typedef struct Walk
{
	TimestampTz now;
	TimestampTz until;			/* looks due until then are taken now */
	bool		all;			/* whatever is on the agenda */
	int			(*version) (int slot);
	void		(*visit) (int slot, void *arg); /* has to call agenda_looked() */
	void	   *arg;
	int			shortest_limit; /* out: of the slots walked, ms; 0: none */
} Walk;

extern Size agenda_size(int nslots);
extern void agenda_init(void *memory, int nslots);

extern TimestampTz agenda_walk(Walk *walk);
extern void agenda_looked(int slot, const Look *look);

extern void agenda_expect(int slot);
extern void agenda_expect_followed(void);
extern bool agenda_is_followed(int slot);
extern TimestampTz agenda_due(int slot);

#endif							/* LEAKWATCH_AGENDA_H */
