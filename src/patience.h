/*-------------------------------------------------------------------------
 *
 * patience.h
 *	  A session waits for what another process is writing.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_PATIENCE_H
#define LEAKWATCH_PATIENCE_H

#include "changes.h"
#include "datatype/timestamp.h"
#include "incident.h"

/* How long a call may wait altogether; 0 as long as it has not waited. */
typedef struct Patience
{
	TimestampTz until;
} Patience;

extern bool patience_wait(Patience *patience);
extern Reading patience_read_session(Patience *patience, int slot, Session *session);
extern bool patience_copy_incident(Patience *patience, int index, Incident *incident);

#endif							/* LEAKWATCH_PATIENCE_H */
