/*-------------------------------------------------------------------------
 *
 * answer.c
 *	  Answers of queries: rows by SPI, values by the names of their columns.
 *
 * Queries are executed with the rights of the caller and by the snapshot that
 * is active, so that all answers are of one moment.  A column that is not there
 * is an error, as it is in SQL.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "answer.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"

#define NARGS	3

static Oid	types[NARGS] = {TIMESTAMPTZOID, TIMESTAMPTZOID, BOOLOID};

static void
fill_args(Datum *args, const Question *question)
{
	args[0] = TimestampTzGetDatum(question->since);
	args[1] = TimestampTzGetDatum(question->until);
	args[2] = BoolGetDatum(question->statements);
}

/* All rows of an answer. */
void
answer_get(Answer *answer, const char *sql, const Question *question)
{
	Datum		args[NARGS];
	int			result;

	fill_args(args, question);
	result = SPI_execute_with_args(sql, NARGS, types, args, NULL, true, 0);
	if (result != SPI_OK_SELECT)
		elog(ERROR, "unexpected SPI result: %s", SPI_result_code_string(result));
	answer->table = SPI_tuptable;
	answer->count = (int) SPI_processed;
}

/* An answer of many rows, which are fetched some at a time. */
Portal
answer_open(const char *sql, const Question *question)
{
	Datum		args[NARGS];

	fill_args(args, question);
	return SPI_cursor_open_with_args(NULL, sql, NARGS, types, args, NULL, true, 0);
}

/* The next rows, in place of those before; false when there are no more. */
bool
answer_fetch(Answer *answer, Portal portal, int count)
{
	if (answer->table != NULL)
		SPI_freetuptable(answer->table);
	SPI_cursor_fetch(portal, true, count);
	answer->table = SPI_tuptable;
	answer->count = (int) SPI_processed;
	return answer->count > 0;
}

static int
column_of(const Answer *answer, const char *name)
{
	int			column = SPI_fnumber(answer->table->tupdesc, name);

	if (column <= 0)
		elog(ERROR, "a query has no column \"%s\"", name);
	return column;
}

static Datum
value_of(const Answer *answer, int row, const char *name, Oid type, bool *isnull)
{
	int			column = column_of(answer, name);

	if (SPI_gettypeid(answer->table->tupdesc, column) != type)
		elog(ERROR, "column \"%s\" of a query has another type", name);
	return SPI_getbinval(answer->table->vals[row], answer->table->tupdesc, column, isnull);
}

/* A value as text; NULL for NULL. */
const char *
answer_text(const Answer *answer, int row, const char *column)
{
	return SPI_getvalue(answer->table->vals[row], answer->table->tupdesc, column_of(answer, column));
}

/* A bigint; 0 for NULL. */
int64
answer_int(const Answer *answer, int row, const char *column)
{
	bool		isnull;
	Datum		value = value_of(answer, row, column, INT8OID, &isnull);

	return isnull ? 0 : DatumGetInt64(value);
}

/* A double precision; 0 for NULL. */
double
answer_float(const Answer *answer, int row, const char *column)
{
	bool		isnull;
	Datum		value = value_of(answer, row, column, FLOAT8OID, &isnull);

	return isnull ? 0 : DatumGetFloat8(value);
}

/* A timestamptz; 0 for NULL. */
TimestampTz
answer_time(const Answer *answer, int row, const char *column)
{
	bool		isnull;
	Datum		value = value_of(answer, row, column, TIMESTAMPTZOID, &isnull);

	return isnull ? 0 : DatumGetTimestampTz(value);
}
