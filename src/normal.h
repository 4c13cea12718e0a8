/*-------------------------------------------------------------------------
 *
 * normal.h
 *	  Statements without their values, by the server's lexer.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_NORMAL_H
#define LEAKWATCH_NORMAL_H

#include "lib/stringinfo.h"

extern char *normal_text(const char *text, bool broken);
extern void normal_append_key(StringInfo out, const char *text, bool broken);

#endif							/* LEAKWATCH_NORMAL_H */
