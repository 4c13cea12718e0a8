# Shows that leakwatch gives nobody rights that they did not have: what roles
# may read and do, and what the recorder runs, as whom.
use strict;
use warnings FATAL => 'all';

use LeakwatchTest;
use PostgreSQL::Test::Cluster;
use Test::More;

my $kind = 'idle_in_transaction';
my $node = new_node('security');
$node->safe_psql('postgres', <<'EOC');
CREATE ROLE nobody LOGIN;
CREATE ROLE monitor LOGIN IN ROLE pg_monitor;
CREATE ROLE keeper LOGIN;
EOC

# A leak, waited for until its row is there.
sub recorded_leak
{
	my ($app) = @_;
	my $session = leak($node, $kind, app => $app, warn => '100ms');

	wait_for_incident($node, "pid = $session->{pid}");
	return $session;
}

#
# Roles
#
my @objects = split /\n/, $node->safe_psql('postgres', <<'EOC');
SELECT CASE WHEN classid = 'pg_proc'::regclass
	THEN (SELECT format('SELECT %s(%s)', oid::regproc,
			(SELECT string_agg('NULL::' || arg::regtype, ', ') FROM unnest(proargtypes) AS arg))
		FROM pg_proc WHERE oid = objid)
	ELSE 'TABLE ' || objid::regclass END
FROM pg_depend WHERE deptype = 'e'
	AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'leakwatch')
	AND classid IN ('pg_proc'::regclass, 'pg_class'::regclass)
	AND objid NOT IN (SELECT oid FROM pg_proc WHERE prorettype = 'trigger'::regtype)
EOC
cmp_ok(scalar @objects, '>=', 8, 'there are objects to try');
foreach my $sql (@objects)
{
	my ($out, $err) = psql_as($node, 'nobody', $sql);

	like($err, qr/permission denied/, "an ordinary role: $sql");
	($out, $err) = psql_as($node, 'monitor', $sql);
	if ($sql =~ /resolve/)
	{
		like($err, qr/permission denied/, "what writes is not for pg_monitor: $sql");
		next;
	}
	is($err, '', "a member of pg_monitor: $sql")
	  unless $sql =~ /_seq$|_idx$|_key$/;
}

my @settings = split /\n/,
  $node->safe_psql('postgres',
	q{SELECT name FROM pg_settings WHERE name LIKE 'leakwatch.%' AND context <> 'user'});
foreach my $setting (@settings)
{
	my ($out, $err) = psql_as($node, 'nobody', "SET $setting TO DEFAULT");

	like($err, qr/permission denied|cannot be changed/,
		"an ordinary role cannot set $setting");
	($out, $err) = psql_as($node, 'nobody', "ALTER SYSTEM SET $setting TO DEFAULT");
	like($err, qr/permission denied/, "nor for the server: $setting");
}
$node->safe_psql('postgres',
	'GRANT SET ON PARAMETER leakwatch.idle_session_warn TO nobody');
my ($out, $err) = psql_as($node, 'nobody',
	"SET leakwatch.idle_session_warn = '1h'; SHOW leakwatch.idle_session_warn");
is($out, '1h', 'one that was granted can be set');
($out, $err) = psql_as($node, 'nobody', "SET leakwatch.idle_session_terminate = '1h'");
like($err, qr/permission denied/, 'that one alone');

my $leaky = recorded_leak('seen');
$node->safe_psql('postgres', <<'EOC');
GRANT USAGE ON SCHEMA leakwatch TO nobody;
GRANT SELECT ON leakwatch.leaks TO nobody;
GRANT EXECUTE ON FUNCTION leakwatch.leaks() TO nobody;
EOC
($out, $err) = psql_as($node, 'nobody',
	"SELECT query FROM leakwatch.leaks WHERE pid = $leaky->{pid}");
is($out, '<insufficient privilege>',
	'whoever may read the view sees no statement of others');
($out, $err) = psql_as($node, 'nobody',
	"SELECT cause IS NULL FROM leakwatch.leaks WHERE pid = $leaky->{pid}");
is($out, 't', 'nor what is made of it');
($out, $err) = psql_as($node, 'monitor',
	"SELECT query, cause > 0 FROM leakwatch.leaks WHERE pid = $leaky->{pid}");
like($out, qr/SELECT 1.*\|t$/s, 'a member of pg_monitor does');

#
# What somebody hangs on the table
#
$node->safe_psql('postgres', <<'EOC');
GRANT CREATE ON SCHEMA public TO nobody;
GRANT TRIGGER ON leakwatch.incidents TO nobody;
EOC
($out, $err) = psql_as($node, 'nobody', <<'EOC');
CREATE FUNCTION public.become() RETURNS trigger LANGUAGE plpgsql
	AS $$ BEGIN EXECUTE 'ALTER ROLE nobody SUPERUSER'; RETURN NEW; END $$;
CREATE TRIGGER become BEFORE INSERT OR UPDATE ON leakwatch.incidents
	FOR EACH ROW EXECUTE FUNCTION public.become();
EOC
is($err, '', 'a role with the right to can create a trigger');
my $second = recorded_leak('triggered');
is( $node->safe_psql(
		'postgres', "SELECT rolsuper FROM pg_roles WHERE rolname = 'nobody'"),
	'f',
	'the recorder does not fire it');
$node->safe_psql('postgres', 'DROP TRIGGER become ON leakwatch.incidents');

#
# The recorder is the owner of the table, and no more
#
$node->safe_psql('postgres', <<'EOC');
GRANT USAGE ON SCHEMA leakwatch TO keeper;
CREATE TABLE public.seen (who name, what text);
GRANT ALL ON public.seen TO keeper;
GRANT CREATE ON SCHEMA public TO keeper;
ALTER TABLE leakwatch.incidents OWNER TO keeper;
EOC
($out, $err) = psql_as($node, 'keeper', <<'EOC');
CREATE FUNCTION public.look() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO public.seen VALUES (current_user, NEW.application_name);
	BEGIN
		EXECUTE 'RESET SESSION AUTHORIZATION';
		INSERT INTO public.seen VALUES (current_user, 'escaped');
	EXCEPTION WHEN insufficient_privilege THEN
		INSERT INTO public.seen VALUES (current_user, 'held: ' || SQLERRM);
	END;
	RETURN NEW;
END $$;
CREATE TRIGGER look BEFORE INSERT ON leakwatch.incidents
	FOR EACH ROW EXECUTE FUNCTION public.look();
ALTER TABLE leakwatch.incidents ENABLE ALWAYS TRIGGER look;
EOC
is($err, '', 'the owner can enable a trigger for the recorder');
my $third = recorded_leak('owned');
is( $node->safe_psql('postgres', "SELECT who FROM public.seen WHERE what = 'owned'"),
	'keeper',
	'it runs as the owner of the table');
like(
	$node->safe_psql('postgres', "SELECT what FROM public.seen WHERE what <> 'owned'"),
	qr/^held: cannot set parameter .* within security-restricted operation/,
	'and cannot become anybody else');

($out, $err) = psql_as($node, 'keeper', <<'EOC');
DROP TRIGGER look ON leakwatch.incidents;
CREATE CONSTRAINT TRIGGER later AFTER INSERT ON leakwatch.incidents
	DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.look();
ALTER TABLE leakwatch.incidents ENABLE ALWAYS TRIGGER later;
EOC
is($err, '', 'the owner can defer one');
my $fourth = leak($node, $kind, app => 'deferred', warn => '100ms');
wait_until($node,
	"SELECT health LIKE '%cannot fire deferred trigger within security-restricted operation'"
	  . ' FROM leakwatch.status');
is($node->safe_psql('postgres', 'SELECT pending FROM leakwatch.status'),
	1, 'but not to when the recorder is a superuser: the row waits');
psql_as($node, 'keeper', 'DROP TRIGGER later ON leakwatch.incidents');
wait_for_incident($node, "pid = $fourth->{pid}");
pass('until that trigger is gone');
$node->safe_psql('postgres',
	'ALTER TABLE leakwatch.incidents OWNER TO CURRENT_USER');

# Nor does who resolves a cause hand on more rights.
$node->safe_psql('postgres', 'ALTER TABLE leakwatch.resolutions OWNER TO keeper');
($out, $err) = psql_as($node, 'keeper', <<'EOC');
CREATE FUNCTION public.resolved() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO public.seen VALUES (current_user, 'resolved');
	RETURN NEW;
END $$;
CREATE TRIGGER resolved BEFORE INSERT ON leakwatch.resolutions
	FOR EACH ROW EXECUTE FUNCTION public.resolved();
EOC
is($err, '', 'the owner of leakwatch.resolutions can create a trigger');
$node->safe_psql('postgres', 'SELECT leakwatch.resolve(min(cause)) FROM leakwatch.incidents');
is($node->safe_psql('postgres', "SELECT who FROM public.seen WHERE what = 'resolved'"),
	'keeper',
	'it runs as the owner of that table');
is($node->safe_psql('postgres', 'SELECT resolved_by = CURRENT_USER FROM leakwatch.resolutions'),
	't', 'and the row says who has resolved the cause');
$node->safe_psql('postgres', <<'EOC');
DROP TRIGGER resolved ON leakwatch.resolutions;
ALTER TABLE leakwatch.resolutions OWNER TO CURRENT_USER;
EOC
$_->quit foreach ($leaky, $second, $third, $fourth);
wait_until($node, 'SELECT recorder_pid IS NULL FROM leakwatch.status');

#
# Settings and names that are made for others
#
$node->safe_psql('postgres', <<'EOC');
CREATE FUNCTION public.now() RETURNS timestamptz LANGUAGE sql AS $$ SELECT NULL::timestamptz $$;
CREATE FUNCTION public.unnest(text[]) RETURNS SETOF text LANGUAGE sql AS $$ SELECT 'mine' $$;
CREATE FUNCTION public.never(timestamptz, timestamptz) RETURNS bool LANGUAGE sql AS $$ SELECT false $$;
CREATE OPERATOR public.= (FUNCTION = public.never, LEFTARG = timestamptz, RIGHTARG = timestamptz);
CREATE OPERATOR public.< (FUNCTION = public.never, LEFTARG = timestamptz, RIGHTARG = timestamptz);
ALTER DATABASE postgres SET search_path = public, pg_catalog;
ALTER DATABASE postgres SET default_transaction_read_only = on;
ALTER DATABASE postgres SET default_transaction_isolation = serializable;
ALTER DATABASE postgres SET statement_timeout = 1;
ALTER DATABASE postgres SET "DateStyle" = 'SQL, DMY';
ALTER DATABASE postgres SET "IntervalStyle" = sql_standard;
ALTER DATABASE postgres SET "TimeZone" = 'Asia/Kathmandu';
EOC
{
	local %ENV = (%ENV, PGOPTIONS => '-c statement_timeout=0 -c search_path=');
	my $fifth = leak($node, $kind, app => 'set', warn => '100ms');

	$node->poll_query_until('postgres',
		"SELECT EXISTS (SELECT FROM leakwatch.incidents WHERE pid = $fifth->{pid}"
		  . ' AND detected_at >= since AND duration < $$1 hour$$)')
	  or die 'not recorded';
	pass('settings of the database and names in it do not reach the recorder');
	$fifth->quit;
	$node->safe_psql('postgres',
		'BEGIN READ WRITE; ALTER DATABASE postgres RESET ALL; COMMIT');
}
$node->safe_psql('postgres',
	'DROP FUNCTION public.unnest(text[]), public.now()');

#
# A table of the same name that is not ours
#
$node->safe_psql('postgres', <<'EOC');
DROP EXTENSION leakwatch;
CREATE SCHEMA leakwatch;
CREATE TABLE leakwatch.incidents AS SELECT 1 AS mine;
EOC
my $sixth = leak($node, $kind, app => 'kept', warn => '100ms');
$node->wait_for_log(qr/extension "leakwatch" has not been created/);
is($node->safe_psql('postgres', 'SELECT count(*) FROM leakwatch.incidents'),
	1, 'a table that is not the extension\'s is left alone');
($out, $err) = ('', '');
$node->psql('postgres', 'CREATE EXTENSION leakwatch', stderr => \$err);
like($err, qr/schema "leakwatch" already exists/,
	'and a schema that somebody prepared is refused');
$node->safe_psql('postgres',
	'DROP SCHEMA leakwatch CASCADE; CREATE EXTENSION leakwatch');
wait_for_incident($node, "pid = $sixth->{pid}");
$sixth->quit;
settle($node);

#
# Dump and restore
#
my $file = PostgreSQL::Test::Utils::tempdir() . '/dump.sql';
my $rows = 'SELECT count(*), max(id) FROM leakwatch.incidents';
$node->command_ok([ 'pg_dump', '-f', $file, 'postgres' ], 'pg_dump');
$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', $file, 'restored' ],
	'restore');
is( $node->safe_psql('restored', $rows),
	$node->safe_psql('postgres', $rows),
	'the history is dumped and restored');
is( $node->safe_psql('restored', 'SELECT last_value FROM leakwatch.incidents_id_seq'),
	$node->safe_psql('postgres', 'SELECT last_value FROM leakwatch.incidents_id_seq'),
	'and so are its numbers');

#
# Not preloaded: the extension is there, and then it is not
#
my $missing =
  qr/ERROR:  leakwatch must be loaded when the server starts\nDETAIL:  .*\nHINT:  Add "leakwatch" to shared_preload_libraries/;
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->restart;
foreach my $sql ('SELECT * FROM leakwatch.leaks', 'SELECT * FROM leakwatch.sessions',
	'SELECT * FROM leakwatch.status', 'SELECT leakwatch.scan()',
	'SELECT leakwatch.assert_no_leaks()')
{
	$node->psql('postgres', $sql, stderr => \$err);
	like($err, $missing, "not preloaded: $sql is refused");
}
is( $node->safe_psql('postgres',
		q{LOAD 'leakwatch'; SELECT count(*) > 0 FROM leakwatch.incidents}),
	't', 'not preloaded: the history can be read');
$node->safe_psql('postgres', 'DROP EXTENSION leakwatch');
$node->psql('postgres', 'CREATE EXTENSION leakwatch', stderr => \$err);
like($err, $missing, 'not preloaded: it is not created');
$node->stop;
done_testing();
