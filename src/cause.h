/*-------------------------------------------------------------------------
 *
 * cause.h
 *	  What an incident has in common with others of the same code.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_CAUSE_H
#define LEAKWATCH_CAUSE_H

#include "incident.h"

extern int64 cause_of(const Incident *incident, const Trail *trail);

#endif							/* LEAKWATCH_CAUSE_H */
