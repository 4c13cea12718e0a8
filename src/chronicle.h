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
#include "utils/rel.h"

extern Relation chronicle_open(Relation incidents, const char *name);
extern bool chronicle_attempt(const char *table, const char *activity,
							  void (*work) (Relation incidents));
extern void chronicle_row(Row *row, const Sample *sample);
extern void chronicle_write(bool look);
extern void chronicle_delete(TimestampTz before);

#endif							/* LEAKWATCH_CHRONICLE_H */
