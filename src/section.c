/*-------------------------------------------------------------------------
 *
 * section.c
 *	  The sections of the report below its plots: lists and tables.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "guc.h"
#include "section.h"
#include "table.h"

/* What separates the parts of a text that a query has put together. */
#define SEPARATOR	'\x1F'

/* What begins the part of a trail that is a number of statements. */
#define DROPPED		'\x1E'

/* ---------- causes ---------- */

/* How the incidents of a cause have ended: a class, a column, what to call it. */
static const struct
{
	const char *class;
	const char *column;
	const char *words;
}			ends[] = {
	{"o-fin", "finished", "went on by themselves"},
	{"o-ter", "terminated", "terminated by leakwatch"},
	{"o-oth", "otherwise", "ended otherwise"},
	{"o-ope", "open", "still open"},
};

static void
add_ends(StringInfo page, const Answer *causes, int row)
{
	double		x = 0;
	double		unit = 320.0 / answer_int(causes, row, "incidents");

	appendStringInfoString(page, "<svg class=\"bar\" viewBox=\"0 0 320 8\" aria-hidden=\"true\">");
	for (int n = 0; n < lengthof(ends); n++)
	{
		int64		count = answer_int(causes, row, ends[n].column);

		if (count > 0)
			appendStringInfo(page, "<rect class=\"%s\" x=\"%.1f\" width=\"%.1f\" height=\"8\"/>",
							 ends[n].class, x, count * unit);
		x += count * unit;
	}
	appendStringInfoString(page, "</svg><ul class=\"key\">");
	for (int n = 0; n < lengthof(ends); n++)
	{
		int64		count = answer_int(causes, row, ends[n].column);

		if (count == 0)
			continue;
		appendStringInfo(page, "<li><span class=\"sw %s\"></span><b>", ends[n].class);
		html_count(page, count);
		appendStringInfo(page, "</b> %s</li>", ends[n].words);
	}
	appendStringInfoString(page, "</ul>");
}

/* Each part of a text that has several, as data between two strings of ours. */
static void
add_parts(StringInfo page, const char *parts, const char *before, const char *after)
{
	char	   *part = pstrdup(parts);

	for (char *next; part != NULL; part = next)
	{
		next = strchr(part, SEPARATOR);
		if (next != NULL)
			*next++ = '\0';
		if (part[0] == DROPPED)
		{
			appendStringInfoString(page, "<li class=\"dim\">");
			html_text(page, part + 1, 20);
			appendStringInfoString(page, " more statements</li>");
			continue;
		}
		appendStringInfoString(page, before);
		html_text(page, part, STATEMENT_LENGTH);
		appendStringInfoString(page, after);
	}
}

/* The statements of the newest incident of a cause, and the tags in them. */
static void
add_code(StringInfo page, const Digest *digest, int row)
{
	const char *tags = answer_text(&digest->causes, row, "tags");
	const char *trail = answer_text(&digest->causes, row, "trail");
	const char *statement = answer_text(&digest->causes, row, "statement");

	if (!digest->question.statements)
	{
		appendStringInfoString(page, "<p class=\"dim\">Statements are shown to members of pg_read_all_stats.</p>");
		return;
	}
	if (trail != NULL)
	{
		appendStringInfoString(page, "<ol class=\"trail\">");
		add_parts(page, trail, "<li><code><bdi>", "</bdi></code></li>");
		appendStringInfoString(page, "</ol>");
	}
	else if (statement != NULL)
	{
		appendStringInfoString(page, "<ol class=\"trail\"><li>");
		table_statement(page, statement);
		appendStringInfoString(page, "</li></ol>");
	}
	else
		appendStringInfoString(page, "<p class=\"dim\">No statement is known.</p>");
	if (tags != NULL)
	{
		appendStringInfoString(page, "<p class=\"tags\">");
		add_parts(page, tags, "<code><bdi>", "</bdi></code>");
		appendStringInfoString(page, "</p>");
	}
}

static void
add_cause(StringInfo page, const Digest *digest, int row)
{
	const Answer *causes = &digest->causes;
	const char *lock = answer_text(causes, row, "strongest_lock");
	int64		blocked = answer_int(causes, row, "blocked_sessions");

	appendStringInfoString(page, "<li><h3><span class=\"n\">");
	html_count(page, answer_int(causes, row, "incidents"));
	appendStringInfoString(page, "&times;</span>");
	html_name(page, answer_text(causes, row, "application_name"));
	appendStringInfoString(page, "<small>");
	table_kind_words(page, answer_text(causes, row, "kind"));
	appendStringInfoString(page, " &middot; ");
	html_name(page, answer_text(causes, row, "usename"));
	appendStringInfoString(page, " in ");
	html_name(page, answer_text(causes, row, "datname"));
	appendStringInfoString(page, "</small></h3>\n");
	add_code(page, digest, row);
	appendStringInfoString(page, "<dl>");
	table_begin_fact(page, "Longest");
	html_duration(page, answer_float(causes, row, "longest"));
	table_end_fact(page);
	table_begin_fact(page, "Kept waiting");
	if (blocked > 0)
		html_counted(page, blocked, "session", "sessions");
	else
		appendStringInfoString(page, "nobody");
	table_end_fact(page);
	table_time_fact(page, "First seen", answer_time(causes, row, "first_seen"));
	table_time_fact(page, "Last seen", answer_time(causes, row, "last_seen"));
	if (lock != NULL)
	{
		table_begin_fact(page, "Strongest lock");
		html_text(page, lock, 200);
		table_end_fact(page);
	}
	appendStringInfoString(page, "</dl>");
	add_ends(page, causes, row);
	appendStringInfoString(page, "</li>\n");
}

/* What leaked most. */
void
section_causes(StringInfo page, const Digest *digest)
{
	const Answer *causes = &digest->causes;

	table_begin_section(page, "What leaked most");
	if (causes->count == 0)
		appendStringInfoString(page, "<p>Nothing.</p>");
	else
	{
		int64		all = answer_int(causes, 0, "causes");

		appendStringInfoString(page, "<p>What the same application did last in the same database, with the statements of the newest time");
		if (all > causes->count)
		{
			appendStringInfo(page, ": the first %d of ", causes->count);
			html_count(page, all);
		}
		appendStringInfoString(page, ".</p><ol class=\"causes\">\n");
		for (int row = 0; row < causes->count; row++)
			add_cause(page, digest, row);
		appendStringInfoString(page, "</ol>");
	}
	table_end_section(page);
}

/* ---------- open now ---------- */

void
section_open(StringInfo page, const Digest *digest)
{
	static const char *const columns[] = {"Application", "Kind", "Since", "#For", "#Keeps waiting", "So far"};
	const Answer *open = &digest->open;

	if (open->count == 0)
		return;
	table_begin_section(page, "Open now");
	table_begin(page, "Sessions over a limit when this report was made, the longest first", columns, lengthof(columns));
	for (int row = 0; row < open->count; row++)
	{
		table_row_head(page, answer_text(open, row, "application_name"),
					   answer_text(open, row, "usename"), answer_text(open, row, "datname"));
		table_kind(page, answer_text(open, row, "kind"));
		appendStringInfoString(page, "<td>");
		html_time(page, answer_time(open, row, "since"));
		appendStringInfoString(page, "</td>");
		table_duration(page, answer_float(open, row, "duration"));
		table_number(page, answer_int(open, row, "blocked_sessions"));
		appendStringInfoString(page, "<td>");
		html_kind(page, answer_text(open, row, "action"));
		appendStringInfoString(page, "</td></tr>\n");
	}
	table_end(page);
	if (answer_int(open, 0, "all_open") > open->count)
	{
		appendStringInfoString(page, "<p class=\"dim\">And ");
		html_count(page, answer_int(open, 0, "all_open") - open->count);
		appendStringInfoString(page, " more.</p>");
	}
	table_end_section(page);
}

/* ---------- harm ---------- */

static void
add_waiters(StringInfo page, const Digest *digest)
{
	static const char *const columns[] = {"Waited", "For", "#Times", "#Sessions at most", "#Leak of up to", "With, for instance"};
	const Answer *harmed = &digest->harmed;

	table_begin(page, "Applications whose sessions waited for locks of leaked ones", columns, lengthof(columns));
	for (int row = 0; row < harmed->count; row++)
	{
		const char *statement = answer_text(harmed, row, "statement");

		table_row_head(page, answer_text(harmed, row, "blocked_application"), NULL, NULL);
		appendStringInfoString(page, "<td>");
		html_name(page, answer_text(harmed, row, "blocker"));
		appendStringInfoString(page, "</td>");
		table_number(page, answer_int(harmed, row, "incidents"));
		table_number(page, answer_int(harmed, row, "sessions"));
		table_duration(page, answer_float(harmed, row, "longest"));
		appendStringInfoString(page, "<td>");
		if (statement != NULL)
			table_statement(page, statement);
		appendStringInfoString(page, "</td></tr>\n");
	}
	table_end(page);
}

/* Whom leaks kept from what. */
void
section_harm(StringInfo page, const Digest *digest)
{
	const Answer *vacuum = &digest->vacuum;

	table_begin_section(page, "Who was harmed");
	if (digest->harmed.count == 0)
		appendStringInfoString(page, "<p>Nobody was seen waiting for a lock of a leaked session.</p>");
	else
		add_waiters(page, digest);
	for (int row = 0; row < vacuum->count; row++)
	{
		appendStringInfoString(page, "<p class=\"dim\">");
		html_name(page, answer_text(vacuum, row, "application_name"));
		appendStringInfoString(page, " alone kept VACUUM from removing the dead rows of up to ");
		html_counted(page, answer_int(vacuum, row, "transactions"), "transaction", "transactions");
		appendStringInfoString(page, ".</p>");
	}
	table_end_section(page);
}

/* ---------- terminations ---------- */

static void
add_ended(StringInfo page, const Digest *digest)
{
	static const char *const columns[] = {"Application", "Kind", "#Told to end", "#Ended by that", "#Only announced", "#By an administrator", "#By the server"};
	static const char *const values[] = {"told", "terminated", "announced", "by_admin", "by_server"};
	const Answer *answer = &digest->ends;

	table_begin(page, "Leaked sessions that were terminated, or would have been", columns, lengthof(columns));
	for (int row = 0; row < answer->count; row++)
	{
		table_row_head(page, answer_text(answer, row, "application_name"), NULL, NULL);
		table_kind(page, answer_text(answer, row, "kind"));
		for (int n = 0; n < lengthof(values); n++)
			table_number(page, answer_int(answer, row, values[n]));
		appendStringInfoString(page, "</tr>\n");
	}
	table_end(page);
}

static void
add_held(StringInfo page, const Digest *digest)
{
	static const char *const columns[] = {"Because of", "#Terminations held back"};
	const Answer *held = &digest->held;

	table_begin(page, "What was held back, by which rule, since the server started", columns, lengthof(columns));
	for (int row = 0; row < held->count; row++)
	{
		appendStringInfoString(page, "<tr><th scope=\"row\">");
		html_text(page, answer_text(held, row, "rule"), 100);
		appendStringInfoString(page, "</th>");
		table_number(page, answer_int(held, row, "count"));
		appendStringInfoString(page, "</tr>\n");
	}
	table_end(page);
}

/* Who was terminated, and who was not. */
void
section_ends(StringInfo page, const Digest *digest)
{
	table_begin_section(page, "Terminations");
	if (digest->ends.count == 0)
		appendStringInfoString(page, "<p>No leaked session was terminated.</p>");
	else
		add_ended(page, digest);
	if (digest->held.count == 0)
		appendStringInfoString(page, "<p>No rule has held one back since the server started.</p>");
	else
		add_held(page, digest);
	table_end_section(page);
}

/* ---------- settings ---------- */

/* A value of a setting, in words if it is a time. */
static void
add_value(StringInfo page, const char *value, double factor)
{
	if (factor > 0 && strcmp(value, "0") == 0)
		appendStringInfoString(page, "off");
	else if (factor > 0)
		html_duration(page, atof(value) * factor);
	else if (value == NULL || value[0] == '\0')
		appendStringInfoString(page, "empty");
	else
	{
		appendStringInfoString(page, "<bdi>");
		html_text(page, value, 300);
		appendStringInfoString(page, "</bdi>");
	}
}

static void
add_server_settings(StringInfo page, const Digest *digest)
{
	static const char *const columns[] = {"Setting", "Value", "Default"};
	const Answer *settings = &digest->settings;

	table_begin(page, "Of the server", columns, lengthof(columns));
	for (int row = 0; row < settings->count; row++)
	{
		double		factor = answer_float(settings, row, "factor");

		appendStringInfoString(page, "<tr><th scope=\"row\" class=\"nb\">");
		html_text(page, answer_text(settings, row, "name"), NAMEDATALEN);
		appendStringInfoString(page, "</th><td>");
		add_value(page, answer_text(settings, row, "setting"), factor);
		appendStringInfoString(page, "</td><td>");
		add_value(page, answer_text(settings, row, "boot_val"), factor);
		appendStringInfoString(page, "</td></tr>\n");
	}
	table_end(page);
}

static void
add_name_or_all(StringInfo page, const char *name)
{
	if (name != NULL)
		html_name(page, name);
	else
		appendStringInfoString(page, "all");
}

static void
add_policies(StringInfo page, const Digest *digest)
{
	static const char *const columns[] = {"Role", "Database", "Setting", "Value"};
	const Answer *policies = &digest->policies;

	table_begin(page, "Of roles and databases", columns, lengthof(columns));
	for (int row = 0; row < policies->count; row++)
	{
		appendStringInfoString(page, "<tr><th scope=\"row\">");
		add_name_or_all(page, answer_text(policies, row, "role"));
		appendStringInfoString(page, "</th><td>");
		add_name_or_all(page, answer_text(policies, row, "database"));
		appendStringInfoString(page, "</td><td>");
		html_text(page, answer_text(policies, row, "name"), NAMEDATALEN);
		appendStringInfoString(page, "</td><td>");
		add_value(page, answer_text(policies, row, "value"), 0);
		appendStringInfoString(page, "</td></tr>\n");
	}
	table_end(page);
}

/* The settings in force that differ from the defaults. */
void
section_settings(StringInfo page, const Digest *digest)
{
	table_begin_section(page, "Settings that differ from the defaults");
	if (digest->settings.count == 0 && digest->policies.count == 0)
		appendStringInfoString(page, "<p>None.</p>");
	if (digest->settings.count > 0)
		add_server_settings(page, digest);
	if (digest->policies.count > 0)
		add_policies(page, digest);
	table_end_section(page);
}

/* ---------- leakwatch itself ---------- */

static void
add_last_error(StringInfo page, const Answer *status)
{
	const char *error = answer_text(status, 0, "last_error");

	if (error == NULL)
		return;
	appendStringInfoString(page, "<p class=\"dim\">The last error of the ");
	html_text(page, answer_text(status, 0, "last_error_of"), 20);
	appendStringInfoString(page, ", at ");
	html_time(page, answer_time(status, 0, "last_error_at"));
	appendStringInfoString(page, ": <bdi>");
	html_text(page, error, 400);
	appendStringInfoString(page, "</bdi></p>");
}

/* How far the report can be trusted. */
void
section_health(StringInfo page, const Digest *digest)
{
	static const struct
	{
		const char *term;
		const char *column;
	}			counts[] = {
		{"Scans", "scans"},
		{"Client sessions now", "sessions"},
		{"Open incidents", "open"},
		{"Not yet recorded", "pending"},
		{"Lost for want of room", "dropped"},
		{"Room for incidents", "room"},
		{"Told to end, still there", "lingering"},
		{"Spared by the last look", "spared"},
		{"Clock jumps", "clock_jumps"},
	};
	const Answer *status = &digest->status;

	table_begin_section(page, "leakwatch itself");
	appendStringInfoString(page, "<p>How far this report can be trusted. Counts are since the server started.</p><dl>");
	table_begin_fact(page, "Health");
	html_text(page, answer_text(status, 0, "health"), 300);
	table_end_fact(page);
	table_time_fact(page, "Watching since", answer_time(status, 0, "watcher_started_at"));
	table_begin_fact(page, "A scan takes");
	appendStringInfo(page, "%.0f &micro;s", answer_float(status, 0, "scan_time") * USECS_PER_SEC);
	table_end_fact(page);
	for (int n = 0; n < lengthof(counts); n++)
		table_count_fact(page, counts[n].term, answer_int(status, 0, counts[n].column));
	table_begin_fact(page, "Statement text");
	appendStringInfoString(page, guc_capture_query ? "captured" : "not captured");
	table_end_fact(page);
	appendStringInfoString(page, "</dl>");
	add_last_error(page, status);
	if (strcmp(answer_text(status, 0, "standby"), "t") == 0)
		appendStringInfoString(page, "<p class=\"dim\">This is a standby: the history is that of its primary.</p>");
	table_end_section(page);
}
