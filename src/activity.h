/*-------------------------------------------------------------------------
 *
 * activity.h
 *	  What a session is at that must not, or need not, be disturbed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_ACTIVITY_H
#define LEAKWATCH_ACTIVITY_H

#include "policy.h"
#include "progress.h"

typedef struct Activity
{
	bool		waits_for_lock;
	bool		committing;		/* it has committed, or is about to any moment */
	bool		replicating;	/* it has, and waits for a synchronous standby */
	Progress	progress;		/* of maintenance */
} Activity;

extern void activity_read(const Session *session, Activity *activity);
extern bool activity_is_vacuum(const Session *session);

#endif							/* LEAKWATCH_ACTIVITY_H */
