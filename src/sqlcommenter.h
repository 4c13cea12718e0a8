/*-------------------------------------------------------------------------
 *
 * sqlcommenter.h
 *	  The tags that an application puts into the comments of its statements.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_SQLCOMMENTER_H
#define LEAKWATCH_SQLCOMMENTER_H

/* Called for each tag, decoded; the strings are not terminated by a NUL. */
typedef void (*sqlcommenter_tag) (void *state, const char *key, size_t key_length,
								  const char *value, size_t value_length);

extern void sqlcommenter_parse(const char *text, size_t length, char *scratch,
							   sqlcommenter_tag tag, void *state);

#endif							/* LEAKWATCH_SQLCOMMENTER_H */
