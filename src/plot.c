/*-------------------------------------------------------------------------
 *
 * plot.c
 *	  The plots of the report: what they have in common, and that of connections.
 *
 * Each is an SVG whose title says what it shows, in a figure whose caption says
 * what is to be seen.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "html.h"
#include "pgtime.h"
#include "plot.h"
#include "utils/datetime.h"

#define TOP		18
#define HEIGHT	150

/* Where a time stands. */
double
plot_x(const Axis *axis, TimestampTz time)
{
	double		part = (double) (time - axis->since) / (double) (axis->until - axis->since);

	return PLOT_LEFT + Min(Max(part, 0), 1) * (PLOT_RIGHT - PLOT_LEFT);
}

/* The shortest round step that gives no more than nine ticks, if there is one. */
static int64
tick_step(const Axis *axis)
{
	static const int seconds[] = {
		1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200,
		86400, 172800, 432000, 864000, 2592000, 7776000
	};
	int			n = 0;

	while (n < lengthof(seconds) - 1 &&
		   (axis->until - axis->since) / (seconds[n] * USECS_PER_SEC) >= 9)
		n++;
	return Max(seconds[n] * USECS_PER_SEC, (axis->until - axis->since) / 9);
}

static HtmlMoment
tick_moment(int64 step)
{
	if (step >= USECS_PER_DAY)
		return MOMENT_DAY;
	return step >= USECS_PER_MINUTE ? MOMENT_MINUTE : MOMENT_SECOND;
}

/* Lines at round times of the session's time zone, and the times above them. */
void
plot_ticks(StringInfo page, const Axis *axis)
{
	int64		step = tick_step(axis);
	struct pg_tm tm;
	fsec_t		fsec;
	int			tz = 0;
	TimestampTz first;

	if (timestamp2tm(axis->since, &tz, &tm, &fsec, NULL, NULL) != 0)
		return;
	first = axis->since - tz * USECS_PER_SEC;
	first += (step - first % step) % step + tz * USECS_PER_SEC;
	for (TimestampTz at = first; at <= axis->until; at += step)
	{
		double		x = plot_x(axis, at);

		appendStringInfo(page, "<path class=\"g\" d=\"M%.1f 16V%d\"/><text x=\"%.1f\" y=\"11\" text-anchor=\"%s\">",
						 x, axis->bottom, x, x > PLOT_RIGHT - 20 ? "end" : "middle");
		html_moment(page, at, tick_moment(step));
		appendStringInfoString(page, "</text>");
	}
}

/* A figure and its plot, which can be scrolled where the screen is narrow. */
void
plot_begin(StringInfo page, const char *id, int height, const char *title)
{
	appendStringInfo(page, "<figure class=\"plot\"><div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-labelledby=\"%s\">"
					 "<svg role=\"img\" aria-labelledby=\"%s\" viewBox=\"0 0 %d %d\"><title id=\"%s\">%s</title>\n",
					 id, id, PLOT_WIDTH, height, id, title);
}

void
plot_end(StringInfo page)
{
	appendStringInfoString(page, "</svg></div>");
}

/* ---------- connections ---------- */

typedef struct Scale
{
	int64		top;			/* the value at the top */
	int			bottom;
} Scale;

static double
scale_y(const Scale *scale, int64 value)
{
	return scale->bottom - (double) value / scale->top * (scale->bottom - TOP - 8);
}

/* Lines at round numbers, at most five. */
static void
add_grid(StringInfo page, const Scale *scale)
{
	int64		step = 1;
	static const int factors[] = {2, 5, 10};
	int64		decade = 1;

	for (int n = 0; scale->top / step > 4; n = (n + 1) % 3)
	{
		step = decade * factors[n];
		if (n == 2)
			decade *= 10;
	}
	for (int64 value = 0; value <= scale->top; value += step)
		appendStringInfo(page, "<path class=\"g\" d=\"M%d %.1fH%d\"/><text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">" INT64_FORMAT "</text>",
						 PLOT_LEFT, scale_y(scale, value), PLOT_RIGHT, PLOT_LEFT - 6,
						 scale_y(scale, value) + 4, value);
}

/* Does the row after this one follow it without a gap? */
static bool
is_followed(const Answer *usage, int row)
{
	return row + 1 < usage->count &&
		answer_time(usage, row + 1, "at") - answer_time(usage, row, "at") <=
		(TimestampTz) (2.5 * answer_float(usage, row, "step") * USECS_PER_SEC);
}

/* An area under a column of the samples, or with the class of a line its edge. */
static void
add_curve(StringInfo page, const Axis *axis, const Scale *scale, const Answer *usage,
		  const char *column, const char *class, bool area)
{
	bool		begun = false;

	appendStringInfo(page, "<path class=\"%s\" d=\"", class);
	for (int row = 0; row < usage->count; row++)
	{
		TimestampTz at = answer_time(usage, row, "at");
		double		x = plot_x(axis, at);
		double		end = plot_x(axis, at + (TimestampTz) (answer_float(usage, row, "step") * USECS_PER_SEC));
		double		y = scale_y(scale, answer_int(usage, row, column));
		bool		followed = is_followed(usage, row);

		if (!begun && area)
			appendStringInfo(page, "M%.1f %dL%.1f %.1f", x, scale->bottom, x, y);
		else
			appendStringInfo(page, "%c%.1f %.1f", begun ? 'L' : 'M', x, y);
		if (!followed)
			appendStringInfo(page, "H%.1f", end);
		if (!followed && area)
			appendStringInfo(page, "V%dZ", scale->bottom);
		begun = followed;
	}
	appendStringInfoString(page, "\"/>");
}

/* A mark for each time in which clients were turned away. */
static void
add_rejections(StringInfo page, const Axis *axis, const Answer *usage)
{
	for (int row = 0; row < usage->count; row++)
	{
		int64		rejected = answer_int(usage, row, "rejected");
		double		x = plot_x(axis, answer_time(usage, row, "at"));

		if (rejected == 0)
			continue;
		appendStringInfo(page, "<path class=\"ref\" d=\"M%.1f %dl4 7h-8z\"><title>", x, TOP - 1);
		html_moment(page, answer_time(usage, row, "at"), MOMENT_WHOLE);
		appendStringInfo(page, ": " INT64_FORMAT " turned away</title></path>", rejected);
	}
}

static void
add_limit(StringInfo page, const Scale *scale, int64 limit)
{
	double		y = scale_y(scale, limit);

	appendStringInfo(page, "<path class=\"lim\" d=\"M%d %.1fH%d\"/><text class=\"lb\" x=\"0\" y=\"%.1f\">limit ",
					 PLOT_LEFT, y, PLOT_RIGHT, y + 4);
	html_count(page, limit);
	appendStringInfoString(page, "</text>");
}

/* What is to be seen, in words. */
static void
add_connections_caption(StringInfo page, const Answer *usage, int64 limit)
{
	int			peak = 0;
	int64		rejected = 0;

	for (int row = 0; row < usage->count; row++)
	{
		if (answer_int(usage, row, "peak") > answer_int(usage, peak, "peak"))
			peak = row;
		rejected += answer_int(usage, row, "rejected");
	}
	appendStringInfoString(page, "<figcaption>The most at once were ");
	html_count(page, answer_int(usage, peak, "peak"));
	if (limit > 0)
	{
		appendStringInfoString(page, " of ");
		html_count(page, limit);
	}
	appendStringInfoString(page, ", at ");
	html_time(page, answer_time(usage, peak, "at"));
	appendStringInfoString(page, "; ");
	if (rejected == 0)
		appendStringInfoString(page, "no client was turned away");
	else
		html_counted(page, rejected, "client was turned away", "clients were turned away");
	appendStringInfoString(page, ".<ul class=\"key\"><li><span class=\"sw c-used\"></span>in use</li>"
						   "<li><span class=\"sw c-held\"></span>over a limit of leakwatch</li>");
	if (rejected > 0)
		appendStringInfoString(page, "<li><svg class=\"mark\" viewBox=\"0 0 10 9\" aria-hidden=\"true\"><path class=\"ref\" d=\"M5 0l5 9H0z\"/></svg>clients turned away</li>");
	appendStringInfoString(page, "</ul></figcaption></figure>");
}

/* How many connections were used, of how many. */
void
plot_connections(StringInfo page, const Digest *digest)
{
	const Answer *usage = &digest->usage;
	int64		limit = digest->limit.count > 0 ? answer_int(&digest->limit, 0, "limit") : 0;
	Axis		axis = {digest->question.since, digest->question.until, HEIGHT};
	Scale		scale = {Max(limit, 1), HEIGHT};

	if (usage->count == 0)
	{
		appendStringInfoString(page, "<p>Nothing is known of this time.</p>");
		return;
	}
	for (int row = 0; row < usage->count; row++)
		scale.top = Max(scale.top, answer_int(usage, row, "peak"));

	plot_begin(page, "connections", HEIGHT + 8,
			   "Connections in use over time, with the limit and those that leaks held");
	plot_ticks(page, &axis);
	add_grid(page, &scale);
	add_curve(page, &axis, &scale, usage, "peak", "ua", true);
	add_curve(page, &axis, &scale, usage, "peak", "ul", false);
	add_curve(page, &axis, &scale, usage, "leaked", "ha", true);
	if (limit > 0)
		add_limit(page, &scale, limit);
	add_rejections(page, &axis, usage);
	plot_end(page);
	add_connections_caption(page, usage, limit);
}
