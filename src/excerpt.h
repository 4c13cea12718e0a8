/*-------------------------------------------------------------------------
 *
 * excerpt.h
 *	  Which of the uses of a busy pool are looked at.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_EXCERPT_H
#define LEAKWATCH_EXCERPT_H

#include "suspect.h"

typedef struct Excerpt
{
	int64		counted_from;	/* since when uses are */
	int64		uses;			/* since then */
	double		rate;			/* of them, a us, as it was before that */
	int64		from;			/* what came before is not looked at */
	int			room;			/* nor is what comes after so many */
} Excerpt;

extern void excerpt_init(Excerpt *excerpt, int64 now);
extern void excerpt_begin(Excerpt *excerpt, SuspectGroup *group, int64 last, int64 now, int64 pace, bool missed);
extern bool excerpt_takes(Excerpt *excerpt, int64 at);

#endif							/* LEAKWATCH_EXCERPT_H */
