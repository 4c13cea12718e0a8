/*-------------------------------------------------------------------------
 *
 * row.h
 *	  Rows of SQL values, filled by the names of their columns.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_ROW_H
#define LEAKWATCH_ROW_H

#include "access/tupdesc.h"
#include "fmgr.h"
#include "locks.h"
#include "session.h"
#include "trail.h"
#include "utils/rel.h"

typedef struct Row
{
	TupleDesc	desc;
	Datum	   *values;
	bool	   *nulls;
	int			next;			/* where the next name is most likely */
} Row;

extern void row_init(Row *row, TupleDesc desc);
extern void row_put(Row *row, FunctionCallInfo fcinfo);
extern Datum row_datum(Row *row);
extern Datum row_array(Relation table, Datum *rows, int count);
extern Oid	row_array_type(Relation table);

extern void row_bool(Row *row, const char *name, bool value);
extern void row_int(Row *row, const char *name, int value);
extern void row_bigint(Row *row, const char *name, int64 value);
extern void row_float(Row *row, const char *name, double value);
extern void row_time(Row *row, const char *name, TimestampTz time);
extern void row_interval(Row *row, const char *name, int64 usec);
extern void row_limit(Row *row, const char *name, int ms);
extern void row_text(Row *row, const char *name, const char *text);
extern void row_foreign_text(Row *row, const char *name, const char *text, int encoding);
extern void row_key_text(Row *row, const char *name, const char *text, int encoding);
extern void row_names(Row *row, const char *name, uint32 bits, int nbits,
					  const char *(*bit_name) (int bit));
extern void row_ints(Row *row, const char *name, const int *values, int count);
extern void row_bigints(Row *row, const char *name, const int64 *values, int count);
extern void row_lock(Row *row, const char *name, const HeldLock *lock);
extern void row_pairs(Row *row, const char *name, const char *const *keys,
					  const char *const *texts, int count);
extern void row_client(Row *row, const ClientAddress *client);
extern void row_trail(Row *row, const Trail *trail, int encoding);

#endif							/* LEAKWATCH_ROW_H */
