/*-------------------------------------------------------------------------
 *
 * plot.h
 *	  The plots of the report.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_PLOT_H
#define LEAKWATCH_PLOT_H

#include "digest.h"

/* The time along a plot. */
typedef struct Axis
{
	TimestampTz since;
	TimestampTz until;
	int			bottom;			/* of the plot, in its own units */
} Axis;

#define PLOT_LEFT	150
#define PLOT_RIGHT	1050
#define PLOT_WIDTH	1060

extern double plot_x(const Axis *axis, TimestampTz time);
extern void plot_ticks(StringInfo page, const Axis *axis);
extern void plot_begin(StringInfo page, const char *id, int height, const char *title);
extern void plot_end(StringInfo page);
extern void plot_connections(StringInfo page, const Digest *digest);

#endif							/* LEAKWATCH_PLOT_H */
