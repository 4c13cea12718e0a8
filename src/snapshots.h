/*-------------------------------------------------------------------------
 *
 * snapshots.h
 *	  Which sessions have exported a snapshot.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_SNAPSHOTS_H
#define LEAKWATCH_SNAPSHOTS_H

#include "policy.h"

extern void snapshots_survey(void);
extern bool snapshots_exported(const Session *session);

#endif							/* LEAKWATCH_SNAPSHOTS_H */
