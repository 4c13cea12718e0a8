# Shows that a server with the objects of an older version records all the same,
# and that each older version is updated to what a new one is made of, with its
# history, and with what users have granted and built on it.
use strict;
use warnings FATAL => 'all';

use FindBin;
use LeakwatchTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $top = "$FindBin::RealBin/../..";
my ($newest) = slurp_file("$top/leakwatch.control") =~ /^default_version = '(.+)'$/m;
my @bases = map { m{leakwatch--([\d.]+)\.sql$} } glob("$top/sql/leakwatch--*.sql");
my $kind = 'idle_in_transaction';
my $node = new_node('upgrade');

cmp_ok(scalar @bases, '>', 0, 'there are versions to begin with');

# All there is in the catalogs about the members, by their names.
my $catalog = <<'EOC';
WITH members AS (
	SELECT d.classid, d.objid, o.type, o.identity
	FROM pg_depend AS d, LATERAL pg_identify_object(d.classid, d.objid, 0) AS o
	WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
		AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'leakwatch')
), facts (type, identity, fact, value) AS (
	SELECT type, identity, 'comment',
		obj_description(objid, classid::regclass::name) FROM members
	UNION ALL
	SELECT m.type, m.identity, 'column ' || a.attnum,
		concat_ws(' ', a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity,
			a.attgenerated, a.attisdropped, a.attstorage, a.attacl, pg_get_expr(v.adbin, v.adrelid),
			col_description(a.attrelid, a.attnum))
	FROM members AS m JOIN pg_attribute AS a ON m.classid = 'pg_class'::regclass AND a.attrelid = m.objid
		LEFT JOIN pg_attrdef AS v ON (v.adrelid, v.adnum) = (a.attrelid, a.attnum)
	WHERE a.attnum > 0
	UNION ALL
	SELECT m.type, m.identity, 'relation', concat_ws(' ', c.relkind, c.relowner::regrole, c.relacl,
		c.reloptions, c.relpersistence, c.relrowsecurity, c.relreplident, c.relhastriggers, c.relhasrules)
	FROM members AS m JOIN pg_class AS c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid
	UNION ALL
	SELECT m.type, m.identity, 'view', pg_get_viewdef(objid)
	FROM members AS m WHERE m.type = 'view'
	UNION ALL
	SELECT m.type, m.identity, 'index', pg_get_indexdef(i.indexrelid)
	FROM members AS m JOIN pg_index AS i ON m.classid = 'pg_class'::regclass AND i.indrelid = m.objid
	UNION ALL
	SELECT m.type, m.identity, 'constraint ' || c.conname, pg_get_constraintdef(c.oid)
	FROM members AS m JOIN pg_constraint AS c ON m.classid = 'pg_class'::regclass AND c.conrelid = m.objid
	UNION ALL
	SELECT m.type, m.identity, 'trigger ' || t.tgname, concat_ws(' ', t.tgenabled, pg_get_triggerdef(t.oid))
	FROM members AS m JOIN pg_trigger AS t ON m.classid = 'pg_class'::regclass AND t.tgrelid = m.objid
	UNION ALL
	SELECT m.type, m.identity, 'function',
		CASE WHEN p.prokind <> 'a' THEN pg_get_functiondef(p.oid) END || concat_ws(' ', p.proowner::regrole, p.proacl)
	FROM members AS m JOIN pg_proc AS p ON m.classid = 'pg_proc'::regclass AND p.oid = m.objid
	UNION ALL
	SELECT m.type, m.identity, 'aggregate', concat_ws(' ', p.proowner::regrole, p.proacl, p.proparallel, a.aggtransfn,
		a.aggcombinefn, a.aggtranstype::regtype, a.agginitval)
	FROM members AS m JOIN pg_proc AS p ON m.classid = 'pg_proc'::regclass AND p.oid = m.objid
		JOIN pg_aggregate AS a ON a.aggfnoid = p.oid
	UNION ALL
	SELECT m.type, m.identity, 'schema', concat_ws(' ', n.nspowner::regrole, n.nspacl)
	FROM members AS m JOIN pg_namespace AS n ON m.classid = 'pg_namespace'::regclass AND n.oid = m.objid
	UNION ALL
	SELECT m.type, m.identity, 'initial privileges ' || i.objsubid, concat_ws(' ', i.privtype, i.initprivs)
	FROM members AS m JOIN pg_init_privs AS i ON (i.classoid, i.objoid) = (m.classid, m.objid)
	UNION ALL
	SELECT m.type, m.identity, 'depends on', concat_ws(' ', d.deptype, pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid))
	FROM members AS m JOIN pg_depend AS d ON (d.classid, d.objid) = (m.classid, m.objid)
	UNION ALL
	SELECT 'extension', 'leakwatch', 'dumped', concat_ws(' ', c.relation::regclass, c.condition)
	FROM pg_extension AS e, LATERAL unnest(e.extconfig, e.extcondition) AS c (relation, condition)
	WHERE e.extname = 'leakwatch'
	UNION ALL
	SELECT 'extension', 'leakwatch', 'version', extversion FROM pg_extension WHERE extname = 'leakwatch'
)
SELECT concat_ws(' | ', type, identity, fact, value) FROM facts ORDER BY 1
EOC

# The rows of the table, with what the columns had before.
sub history
{
	my ($db, $columns) = @_;

	return $node->safe_psql($db, "SELECT $columns FROM leakwatch.incidents ORDER BY id");
}

sub record_in
{
	my ($db) = @_;

	$node->safe_psql('postgres', "ALTER SYSTEM SET leakwatch.database = '$db'; SELECT pg_reload_conf()");
	return;
}

sub wait_in
{
	my ($db, $sql) = @_;

	$node->poll_query_until($db, $sql) or die "gave up waiting for: $sql";
	return;
}

sub recorded_in
{
	my ($db, $session, $what) = @_;

	wait_in($db, "SELECT EXISTS (SELECT FROM leakwatch.incidents WHERE pid = $session->{pid} AND $what)");
	return;
}

$node->safe_psql('postgres', 'CREATE ROLE reader LOGIN');
$node->safe_psql('postgres', 'CREATE DATABASE fresh');
$node->safe_psql('fresh', 'CREATE EXTENSION leakwatch');
is($node->safe_psql('fresh', "SELECT extversion FROM pg_extension WHERE extname = 'leakwatch'"),
	$newest, 'CREATE EXTENSION goes to the newest version');
my $expected = $node->safe_psql('fresh', $catalog);
cmp_ok(scalar(() = $expected =~ /^/mg), '>', 200, 'the catalogs have something to compare');

foreach my $version (grep { $_ ne $newest } @bases)
{
	(my $db = "from_$version") =~ tr/./_/;
	$node->safe_psql('postgres', qq(CREATE DATABASE "$db"));
	$node->safe_psql($db, "CREATE EXTENSION leakwatch VERSION '$version'");
	$node->safe_psql($db, <<'EOC');
GRANT USAGE ON SCHEMA leakwatch TO reader;
GRANT SELECT ON leakwatch.leaks, leakwatch.sessions, leakwatch.status, leakwatch.incidents TO reader;
GRANT EXECUTE ON FUNCTION leakwatch.leaks(), leakwatch.sessions(), leakwatch.status() TO reader;
CREATE VIEW public.on_leaks AS SELECT * FROM leakwatch.leaks;
CREATE VIEW public.on_leaks_function AS SELECT * FROM leakwatch.leaks() AS l;
CREATE VIEW public.on_sessions AS SELECT * FROM leakwatch.sessions;
CREATE VIEW public.on_status AS SELECT * FROM leakwatch.status() AS s;
CREATE VIEW public.on_incidents AS SELECT * FROM leakwatch.incidents;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader;
EOC

	#
	# The new library with the old objects
	#
	record_in($db);
	my $before = leak($node, $kind, app => 'before', warn => '100ms');
	recorded_in($db, $before, "outcome = 'open'");
	is($node->safe_psql($db,
			"SELECT kind, usename, outcome, trail IS NOT NULL FROM leakwatch.incidents WHERE pid = $before->{pid}"),
		"$kind|app|open|t", "$version: a new library records in the old table");
	wait_in($db, 'SELECT pending = 0 FROM leakwatch.status');
	like($node->safe_psql($db, 'SELECT health FROM leakwatch.status'),
		qr/^extension "leakwatch" in database "$db" is of version \Q$version\E and its library of \Q$newest\E: ALTER EXTENSION leakwatch UPDATE is due$/,
		'the status says so');
	my @said = grep { $_->{message} =~ /^extension "leakwatch" in database "$db"/ } log_entries($node);
	is(scalar @said, 1, 'and the log once');
	like($said[0]->{hint}, qr/^Execute ALTER EXTENSION leakwatch UPDATE/, 'with a hint');
	foreach my $what (qw(leaks sessions status on_leaks on_leaks_function on_sessions on_status))
	{
		my $schema = $what =~ /^on_/ ? 'public' : 'leakwatch';

		cmp_ok($node->safe_psql($db, "SELECT count(*) FROM $schema.$what", extra_params => [ '-U', 'reader' ]),
			'>', 0, "the old $what is read");
	}
	is($node->safe_psql($db, "SELECT query FROM leakwatch.leaks WHERE pid = $before->{pid}"),
		$node->safe_psql('postgres', "SELECT query FROM leakwatch.leaks WHERE pid = $before->{pid}"),
		'with the values in the right columns');
	$before->query('COMMIT');
	recorded_in($db, $before, "outcome = 'finished'");
	is($node->safe_psql($db, "SELECT count(*) FROM leakwatch.incidents WHERE pid = $before->{pid}"),
		1, 'a row is written again in place');
	$before->quit;

	#
	# The update, with an incident open
	#
	my $during = leak($node, $kind, app => 'during', warn => '100ms');
	recorded_in($db, $during, "outcome = 'open'");
	my $columns = $node->safe_psql($db, <<'EOC');
SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
WHERE attrelid = 'leakwatch.incidents'::regclass AND attnum > 0 AND NOT attisdropped
EOC
	my $history = history($db, $columns);
	$node->safe_psql($db, 'ALTER EXTENSION leakwatch UPDATE');
	is(history($db, $columns), $history, "$version: the update keeps the history");
	wait_in($db, q(SELECT health = 'ok' FROM leakwatch.status));
	pass('the status is well again, without a new incident');
	foreach my $what (qw(leaks sessions status incidents on_leaks on_leaks_function on_sessions on_status on_incidents))
	{
		my $schema = $what =~ /^on_/ ? 'public' : 'leakwatch';

		cmp_ok($node->safe_psql($db, "SELECT count(*) FROM $schema.$what", extra_params => [ '-U', 'reader' ]),
			'>', 0, "$what can still be read by who could");
	}
	$during->query('COMMIT');
	recorded_in($db, $during, "outcome = 'finished'");
	is($node->safe_psql($db, "SELECT count(*) FROM leakwatch.incidents WHERE pid = $during->{pid}"),
		1, 'an incident that was open goes on in its row');
	$during->quit;

	#
	# The catalogs, without what users have added
	#
	(my $plain = "plain_$version") =~ tr/./_/;
	$node->safe_psql('postgres', qq(CREATE DATABASE "$plain"));
	$node->safe_psql($plain, "CREATE EXTENSION leakwatch VERSION '$version'; ALTER EXTENSION leakwatch UPDATE");
	is($node->safe_psql($plain, $catalog), $expected, "$version: an updated extension is as a new one");
}

#
# Back to a database of this version
#
record_in('fresh');
my $last = leak($node, $kind, app => 'last', warn => '100ms');
recorded_in('fresh', $last, "outcome = 'open' AND query IS NOT NULL AND trail IS NOT NULL");
is($node->safe_psql('fresh', q(SELECT health FROM leakwatch.status)), 'ok', 'a new extension is well');

# A column that somebody has dropped is missed, and no more.
$node->safe_psql('fresh', 'ALTER TABLE leakwatch.incidents DROP COLUMN holds');
$last->query('COMMIT');
recorded_in('fresh', $last, "outcome = 'finished'");
wait_in('fresh', q(SELECT health = 'table leakwatch.incidents in database "fresh" has no column "holds"' FROM leakwatch.status));
pass('a column that somebody has dropped is missed');

# One whose type somebody has changed gets its values all the same.
$node->safe_psql('fresh', <<'EOC');
ALTER TABLE leakwatch.incidents ALTER COLUMN client_port TYPE bigint,
	ALTER COLUMN action TYPE varchar(20), ALTER COLUMN warn_limit TYPE text;
EOC
my $converted = leak($node, $kind, app => 'converted', warn => '100ms');
recorded_in('fresh', $converted, "client_port = -1 AND action = 'warned' AND warn_limit = '00:00:00.1'");
pass('values are converted to the type that a column has');

$_->quit foreach ($last, $converted);
$node->stop;
done_testing();
