/*-------------------------------------------------------------------------
 *
 * almanac.c
 *	  The table leakwatch.spells, as the recorder writes it.
 *
 * Once in an hour, and when the recorder has been called for, what has been
 * counted since is taken out of shared memory and added to the rows of the hour.
 * What the table does not get is given back.  A recorder that is killed in the
 * middle of that loses the counts of an hour, and nothing else.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "almanac.h"
#include "kind.h"
#include "ledger.h"
#include "session.h"
#include "utils/timestamp.h"

static const char upsert_sql[] =
"INSERT INTO leakwatch.spells AS s"
" (hour, datname, usename, application_name, others, kind, counts, longest)"
" SELECT u.hour, u.datname, u.usename, u.application_name, u.others, u.kind, u.counts, u.longest"
" FROM pg_catalog.unnest($1) AS u"
" ON CONFLICT (hour, datname, usename, application_name, others, kind) DO UPDATE SET"
" counts = leakwatch.add_counts(s.counts, EXCLUDED.counts),"
" longest = GREATEST(s.longest, EXCLUDED.longest)";

static const char delete_sql[] =
"DELETE FROM leakwatch.spells AS s WHERE s.ctid = ANY (ARRAY("
" SELECT o.ctid FROM leakwatch.spells AS o"
" WHERE o.hour < $1 ORDER BY o.hour LIMIT $2))";

/* What has been taken out of shared memory. */
static SpellGroup *taken;
static bool is_taken[NUM_SPELL_GROUPS];

/*
 * Fill a row of the table, or of the function that shows the same, but for the
 * hour.  False when there is nothing to be shown.
 */
bool
almanac_row(Row *row, const SpellGroup *group, SpellKind kind)
{
	bool		named = OidIsValid(group->database);
	Session		session = {
		.database = group->database,
		.role = group->role,
	};
	SessionNames names = {0};

	if (histogram_total(group->counts[kind]) == 0)
		return false;
	if (named)
		session_names(&session, &names);
	row_key_text(row, "datname", names.database, -1);
	row_key_text(row, "usename", names.role, -1);
	row_key_text(row, "application_name", group->application_name, -1);
	row_bool(row, "others", group->others || !named);
	row_text(row, "kind", kind_info(spells_kind(kind))->name);
	row_bigints(row, "counts", group->counts[kind], HISTOGRAM_BUCKETS);
	row_interval(row, "longest", group->longest[kind]);
	return true;
}

/* Take out what there is, as an array of the table's row type. */
static Datum
rows_to_write(Relation table)
{
	TimestampTz now = GetCurrentTimestamp();
	Datum	   *rows = palloc(sizeof(Datum) * NUM_SPELL_GROUPS * NUM_SPELL_KINDS);
	int			count = 0;
	Row			row;

	row_init(&row, RelationGetDescr(table));
	for (int i = 0; i < NUM_SPELL_GROUPS; i++)
	{
		if (!spells_read(i, &taken[i]))
			continue;
		spells_take(i, &taken[i]);
		is_taken[i] = true;
	}
	for (int i = 0; i < NUM_SPELL_GROUPS; i++)
	{
		for (int kind = 0; kind < NUM_SPELL_KINDS && is_taken[i]; kind++)
		{
			CHECK_FOR_INTERRUPTS();
			if (!almanac_row(&row, &taken[i], kind))
				continue;
			row_time(&row, "hour", now - now % USECS_PER_HOUR);
			rows[count++] = row_datum(&row);
		}
	}
	return row_array(table, rows, count);
}

static const Ledger ledger = {
	.table = "spells",
	.writing = "recording how long transactions last",
	.deleting = "deleting old counts",
	.upsert_sql = upsert_sql,
	.delete_sql = delete_sql,
	.rows = rows_to_write,
};

/* Write what has been counted. */
void
almanac_write(void)
{
	taken = palloc(NUM_SPELL_GROUPS * sizeof(SpellGroup));
	memset(is_taken, 0, sizeof(is_taken));
	if (!ledger_write(&ledger))
	{
		for (int i = 0; i < NUM_SPELL_GROUPS; i++)
		{
			if (is_taken[i])
				spells_give_back(i, &taken[i]);
		}
	}
	pfree(taken);
}

/* Delete the hours before a time. */
void
almanac_delete(TimestampTz before)
{
	ledger_delete(&ledger, before);
}
