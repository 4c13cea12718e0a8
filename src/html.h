/*-------------------------------------------------------------------------
 *
 * html.h
 *	  Text, numbers and times in HTML.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_HTML_H
#define LEAKWATCH_HTML_H

#include "lib/stringinfo.h"
#include "utils/timestamp.h"

/* What is shown of a time. */
typedef enum HtmlMoment
{
	MOMENT_DAY,
	MOMENT_MINUTE,
	MOMENT_SECOND,
	MOMENT_WHOLE,				/* day and minute */
	MOMENT_DATED				/* with the year */
} HtmlMoment;

extern void html_text(StringInfo page, const char *text, int max_length);
extern void html_name(StringInfo page, const char *name);
extern void html_kind(StringInfo page, const char *kind);
extern void html_count(StringInfo page, int64 count);
extern void html_counted(StringInfo page, int64 count, const char *one, const char *many);
extern void html_duration(StringInfo page, double seconds);
extern void html_time(StringInfo page, TimestampTz time);
extern void html_date(StringInfo page, TimestampTz time);
extern void html_moment(StringInfo page, TimestampTz time, HtmlMoment moment);

#endif							/* LEAKWATCH_HTML_H */
