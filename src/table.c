/*-------------------------------------------------------------------------
 *
 * table.c
 *	  Sections, tables and lists of facts in HTML.
 *
 * Titles, captions, heads of columns and terms are ours, and are markup; names,
 * kinds and statements are data.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "style.h"
#include "table.h"

void
table_begin_section(StringInfo page, const char *title)
{
	appendStringInfo(page, "<section><h2>%s</h2>\n", title);
}

void
table_end_section(StringInfo page)
{
	appendStringInfoString(page, "</section>\n");
}

/* A table with these columns; a number sign begins the head of one of numbers. */
void
table_begin(StringInfo page, const char *caption, const char *const *columns, int ncolumns)
{
	appendStringInfo(page, "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"%s\"><table><caption>%s</caption><thead><tr>",
					 caption, caption);
	for (int n = 0; n < ncolumns; n++)
	{
		bool		number = columns[n][0] == '#';

		appendStringInfo(page, "<th scope=\"col\"%s>%s</th>", number ? " class=\"n\"" : "", columns[n] + number);
	}
	appendStringInfoString(page, "</tr></thead><tbody>\n");
}

void
table_end(StringInfo page)
{
	appendStringInfoString(page, "</tbody></table></div>\n");
}

/* The head of a row: a name, and of whom in which database. */
void
table_row_head(StringInfo page, const char *name, const char *role, const char *database)
{
	appendStringInfoString(page, "<tr><th scope=\"row\">");
	html_name(page, name);
	if (role != NULL)
	{
		appendStringInfoString(page, "<small>");
		html_name(page, role);
		appendStringInfoString(page, " in ");
		html_name(page, database);
		appendStringInfoString(page, "</small>");
	}
	appendStringInfoString(page, "</th>");
}

void
table_number(StringInfo page, int64 count)
{
	appendStringInfoString(page, "<td class=\"n\">");
	if (count == 0)
		appendStringInfoString(page, "&ndash;");
	else
		html_count(page, count);
	appendStringInfoString(page, "</td>");
}

void
table_duration(StringInfo page, double seconds)
{
	appendStringInfoString(page, "<td class=\"n\">");
	html_duration(page, seconds);
	appendStringInfoString(page, "</td>");
}

void
table_kind_words(StringInfo page, const char *kind)
{
	appendStringInfo(page, "<span class=\"sw k%d\"></span>", style_of_kind(kind));
	html_kind(page, kind);
}

void
table_kind(StringInfo page, const char *kind)
{
	appendStringInfoString(page, "<td>");
	table_kind_words(page, kind);
	appendStringInfoString(page, "</td>");
}

void
table_statement(StringInfo page, const char *statement)
{
	appendStringInfoString(page, "<code><bdi>");
	html_text(page, statement, STATEMENT_LENGTH);
	appendStringInfoString(page, "</bdi></code>");
}

/* One fact of a list of them. */
void
table_begin_fact(StringInfo page, const char *term)
{
	appendStringInfo(page, "<div><dt>%s</dt><dd>", term);
}

void
table_end_fact(StringInfo page)
{
	appendStringInfoString(page, "</dd></div>");
}

void
table_time_fact(StringInfo page, const char *term, TimestampTz time)
{
	table_begin_fact(page, term);
	html_time(page, time);
	table_end_fact(page);
}

void
table_count_fact(StringInfo page, const char *term, int64 count)
{
	table_begin_fact(page, term);
	html_count(page, count);
	table_end_fact(page);
}
