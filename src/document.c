/*-------------------------------------------------------------------------
 *
 * document.c
 *	  Objects of jsonb, key by key.
 *
 * Each function adds one key and its value to the object that is being built.
 * Text is in the encoding of this database, and has to stay until the object is
 * done.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "catalog/pg_type.h"
#include "document.h"
#include "encoding.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/json.h"
#include "utils/numeric.h"

static void
push_string(CompatJsonb *json, JsonbIteratorToken token, const char *text)
{
	JsonbValue	value;

	value.type = jbvString;
	value.val.string.val = unconstify(char *, text);
	value.val.string.len = strlen(text);
	compat_push_jsonb(json, token, &value);
}

/* A key, whose value the caller adds. */
void
document_key(CompatJsonb *json, const char *key)
{
	push_string(json, WJB_KEY, key);
}

void
document_text(CompatJsonb *json, const char *key, const char *text)
{
	document_key(json, key);
	push_string(json, WJB_VALUE, text);
}

static void
push_value(CompatJsonb *json, const char *key, JsonbValue value)
{
	document_key(json, key);
	compat_push_jsonb(json, WJB_VALUE, &value);
}

/* Text; null when it is empty. */
void
document_text_or_null(CompatJsonb *json, const char *key, const char *text)
{
	JsonbValue	null = {
		.type = jbvNull,
	};

	if (text[0] != '\0')
		document_text(json, key, text);
	else
		push_value(json, key, null);
}

void
document_bool(CompatJsonb *json, const char *key, bool value)
{
	JsonbValue	boolean = {
		.type = jbvBool,
		.val.boolean = value,
	};

	push_value(json, key, boolean);
}

static void
push_numeric(CompatJsonb *json, const char *key, Numeric number)
{
	JsonbValue	value = {
		.type = jbvNumeric,
		.val.numeric = number,
	};

	push_value(json, key, value);
}

void
document_number(CompatJsonb *json, const char *key, int64 number)
{
	push_numeric(json, key, int64_to_numeric(number));
}

/* A duration as seconds, to the millisecond. */
void
document_seconds(CompatJsonb *json, const char *key, int64 usec)
{
	push_numeric(json, key, int64_div_fast_to_numeric(usec / 1000, 3));
}

void
document_time(CompatJsonb *json, const char *key, TimestampTz time)
{
	document_key(json, key);
	push_string(json, WJB_VALUE,
				JsonEncodeDateTime(palloc(MAXDATELEN + 1), TimestampTzGetDatum(time),
								   TIMESTAMPTZOID, NULL));
}

/*
 * The text of an object, in the encoding of this database, with all that is not
 * ASCII as escapes: so it is the same in whatever encoding it is sent.
 */
char *
document_ascii(const char *text)
{
	const char *utf8 = encoding_convert(text, GetDatabaseEncoding(), PG_UTF8);
	StringInfoData out;

	initStringInfo(&out);
	while (*utf8 != '\0')
	{
		pg_wchar	c = utf8_to_unicode((const unsigned char *) utf8);

		if (c < 0x80)
			appendStringInfoChar(&out, (char) c);
		else if (c < 0x10000)
			appendStringInfo(&out, "\\u%04x", c);
		else
			appendStringInfo(&out, "\\u%04x\\u%04x", 0xD800 + ((c - 0x10000) >> 10), 0xDC00 + (c & 0x3FF));
		utf8 += pg_encoding_mblen(PG_UTF8, utf8);
	}
	return out.data;
}
