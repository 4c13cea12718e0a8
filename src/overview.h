/*-------------------------------------------------------------------------
 *
 * overview.h
 *	  What sessions and open incidents there are now, by application.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_OVERVIEW_H
#define LEAKWATCH_OVERVIEW_H

#include "policy.h"

/* Applications that are told apart; the rest is one more. */
#define OVERVIEW_APPLICATIONS	50

/* What stands for the rest, and for those that the user may not see. */
#define OVERVIEW_OTHER	"other"

typedef struct Application
{
	char		name[NAMEDATALEN];	/* hash key */
	int			count;			/* sessions, in all states */
	int			sessions[NUM_SESSION_STATES];
	int			leaks;			/* open incidents, of all kinds */
	int			open[NUM_ALL_KINDS];
	int64		oldest[NUM_ALL_KINDS];	/* age of the oldest of these, us */
	int64		blocked;		/* sessions that wait for its leaked ones */
	int64		xmin_age;		/* transactions, the most of its leaked ones */
	int64		xmin_age_alone;
} Application;

typedef struct Overview
{
	Application all;
	int			count;
	Application **application;	/* those with most sessions first */
} Overview;

extern void overview_take(TimestampTz now, Overview *overview);

#endif							/* LEAKWATCH_OVERVIEW_H */
