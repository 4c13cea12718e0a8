/*-------------------------------------------------------------------------
 *
 * metrics.h
 *	  What is measured for those who watch from outside: one row a metric.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_METRICS_H
#define LEAKWATCH_METRICS_H

typedef enum MetricType
{
	METRIC_GAUGE,				/* can go up and down */
	METRIC_COUNTER				/* since the server started; "_total" */
} MetricType;

#define METRIC_LABELS	3

typedef struct Metric
{
	const char *name;
	MetricType	type;
	const char *label[METRIC_LABELS];	/* what tells its values apart */
	const char *help;			/* a sentence without a full stop */
} Metric;

/*
 * Called for each value, with those of its labels; the values of one metric
 * come together.
 */
typedef void (*MetricSink) (void *arg, const Metric *metric, const char *const *labels,
							double value);

extern void metrics_measure(MetricSink sink, void *arg);
extern const char *metrics_type_name(MetricType type);
extern int	metrics_label_count(const Metric *metric);

#endif							/* LEAKWATCH_METRICS_H */
