/*-------------------------------------------------------------------------
 *
 * saturation.h
 *	  How many connections are in use, by whom, and who was turned away.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_SATURATION_H
#define LEAKWATCH_SATURATION_H

#include "alarm.h"
#include "datatype/timestamp.h"
#include "utils/elog.h"

typedef enum ScopeKind
{
	SCOPE_SERVER,
	SCOPE_DATABASE,
	SCOPE_ROLE
} ScopeKind;

/* That of the server; those of databases and roles come in any order. */
#define SERVER_SCOPE	0

/* Databases and roles that there is room for, in shared memory of 23 kB. */
#define MAX_NAMED_SCOPES	256

#define NUM_SCOPES	(1 + MAX_NAMED_SCOPES)

#define NO_LIMIT		(-1)
#define UNKNOWN_LIMIT	(-2)	/* nobody has looked yet */

/* A scope as it is now. */
typedef struct ScopeUse
{
	ScopeKind	kind;
	Oid			oid;			/* of the database or the role */
	int			used;
	int			peak;
	TimestampTz peak_at;
	uint64		refused;
	TimestampTz refused_at;		/* last; 0: never */
	int			limit;
	int			threshold;		/* connections; 0: none */
} ScopeUse;

/* Has the use come to where it is warned of? */
static inline bool
saturation_is_reached(const ScopeUse *use)
{
	return use->threshold > 0 && use->used >= use->threshold;
}

extern Size saturation_shmem_size(void);
extern void saturation_shmem_init(void);

/* Called by a backend, for itself. */
extern void saturation_enter(void);
extern void saturation_note_refusal(const ErrorData *edata);

/* Called by anybody. */
extern bool saturation_read(int scope, ScopeUse *use);
extern int	saturation_find(ScopeKind kind, Oid oid);
extern bool saturation_is_full(void);
extern bool saturation_is_high(Oid database, Oid role);

/* The watcher's. */
extern bool saturation_is_announced(void);
extern void saturation_take_announced(void);
extern void saturation_set_limit(int scope, int limit, int threshold);
extern Alarm *saturation_alarm(int scope);
extern int	saturation_take_peak(void);

#endif							/* LEAKWATCH_SATURATION_H */
