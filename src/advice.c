/*-------------------------------------------------------------------------
 *
 * advice.c
 *	  The SQL functions behind leakwatch.advice and leakwatch.what_if().
 *
 * What is counted now, and what the counts tell; who asks for how many would
 * have met a limit reads them from shared memory and the table alike.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "almanac.h"
#include "catalog/pg_type.h"
#include "control.h"
#include "funcapi.h"
#include "kind.h"
#include "lib/stringinfo.h"
#include "shmem.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

PGDLLEXPORT Datum leakwatch_spells(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum leakwatch_add_counts(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum leakwatch_spell_quantile(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum leakwatch_spells_over(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum leakwatch_spell_kind(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum leakwatch_server_limit(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum leakwatch_setting_limit(PG_FUNCTION_ARGS);

/* A limit that is longer finds nobody, in us. */
#define LONGEST		((double) USECS_PER_DAY * 36500)

PG_FUNCTION_INFO_V1(leakwatch_spells);
PG_FUNCTION_INFO_V1(leakwatch_add_counts);
PG_FUNCTION_INFO_V1(leakwatch_spell_quantile);
PG_FUNCTION_INFO_V1(leakwatch_spells_over);
PG_FUNCTION_INFO_V1(leakwatch_spell_kind);
PG_FUNCTION_INFO_V1(leakwatch_server_limit);
PG_FUNCTION_INFO_V1(leakwatch_setting_limit);

/*
 * leakwatch.spells(): what has been counted and is not in the table yet.
 */
Datum
leakwatch_spells(PG_FUNCTION_ARGS)
{
	SpellGroup *group = palloc(sizeof(SpellGroup));
	Row			row;

	shmem_require();
	InitMaterializedSRF(fcinfo, 0);
	row_init(&row, ((ReturnSetInfo *) fcinfo->resultinfo)->setDesc);

	/* its own work is not to be missing from what it sees */
	spells_fold();
	for (int i = 0; i < NUM_SPELL_GROUPS; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (!spells_read(i, group))
			continue;
		for (int kind = 0; kind < NUM_SPELL_KINDS; kind++)
		{
			if (almanac_row(&row, group, kind))
				row_put(&row, fcinfo);
		}
	}
	return (Datum) 0;
}

/* The counts of an array: as many as there are buckets, or fewer. */
static void
read_counts(ArrayType *array, int64 counts[HISTOGRAM_BUCKETS])
{
	int			n = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));

	if (ARR_NDIM(array) > 1 || n > HISTOGRAM_BUCKETS || array_contains_nulls(array))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("counts must be an array of up to %d numbers without NULL", HISTOGRAM_BUCKETS),
				 errhint("They are those of the column \"counts\" of leakwatch.spells, or the sums of some of them.")));
	memset(counts, 0, HISTOGRAM_BUCKETS * sizeof(int64));
	memcpy(counts, ARR_DATA_PTR(array), n * sizeof(int64));
}

/*
 * leakwatch.add_counts(bigint[], bigint[]): the counts of both, which the aggregate
 * leakwatch.sum_counts() goes through many rows with.
 */
Datum
leakwatch_add_counts(PG_FUNCTION_ARGS)
{
	ArrayType  *array = PG_GETARG_ARRAYTYPE_P(0);
	int64		counts[HISTOGRAM_BUCKETS];
	int64		more[HISTOGRAM_BUCKETS];
	Datum		sums[HISTOGRAM_BUCKETS];

	read_counts(array, counts);
	read_counts(PG_GETARG_ARRAYTYPE_P(1), more);

	/* a state is the aggregate's own, to be changed where it is */
	if (AggCheckCallContext(fcinfo, NULL) &&
		ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array)) == HISTOGRAM_BUCKETS)
	{
		int64	   *state = (int64 *) ARR_DATA_PTR(array);

		for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
			state[i] += more[i];
		PG_RETURN_ARRAYTYPE_P(array);
	}
	for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
		sums[i] = Int64GetDatum(counts[i] + more[i]);
	PG_RETURN_ARRAYTYPE_P(construct_array(sums, HISTOGRAM_BUCKETS, INT8OID, sizeof(int64),
										  FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

/*
 * leakwatch.spell_quantile(counts bigint[], fraction float8): the duration that
 * this fraction of the spells does not exceed; NULL when there are none.
 */
Datum
leakwatch_spell_quantile(PG_FUNCTION_ARGS)
{
	float8		fraction = PG_GETARG_FLOAT8(1);
	int64		counts[HISTOGRAM_BUCKETS];
	Interval   *result;

	read_counts(PG_GETARG_ARRAYTYPE_P(0), counts);
	if (!(fraction >= 0 && fraction <= 1))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a fraction is from 0 to 1")));
	if (histogram_total(counts) == 0)
		PG_RETURN_NULL();
	result = palloc0(sizeof(Interval));
	result->time = histogram_quantile(counts, fraction);
	PG_RETURN_INTERVAL_P(result);
}

/*
 * leakwatch.spells_over(counts bigint[], limit interval): how many lasted for so
 * long or longer.
 */
Datum
leakwatch_spells_over(PG_FUNCTION_ARGS)
{
	Interval   *limit = PG_GETARG_INTERVAL_P(1);
	double		days = (double) limit->month * DAYS_PER_MONTH + limit->day;
	double		usec = (double) limit->time + days * USECS_PER_DAY;
	int64		counts[HISTOGRAM_BUCKETS];

	read_counts(PG_GETARG_ARRAYTYPE_P(0), counts);
	/* nothing lasts for longer than the buckets reach */
	usec = Min(Max(usec, 0), LONGEST);
	PG_RETURN_INT64(histogram_over(counts, (int64) usec));
}

/*
 * leakwatch.spell_kind(text): the name of a kind that spells are counted for, and
 * an error for any other.
 */
Datum
leakwatch_spell_kind(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	StringInfoData known;

	initStringInfo(&known);
	for (int kind = 0; kind < NUM_SPELL_KINDS; kind++)
	{
		const char *counted = kind_info(spells_kind(kind))->name;

		if (strcmp(name, counted) == 0)
			PG_RETURN_DATUM(PG_GETARG_DATUM(0));
		appendStringInfo(&known, "%s\"%s\"", kind > 0 ? ", " : "", counted);
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("nothing is counted for kind \"%s\"", name),
			 errhint("Available kinds: %s.", known.data)));
}

static Interval *
interval_of(int ms)
{
	Interval   *interval = palloc0(sizeof(Interval));

	interval->time = ms * INT64CONST(1000);
	return interval;
}

/*
 * leakwatch.server_limit(kind text, terminates boolean): the server's limit of
 * that kind; NULL when it is off.
 */
Datum
leakwatch_server_limit(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	bool		terminates = PG_GETARG_BOOL(1);
	Policy		policy;

	shmem_require();
	control_policy(&policy);
	for (int kind = 0; kind < NUM_KINDS; kind++)
	{
		int			limit = policy.value[terminates ? POLICY_TERMINATE(kind) : POLICY_WARN(kind)];

		if (strcmp(name, kind_info(kind)->name) == 0 && limit != 0)
			PG_RETURN_INTERVAL_P(interval_of(limit));
	}
	PG_RETURN_NULL();
}

/*
 * leakwatch.setting_limit(value text): the limit that a setting of this value
 * stands for; NULL when it stands for none.
 */
Datum
leakwatch_setting_limit(PG_FUNCTION_ARGS)
{
	int			limit;

	if (!parse_int(text_to_cstring(PG_GETARG_TEXT_PP(0)), &limit, GUC_UNIT_MS, NULL))
		PG_RETURN_NULL();
	PG_RETURN_INTERVAL_P(interval_of(limit));
}
