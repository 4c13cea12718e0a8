/*-------------------------------------------------------------------------
 *
 * row.c
 *	  Rows of SQL values, filled by the names of their columns.
 *
 * Which columns a row has, and in which order, is the row type's business: a
 * value whose column is not there is left out, a column that nobody sets is
 * NULL.  So this library works with the SQL of an older version of itself.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "catalog/pg_type.h"
#include "datum.h"
#include "funcapi.h"
#include "row.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

static void
clear(Row *row)
{
	memset(row->nulls, true, row->desc->natts * sizeof(bool));
	row->next = 0;
}

/* A row of this type, all of it NULL. */
void
row_init(Row *row, TupleDesc desc)
{
	row->desc = desc;
	row->values = palloc0(desc->natts * sizeof(Datum));
	row->nulls = palloc(desc->natts * sizeof(bool));
	clear(row);
}

/* Add the row to the result of a function, and begin the next one. */
void
row_put(Row *row, FunctionCallInfo fcinfo)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;

	tuplestore_putvalues(result->setResult, row->desc, row->values, row->nulls);
	clear(row);
}

/* Index of a column, -1 if there is none of that name. */
static int
find(Row *row, const char *name)
{
	int			natts = row->desc->natts;

	for (int i = 0; i < natts; i++)
	{
		int			n = (row->next + i) % natts;
		Form_pg_attribute column = TupleDescAttr(row->desc, n);

		if (!column->attisdropped && strcmp(NameStr(column->attname), name) == 0)
		{
			row->next = n + 1;
			return n;
		}
	}
	return -1;
}

/* The value for a column that somebody has given another type than ours. */
static Datum
converted(Form_pg_attribute column, Oid type, Datum value)
{
	Oid			output;
	Oid			input;
	Oid			param;
	bool		varlena;

	getTypeOutputInfo(type, &output, &varlena);
	getTypeInputInfo(column->atttypid, &input, &param);
	return OidInputFunctionCall(input, OidOutputFunctionCall(output, value), param,
								column->atttypmod);
}

static void
set(Row *row, const char *name, Oid type, Datum value)
{
	int			n = find(row, name);
	Form_pg_attribute column;

	if (n < 0)
		return;
	column = TupleDescAttr(row->desc, n);
	if (column->atttypid != type || column->atttypmod >= 0)
		value = converted(column, type, value);
	row->values[n] = value;
	row->nulls[n] = false;
}

void
row_bool(Row *row, const char *name, bool value)
{
	set(row, name, BOOLOID, BoolGetDatum(value));
}

void
row_int(Row *row, const char *name, int value)
{
	set(row, name, INT4OID, Int32GetDatum(value));
}

void
row_bigint(Row *row, const char *name, int64 value)
{
	set(row, name, INT8OID, Int64GetDatum(value));
}

/* A time; NULL for 0. */
void
row_time(Row *row, const char *name, TimestampTz time)
{
	if (time != 0)
		set(row, name, TIMESTAMPTZOID, TimestampTzGetDatum(time));
}

void
row_interval(Row *row, const char *name, int64 usec)
{
	set(row, name, INTERVALOID, datum_interval(usec));
}

/* A limit in milliseconds; NULL when it is off. */
void
row_limit(Row *row, const char *name, int ms)
{
	if (ms != 0)
		row_interval(row, name, ms * INT64CONST(1000));
}

/* Text of our own or of the shared catalogs; NULL when it is empty. */
void
row_text(Row *row, const char *name, const char *text)
{
	row_foreign_text(row, name, text, -1);
}

/* Text of a database in encoding (-1: not known); NULL when it is empty. */
void
row_foreign_text(Row *row, const char *name, const char *text, int encoding)
{
	Datum		value;
	bool		null;

	datum_text(text, encoding, &value, &null);
	if (!null)
		set(row, name, TEXTOID, value);
}

/* The names of the bits that are set, as text[]; NULL for none. */
void
row_names(Row *row, const char *name, uint32 bits, int nbits, const char *(*bit_name) (int bit))
{
	Datum		names[32];
	int			count = 0;

	for (int bit = 0; bit < nbits; bit++)
	{
		if (bits & (1u << bit))
			names[count++] = CStringGetTextDatum(bit_name(bit));
	}
	if (count > 0)
		set(row, name, TEXTARRAYOID,
			PointerGetDatum(construct_array(names, count, TEXTOID, -1, false, TYPALIGN_INT)));
}

/* The strongest lock of a session; NULL when none is known. */
void
row_lock(Row *row, const char *name, const HeldLock *lock)
{
	Datum		value;
	bool		null;

	datum_lock(lock, &value, &null);
	if (!null)
		set(row, name, TEXTOID, value);
}

/* The columns client_addr and client_port. */
void
row_client(Row *row, const SockAddr *client)
{
	Datum		address;
	Datum		port;
	bool		address_null;
	bool		port_null;

	datum_client(client, &address, &address_null, &port, &port_null);
	if (!address_null)
		set(row, "client_addr", INETOID, address);
	if (!port_null)
		set(row, "client_port", INT4OID, port);
}

/* The columns trail and tags. */
void
row_trail(Row *row, const Trail *trail, int encoding)
{
	Datum		value;
	bool		null;

	datum_trail(trail, encoding, &value, &null);
	if (!null)
		set(row, "trail", JSONBOID, value);
	datum_tags(trail, encoding, &value, &null);
	if (!null)
		set(row, "tags", JSONBOID, value);
}
