/*-------------------------------------------------------------------------
 *
 * digest.c
 *	  What the report is made of: all of its SQL.
 *
 * The rows that are looked at are found by index, and there are at most as many
 * as DIGEST_INCIDENTS that have ended and as many that are open.  The function
 * that calls this has a search_path of pg_catalog alone.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "digest.h"

/* The incidents of the time that the report is about. */
#define INCIDENTS(columns) \
	"((SELECT " columns " FROM leakwatch.incidents WHERE ended_at >= $1" \
	"  ORDER BY ended_at DESC LIMIT " DIGEST_INCIDENTS_TEXT ")" \
	" UNION ALL" \
	" (SELECT " columns " FROM leakwatch.incidents WHERE outcome = 'open'" \
	"  LIMIT " DIGEST_INCIDENTS_TEXT ")) AS i"

#define SECONDS(interval) "extract(epoch FROM " interval ")::float8"

/* Rows that have ended so. */
#define ENDED(outcome) "count(*) FILTER (WHERE outcome = '" outcome "')"

static const char totals_sql[] =
"SELECT count(*) AS incidents,"
"  (SELECT count(*) FROM (SELECT FROM leakwatch.incidents WHERE ended_at >= $1"
"    ORDER BY ended_at DESC OFFSET " DIGEST_INCIDENTS_TEXT " LIMIT 1) AS m) AS more,"
"  (SELECT count(*) FROM (SELECT FROM " INCIDENTS("pid, backend_start") " GROUP BY pid, backend_start) AS s) AS sessions,"
"  (SELECT count(*) FROM (SELECT FROM " INCIDENTS("application_name") " GROUP BY application_name) AS a) AS applications,"
"  " ENDED("open") " AS open, " ENDED("finished") " AS finished,"
"  " ENDED("disconnected") " AS disconnected,"
"  count(DISTINCT (pid, backend_start)) FILTER (WHERE outcome = 'terminated') AS terminated,"
"  " ENDED("terminated_by_admin") " AS by_admin,"
"  count(*) FILTER (WHERE outcome IN ('timed_out', 'ended_by_server')) AS by_server,"
"  " ENDED("server_restart") " AS restart,"
"  max(blocked_sessions)::int8 AS blocked, " SECONDS("max(duration)") " AS longest"
" FROM " INCIDENTS("pid, backend_start, outcome, blocked_sessions, duration");

static const char before_sql[] =
"SELECT count(*) AS incidents FROM (SELECT FROM leakwatch.incidents"
"  WHERE ended_at >= $1 - ($2 - $1) AND ended_at < $1"
"  LIMIT " DIGEST_INCIDENTS_TEXT ") AS i";

static const char applications_sql[] =
"SELECT application_name, count(*) AS incidents"
" FROM " INCIDENTS("application_name")
" GROUP BY application_name ORDER BY incidents DESC, application_name"
" LIMIT " DIGEST_LANES_TEXT;

/* Two characters that separate parts of a text for us, and are in none of them. */
#define PART		"E'\\x1F'"
#define WITHOUT_PARTS(text)	"translate(" text ", E'\\x1E\\x1F', '')"

/*
 * What belongs together is what the same application did last in the same
 * database.  Statements and tags are those of the newest incident; of a long
 * trail the first and the last ones.
 */
static const char causes_sql[] =
"WITH causes AS ("
"  SELECT kind, datname, application_name, count(*) AS incidents,"
"   " ENDED("open") " AS open, " ENDED("terminated") " AS terminated,"
"   " ENDED("finished") " AS finished,"
"   count(*) FILTER (WHERE outcome NOT IN ('open', 'terminated', 'finished')) AS otherwise,"
"   min(since) AS first_seen, max(since) AS last_seen,"
"   " SECONDS("max(duration)") " AS longest, max(blocked_sessions)::int8 AS blocked_sessions,"
"   max(id) AS last_incident"
"  FROM " INCIDENTS("kind, datname, application_name, query_id, query, outcome, since, duration, blocked_sessions, id")
"  GROUP BY kind, datname, application_name, coalesce(query_id::text, query)),"
" most AS (SELECT *, count(*) OVER () AS causes FROM causes"
"  ORDER BY incidents DESC, blocked_sessions DESC, longest DESC, last_incident LIMIT 12)"
" SELECT m.*, l.usename, l.strongest_lock,"
"  CASE WHEN $3 THEN coalesce(l.query, 'PREPARE TRANSACTION ' || quote_literal(nullif(l.gid, ''))) END AS statement,"
"  CASE WHEN $3 THEN (SELECT string_agg(" WITHOUT_PARTS("left(t.key, 40) || '=' || left(t.value, 120)") ", " PART " ORDER BY t.key)"
"   FROM (SELECT key, value FROM jsonb_each_text(l.tags) ORDER BY key LIMIT 6) AS t) END AS tags,"
"  CASE WHEN $3 THEN (SELECT string_agg(s.part, " PART " ORDER BY s.place)"
"   FROM (SELECT t.place, coalesce(" WITHOUT_PARTS("t.e ->> 'query'") ", E'\\x1E' || (t.e ->> 'dropped')) AS part"
"     FROM jsonb_array_elements(l.trail) WITH ORDINALITY AS t (e, place)"
"     WHERE t.place <= 4 OR t.place > jsonb_array_length(l.trail) - 8"
"    UNION ALL SELECT 4.5, E'\\x1E' || (jsonb_array_length(l.trail) - 12)"
"     WHERE jsonb_array_length(l.trail) > 12) AS s) END AS trail"
" FROM most AS m LEFT JOIN LATERAL (SELECT * FROM leakwatch.incidents AS i"
"   WHERE i.id = m.last_incident AND i.kind = m.kind"
"    AND i.application_name IS NOT DISTINCT FROM m.application_name LIMIT 1) AS l ON true"
" ORDER BY m.incidents DESC, m.blocked_sessions DESC, m.longest DESC, m.last_incident";

static const char harmed_sql[] =
"WITH harmed AS ("
"  SELECT blocked_application, application_name AS blocker, count(*) AS incidents,"
"   max(blocked_sessions)::int8 AS sessions, " SECONDS("max(duration)") " AS longest,"
"   (array_agg(id ORDER BY blocked_sessions DESC))[1] AS worst"
"  FROM " INCIDENTS("blocked_application, application_name, blocked_sessions, duration, id")
"  WHERE blocked_sessions > 0"
"  GROUP BY blocked_application, application_name"
"  ORDER BY sessions DESC, incidents DESC LIMIT 15)"
" SELECT h.*, CASE WHEN $3 THEN (SELECT left(i.blocked_query, 400) FROM leakwatch.incidents AS i"
"   WHERE i.id = h.worst LIMIT 1) END AS statement"
" FROM harmed AS h ORDER BY h.sessions DESC, h.incidents DESC";

static const char vacuum_sql[] =
"SELECT application_name, max(xmin_age_alone) AS transactions"
" FROM " INCIDENTS("application_name, xmin_age_alone")
" WHERE xmin_age_alone >= 1000"
" GROUP BY application_name ORDER BY transactions DESC LIMIT 5";

static const char ends_sql[] =
"SELECT application_name, kind, count(*) FILTER (WHERE action = 'terminated') AS told,"
"  " ENDED("terminated") " AS terminated, count(*) FILTER (WHERE action = 'would_terminate') AS announced,"
"  " ENDED("terminated_by_admin") " AS by_admin,"
"  count(*) FILTER (WHERE outcome IN ('timed_out', 'ended_by_server')) AS by_server"
" FROM " INCIDENTS("application_name, kind, action, outcome")
" WHERE action IN ('terminated', 'would_terminate')"
"  OR outcome IN ('terminated', 'terminated_by_admin', 'timed_out', 'ended_by_server')"
" GROUP BY application_name, kind ORDER BY told DESC, announced DESC, application_name LIMIT 15";

static const char held_sql[] =
"SELECT replace(substr(h.key, 6), '_', ' ') AS rule, h.value::int8 AS count"
" FROM leakwatch.status AS s, LATERAL jsonb_each_text(to_jsonb(s)) AS h"
" WHERE starts_with(h.key, 'held_') AND h.value::int8 > 0 ORDER BY count DESC, rule";

static const char open_sql[] =
"SELECT kind, application_name, usename, datname, since, " SECONDS("duration") " AS duration,"
"  blocked_sessions::int8, action, count(*) OVER () AS all_open"
" FROM leakwatch.leaks ORDER BY leaks.duration DESC LIMIT 20";

/*
 * As many times as there is room for in a plot, a minute at least.  The minute
 * that is not over yet is as it is now.
 */
static const char usage_sql[] =
"WITH step AS (SELECT make_interval(mins => greatest(1,"
"   ceil(extract(epoch FROM $2 - $1) / 60 / 240)::int4)) AS step)"
" SELECT greatest(date_bin(step, minute, $1), $1) AS at, " SECONDS("step") " AS step,"
"  max(peak)::int8 AS peak, max(leaked)::int8 AS leaked,"
"  max(idle)::int8 AS idle, sum(rejected)::int8 AS rejected"
" FROM step, (SELECT minute, peak, leaked, idle, rejected FROM leakwatch.usage"
"   WHERE minute > $1 - interval '1 min'"
"  UNION ALL SELECT date_trunc('minute', $2), used, leaked, idle, 0"
"   FROM leakwatch.saturation WHERE scope = 'server') AS u"
" GROUP BY date_bin(step, minute, $1), step ORDER BY at";

static const char limit_sql[] =
"SELECT used::int8, \"limit\"::int8, growth_per_minute, " SECONDS("exhausted_in") " AS exhausted_in"
" FROM leakwatch.saturation WHERE scope = 'server'";

/* What the file says: settings of the caller's own are not the server's. */
static const char settings_sql[] =
"SELECT name, setting, boot_val, unit,"
"  CASE unit WHEN 'ms' THEN 0.001::float8 WHEN 's' THEN 1::float8 END AS factor"
" FROM pg_settings WHERE starts_with(name, 'leakwatch.')"
"  AND source IN ('configuration file', 'command line', 'environment variable', 'global')"
"  AND setting IS DISTINCT FROM boot_val ORDER BY name";

static const char policies_sql[] =
"SELECT r.rolname AS role, d.datname AS database, split_part(c, '=', 1) AS name,"
"  left(substr(c, strpos(c, '=') + 1), 100) AS value"
" FROM pg_db_role_setting AS s CROSS JOIN LATERAL unnest(s.setconfig) AS c"
"  LEFT JOIN pg_roles AS r ON r.oid = s.setrole LEFT JOIN pg_database AS d ON d.oid = s.setdatabase"
" WHERE starts_with(c, 'leakwatch.') ORDER BY role NULLS FIRST, database NULLS FIRST, name LIMIT 60";

static const char status_sql[] =
"SELECT health, watcher_started_at, scans,"
"  " SECONDS("total_scan_time") " / nullif(scans, 0) AS scan_time,"
"  sessions::int8, open::int8, pending::int8, written, dropped, room::int8, lingering::int8,"
"  spared, failed, clock_jumps, last_error_of, last_error, last_error_at,"
"  pg_is_in_recovery() AS standby"
" FROM leakwatch.status";

static const char incidents_sql[] =
"SELECT application_name, kind, greatest(since, $1) AS since, coalesce(ended_at, $2) AS until,"
"  blocked_sessions::int8, outcome, " SECONDS("duration") " AS duration"
" FROM " INCIDENTS("application_name, kind, since, ended_at, blocked_sessions, outcome, duration");

void
digest_get(Digest *digest, const Question *question)
{
	digest->question = *question;
	answer_get(&digest->totals, totals_sql, question);
	answer_get(&digest->before, before_sql, question);
	answer_get(&digest->applications, applications_sql, question);
	answer_get(&digest->causes, causes_sql, question);
	answer_get(&digest->harmed, harmed_sql, question);
	answer_get(&digest->vacuum, vacuum_sql, question);
	answer_get(&digest->ends, ends_sql, question);
	answer_get(&digest->held, held_sql, question);
	answer_get(&digest->open, open_sql, question);
	answer_get(&digest->usage, usage_sql, question);
	answer_get(&digest->limit, limit_sql, question);
	answer_get(&digest->settings, settings_sql, question);
	answer_get(&digest->policies, policies_sql, question);
	answer_get(&digest->status, status_sql, question);
}

/* All incidents, for the plot of them. */
Portal
digest_incidents(const Question *question)
{
	return answer_open(incidents_sql, question);
}
