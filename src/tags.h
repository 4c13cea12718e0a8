/*-------------------------------------------------------------------------
 *
 * tags.h
 *	  The sqlcommenter tags of statements, as jsonb and in words.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_TAGS_H
#define LEAKWATCH_TAGS_H

#include "trail.h"
#include "utils/jsonb.h"

extern Jsonb *tags_of_text(const char *text, int *count);
extern char *tags_in_words(const Trail *trail);

#endif							/* LEAKWATCH_TAGS_H */
