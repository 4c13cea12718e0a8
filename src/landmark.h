/*-------------------------------------------------------------------------
 *
 * landmark.h
 *	  The tags of a statement that are the same each time its code is run.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_LANDMARK_H
#define LEAKWATCH_LANDMARK_H

/* Room for them, with the closing NUL, of a text of this length. */
#define LANDMARK_SIZE(length)	(3 * (size_t) (length) + 8)

extern size_t landmark_comment(const char *text, size_t length, char *scratch, char *out);

#endif							/* LEAKWATCH_LANDMARK_H */
