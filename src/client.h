/*-------------------------------------------------------------------------
 *
 * client.h
 *	  Whether a session still has a client, and whether that does anything.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_CLIENT_H
#define LEAKWATCH_CLIENT_H

#include "policy.h"

/* What the client's connection tells. */
typedef struct ClientReading
{
	bool		gone;
	uint64		moved;			/* other than before: it has sent or taken
								 * something */
} ClientReading;

extern Size client_shmem_size(void);
extern void client_shmem_init(void);
extern void client_install(void);

/* The watcher's. */
extern bool client_read(const Session *session, ClientReading *reading);

#endif							/* LEAKWATCH_CLIENT_H */
