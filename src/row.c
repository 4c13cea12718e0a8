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

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "document.h"
#include "encoding.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "row.h"
#include "session.h"
#include "tags.h"
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

/* The row as a value of its type; the next one begins. */
Datum
row_datum(Row *row)
{
	Datum		datum = HeapTupleGetDatum(heap_form_tuple(row->desc, row->values, row->nulls));

	clear(row);
	return datum;
}

/* Rows as an array of the table's row type. */
Datum
row_array(Relation table, Datum *rows, int count)
{
	return PointerGetDatum(construct_array(rows, count, table->rd_rel->reltype,
										   -1, false, TYPALIGN_DOUBLE));
}

/* The type of such an array. */
Oid
row_array_type(Relation table)
{
	return get_array_type(table->rd_rel->reltype);
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

void
row_float(Row *row, const char *name, double value)
{
	set(row, name, FLOAT8OID, Float8GetDatum(value));
}

/* A time; NULL for 0. */
void
row_time(Row *row, const char *name, TimestampTz time)
{
	if (time != 0)
		set(row, name, TIMESTAMPTZOID, TimestampTzGetDatum(time));
}

/* A duration in microseconds. */
void
row_interval(Row *row, const char *name, int64 usec)
{
	Interval   *interval = palloc0(sizeof(Interval));

	interval->time = usec;
	set(row, name, INTERVALOID, IntervalPGetDatum(interval));
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
	if (text != NULL && text[0] != '\0')
		set(row, name, TEXTOID, CStringGetTextDatum(encoding_to_database(text, encoding)));
}

/* The same as a part of a key, which is not NULL. */
void
row_key_text(Row *row, const char *name, const char *text, int encoding)
{
	set(row, name, TEXTOID, CStringGetTextDatum(encoding_to_database(text, encoding)));
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

/* Some numbers, as int[]; NULL for none. */
void
row_ints(Row *row, const char *name, const int *values, int count)
{
	Datum	   *numbers = palloc(Max(count, 1) * sizeof(Datum));

	for (int i = 0; i < count; i++)
		numbers[i] = Int32GetDatum(values[i]);
	if (count > 0)
		set(row, name, INT4ARRAYOID,
			PointerGetDatum(construct_array(numbers, count, INT4OID, sizeof(int), true,
											TYPALIGN_INT)));
}

/* Some numbers, as bigint[]. */
void
row_bigints(Row *row, const char *name, const int64 *values, int count)
{
	Datum	   *numbers = palloc(Max(count, 1) * sizeof(Datum));

	for (int i = 0; i < count; i++)
		numbers[i] = Int64GetDatum(values[i]);
	set(row, name, INT8ARRAYOID,
		PointerGetDatum(construct_array(numbers, count, INT8OID, sizeof(int64),
										FLOAT8PASSBYVAL, TYPALIGN_DOUBLE)));
}

/*
 * A lock in words: "RowExclusiveLock on relation public.stock".  A relation of
 * another database has no name here, but its OID.  NULL when none is known.
 */
void
row_lock(Row *row, const char *name, const HeldLock *lock)
{
	const LOCKTAG *tag = &lock->tag;
	char	   *relation = NULL;
	StringInfoData out;

	if (lock->mode == NoLock)
		return;

	if (tag->locktag_type == LOCKTAG_RELATION &&
		(tag->locktag_field1 == InvalidOid || tag->locktag_field1 == MyDatabaseId))
		relation = get_rel_name(tag->locktag_field2);
	if (relation != NULL)
		relation = quote_qualified_identifier(get_namespace_name(get_rel_namespace(tag->locktag_field2)),
											  relation);
	initStringInfo(&out);
	locks_describe(&out, lock, relation);
	set(row, name, TEXTOID, CStringGetTextDatum(out.data));
}

/* The columns client_addr and client_port, as in pg_stat_activity. */
void
row_client(Row *row, const ClientAddress *client)
{
	char		address[NI_MAXHOST];
	int			port;

	if (!session_client(client, address, sizeof(address), &port))
		return;
	if (address[0] != '\0')
		set(row, "client_addr", INETOID,
			DirectFunctionCall1(inet_in, CStringGetDatum(address)));
	row_int(row, "client_port", port);
}

/* ---------- jsonb ---------- */

/* Texts of ours or of the shared catalogs by their keys, as a jsonb object. */
void
row_pairs(Row *row, const char *name, const char *const *keys, const char *const *texts,
		  int count)
{
	CompatJsonb json = {0};

	compat_push_jsonb(&json, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < count; i++)
		document_text(&json, keys[i], texts[i]);
	compat_push_jsonb(&json, WJB_END_OBJECT, NULL);
	set(row, name, JSONBOID, JsonbPGetDatum(JsonbValueToJsonb(json.result)));
}

static void
push_dropped(CompatJsonb *json, int64 dropped)
{
	if (dropped == 0)
		return;
	compat_push_jsonb(json, WJB_BEGIN_OBJECT, NULL);
	document_number(json, "dropped", dropped);
	compat_push_jsonb(json, WJB_END_OBJECT, NULL);
}

static void
push_statement(CompatJsonb *json, const TrailStatement *statement, int encoding)
{
	compat_push_jsonb(json, WJB_BEGIN_OBJECT, NULL);
	document_time(json, "at", statement->at);
	document_text(json, "query", encoding_to_database(statement->text, encoding));
	if (statement->count > 1)
	{
		document_number(json, "count", statement->count);
		document_time(json, "last_at", statement->last_at);
	}
	if (statement->changed)
		document_bool(json, "changed", true);
	if (statement->query_id != 0)
		document_number(json, "query_id", (int64) statement->query_id);
	if (statement->sqlerrcode != 0)
		document_text(json, "sqlstate", pstrdup(unpack_sql_state(statement->sqlerrcode)));
	compat_push_jsonb(json, WJB_END_OBJECT, NULL);
}

/*
 * A trail that is not empty: an array of its statements, with the number of
 * those dropped in their places.
 */
static Datum
trail_json(const Trail *trail, int count, int encoding)
{
	CompatJsonb json = {0};

	compat_push_jsonb(&json, WJB_BEGIN_ARRAY, NULL);
	for (int n = 0; n < count; n++)
	{
		push_dropped(&json, trail_dropped_before(trail, n));
		push_statement(&json, trail_statement(trail, n), encoding);
	}
	push_dropped(&json, trail_dropped_before(trail, count));
	compat_push_jsonb(&json, WJB_END_ARRAY, NULL);
	return JsonbPGetDatum(JsonbValueToJsonb(json.result));
}

/*
 * The columns trail and tags, of a database in encoding (-1: not known).  The
 * tags are those of the newest statement that has some.
 */
void
row_trail(Row *row, const Trail *trail, int encoding)
{
	int			count = trail_count(trail);

	if (count > 0)
		set(row, "trail", JSONBOID, trail_json(trail, count, encoding));
	for (const TrailStatement *statement = NULL;
		 (statement = trail_before(trail, statement)) != NULL;)
	{
		int			ntags;
		Jsonb	   *tags;

		if (!statement->tagged)
			continue;
		tags = tags_of_text(encoding_to_database(statement->text, encoding), &ntags);
		if (ntags > 0)
		{
			set(row, "tags", JSONBOID, JsonbPGetDatum(tags));
			break;
		}
	}
}
