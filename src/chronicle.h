/*-------------------------------------------------------------------------
 *
 * chronicle.h
 *	  The table leakwatch.samples, as the recorder writes it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_CHRONICLE_H
#define LEAKWATCH_CHRONICLE_H

#include "row.h"
#include "samples.h"

extern void chronicle_row(Row *row, const Sample *sample);
extern void chronicle_write(bool look);
extern void chronicle_delete(TimestampTz before);

#endif							/* LEAKWATCH_CHRONICLE_H */
