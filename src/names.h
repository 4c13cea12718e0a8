/*-------------------------------------------------------------------------
 *
 * names.h
 *	  The watcher's look-ups in the shared catalogs.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_NAMES_H
#define LEAKWATCH_NAMES_H

#include "session.h"

extern void names_look_up(const Session *session, int64 monotonic, SessionNames *names);
extern void names_end_look_ups(void);

#endif							/* LEAKWATCH_NAMES_H */
