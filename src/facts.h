/*-------------------------------------------------------------------------
 *
 * facts.h
 *	  The facts of an incident as values of a row.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_FACTS_H
#define LEAKWATCH_FACTS_H

#include "incident.h"
#include "prepared.h"
#include "row.h"

extern void facts_key(Row *row, const Incident *incident);
extern void facts_prepared_key(Row *row, const PreparedTransaction *transaction);
extern void facts_public(Row *row, const Incident *incident, TimestampTz at,
						 TransactionId next_xid);
extern void facts_waiters(Row *row, const Incident *incident, bool everything);
extern bool facts_private(Row *row, const Incident *incident, int index, Trail *trail);

#endif							/* LEAKWATCH_FACTS_H */
