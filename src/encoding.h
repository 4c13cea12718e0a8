/*-------------------------------------------------------------------------
 *
 * encoding.h
 *	  Text of other databases in the encoding of this one.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_ENCODING_H
#define LEAKWATCH_ENCODING_H

extern char *encoding_convert(const char *text, int encoding, int here);
extern char *encoding_to_database(const char *text, int encoding);

#endif							/* LEAKWATCH_ENCODING_H */
