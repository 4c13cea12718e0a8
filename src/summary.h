/*-------------------------------------------------------------------------
 *
 * summary.h
 *	  What is not said of incidents one by one.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_SUMMARY_H
#define LEAKWATCH_SUMMARY_H

#include "incident.h"

extern void summary_add(Message message, const Incident *incident, const Trail *trail);
extern bool summary_is_empty(void);
extern void summary_write(void);

#endif							/* LEAKWATCH_SUMMARY_H */
