# Shows the history of connections, minute by minute: in shared memory, in the
# table, and what is foreseen from it.
use strict;
use warnings FATAL => 'all';

use LeakwatchTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TestLibrary;

my $directory = PostgreSQL::Test::Utils::tempdir();
my $node;
my $minutes_passed = 0;

# So many more minutes, for which there is one sample.
sub pass_minutes
{
	my ($count) = @_;
	my $before = $node->safe_psql('postgres', 'SELECT count(*) FROM leakwatch.usage()');

	$minutes_passed += $count;
	set_clock(passed => $minutes_passed * 60_000_000);
	scan($node);
	wait_until($node, "SELECT count(*) > $before FROM leakwatch.usage()");
	return;
}

# Another watcher takes over.
sub replace_watcher
{
	my $watcher = status($node)->{watcher_pid};

	$node->safe_psql('postgres', "SELECT pg_terminate_backend($watcher)");
	wait_until($node, "SELECT watcher_pid <> $watcher FROM leakwatch.status");
	return;
}

sub foreseen
{
	return grep { $_->{message} =~ /^connections will be used up in about/ } log_entries($node);
}

{
	local %ENV = (%ENV, clock_environment());

	$node = new_node('usage', <<'EOC');
max_connections = 33
superuser_reserved_connections = 3
leakwatch.saturation_forecast = 24h
leakwatch.retention = 0
EOC
}

#
# Minutes
#
my @sessions = map { session($node, app => 'shop') } 1 .. 3;
$sessions[0]->query('BEGIN');
pass_minutes(1);
replace_watcher();
pass_minutes(1);
my $minutes = 'SELECT used, peak >= used, idle, in_transaction, leaked, rejected, minute = date_trunc(\'minute\', minute) FROM leakwatch.';
like($node->safe_psql('postgres', "${minutes}usage() ORDER BY minute DESC LIMIT 1"), qr/^[34]\|t\|2\|1\|0\|0\|t$/, 'a minute');
cmp_ok($node->safe_psql('postgres', 'SELECT count(*) FROM leakwatch.usage()'), '>=', 2, 'a new watcher goes on with them');

#
# The table: written along with an incident
#
my $leak = leak($node, 'idle_in_transaction', warn => '10ms');
wait_until($node, 'SELECT count(*) > 0 FROM leakwatch.samples');
settle($node);
$leak->quit;
settle($node);
my $same = 'SELECT NOT EXISTS (SELECT * FROM leakwatch.samples EXCEPT SELECT * FROM leakwatch.usage())';
wait_until($node, "$same AND (SELECT count(*) FROM leakwatch.samples) >= 1");
pass('the table has what shared memory has');
is($node->safe_psql('postgres', 'SELECT count(*) - count(DISTINCT minute) FROM leakwatch.usage'), '0', 'and the view has each once');

# It comes back with what another extension is told, and a dump has it.
$node->safe_psql('postgres', q(INSERT INTO leakwatch.samples VALUES ('2020-01-01 12:00', 1, 2, 3, 4, 5, 6)));
is($node->safe_psql('postgres', "SELECT used, rejected FROM leakwatch.usage WHERE minute = '2020-01-01 12:00'"), '1|6', 'older ones are those of the table');
$node->command_ok([ 'pg_dump', '-f', "$directory/dump.sql", 'postgres' ], 'pg_dump');
my $before = $node->safe_psql('postgres', 'SELECT count(*) FROM leakwatch.samples');
$node->safe_psql('postgres', 'DROP EXTENSION leakwatch');
is($node->psql('postgres', "\\set ON_ERROR_STOP on\n" . slurp_file("$directory/dump.sql")), 0, 'the dump is restored while they are recorded');
wait_until($node, "SELECT count(*) >= $before FROM leakwatch.samples");
is($node->safe_psql('postgres', "SELECT used FROM leakwatch.samples WHERE minute = '2020-01-01 12:00'"), '1', 'with what the server has forgotten');
$node->safe_psql('postgres', 'ALTER SYSTEM SET leakwatch.retention = 86400; SELECT pg_reload_conf()');
replace_watcher();
wait_until($node, q(SELECT NOT EXISTS (SELECT FROM leakwatch.samples WHERE minute = '2020-01-01 12:00')));
pass('what is older than is to be kept is deleted');
$node->safe_psql('postgres', 'DROP EXTENSION leakwatch; CREATE EXTENSION leakwatch');
$leak = leak($node, 'idle_in_transaction', warn => '10ms');
wait_until($node, 'SELECT count(*) > 0 FROM leakwatch.samples');
pass('a new table gets all that shared memory has');
$leak->quit;

#
# A leak of one session in ten minutes
#
foreach (1 .. 8)
{
	pass_minutes(10);
	push @sessions, session($node, app => 'shop');
}
like($node->safe_psql('postgres', q(SELECT growth_per_minute BETWEEN 0.01 AND 1, exhausted_in BETWEEN '10 min' AND '1 day'
		FROM leakwatch.saturation WHERE scope = 'server')), qr/^t\|t$/, 'a growth that lasts is foreseen');
is( $node->safe_psql('postgres', <<'EOC'), 't|t', 'also by the metrics, in seconds');
SELECT abs(60 * max(m.value) FILTER (WHERE m.name LIKE '%growth_per_second') - max(s.growth_per_minute)) < 0.001,
	abs(max(m.value) FILTER (WHERE m.name LIKE '%exhausted_in_seconds') - max(extract(epoch FROM s.exhausted_in))) <= 60
FROM leakwatch.saturation AS s, leakwatch.metrics AS m WHERE s.scope = 'server' AND m.name LIKE 'leakwatch_connections_%'
EOC
wait_for('it is said', sub { foreseen() });
my ($message) = foreseen();
is("$message->{severity} $message->{sqlstate}", 'WARNING 53300', 'with a WARNING');
like($message->{message}, qr/^connections will be used up in about \d+ (?:h|min).*: \d+ of 30 connections are in use$/, 'and its time');
like($message->{detail}, qr/^\d+ by application "shop" .*^They grow by [\d.]+ in ten minutes\.$/ms, 'who grows');
is(scalar(foreseen()), 1, 'which is said once');

$_->quit foreach @sessions;
$node->stop;
done_testing();
