# Shows that leakwatch.metrics and leakwatch.openmetrics() have the numbers of what
# really is, under names and labels that stay within bounds whatever clients call
# themselves, to those who may see them.
use strict;
use warnings FATAL => 'all';

use LeakwatchTest;
use PostgreSQL::Test::Cluster;
use RawClient;
use Test::More;

my $kind = 'idle_in_transaction';
my $node = new_node('metrics', <<'EOC');
max_connections = 260
superuser_reserved_connections = 3
wal_level = replica
max_wal_senders = 4
max_prepared_transactions = 2
EOC

# The value of a metric with these labels; undef if it has none.
sub metric
{
	my ($name, %labels) = @_;
	my $where = join(' ', map { "AND labels ->> '$_' = \$\$$labels{$_}\$\$" } sort keys %labels);
	my @rows = rows($labels{node} // $node, "SELECT value, labels FROM leakwatch.metrics WHERE name = 'leakwatch_$name' $where");

	die "leakwatch_$name has several values" if @rows > 1;
	return @rows ? $rows[0]{value} : undef;
}

sub exposition
{
	my ($strict) = @_;

	return $node->safe_psql('postgres', 'SELECT leakwatch.openmetrics(' . ($strict ? 'true' : '') . ')');
}

#
# The shape of names, types and labels
#
my @all = rows($node, 'SELECT * FROM leakwatch.metrics');
cmp_ok(scalar @all, '>', 50, 'there are metrics');
is_deeply([ grep { $_ !~ /^leakwatch_[a-z_]+$/ } map { $_->{name} } @all ], [], 'names are as Prometheus has them');
is_deeply([ map { $_->{name} } grep { ($_->{type} eq 'counter') != ($_->{name} =~ /_total$/) } @all ],
	[], 'what only grows is a counter, and is called a total');
is_deeply([ map { $_->{name} } grep { $_->{type} !~ /^(?:counter|gauge)$/ || $_->{help} !~ /^[A-Z].*[^.]$/ } @all ],
	[], 'each has a type and a help');
is($node->safe_psql('postgres', 'SELECT count(*) - count(DISTINCT (name, labels)) FROM leakwatch.metrics'),
	0, 'no value is there twice');
my %bounded = map { $_ => 1 } qw(kind outcome action rule state worker version application database role);
is_deeply([ grep { !$bounded{$_} } map { keys %{ $_->{labels} } } @all ], [], 'labels are those of which there are few');

#
# Real leaks
#
is(metric('up'), 1, 'the watcher runs');
is(metric('in_recovery'), 0, 'on a primary');
is(metric('recording'), 1, 'which records');
is(metric('build_info'), 1, 'of a version');
is(metric('open_incidents', kind => $kind), 0, 'no leak is a 0');
is(metric('open_oldest_seconds', kind => $kind), 0, 'without an age');
is(metric('application_open_incidents'), undef, 'and none of an application');

$node->safe_psql('postgres', 'CREATE TABLE t AS SELECT 1 AS a; GRANT ALL ON t TO app');
my @leaks = map { leak($node, $kind, app => 'shop', warn => '100ms') } 1 .. 3;
my $holder = session($node, app => 'shop', set => { "${kind}_warn" => '100ms' });
$holder->query('BEGIN');
$holder->query('UPDATE t SET a = a');
my $waiter = session($node, app => 'cart');
$waiter->begin('UPDATE t SET a = a');
wait_for_lock($node, $waiter);
wait_for_leak($node, $kind, @leaks, $holder);
wait_until($node, "SELECT blocked_sessions = 1 FROM leakwatch.leaks WHERE pid = $holder->{pid}");

is(metric('open_incidents', kind => $kind), 4, 'leaks are counted');
is(metric('opened_incidents_total', kind => $kind), 4, 'also since the start');
is(metric('application_open_incidents', kind => $kind, application => 'shop'), 4, 'and by application');
is(metric('application_open_incidents', application => 'cart'), undef, 'one that does not leak has none');
is(metric('blocked_sessions'), 1, 'who waits for them is counted');
is(metric('application_blocked_sessions', application => 'shop'), 1, 'and by application');
is( $node->safe_psql(
		'postgres', <<'EOC'),
SELECT m.value >= extract(epoch FROM l.before) AND m.value <= extract(epoch FROM (SELECT max(duration) FROM leakwatch.leaks))
FROM (SELECT max(duration) AS before FROM leakwatch.leaks OFFSET 0) AS l,
	LATERAL (SELECT value FROM leakwatch.metrics WHERE name = 'leakwatch_application_open_oldest_seconds' AND l.before IS NOT NULL) AS m
EOC
	't', 'the age is that of the oldest, in seconds');
is(metric('application_sessions', application => 'shop', state => 'idle_in_transaction'), 4, 'sessions are counted by state');
is(metric('application_sessions', application => 'cart', state => 'active'), 1, 'the others too');
is(metric('state_sessions', state => 'idle_in_transaction'), 4, 'and all together');

# what they keep VACUUM from
my $xmin_age = metric('xmin_age_transactions');
$node->safe_psql('postgres', 'DO $$ BEGIN FOR i IN 1 .. 20 LOOP PERFORM txid_current(); COMMIT; END LOOP; END $$');
cmp_ok(metric('xmin_age_transactions'), '>=', $xmin_age + 20, 'the age of a horizon grows with the transactions');
cmp_ok(metric('application_xmin_age_transactions', application => 'shop'), '>=', 20, 'also by application');
cmp_ok(metric('xmin_age_alone_transactions'), '>=', 0, 'and what one keeps alone');

# connections
is(metric('connections_used'), $node->safe_psql('postgres', q(SELECT used FROM leakwatch.saturation WHERE scope = 'server')), 'connections in use');
is(metric('connections_limit'), 257, 'and how many there can be');
is(metric('role_connections_used', role => 'app'), 5, 'by role');
is(metric('role_connections_limit', role => 'app'), undef, 'which has no limit');
is(metric('connections_exhausted_in_seconds'), undef, 'the end is not in sight');
is(metric('connections_growth_per_second'), 0, 'as they do not grow');
$node->safe_psql('postgres', 'CREATE DATABASE small CONNECTION LIMIT 1; ALTER ROLE app CONNECTION LIMIT 5');
like((psql_as($node, 'app', 'SELECT 1'))[1], qr/too many connections for role/, 'a client is turned away');
is(metric('role_connections_limit', role => 'app'), 5, 'by a limit');
is(metric('role_connections_rejected_total', role => 'app'), 1, 'and counted');
is(metric('connections_rejected_total'), 0, 'not for the server');
$node->safe_psql('postgres', 'ALTER ROLE app CONNECTION LIMIT -1');
my $in_small = session($node, db => 'small');
is(metric('database_connections_used', database => 'small'), 1, 'by database');
is(metric('database_connections_limit', database => 'small'), 1, 'with its limit');
$in_small->quit;

# prepared transactions
is(metric('prepared_transactions'), 0, 'none is prepared');
is(metric('prepared_oldest_seconds'), undef, 'so none is the oldest');
$node->safe_psql('postgres', q(BEGIN; SELECT pg_current_xact_id(); PREPARE TRANSACTION 'order'));
is(metric('prepared_transactions'), 1, 'one is');
configure($node, prepared_transaction_warn => '50ms');
wait_until($node, q(SELECT leakwatch.scan() IS NOT NULL AND count(*) = 1 FROM leakwatch.leaks WHERE kind = 'prepared_transaction'));
cmp_ok(metric('prepared_oldest_seconds'), '>=', 0.05, 'and is so old');
is(metric('open_incidents', kind => 'prepared_transaction'), 1, 'it is counted as a leak');
is(metric('open_incidents', kind => $kind), 4, 'for itself');
$node->safe_psql('postgres', q(ROLLBACK PREPARED 'order'));
wait_until($node, q(SELECT leakwatch.scan() IS NOT NULL AND count(*) = 0 FROM leakwatch.leaks WHERE kind = 'prepared_transaction'));
configure($node, prepared_transaction_warn => undef);
is(metric('incidents_total', kind => 'prepared_transaction', outcome => 'finished', action => 'warned'), 1, 'and its end too');

#
# How they end
#
$leaks[0]->query('COMMIT');
terminate($node, $leaks[1]);
scan($node);
is(metric('incidents_total', kind => $kind, outcome => 'finished', action => 'warned'), 1, 'one went on');
is(metric('incidents_total', kind => $kind, outcome => 'terminated_by_admin', action => 'warned'), 1, 'one was ended by an administrator');
is(metric('incidents_total', outcome => 'terminated'), undef, 'what has not happened is not there');

configure($node, mode => 'enforce', max_terminations_per_minute => 1);
my $told = leak($node, $kind, app => 'shop', warn => '50ms', terminate => '100ms');
wait_until($node, 'SELECT terminated = 1 FROM leakwatch.status');
my $braked = leak($node, $kind, app => 'shop', warn => '50ms', terminate => '100ms');
my $super = leak($node, $kind, app => 'shop', user => undef, warn => '50ms', terminate => '100ms');
wait_until($node, 'SELECT held_brake = 1 AND held_superuser = 1 FROM leakwatch.status');
is(metric('terminations_total'), 1, 'one was told to end');
is(metric('terminations_held_total', rule => 'brake'), 1, 'one was held back by the brake');
is(metric('terminations_held_total', rule => 'superuser'), 1, 'and one that is a superuser\'s');
is(metric('terminations_held_total', rule => 'address'), 0, 'a rule that held back nobody has a 0');
wait_until($node, "SELECT NOT EXISTS (SELECT FROM leakwatch.leaks WHERE pid = $told->{pid})");
is(metric('incidents_total', kind => $kind, outcome => 'terminated', action => 'terminated'), 1, 'and its end is counted');
configure($node, mode => 'observe');
my $announced = leak($node, $kind, app => 'shop', warn => '50ms', terminate => '100ms');
wait_until($node, 'SELECT announced >= 1 FROM leakwatch.status');
cmp_ok(metric('terminations_announced_total'), '>=', 1, 'what would be ended is counted');
configure($node, mode => undef, max_terminations_per_minute => undef);
$_->quit('SELECT 1;') foreach @leaks[ 0, 2 ], $told, $braked, $super, $announced, $holder, $waiter;
scan($node);

# the rest is that of the status
my $status = status($node);
is(metric('written_rows_total'), $status->{written}, 'rows written') unless $status->{pending};
is(metric('incident_room'), $status->{room}, 'room for incidents');
is(metric('refused_incidents'), 0, 'nothing was refused');
is(metric('dropped_incidents_total'), 0, 'nothing was lost');
cmp_ok(metric('scans_total'), '>=', $status->{scans}, 'scans');
cmp_ok(metric('scan_seconds_total'), '>', 0, 'and the time they took');
cmp_ok(metric('last_scan_age_seconds'), '<=', metric('scan_interval_seconds') + 60, 'the last was a short time ago');
is(metric('last_error_age_seconds'), undef, 'there was no error');

# What the recorder can't write
configure($node, database => 'nowhere');
my $unwritten = leak($node, $kind, app => 'shop', warn => '50ms');
wait_for_leak($node, $kind, $unwritten);
wait_until($node, q(SELECT health LIKE '%does not exist' FROM leakwatch.status));
is(metric('recording'), 0, 'that nothing can be recorded is a 0');
cmp_ok(metric('pending_incidents'), '>=', 1, 'with incidents that wait');
cmp_ok(metric('last_error_age_seconds', worker => 'recorder'), '>=', 0, 'and the age of the error');
configure($node, database => undef);
$unwritten->quit;
settle($node);
is(metric('recording'), 1, 'then it can again');

#
# Names that clients and administrators choose
#
my $hostile = qq(evil"\\{}\$1,a="b"\t\n# EOF);
my $known = $node->pg_version >= 16 ? qq(evil"\\{}\$1,a="b"\\x09\\x0a# EOF) : qq(evil"\\{}\$1,a="b"??# EOF);
my $client = RawClient->new($node, app => $hostile, set => { "${kind}_warn" => '50ms' });
$client->query('BEGIN');
wait_until($node, "SELECT count(*) = 1 FROM leakwatch.leaks WHERE kind = '$kind'");
is(metric('application_open_incidents', application => $known, kind => $kind), 1, 'a hostile name is data in the view');
(my $escaped = $known) =~ s/(["\\])/\\$1/g;
like(exposition(), qr/^leakwatch_application_open_incidents\{application="\Q$escaped\E",kind="$kind"\} 1$/m, 'and in the text');
$client->query('ROLLBACK');

# from 19 on names are of one line
my ($end, $escaped_end) = $node->pg_version->major >= 19 ? ("\t", "\t") : ("\n", '\n');
$node->safe_psql('postgres', qq(CREATE ROLE "a""b\\c${end}d" LOGIN));
{
	my $odd = RawClient->new($node, user => qq(a"b\\c${end}d), app => '');

	is(metric('role_connections_used', role => qq(a"b\\c${end}d)), 1, 'names of roles can have anything in them');
	like(exposition(), qr/^leakwatch_role_connections_used\{role="a\\"b\\\\c\Q${escaped_end}\Ed"\} 1$/m, 'which is escaped');
	is(metric('application_sessions', application => '', state => 'idle'), 1, 'an application can have no name');
}

# bytes of no encoding: two names that look the same here
$node->safe_psql('postgres', q(CREATE DATABASE latin1 TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'));
{
	local $ENV{PGCLIENTENCODING} = 'LATIN1';

	$node->safe_psql('latin1', "CREATE ROLE \"caf\xe9\" LOGIN; CREATE ROLE \"caf\xe8\" LOGIN");
}
foreach my $name ("caf\xe9", "caf\xe8")
{
	my $guest = RawClient->new($node, user => $name);

	$guest->query('SELECT 1');
}
is($node->safe_psql('postgres', q(SELECT count(DISTINCT labels), count(*) FROM leakwatch.metrics
	WHERE name = 'leakwatch_role_connections_used' AND labels ->> 'role' LIKE 'caf%')), '2|2', 'names that look the same stay apart');

# 200 applications
my @crowd = map { RawClient->new($node, app => sprintf('app %03d', $_)) } 1 .. 200;
push @crowd, map { RawClient->new($node, app => sprintf('app %03d', $_)) } 150 .. 170;
push @crowd, RawClient->new($node, app => 'other');
is($node->safe_psql('postgres', q(SELECT count(DISTINCT labels ->> 'application') FROM leakwatch.metrics WHERE labels ? 'application')),
	51, '200 applications are fifty and the others');
is(metric('application_sessions', application => 'app 160', state => 'idle'), 2, 'those with most sessions are told apart');
is($node->safe_psql('postgres', q(SELECT sum(value) FROM leakwatch.metrics WHERE name = 'leakwatch_application_sessions')),
	metric('connections_used'), 'and nobody is lost');
is($node->safe_psql('postgres', q(SELECT count(*) FROM leakwatch.metrics WHERE name = 'leakwatch_application_sessions' AND labels ->> 'application' = 'other')),
	1, 'one that is called like the others is among them');
cmp_ok($node->safe_psql('postgres', 'SELECT count(*) FROM leakwatch.metrics'), '<', 400, 'so there are few values');
undef @crowd;

#
# The text
#
my $text = exposition();
like($text, qr/\n# EOF\z/, 'the text ends as OpenMetrics wants it');
like($text, qr/^# TYPE leakwatch_scans_total counter\n# HELP leakwatch_scans_total .+\nleakwatch_scans_total \d+$/m, 'a metric has type and help');
like(exposition(1), qr/^# TYPE leakwatch_scan_seconds counter\n# UNIT leakwatch_scan_seconds seconds\n# HELP leakwatch_scan_seconds .+\nleakwatch_scan_seconds_total \S+$/m,
	'strictly, a counter is called so without its end');
unlike($text, qr/SELECT|UPDATE|BEGIN/, 'there is no statement in it');
my %heads;
$heads{$_}++ foreach $text =~ /^# TYPE (\w+)/mg;
is_deeply([ grep { $heads{$_} > 1 } sort keys %heads ], [], 'each metric has one head');

#
# Who may see it
#
$node->safe_psql('postgres', 'CREATE ROLE monitor LOGIN IN ROLE pg_monitor; CREATE ROLE other LOGIN; CREATE ROLE granted LOGIN');
like((psql_as($node, 'other', 'TABLE leakwatch.metrics'))[1], qr/permission denied/, 'nobody reads the view');
like((psql_as($node, 'other', 'SELECT leakwatch.openmetrics()'))[1], qr/permission denied/, 'nor the text');
my $seen = leak($node, $kind, app => 'shop', warn => '50ms');
wait_for_leak($node, $kind, $seen);
my $query = q(SELECT value FROM leakwatch.metrics WHERE name = 'leakwatch_application_open_incidents' AND labels ->> 'application' = 'shop');
is((psql_as($node, 'monitor', $query))[0], 1, 'pg_monitor sees the applications');
like((psql_as($node, 'monitor', 'SELECT leakwatch.openmetrics()'))[0], qr/application="shop"/, 'also in the text');
$node->safe_psql('postgres', 'GRANT USAGE ON SCHEMA leakwatch TO granted; GRANT SELECT ON leakwatch.metrics TO granted; GRANT EXECUTE ON FUNCTION leakwatch.metrics() TO granted');
is((psql_as($node, 'granted', $query))[0], '', 'who was granted the view does not see those of others');
is((psql_as($node, 'granted', $query =~ s/shop/other/r))[0], 1, 'but that there are some');
is((psql_as($node, 'granted', q(SELECT sum(value) FROM leakwatch.metrics WHERE name = 'leakwatch_application_sessions' AND labels ->> 'application' = 'psql')))[0],
	'', 'nor what other roles call theirs');

#
# A standby
#
$node->append_conf('pg_hba.conf', "local replication all trust\n");
$seen->quit;
$node->stop;
$node->backup_fs_cold('base');
$node->start;
is(metric('opened_incidents_total', kind => $kind), 0, 'a restart begins anew');
my $standby = PostgreSQL::Test::Cluster->new('metrics_standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
my $there = leak($standby, $kind, app => 'reader', user => undef, warn => '50ms');
wait_for_leak($standby, $kind, $there);
is_deeply(
	[ map { [ $_->{name}, $_->{value} ] } rows($standby, q(SELECT name, value FROM leakwatch.metrics
		WHERE name IN ('leakwatch_up', 'leakwatch_in_recovery', 'leakwatch_pending_incidents')
			OR labels ->> 'application' = 'reader' AND name = 'leakwatch_application_open_incidents' ORDER BY 1)) ],
	[ [ 'leakwatch_application_open_incidents', 1 ], [ 'leakwatch_in_recovery', 1 ], [ 'leakwatch_pending_incidents', 1 ], [ 'leakwatch_up', 1 ] ],
	'a standby tells of itself');
$there->quit;
$standby->stop;

#
# Without the extension everything goes on being counted
#
my $counted = leak($node, $kind, app => 'shop', warn => '50ms');
wait_for_leak($node, $kind, $counted);
$counted->quit;
settle($node);
my $scans = metric('scans_total');
$node->safe_psql('postgres', 'DROP EXTENSION leakwatch; CREATE EXTENSION leakwatch');
is(metric('opened_incidents_total', kind => $kind), 1, 'counters survive the extension');
cmp_ok(metric('scans_total'), '>=', $scans, 'all of them');

$node->stop;
done_testing();
