/*-------------------------------------------------------------------------
 *
 * datum.c
 *	  Values of ours as SQL values, for the table and for the views.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "catalog/pg_type.h"
#include "datum.h"
#include "encoding.h"
#include "lib/stringinfo.h"
#include "session.h"
#include "tags.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

/* A duration in microseconds. */
Datum
datum_interval(int64 usec)
{
	Interval   *interval = palloc0(sizeof(Interval));

	interval->time = usec;
	return IntervalPGetDatum(interval);
}

/* A limit in milliseconds; NULL when it is off. */
void
datum_limit(int ms, Datum *value, bool *null)
{
	*null = ms == 0;
	if (!*null)
		*value = datum_interval(ms * INT64CONST(1000));
}

/* Text of a database in encoding (-1: not known); NULL when it is empty. */
void
datum_text(const char *text, int encoding, Datum *value, bool *null)
{
	*null = text == NULL || text[0] == '\0';
	if (!*null)
		*value = CStringGetTextDatum(encoding_to_database(text, encoding));
}

static void
push_text(CompatJsonb *json, JsonbIteratorToken token, const char *text)
{
	JsonbValue	value;

	value.type = jbvString;
	value.val.string.val = unconstify(char *, text);
	value.val.string.len = strlen(text);
	compat_push_jsonb(json, token, &value);
}

static void
push_number(CompatJsonb *json, const char *key, int64 number)
{
	JsonbValue	value;

	push_text(json, WJB_KEY, key);
	value.type = jbvNumeric;
	value.val.numeric = int64_to_numeric(number);
	compat_push_jsonb(json, WJB_VALUE, &value);
}

static void
push_statement(CompatJsonb *json, const TrailStatement *statement, int encoding)
{
	compat_push_jsonb(json, WJB_BEGIN_OBJECT, NULL);
	push_text(json, WJB_KEY, "at");
	push_text(json, WJB_VALUE,
			  JsonEncodeDateTime(palloc(MAXDATELEN + 1), TimestampTzGetDatum(statement->at),
								 TIMESTAMPTZOID, NULL));
	push_text(json, WJB_KEY, "query");
	push_text(json, WJB_VALUE, encoding_to_database(statement->text, encoding));
	if (statement->query_id != 0)
		push_number(json, "query_id", (int64) statement->query_id);
	if (statement->sqlerrcode != 0)
	{
		push_text(json, WJB_KEY, "sqlstate");
		push_text(json, WJB_VALUE, pstrdup(unpack_sql_state(statement->sqlerrcode)));
	}
	compat_push_jsonb(json, WJB_END_OBJECT, NULL);
}

/*
 * A trail of a database in encoding (-1: not known): an array of its
 * statements, with the number of those dropped in their place.  NULL when it
 * is empty.
 */
void
datum_trail(const Trail *trail, int encoding, Datum *value, bool *null)
{
	CompatJsonb json = {0};
	int			count = trail_count(trail);

	*null = count == 0;
	if (*null)
		return;

	compat_push_jsonb(&json, WJB_BEGIN_ARRAY, NULL);
	for (int n = 0; n < count; n++)
	{
		int64		dropped = trail_dropped_before(trail, n);

		if (dropped > 0)
		{
			compat_push_jsonb(&json, WJB_BEGIN_OBJECT, NULL);
			push_number(&json, "dropped", dropped);
			compat_push_jsonb(&json, WJB_END_OBJECT, NULL);
		}
		push_statement(&json, trail_statement(trail, n), encoding);
	}
	compat_push_jsonb(&json, WJB_END_ARRAY, NULL);
	*value = JsonbPGetDatum(JsonbValueToJsonb(json.result));
}

/* The tags of the newest statement that has some; NULL when none has. */
void
datum_tags(const Trail *trail, int encoding, Datum *value, bool *null)
{
	*null = true;
	for (int n = trail_count(trail) - 1; n >= 0 && *null; n--)
	{
		int			count;
		Jsonb	   *tags = tags_of_text(encoding_to_database(trail_statement(trail, n)->text,
															 encoding), &count);

		if (count > 0)
		{
			*value = JsonbPGetDatum(tags);
			*null = false;
		}
	}
}

/*
 * The strongest lock of a session: "RowExclusiveLock on relation public.stock".
 * A relation of another database has no name here, but its OID.  NULL when no
 * lock is known.
 */
void
datum_lock(const HeldLock *lock, Datum *value, bool *null)
{
	const LOCKTAG *tag = &lock->tag;
	char	   *relation = NULL;
	StringInfoData out;

	*null = lock->mode == NoLock;
	if (*null)
		return;

	if (tag->locktag_type == LOCKTAG_RELATION &&
		(tag->locktag_field1 == InvalidOid || tag->locktag_field1 == MyDatabaseId))
		relation = get_rel_name(tag->locktag_field2);

	if (relation != NULL)
		relation = quote_qualified_identifier(get_namespace_name(get_rel_namespace(tag->locktag_field2)),
											  relation);
	initStringInfo(&out);
	locks_describe(&out, lock, relation);
	*value = CStringGetTextDatum(out.data);
}

/* The client's address and port, as pg_stat_activity shows them. */
void
datum_client(const SockAddr *client, Datum *address, bool *address_null,
			 Datum *port, bool *port_null)
{
	char		text[NI_MAXHOST];
	int			number;
	bool		known = session_client(client, text, sizeof(text), &number);

	*address_null = !known || text[0] == '\0';
	if (!*address_null)
		*address = DirectFunctionCall1(inet_in, CStringGetDatum(text));
	*port_null = !known;
	*port = Int32GetDatum(number);
}
