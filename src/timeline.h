/*-------------------------------------------------------------------------
 *
 * timeline.h
 *	  The plot of incidents over the time, a lane for each application.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_TIMELINE_H
#define LEAKWATCH_TIMELINE_H

#include "digest.h"

extern void timeline_plot(StringInfo page, const Digest *digest);

#endif							/* LEAKWATCH_TIMELINE_H */
