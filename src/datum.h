/*-------------------------------------------------------------------------
 *
 * datum.h
 *	  Values of ours as SQL values, for the table and for the views.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_DATUM_H
#define LEAKWATCH_DATUM_H

#include "locks.h"
#include "libpq/pqcomm.h"
#include "trail.h"

extern Datum datum_interval(int64 usec);
extern void datum_limit(int ms, Datum *value, bool *null);
extern void datum_text(const char *text, int encoding, Datum *value, bool *null);
extern void datum_trail(const Trail *trail, int encoding, Datum *value, bool *null);
extern void datum_tags(const Trail *trail, int encoding, Datum *value, bool *null);
extern void datum_lock(const HeldLock *lock, Datum *value, bool *null);
extern void datum_client(const SockAddr *client, Datum *address, bool *address_null,
						 Datum *port, bool *port_null);

#endif							/* LEAKWATCH_DATUM_H */
