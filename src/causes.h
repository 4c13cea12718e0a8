/*-------------------------------------------------------------------------
 *
 * causes.h
 *	  Causes in the tables: what is known of them, and which are resolved.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_CAUSES_H
#define LEAKWATCH_CAUSES_H

extern void causes_load(void);

#endif							/* LEAKWATCH_CAUSES_H */
