/*-------------------------------------------------------------------------
 *
 * waiters.h
 *	  Who waits for the locks of a leaked session, by name.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_WAITERS_H
#define LEAKWATCH_WAITERS_H

#include "locks.h"
#include "statement.h"

typedef struct Waiters
{
	int			npids;
	int			pids[WAITERS_NAMED];	/* the longest waiting first */

	/* the first of them; all empty if it is no client session */
	TimestampTz since;
	Oid			role;
	Oid			database;
	char		application_name[NAMEDATALEN];
	char		query[STATEMENT_SIZE + 1];	/* in its database's encoding, may
											 * end within a character */
	bool		normalized;		/* without values */
} Waiters;

extern Size waiters_shmem_size(void);
extern void waiters_shmem_init(void);

/* The watcher's. */
extern void waiters_note(const Session *session);

/* Anybody's. */
extern bool waiters_read(const Session *session, Waiters *waiters);

#endif							/* LEAKWATCH_WAITERS_H */
