/*-------------------------------------------------------------------------
 *
 * history.h
 *	  The table leakwatch.incidents, as the recorder writes it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_HISTORY_H
#define LEAKWATCH_HISTORY_H

#include "incident.h"

/* A copy of an incident, where it is from and its version there. */
typedef struct Record
{
	int			index;
	uint64		version;
	int64		cause;			/* 0 until history_write() finds it out */
	bool		first;			/* that was now: it has not been written
								 * before */
	Incident	incident;
} Record;

/* What there is in this database. */
typedef struct HistoryState
{
	char	   *version;		/* of the extension */
	const char *missing;		/* a column that the table lacks, or NULL */
	char	   *publication;	/* that would send what is recorded, or NULL */
} HistoryState;

extern bool history_look(HistoryState *state);
extern ErrorData *history_write(Record *records, int count);
extern ErrorData *history_close(TimestampTz server_start, bool *closed);
extern ErrorData *history_delete(TimestampTz ended_before);

#endif							/* LEAKWATCH_HISTORY_H */
