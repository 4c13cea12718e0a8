/*-------------------------------------------------------------------------
 *
 * kind.h
 *	  What is known of each kind of leak: one row a kind.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_KIND_H
#define LEAKWATCH_KIND_H

#include "policy.h"

typedef struct KindInfo
{
	LeakKind	kind;
	const char *name;			/* as users know it */
	const char *phrase;			/* stands before "for 5 min" */
	const char *hint;			/* what its people can do about it */
	int			sqlerrcode;
	SessionClock clock;			/* that its limits run on */

	/*
	 * The kinds that say the same more precisely: while an incident of one of
	 * them is open, none of this kind opens.
	 */
	uint32		shadowed_by;

	/* the two settings: name, boot value in ms, short description */
	const char *warn_setting;
	int			warn_boot;
	const char *warn_text;
	const char *terminate_setting;	/* NULL: nothing is ever terminated */
	int			terminate_boot;
	const char *terminate_text;
} KindInfo;

extern const KindInfo *kind_info(LeakKind kind);

/* The name of the setting behind one of its limits, with its prefix. */
extern const char *kind_setting(LeakKind kind, bool terminates);

#endif							/* LEAKWATCH_KIND_H */
