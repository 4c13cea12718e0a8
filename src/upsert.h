/*-------------------------------------------------------------------------
 *
 * upsert.h
 *	  The statement that writes incidents, as far as the table has the columns.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_UPSERT_H
#define LEAKWATCH_UPSERT_H

#include "executor/spi.h"
#include "utils/rel.h"

extern SPIPlanPtr upsert_plan(Relation table, Oid type);
extern const char *upsert_missing_column(Relation table);

#endif							/* LEAKWATCH_UPSERT_H */
