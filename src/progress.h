/*-------------------------------------------------------------------------
 *
 * progress.h
 *	  Which maintenance a session does, and how far it has come, in words.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_PROGRESS_H
#define LEAKWATCH_PROGRESS_H

#include "utils/backend_progress.h"

typedef struct Progress
{
	const char *command;		/* NULL: no maintenance */
	const char *phase;			/* NULL: not known */
	int			percent;		/* of the phase; -1: not known */
} Progress;

extern Progress progress_of(ProgressCommandType command, const int64 *param);

#endif							/* LEAKWATCH_PROGRESS_H */
