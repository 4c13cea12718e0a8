/*-------------------------------------------------------------------------
 *
 * timeline.c
 *	  The plot of incidents over the time, a lane for each application.
 *
 * A lane with few incidents has a bar for each; one with more has as many bars
 * as there is room for, whose height is how many were open at once.  So the
 * plot is of the same size for a hundred incidents and for a hundred thousand,
 * which are read once, some at a time.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "html.h"
#include "plot.h"
#include "style.h"
#include "timeline.h"
#include "utils/memutils.h"

#define FETCH		1000
#define MAX_BARS	60			/* incidents that have a bar each */
#define MAX_ROWS	8			/* of bars in a lane */
#define NUM_BINS	225			/* of a lane with more */
#define BIN_WIDTH	4
#define TOP			20
#define ROW_HEIGHT	7
#define DENSE_HEIGHT 44
#define MIN_HEIGHT	26			/* of a lane, for its name */

StaticAssertDecl(NUM_BINS * BIN_WIDTH == PLOT_RIGHT - PLOT_LEFT, "bins must fill the plot");

/* An incident with a bar of its own. */
typedef struct Bar
{
	TimestampTz since;
	TimestampTz until;
	int			style;
	int			row;
	int64		blocked;
	double		duration;		/* s */
	bool		open;
} Bar;

typedef struct Lane
{
	const char *application;
	int			count;
	Bar			bars[MAX_BARS];
	int			nrows;

	/* how many more of a kind are open from a bin on than before it */
	int			change[STYLE_KINDS][NUM_BINS + 1];
} Lane;

typedef struct Timeline
{
	const Digest *digest;
	Axis		axis;
	int			nlanes;
	Lane	   *lanes;
	bool		seen[STYLE_KINDS];
} Timeline;

/* ---------- reading ---------- */

static bool
is_same_name(const char *a, const char *b)
{
	return strcmp(a != NULL ? a : "", b != NULL ? b : "") == 0;
}

static Lane *
lane_of(Timeline *timeline, const char *application)
{
	for (int n = 0; n < timeline->nlanes; n++)
	{
		if (is_same_name(timeline->lanes[n].application, application))
			return &timeline->lanes[n];
	}
	return NULL;
}

static int
bin_of(const Axis *axis, TimestampTz time)
{
	int			bin = (int) ((double) (time - axis->since) / (double) (axis->until - axis->since) * NUM_BINS);

	return Min(Max(bin, 0), NUM_BINS - 1);
}

static void
read_incident(Timeline *timeline, const Answer *answer, int row)
{
	Lane	   *lane = lane_of(timeline, answer_text(answer, row, "application_name"));
	Bar			bar = {
		.since = answer_time(answer, row, "since"),
		.until = answer_time(answer, row, "until"),
		.style = style_of_kind(answer_text(answer, row, "kind")),
		.blocked = answer_int(answer, row, "blocked_sessions"),
		.duration = answer_float(answer, row, "duration"),
		.open = strcmp(answer_text(answer, row, "outcome"), "open") == 0,
	};

	if (lane == NULL)
		return;
	timeline->seen[bar.style] = true;
	if (lane->count < MAX_BARS)
		lane->bars[lane->count] = bar;
	lane->count++;
	lane->change[bar.style][bin_of(&timeline->axis, bar.since)]++;
	lane->change[bar.style][bin_of(&timeline->axis, bar.until) + 1]--;
}

static void
read_all(Timeline *timeline)
{
	Portal		portal = digest_incidents(&timeline->digest->question);
	Answer		answer = {0};
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "leakwatch timeline",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext oldcontext = CurrentMemoryContext;

	while (answer_fetch(&answer, portal, FETCH))
	{
		CHECK_FOR_INTERRUPTS();
		MemoryContextSwitchTo(context);
		for (int row = 0; row < answer.count; row++)
			read_incident(timeline, &answer, row);
		MemoryContextSwitchTo(oldcontext);
		MemoryContextReset(context);
	}
	SPI_cursor_close(portal);
	MemoryContextDelete(context);
}

/* ---------- few incidents ---------- */

static int
by_since(const void *a, const void *b)
{
	TimestampTz sa = ((const Bar *) a)->since;
	TimestampTz sb = ((const Bar *) b)->since;

	return sa < sb ? -1 : sa > sb;
}

/* Where a bar ends: it is to be seen, however short the incident was. */
static double
bar_end(const Axis *axis, const Bar *bar)
{
	return Max(plot_x(axis, bar->until), plot_x(axis, bar->since) + 2.5);
}

/* Put each bar into the first row that is free, or into the last one. */
static void
place_bars(Timeline *timeline, Lane *lane)
{
	double		free_from[MAX_ROWS] = {0};

	qsort(lane->bars, lane->count, sizeof(Bar), by_since);
	for (int n = 0; n < lane->count; n++)
	{
		Bar		   *bar = &lane->bars[n];
		int			row = 0;

		while (row < MAX_ROWS - 1 && free_from[row] > plot_x(&timeline->axis, bar->since))
			row++;
		bar->row = row;
		free_from[row] = bar_end(&timeline->axis, bar) + 1;
		lane->nrows = Max(lane->nrows, row + 1);
	}
}

static void
add_bar(StringInfo page, const Axis *axis, const Bar *bar, int top)
{
	double		x = plot_x(axis, bar->since);
	int			y = top + 5 + bar->row * ROW_HEIGHT;

	appendStringInfo(page, "<rect class=\"k%d%s\" x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"5\" rx=\"1.5\"><title>",
					 bar->style, bar->open ? " op" : "", x, y, bar_end(axis, bar) - x);
	html_moment(page, bar->since, MOMENT_WHOLE);
	appendStringInfoString(page, ", ");
	html_duration(page, bar->duration);
	if (bar->blocked > 0)
		appendStringInfo(page, ", blocked " INT64_FORMAT, bar->blocked);
	appendStringInfoString(page, "</title></rect>");
	if (bar->blocked > 1)
		appendStringInfo(page, "<circle class=\"ring\" cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\"/>",
						 x, y + 2.5, bar->blocked < 10 ? 3.2 : 4.2);
}

/* ---------- many ---------- */

/* How many were open in each bin, of a kind and those before it. */
typedef int Heights[STYLE_KINDS][NUM_BINS];

static void
add_up(const Lane *lane, Heights heights)
{
	for (int style = 0; style < STYLE_KINDS; style++)
	{
		int			open = 0;

		for (int bin = 0; bin < NUM_BINS; bin++)
		{
			open += lane->change[style][bin];
			heights[style][bin] = open + (style > 0 ? heights[style - 1][bin] : 0);
		}
	}
}

static int
most_of(const int *heights)
{
	int			most = 0;

	for (int bin = 0; bin < NUM_BINS; bin++)
		most = Max(most, heights[bin]);
	return most;
}

/* An area with a step for each change of its height. */
static void
add_steps(StringInfo page, const int *heights, int style, int most, int bottom)
{
	double		unit = (double) (DENSE_HEIGHT - 14) / most;

	appendStringInfo(page, "<path class=\"k%d\" d=\"M%d %d", style, PLOT_LEFT, bottom);
	for (int bin = 0, next; bin < NUM_BINS; bin = next)
	{
		for (next = bin + 1; next < NUM_BINS && heights[next] == heights[bin];)
			next++;
		appendStringInfo(page, "V%.1fh%d",
						 bottom - (heights[bin] > 0 ? Max(heights[bin] * unit, 0.8) : 0),
						 (next - bin) * BIN_WIDTH);
	}
	appendStringInfo(page, "V%dz\"/>", bottom);
}

/* The kinds upon each other: the last one's area is behind those before it. */
static void
add_dense_lane(StringInfo page, const Lane *lane, int top)
{
	Heights		heights;
	int			most;

	add_up(lane, heights);
	most = Max(most_of(heights[STYLE_KINDS - 1]), 1);
	for (int style = STYLE_KINDS - 1; style >= 0; style--)
	{
		if (style == 0 ? most_of(heights[0]) > 0 :
			memcmp(heights[style], heights[style - 1], sizeof(heights[style])) != 0)
			add_steps(page, heights[style], style, most, top + DENSE_HEIGHT - 4);
	}
	appendStringInfo(page, "<text x=\"0\" y=\"%d\">up to ", top + 31);
	html_count(page, most);
	appendStringInfoString(page, " at once</text>");
}

/* ---------- the plot ---------- */

static bool
is_dense(const Lane *lane)
{
	return lane->count > MAX_BARS;
}

static int
lane_height(const Lane *lane)
{
	return is_dense(lane) ? DENSE_HEIGHT : Max(MIN_HEIGHT, lane->nrows * ROW_HEIGHT + 8);
}

static void
add_lane(StringInfo page, const Timeline *timeline, const Lane *lane, int top)
{
	appendStringInfo(page, "<path class=\"g\" d=\"M0 %dH%d\"/><text class=\"lb\" x=\"0\" y=\"%d\">", top, PLOT_RIGHT, top + 17);
	if (lane->application != NULL && lane->application[0] != '\0')
		html_text(page, lane->application, 20);
	else
		appendStringInfoString(page, "(without name)");
	appendStringInfoString(page, "</text>");
	if (is_dense(lane))
		add_dense_lane(page, lane, top);
	for (int n = 0; !is_dense(lane) && n < lane->count; n++)
		add_bar(page, &timeline->axis, &lane->bars[n], top);
	appendStringInfoChar(page, '\n');
}

/* In words, who leaked most. */
static void
add_most(StringInfo page, const Answer *applications)
{
	int			count = Min(applications->count, 3);

	appendStringInfoString(page, count > 1 ? "Most leaks were of " : "All leaks were of ");
	for (int n = 0; n < count; n++)
	{
		if (n > 0)
			appendStringInfoString(page, n == count - 1 ? " and " : ", ");
		html_name(page, answer_text(applications, n, "application_name"));
		appendStringInfoString(page, " (");
		html_count(page, answer_int(applications, n, "incidents"));
		appendStringInfoChar(page, ')');
	}
	appendStringInfoString(page, ". ");
}

static void
add_caption(StringInfo page, const Timeline *timeline)
{
	int64		applications = answer_int(&timeline->digest->totals, 0, "applications");
	bool		bars = false;
	bool		dense = false;

	for (int n = 0; n < timeline->nlanes; n++)
	{
		dense |= is_dense(&timeline->lanes[n]);
		bars |= !is_dense(&timeline->lanes[n]);
	}
	appendStringInfoString(page, "<figcaption>");
	add_most(page, &timeline->digest->applications);
	if (bars)
		appendStringInfoString(page, "Each bar is a leak, from its beginning to its end. An outline marks one that is still open, a ring one that kept two or more sessions waiting. ");
	if (dense)
		appendStringInfoString(page, "Where there were too many, the height is how many were open at once. ");
	if (applications > timeline->nlanes)
	{
		appendStringInfoString(page, "These are the applications with most leaks, of ");
		html_count(page, applications);
		appendStringInfoString(page, ". ");
	}
	appendStringInfoString(page, "<ul class=\"key\">");
	for (int style = 0; style < STYLE_KINDS; style++)
	{
		if (!timeline->seen[style])
			continue;
		appendStringInfo(page, "<li><span class=\"sw k%d\"></span>", style);
		html_kind(page, style_kind_name(style));
		appendStringInfoString(page, "</li>");
	}
	appendStringInfoString(page, "</ul></figcaption></figure>");
}

/* The lanes of the applications with most incidents. */
void
timeline_plot(StringInfo page, const Digest *digest)
{
	Timeline	timeline = {
		.digest = digest,
		.axis = {digest->question.since, digest->question.until, TOP},
		.nlanes = digest->applications.count,
	};
	int			top = TOP;

	timeline.lanes = palloc0(Max(timeline.nlanes, 1) * sizeof(Lane));
	for (int n = 0; n < timeline.nlanes; n++)
		timeline.lanes[n].application = answer_text(&digest->applications, n, "application_name");
	read_all(&timeline);
	for (int n = 0; n < timeline.nlanes; n++)
	{
		if (!is_dense(&timeline.lanes[n]))
			place_bars(&timeline, &timeline.lanes[n]);
		timeline.axis.bottom += lane_height(&timeline.lanes[n]);
	}

	plot_begin(page, "timeline", timeline.axis.bottom + 6, "Leaks over time, a lane for each application");
	plot_ticks(page, &timeline.axis);
	for (int n = 0; n < timeline.nlanes; n++)
	{
		add_lane(page, &timeline, &timeline.lanes[n], top);
		top += lane_height(&timeline.lanes[n]);
	}
	plot_end(page);
	add_caption(page, &timeline);
}
