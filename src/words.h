/*-------------------------------------------------------------------------
 *
 * words.h
 *	  Durations and limits in words.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_WORDS_H
#define LEAKWATCH_WORDS_H

#include "verdict.h"

/* Room for the longest of each. */
#define WORDS_DURATION_SIZE	48
#define WORDS_LIMIT_SIZE	128
#define WORDS_EXCESS_SIZE	256

extern const char *words_duration(int64 usec, char *buffer, Size size);
extern const char *words_limit(const Excess *excess, char *buffer, Size size);
extern const char *words_excess(const Excess *excess, char *buffer, Size size);

#endif							/* LEAKWATCH_WORDS_H */
