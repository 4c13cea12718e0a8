/*-------------------------------------------------------------------------
 *
 * names.h
 *	  Look-ups in the shared catalogs.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_NAMES_H
#define LEAKWATCH_NAMES_H

#include "clock.h"
#include "saturation.h"
#include "session.h"

/* What the catalogs have on a scope. */
typedef struct ScopeNames
{
	char		name[NAMEDATALEN];	/* "" for the server */
	int			limit;			/* NO_LIMIT where none is enforced */
} ScopeNames;

/* The watcher's, which outlive a failure. */
extern void names_look_up(const Session *session, int64 monotonic, SessionNames *names);
extern bool names_look_up_scope(ScopeKind kind, Oid oid, int64 monotonic, ScopeNames *names);
extern void names_end_look_ups(void);
extern TimestampTz names_due(const Moment *moment);

/* For a session of its own, in its transaction. */
extern bool names_read_scope(ScopeKind kind, Oid oid, ScopeNames *names);

#endif							/* LEAKWATCH_NAMES_H */
