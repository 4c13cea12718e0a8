/*-------------------------------------------------------------------------
 *
 * html.c
 *	  Text, numbers and times in HTML.
 *
 * Whatever a client has sent gets into a page by html_text() or html_name(), and
 * is data there: of its characters only those stand for themselves that mean
 * nothing in HTML, neither in text nor in an attribute.  All others are
 * written as the numbers of Unicode, so the page is ASCII and reads the same
 * in whatever encoding it is stored.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "encoding.h"
#include "html.h"
#include "mb/pg_wchar.h"
#include "pgtime.h"
#include "words.h"

/* What stands for a character that no page may have. */
#define REPLACEMENT	'?'

/* The longest name that is shown whole, in characters. */
#define NAME_LENGTH	64

static const char *const months[] = {
	"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"
};

static bool
is_plain(pg_wchar c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		(c != 0 && c < 0x80 && strchr(" \n.,:;()[]{}*/+-_=%$#@!?|~^", (int) c) != NULL);
}

/* A control character, or one that is none: references to them are errors. */
static bool
is_forbidden(pg_wchar c)
{
	return (c < 0x20 && c != '\t') || (c >= 0x7F && c < 0xA0) || (c & 0xFFFE) == 0xFFFE ||
		(c >= 0xFDD0 && c <= 0xFDEF);
}

/* Text of this database, as data, and no more than so many characters of it. */
void
html_text(StringInfo page, const char *text, int max_length)
{
	const char *utf8 = encoding_convert(text, GetDatabaseEncoding(), PG_UTF8);

	for (int length = 0; *utf8 != '\0'; length++)
	{
		pg_wchar	c = utf8_to_unicode((const unsigned char *) utf8);

		if (length == max_length)
		{
			appendStringInfoString(page, "&hellip;");
			return;
		}
		utf8 += pg_encoding_mblen(PG_UTF8, utf8);
		if (c == '\r' && *utf8 == '\n')
			continue;
		if (is_plain(c))
			appendStringInfoChar(page, (char) c);
		else if (is_forbidden(c))
			appendStringInfoChar(page, REPLACEMENT);
		else
			appendStringInfo(page, "&#%u;", c);
	}
}

/*
 * A name that a client or somebody else has chosen.  Marks of direction in it
 * end with it.
 */
void
html_name(StringInfo page, const char *name)
{
	if (name == NULL || name[0] == '\0')
	{
		appendStringInfoString(page, "<i>without name</i>");
		return;
	}
	appendStringInfoString(page, "<bdi>");
	html_text(page, name, NAME_LENGTH);
	appendStringInfoString(page, "</bdi>");
}

/* A kind or another word of ours, as people write it. */
void
html_kind(StringInfo page, const char *kind)
{
	char	   *words = pstrdup(kind != NULL ? kind : "");

	for (char *c = words; *c != '\0'; c++)
	{
		if (*c == '_')
			*c = ' ';
	}
	html_text(page, words, NAME_LENGTH);
}

/* A number, its digits in groups of three from 10,000 on. */
void
html_count(StringInfo page, int64 count)
{
	char		digits[32];
	int			length = snprintf(digits, sizeof(digits), INT64_FORMAT, count);

	for (int i = 0; i < length; i++)
	{
		if (i > 0 && length > 4 && (length - i) % 3 == 0)
			appendStringInfoString(page, "&#8239;");
		appendStringInfoChar(page, digits[i]);
	}
}

/* "1 leak", "3 leaks" */
void
html_counted(StringInfo page, int64 count, const char *one, const char *many)
{
	html_count(page, count);
	appendStringInfo(page, " %s", count == 1 ? one : many);
}

void
html_duration(StringInfo page, double seconds)
{
	char		buffer[WORDS_DURATION_SIZE];

	appendStringInfoString(page, words_duration((int64) (seconds * USECS_PER_SEC), buffer, sizeof(buffer)));
}

/* A time in the session's time zone. */
void
html_moment(StringInfo page, TimestampTz time, HtmlMoment moment)
{
	struct pg_tm tm;
	fsec_t		fsec;
	int			tz;

	if (timestamp2tm(time, &tz, &tm, &fsec, NULL, NULL) != 0)
		return;
	if (moment == MOMENT_DAY || moment == MOMENT_WHOLE || moment == MOMENT_DATED)
		appendStringInfo(page, "%d %s", tm.tm_mday, months[tm.tm_mon - 1]);
	if (moment == MOMENT_DATED)
		appendStringInfo(page, " %d", tm.tm_year);
	if (moment == MOMENT_WHOLE || moment == MOMENT_DATED)
		appendStringInfoChar(page, ' ');
	if (moment != MOMENT_DAY)
		appendStringInfo(page, "%02d:%02d", tm.tm_hour, tm.tm_min);
	if (moment == MOMENT_SECOND)
		appendStringInfo(page, ":%02d", tm.tm_sec);
}

/* The same as an element. */
static void
add_time(StringInfo page, TimestampTz time, HtmlMoment moment)
{
	struct pg_tm tm;
	fsec_t		fsec;

	if (time == 0 || timestamp2tm(time, NULL, &tm, &fsec, NULL, NULL) != 0)
	{
		appendStringInfoString(page, "&ndash;");
		return;
	}
	appendStringInfo(page, "<time datetime=\"%04d-%02d-%02dT%02d:%02d:%02dZ\">",
					 tm.tm_year, tm.tm_mon, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
	html_moment(page, time, moment);
	appendStringInfoString(page, "</time>");
}

/* A time with its day. */
void
html_time(StringInfo page, TimestampTz time)
{
	add_time(page, time, MOMENT_WHOLE);
}

/* A time with its day and year. */
void
html_date(StringInfo page, TimestampTz time)
{
	add_time(page, time, MOMENT_DATED);
}
