/*-------------------------------------------------------------------------
 *
 * capture.h
 *	  What of statements is let in, by leakwatch.capture_query.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_CAPTURE_H
#define LEAKWATCH_CAPTURE_H

#include "session.h"
#include "trail.h"

extern bool capture_is_without_values(void);
extern bool capture_is_broken(const TrailStatement *statement);
extern bool capture_may_be_broken(const Session *session, const SessionText *text,
								  const Trail *trail);
extern void capture_query(const Session *session, SessionText *text, const Trail *trail,
						  int encoding);
extern void capture_trail(Trail *trail, int encoding);

#endif							/* LEAKWATCH_CAPTURE_H */
