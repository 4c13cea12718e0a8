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
	TimestampTz backend_start;	/* whose session it is; 0: nobody's */
	int			version;		/* of the session; odd: judge it anyway */
	int			shortest_limit; /* in force there, ms; 0: none */
	int			rest;			/* how long it is good for, ms; 0: for ever */
	bool		followed;		/* it has open incidents */
	bool		active;			/* it may do what its version does not tell */
	bool		begins_anew;	/* all its limits do with whatever it does
								 * next */
} Look;

/* A walk through the agenda. */
typedef struct Walk
{
	TimestampTz now;
	TimestampTz until;			/* looks due until then are taken along */
	TimestampTz again;			/* when to look again at what is undecided */
	bool		all;			/* whatever is on the agenda */
	void		(*prefetch) (int slot); /* its version is read next but a few */
	int			(*version) (int slot);
	bool		(*glance) (int slot, Look *look, void *arg);	/* false: visit it */
	void		(*visit) (int slot, void *arg); /* has to call agenda_looked() */
	void	   *arg;
	int			shortest_rest;	/* of the slots walked, ms; 0: none.  As it
								 * was, if none had to be looked at */
} Walk;

extern Size agenda_size(int nslots);
extern void agenda_init(void *memory, int nslots);

extern TimestampTz agenda_walk(Walk *walk);
extern void agenda_looked(int slot, const Look *look);
extern void agenda_glanced(Look *look, TimestampTz began, TimestampTz now, int version);

extern void agenda_expect(int slot);
extern void agenda_expect_followed(void);
extern bool agenda_is_followed(int slot);
extern TimestampTz agenda_due(int slot);

#endif							/* LEAKWATCH_AGENDA_H */
