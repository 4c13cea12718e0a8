/*-------------------------------------------------------------------------
 *
 * shape.h
 *	  What is the same of a statement, whatever values stand in it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_SHAPE_H
#define LEAKWATCH_SHAPE_H

#include "statement.h"

/*
 * A token of a text: where it starts, and how long it is.  STATEMENT_GAP is one,
 * where a text has lost its middle.
 */
typedef struct Slice
{
	int			start;
	int			length;
} Slice;

/* Of a longer shape, so many bytes at its beginning and at its end are its key. */
#define SHAPE_KEY_HEAD	112
#define SHAPE_KEY_TAIL	160

/* Room for either, with the closing NUL, of a text of this length and tokens. */
#define SHAPE_SIZE(length, count)	((size_t) (length) + 12 * (size_t) (count) + 1)

/* Room for what it works with, of so many tokens. */
#define SHAPE_SCRATCH(count)	(32 * (size_t) (count))

extern size_t shape_show(const char *text, const Slice *slices, int count, void *scratch,
						 char *out);
extern size_t shape_key(const char *text, const Slice *slices, int count, void *scratch,
						char *out);

#endif							/* LEAKWATCH_SHAPE_H */
