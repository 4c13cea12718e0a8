/*-------------------------------------------------------------------------
 *
 * page.c
 *	  leakwatch.report(): one page that shows what happened.
 *
 * It is self-contained: it has a style sheet and plots, and a policy that forbids
 * all else, scripts and what would have to be fetched.  What is in it is read
 * with the rights of the caller.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "catalog/pg_authid.h"
#include "commands/dbcommands.h"
#include "digest.h"
#include "guc.h"
#include "html.h"
#include "miscadmin.h"
#include "plot.h"
#include "section.h"
#include "shmem.h"
#include "style.h"
#include "timeline.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"

PGDLLEXPORT Datum leakwatch_report(PG_FUNCTION_ARGS);

PG_FUNCTION_INFO_V1(leakwatch_report);

/* A report is about a hundred years at the most. */
#define MAX_DAYS	36525

/* ---------- the head ---------- */

/* The hash by which the policy of the page knows its style sheet. */
static char *
style_hash(void)
{
	Datum		hash = DirectFunctionCall1(sha256_bytea, CStringGetTextDatum(style_sheet));

	return TextDatumGetCString(DirectFunctionCall2(binary_encode, hash, CStringGetTextDatum("base64")));
}

static void
add_head(StringInfo page, const Question *question)
{
	appendStringInfo(page,
					 "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
					 "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-%s'; base-uri 'none'; form-action 'none'\">\n"
					 "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
					 "<meta name=\"referrer\" content=\"no-referrer\">\n<title>Leaked sessions, ",
					 style_hash());
	html_moment(page, question->since, MOMENT_DATED);
	appendStringInfoString(page, " to ");
	html_moment(page, question->until, MOMENT_DATED);
	/* no character reference is one in a style sheet: it has no markup in it */
	appendStringInfo(page, "</title>\n<style>%s</style>\n</head>\n<body>\n<main>\n", style_sheet);
}

/* Which server, when, by what. */
static void
add_origin(StringInfo page, const Question *question)
{
	const char *name = GetConfigOption("cluster_name", true, false);

	appendStringInfoString(page, "<header><p class=\"meta\">");
	if (name != NULL && name[0] != '\0')
	{
		html_name(page, name);
		appendStringInfoString(page, ", ");
	}
	appendStringInfo(page, "port %s &middot; ", GetConfigOption("port", false, false));
	html_date(page, question->since);
	appendStringInfoString(page, " to ");
	html_date(page, question->until);
	appendStringInfoChar(page, ' ');
	html_text(page, GetConfigOption("TimeZone", false, false), 60);
	appendStringInfo(page, " &middot; leakwatch " LEAKWATCH_VERSION " on PostgreSQL %s</p>\n",
					 strtok(pstrdup(GetConfigOption("server_version", false, false)), " "));
}

/* ---------- the headline ---------- */

/* The most connections at once, in percent of the limit; -1 if not known. */
static int
peak_percent(const Digest *digest)
{
	int64		limit = digest->limit.count > 0 ? answer_int(&digest->limit, 0, "limit") : 0;
	int64		peak = 0;

	for (int row = 0; row < digest->usage.count; row++)
		peak = Max(peak, answer_int(&digest->usage, row, "peak"));
	return limit > 0 && digest->usage.count > 0 ? (int) (100 * peak / limit) : -1;
}

static int64
rejected(const Digest *digest)
{
	int64		sum = 0;

	for (int row = 0; row < digest->usage.count; row++)
		sum += answer_int(&digest->usage, row, "rejected");
	return sum;
}

static void
add_headline(StringInfo page, const Digest *digest)
{
	const Answer *totals = &digest->totals;
	int64		terminated = answer_int(totals, 0, "terminated");
	int			percent = peak_percent(digest);

	appendStringInfoString(page, "<h1>");
	if (answer_int(totals, 0, "incidents") == 0)
		appendStringInfoString(page, "Nobody leaked a session");
	else
	{
		html_counted(page, answer_int(totals, 0, "applications"), "application", "applications");
		appendStringInfoString(page, " leaked <em>");
		html_counted(page, answer_int(totals, 0, "sessions"), "connection", "connections");
		appendStringInfoString(page, "</em>; ");
		if (terminated == 0)
			appendStringInfoString(page, "none was terminated");
		else
		{
			html_count(page, terminated);
			appendStringInfoString(page, terminated == 1 ? " was terminated" : " were terminated");
		}
	}
	if (percent >= 0)
		appendStringInfo(page, "; connections peaked at %d&nbsp;%% of the limit", percent);
	appendStringInfoString(page, "</h1>\n");
}

/* What is behind most of it. */
static void
add_worst(StringInfo page, const Answer *causes)
{
	int64		incidents = answer_int(causes, 0, "incidents");
	int64		blocked = answer_int(causes, 0, "blocked_sessions");

	appendStringInfoString(page, incidents > 1 ? "Most often it was " : "First of all it was ");
	html_name(page, answer_text(causes, 0, "application_name"));
	appendStringInfoString(page, ": ");
	html_kind(page, answer_text(causes, 0, "kind"));
	if (incidents > 1)
	{
		appendStringInfoString(page, ", ");
		html_count(page, incidents);
		appendStringInfoString(page, " times in the same way, for up to ");
	}
	else
		appendStringInfoString(page, " for ");
	html_duration(page, answer_float(causes, 0, "longest"));
	if (blocked > 0)
	{
		appendStringInfoString(page, blocked > 1 ? ", which kept up to " : ", which kept ");
		html_counted(page, blocked, "session", "sessions");
		appendStringInfoString(page, " waiting");
	}
	appendStringInfoString(page, ". ");
}

/* What the headline does not say: the worst of it, and what is not known here. */
static void
add_lede(StringInfo page, const Digest *digest)
{
	char	   *database = get_database_name(MyDatabaseId);

	appendStringInfoString(page, "<p class=\"lede\">");
	if (digest->causes.count > 0)
		add_worst(page, &digest->causes);
	if (answer_int(&digest->totals, 0, "more") > 0)
		appendStringInfoString(page, "There were more leaks than this report can take: it is of the newest ones. ");
	if (database == NULL || strcmp(database, guc_database) != 0)
	{
		appendStringInfoString(page, "Leaks are recorded in database ");
		html_name(page, guc_database);
		appendStringInfoString(page, ", not in ");
		html_name(page, database);
		appendStringInfoString(page, ", where this report was made. It has what is going on now, and nothing else that was not recorded here.");
	}
	appendStringInfoString(page, "</p>\n");
}

static void
add_tile(StringInfo page, bool bad, int64 count, const char *words)
{
	appendStringInfo(page, "<li%s><b>", bad ? " class=\"bad\"" : "");
	html_count(page, count);
	appendStringInfo(page, "</b><span>%s</span></li>", words);
}

static void
add_tiles(StringInfo page, const Digest *digest)
{
	const Answer *totals = &digest->totals;
	int64		open = digest->open.count > 0 ? answer_int(&digest->open, 0, "all_open") : 0;
	int64		turned_away = rejected(digest);
	StringInfoData words;

	initStringInfo(&words);
	html_count(&words, answer_int(&digest->before, 0, "incidents"));
	appendStringInfoString(page, "<ul class=\"tiles\">");
	add_tile(page, answer_int(totals, 0, "incidents") > 0, answer_int(totals, 0, "incidents"),
			 psprintf("%s, %s in as much time before",
					  answer_int(totals, 0, "incidents") == 1 ? "leak" : "leaks", words.data));
	add_tile(page, open > 0, open, "open now");
	add_tile(page, answer_int(totals, 0, "blocked") > 0, answer_int(totals, 0, "blocked"),
			 answer_int(totals, 0, "blocked") == 1 ? "session kept waiting by one leak" :
			 "sessions kept waiting by one leak, at most");
	appendStringInfoString(page, "<li><b>");
	if (answer_int(totals, 0, "incidents") > 0)
		html_duration(page, answer_float(totals, 0, "longest"));
	else
		appendStringInfoString(page, "&ndash;");
	appendStringInfoString(page, "</b><span>longest leak</span></li>");
	add_tile(page, turned_away > 0, turned_away,
			 turned_away == 1 ? "client turned away" : "clients turned away");
	add_tile(page, false, answer_int(totals, 0, "terminated"), "terminated by leakwatch");
	appendStringInfoString(page, "</ul>\n");
}

/* ---------- the page ---------- */

static void
add_plots(StringInfo page, const Digest *digest)
{
	appendStringInfoString(page, "<section><h2>Connections</h2>\n");
	plot_connections(page, digest);
	appendStringInfoString(page, "</section>\n<section><h2>When</h2>\n");
	if (digest->applications.count > 0)
		timeline_plot(page, digest);
	else
		appendStringInfoString(page, "<p>There is nothing to show.</p>");
	appendStringInfoString(page, "</section>\n");
}

static void
write_page(StringInfo page, const Question *question)
{
	Digest		digest;

	digest_get(&digest, question);
	add_head(page, question);
	add_origin(page, question);
	add_headline(page, &digest);
	add_lede(page, &digest);
	appendStringInfoString(page, "</header>\n");
	add_tiles(page, &digest);
	add_plots(page, &digest);
	section_causes(page, &digest);
	section_open(page, &digest);
	section_harm(page, &digest);
	section_ends(page, &digest);
	section_settings(page, &digest);
	section_health(page, &digest);
	appendStringInfoString(page, "<footer><p>Made by leakwatch.report(). This page loads nothing and runs nothing.</p></footer>\n</main>\n</body>\n</html>");
}

/* The time from which on the report is, or an error that says why there is none. */
static TimestampTz
begin_of(Datum interval, TimestampTz until)
{
	TimestampTz since = DatumGetTimestampTz(DirectFunctionCall2(timestamptz_mi_interval,
																TimestampTzGetDatum(until), interval));

	if (since >= until || TIMESTAMP_NOT_FINITE(since) || (until - since) / USECS_PER_DAY > MAX_DAYS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a report cannot be about the last \"%s\"",
						DatumGetCString(DirectFunctionCall1(interval_out, interval))),
				 errdetail("The time that it is about must be more than zero and no more than a hundred years."),
				 errhint("Call it as leakwatch.report('24 hours').")));
	return since;
}

/*
 * leakwatch.report(since interval): the page.
 */
Datum
leakwatch_report(PG_FUNCTION_ARGS)
{
	Question	question;
	StringInfoData page;

	shmem_require();
	question.until = GetCurrentTimestamp();
	question.since = begin_of(PG_GETARG_DATUM(0), question.until);
	question.statements = has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS);

	initStringInfo(&page);
	SPI_connect();
	write_page(&page, &question);
	SPI_finish();
	PG_RETURN_TEXT_P(cstring_to_text_with_len(page.data, page.len));
}
