/*-------------------------------------------------------------------------
 *
 * almanac.h
 *	  The table leakwatch.spells, as the recorder writes it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_ALMANAC_H
#define LEAKWATCH_ALMANAC_H

#include "row.h"
#include "spells.h"

extern bool almanac_row(Row *row, const SpellGroup *group, SpellKind kind);
extern void almanac_write(void);
extern void almanac_delete(TimestampTz before);

#endif							/* LEAKWATCH_ALMANAC_H */
