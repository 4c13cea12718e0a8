/*-------------------------------------------------------------------------
 *
 * writing.h
 *	  Transactions of the recorder, as the owner of the table of incidents.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_WRITING_H
#define LEAKWATCH_WRITING_H

#include "utils/rel.h"

/* A transaction: the table in it, and what its end goes back to. */
typedef struct Writing
{
	Relation	table;
	Oid			user;
	int			security_context;
	MemoryContext memory_context;
} Writing;

extern void writing_begin_without_table(const char *activity, Writing *writing);
extern void writing_begin(const char *activity, Writing *writing);
extern void writing_end(const Writing *writing);
extern void writing_begin_as_owner(const char *activity, Writing *writing);
extern void writing_end_as_owner(const Writing *writing);
extern ErrorData *writing_abort(MemoryContext context);
extern void writing_expect(int result, int expected);

#endif							/* LEAKWATCH_WRITING_H */
