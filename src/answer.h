/*-------------------------------------------------------------------------
 *
 * answer.h
 *	  Answers of queries: rows by SPI, values by the names of their columns.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_ANSWER_H
#define LEAKWATCH_ANSWER_H

#include "executor/spi.h"
#include "utils/timestamp.h"

typedef struct Answer
{
	SPITupleTable *table;
	int			count;
} Answer;

/* What each query is asked about: its parameters. */
typedef struct Question
{
	TimestampTz since;			/* $1 */
	TimestampTz until;			/* $2 */
	bool		statements;		/* $3: may their text be shown? */
} Question;

extern void answer_get(Answer *answer, const char *sql, const Question *question);
extern Portal answer_open(const char *sql, const Question *question);
extern bool answer_fetch(Answer *answer, Portal portal, int count);
extern const char *answer_text(const Answer *answer, int row, const char *column);
extern int64 answer_int(const Answer *answer, int row, const char *column);
extern double answer_float(const Answer *answer, int row, const char *column);
extern TimestampTz answer_time(const Answer *answer, int row, const char *column);

#endif							/* LEAKWATCH_ANSWER_H */
