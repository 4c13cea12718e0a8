/*-------------------------------------------------------------------------
 *
 * tags.c
 *	  The sqlcommenter tags of statements, as jsonb and in words.
 *
 * URL-encoded bytes are UTF-8, whatever the database's encoding is, so a
 * text is parsed in UTF-8.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "encoding.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "sqlcommenter.h"
#include "tags.h"
#include "utils/builtins.h"

PGDLLEXPORT Datum leakwatch_sqlcommenter_tags(PG_FUNCTION_ARGS);

PG_FUNCTION_INFO_V1(leakwatch_sqlcommenter_tags);

typedef struct TagsBuilder
{
	CompatJsonb json;
	int			count;
} TagsBuilder;

static void
push_string(TagsBuilder *tags, JsonbIteratorToken token, const char *text, size_t length)
{
	JsonbValue	value;

	value.type = jbvString;
	value.val.string.val = encoding_to_database(pnstrdup(text, length), PG_UTF8);
	value.val.string.len = strlen(value.val.string.val);
	compat_push_jsonb(&tags->json, token, &value);
}

static void
push_tag(void *state, const char *key, size_t key_length, const char *value,
		 size_t value_length)
{
	TagsBuilder *tags = state;

	push_string(tags, WJB_KEY, key, key_length);
	push_string(tags, WJB_VALUE, value, value_length);
	tags->count++;
}

/* The tags of a text of this database, as an object; and how many. */
Jsonb *
tags_of_text(const char *text, int *count)
{
	TagsBuilder tags = {.count = 0};
	char	   *utf8 = unconstify(char *, text);

	/* what is in no encoding is as good in any */
	if (GetDatabaseEncoding() != PG_UTF8 && GetDatabaseEncoding() != PG_SQL_ASCII)
		utf8 = encoding_convert(text, GetDatabaseEncoding(), PG_UTF8);

	compat_push_jsonb(&tags.json, WJB_BEGIN_OBJECT, NULL);
	sqlcommenter_parse(utf8, strlen(utf8), palloc(strlen(utf8) + 1), push_tag, &tags);
	compat_push_jsonb(&tags.json, WJB_END_OBJECT, NULL);
	*count = tags.count;
	return JsonbValueToJsonb(tags.json.result);
}

/* What goes into a line of the log: one line. */
static void
append_printable(StringInfo out, const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		appendStringInfoChar(out, (unsigned char) text[i] < ' ' || text[i] == 0x7f ? '?' : text[i]);
}

static void
say_tag(void *state, const char *key, size_t key_length, const char *value,
		size_t value_length)
{
	StringInfo	out = state;

	if (out->len > 0)
		appendStringInfoString(out, ", ");
	append_printable(out, key, key_length);
	appendStringInfoChar(out, '=');
	append_printable(out, value, value_length);
}

/*
 * The tags of the newest statement that has some, palloc'd; NULL when none
 * has.  For the watcher, which has no encoding of its own.
 */
char *
tags_in_words(const Trail *trail)
{
	char		scratch[STATEMENT_SIZE];
	StringInfoData out;

	initStringInfo(&out);
	for (const TrailStatement *statement = NULL;
		 out.len == 0 && (statement = trail_before(trail, statement)) != NULL;)
	{
		if (statement->tagged)
			sqlcommenter_parse(statement->text, strlen(statement->text), scratch, say_tag, &out);
	}
	return out.len > 0 ? out.data : NULL;
}

/*
 * leakwatch.sqlcommenter_tags(text): an empty object when there are none.
 */
Datum
leakwatch_sqlcommenter_tags(PG_FUNCTION_ARGS)
{
	int			count;

	PG_RETURN_DATUM(JsonbPGetDatum(tags_of_text(text_to_cstring(PG_GETARG_TEXT_PP(0)),
												&count)));
}
