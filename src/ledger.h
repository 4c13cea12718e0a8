/*-------------------------------------------------------------------------
 *
 * ledger.h
 *	  A table beside that of the incidents, as the recorder writes it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_LEDGER_H
#define LEAKWATCH_LEDGER_H

#include "utils/rel.h"
#include "utils/timestamp.h"

typedef struct Ledger
{
	const char *table;			/* its name */
	const char *writing;		/* what the recorder is doing then, in words */
	const char *deleting;
	const char *upsert_sql;		/* of $1, an array of rows */
	const char *delete_sql;		/* of what is before $1, $2 rows at the most */
	Datum		(*rows) (Relation table);	/* that array */
} Ledger;

extern bool ledger_write(const Ledger *ledger);
extern void ledger_delete(const Ledger *ledger, TimestampTz before);

#endif							/* LEAKWATCH_LEDGER_H */
