/*-------------------------------------------------------------------------
 *
 * exposition.c
 *	  The SQL functions about metrics: metrics() and openmetrics().
 *
 * From shared memory and the shared catalogs, so they work on a standby and
 * while nothing can be recorded.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "funcapi.h"
#include "lib/stringinfo.h"
#include "metrics.h"
#include "row.h"
#include "shmem.h"
#include "utils/builtins.h"
#include "utils/float.h"

PGDLLEXPORT Datum leakwatch_metrics(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum leakwatch_openmetrics(PG_FUNCTION_ARGS);

PG_FUNCTION_INFO_V1(leakwatch_metrics);
PG_FUNCTION_INFO_V1(leakwatch_openmetrics);

/* ---------- as rows ---------- */

typedef struct RowSink
{
	Row			row;
	FunctionCallInfo fcinfo;
} RowSink;

static void
put_row(void *arg, const Metric *metric, const char *const *labels, double value)
{
	RowSink    *sink = arg;
	Row		   *row = &sink->row;

	row_text(row, "name", metric->name);
	row_text(row, "type", metrics_type_name(metric->type));
	row_text(row, "help", metric->help);
	row_pairs(row, "labels", metric->label, labels, metrics_label_count(metric));
	row_float(row, "value", value);
	row_put(row, sink->fcinfo);
}

/*
 * leakwatch.metrics(): what is measured, a row for each value.
 */
Datum
leakwatch_metrics(PG_FUNCTION_ARGS)
{
	RowSink		sink = {.fcinfo = fcinfo};

	shmem_require();
	InitMaterializedSRF(fcinfo, 0);
	row_init(&sink.row, ((ReturnSetInfo *) fcinfo->resultinfo)->setDesc);
	metrics_measure(put_row, &sink);
	return (Datum) 0;
}

/* ---------- as text ---------- */

typedef struct TextSink
{
	StringInfoData text;
	bool		strict;
	const Metric *metric;		/* whose values are being written */
} TextSink;

static bool
ends_with(const char *text, const char *end)
{
	size_t		length = strlen(text);

	return length >= strlen(end) && strcmp(text + length - strlen(end), end) == 0;
}

/* What stands before the values of a metric: its type, unit and meaning. */
static void
append_head(TextSink *sink, const Metric *metric)
{
	char	   *name = pstrdup(metric->name);

	/* to OpenMetrics "_total" is of the values, to all before it of the name */
	if (sink->strict && ends_with(name, "_total"))
		name[strlen(name) - strlen("_total")] = '\0';
	appendStringInfo(&sink->text, "# TYPE %s %s\n", name, metrics_type_name(metric->type));
	if (ends_with(name, "_seconds"))
		appendStringInfo(&sink->text, "# UNIT %s seconds\n", name);
	appendStringInfo(&sink->text, "# HELP %s %s\n", name, metric->help);
	pfree(name);
}

static void
append_label(StringInfo text, const char *name, const char *value)
{
	appendStringInfo(text, "%s=\"", name);
	for (const char *c = value; *c != '\0'; c++)
	{
		if (*c == '\n')
			appendStringInfoString(text, "\\n");
		else
		{
			if (*c == '"' || *c == '\\')
				appendStringInfoChar(text, '\\');
			appendStringInfoChar(text, *c);
		}
	}
	appendStringInfoChar(text, '"');
}

static void
put_text(void *arg, const Metric *metric, const char *const *labels, double value)
{
	TextSink   *sink = arg;
	StringInfo	text = &sink->text;
	int			count = metrics_label_count(metric);

	if (sink->metric != metric)
		append_head(sink, metric);
	sink->metric = metric;

	appendStringInfoString(text, metric->name);
	for (int i = 0; i < count; i++)
	{
		appendStringInfoChar(text, i == 0 ? '{' : ',');
		append_label(text, metric->label[i], labels[i]);
	}
	if (count > 0)
		appendStringInfoChar(text, '}');
	appendStringInfo(text, " %s\n", float8out_internal(value));
}

/*
 * leakwatch.openmetrics(strict): the same as a text that can be scraped.
 */
Datum
leakwatch_openmetrics(PG_FUNCTION_ARGS)
{
	TextSink	sink = {.strict = PG_GETARG_BOOL(0)};

	shmem_require();
	initStringInfo(&sink.text);
	metrics_measure(put_text, &sink);
	appendStringInfoString(&sink.text, "# EOF");
	PG_RETURN_TEXT_P(cstring_to_text_with_len(sink.text.data, sink.text.len));
}
