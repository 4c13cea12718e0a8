# Shows that only client sessions are judged: under the strictest policy every
# other process lives on, and a client session does not, unless it would be wrong
# to end it.
use strict;
use warnings FATAL => 'all';

use LeakwatchTest;
use RawClient;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = PostgreSQL::Test::Cluster->new('innocent');
$node->init(allows_streaming => 'logical');
$node->append_conf('postgresql.conf', <<'EOC');
shared_preload_libraries = 'leakwatch'
max_worker_processes = 16
max_connections = 20
log_line_prefix = '%m [%p] %e '
synchronous_commit = local
listen_addresses = '127.0.0.1'
EOC
$node->start;
$node->safe_psql('postgres', <<'EOC');
CREATE EXTENSION leakwatch;
CREATE ROLE app LOGIN;
CREATE ROLE vacuumer LOGIN;
ALTER ROLE vacuumer SET leakwatch.session_warn = 0;
ALTER ROLE vacuumer SET leakwatch.session_terminate = 0;
CREATE ROLE reader LOGIN;
ALTER ROLE reader SET leakwatch.waiting_for_client_warn = 0;
ALTER ROLE reader SET leakwatch.waiting_for_client_terminate = '6s';
CREATE DATABASE copy;
CREATE TABLE stock (item int PRIMARY KEY);
CREATE PUBLICATION everything FOR TABLE stock;
SELECT pg_create_logical_replication_slot('copy', 'pgoutput');
EOC
# of a client that reads slowly, no other limit
$node->safe_psql('postgres',
	join('', map { ("ALTER ROLE reader SET leakwatch.${_}_warn = 0;", "ALTER ROLE reader SET leakwatch.${_}_terminate = 0;") }
		qw(transaction session idle_session)));
my $connection = 'port=' . $node->port . ' host=' . $node->host . ' dbname=postgres';
$node->safe_psql('copy', <<"EOC");
CREATE TABLE stock (item int PRIMARY KEY);
CREATE SUBSCRIPTION copy CONNECTION '$connection' PUBLICATION everything
	WITH (create_slot = false, slot_name = 'copy');
EOC
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;

# The session that starts the parallel worker is spared, for its worker's sake.
my $version = $node->safe_psql('postgres', 'SHOW server_version_num');
my $always = $version >= 160000 ? 'debug_parallel_query' : 'force_parallel_mode';
my $leader = session($node, user => undef, set => { mode => 'off' });
$leader->query("SET $always = on");
$leader->begin('SELECT pg_sleep(600)');

#
# Sessions whose end would hit the wrong one, break a promise, or gain nothing
#
my $root = session($node, user => undef, set => { mode => 'off' });
$root->query('SELECT pg_advisory_lock(1)');
my %innocent = (
	'one that waits for a lock' => session($node),
	'one that commits' => session($node),
	'one that has exported its snapshot' => session($node),
	# of a session that vacuums, the session may be too old, but not the transaction
	'one that vacuums' => session($node, user => 'vacuumer'));

$node->safe_psql('postgres', <<'EOC');
CREATE TABLE big AS SELECT i, repeat('x', 500) AS filler FROM generate_series(1, 30000) AS i;
DELETE FROM big;
ALTER TABLE big OWNER TO vacuumer;
CREATE TABLE note (i int);
GRANT INSERT ON note TO app;
ALTER SYSTEM SET synchronous_standby_names = 'away';
SELECT pg_reload_conf();
EOC
$innocent{'one that waits for a lock'}->begin('SELECT pg_advisory_lock(1)');
$innocent{'one that has exported its snapshot'}->query($_)
  foreach 'BEGIN ISOLATION LEVEL REPEATABLE READ', 'SELECT pg_export_snapshot()';
$innocent{'one that vacuums'}->query('SET vacuum_cost_delay = 100; SET vacuum_cost_limit = 1');
$innocent{'one that vacuums'}->begin('VACUUM big');

# until the checkpointer has read the setting, a commit waits for nobody
$innocent{'one that commits'}->query('SET synchronous_commit = on');
wait_for('a commit waits',
	sub {
		my $session = $innocent{'one that commits'};

		$session->begin('INSERT INTO note VALUES (1)');
		wait_until($node,
			"SELECT wait_event = 'SyncRep' OR state = 'idle' FROM pg_stat_activity WHERE pid = $session->{pid}");
		return 1 if $node->safe_psql('postgres',
			"SELECT wait_event = 'SyncRep' FROM pg_stat_activity WHERE pid = $session->{pid}") eq 't';
		$session->wait;
		return 0;
	});

# A client that reads a long result slowly and steadily, in a process of its own:
# whatever else goes on here must not make it pause.  What it must not meet is the
# limit for those that do not read.
my $reader = RawClient->new($node, addr => '127.0.0.1', user => 'reader');
$reader->messages(Q => "SELECT repeat('x', 1000) FROM generate_series(1, 1000000)\0");
my $reading = fork // die "could not fork: $!";
if ($reading == 0)
{
	while (1)
	{
		$reader->take(1000);
		usleep(20_000);
	}
}
wait_until($node, "SELECT wait_event = 'ClientWrite' FROM pg_stat_activity WHERE pid = $reader->{pid}");

# Names differ between the versions: what is looked for are patterns.  The
# watcher is among them as a background worker that shows itself idle for ever.
my @others = (
	'walsender', 'logical replication%worker', 'parallel worker',
	'autovacuum launcher', 'checkpointer', 'leakwatch watcher');
my $patterns = join(', ', map { "('$_')" } @others);
$node->poll_query_until('postgres', <<"EOC")
SELECT bool_and(EXISTS (SELECT FROM pg_stat_activity WHERE backend_type LIKE pattern))
	AND (SELECT count(*) = 2 FROM pg_stat_activity WHERE backend_type = 'walsender')
FROM (VALUES $patterns) AS p (pattern)
EOC
  or die 'not all processes are there: '
  . $node->safe_psql('postgres',
	'SELECT string_agg(backend_type, $$, $$) FROM pg_stat_activity');

# The recorder comes and goes, and so do workers of autovacuum.
my $list = <<'EOC';
SELECT string_agg(backend_type || ' ' || pid, ', ' ORDER BY backend_type, pid)
FROM pg_stat_activity
WHERE backend_type NOT IN ('client backend', 'autovacuum worker', 'leakwatch recorder')
EOC
my $before = $node->safe_psql('postgres', $list);
note $before;

# Whoever looks on is exempt.
my $strictest = "leakwatch.mode = 'enforce'\n"
  . join('', map { "leakwatch.${_}_warn = 10\nleakwatch.${_}_terminate = 10\n" } KINDS, 'idle_blocker', 'waiting_for_client')
  . <<'EOC';
leakwatch.terminate_superusers = on
leakwatch.terminate_active = on
leakwatch.protected_applications = ''
leakwatch.protected_addresses = ''
leakwatch.max_terminations_per_minute = 0
EOC
$node->safe_psql('postgres',
	'ALTER ROLE CURRENT_USER SET leakwatch.mode = off');
$node->wait_for_catchup($standby);
foreach my $server ($node, $standby)
{
	$server->append_conf('postgresql.conf', $strictest);
	$server->reload;
	$server->poll_query_until('postgres', <<'EOC') or die 'policy not in force';
SELECT session_terminate = '10 ms' FROM leakwatch.sessions WHERE pid = pg_backend_pid()
EOC
}

#
# A client session ends, by the same policy
#
foreach my $server ($node, $standby)
{
	my $name = $server->name;
	my ($out, $err);

	$server->psql(
		'postgres', 'SELECT pg_sleep(600)',
		stderr => \$err,
		extra_params => [ '-U', 'app' ]);
	like(
		$err,
		qr/DETAIL:  leakwatch terminated the session because/,
		"$name: a client session is terminated, and told why");
	like($server->safe_psql('postgres', 'SELECT terminated FROM leakwatch.status'),
		qr/^[1-9]/, "$name: and counted");
}

# a client that does not read ends by the limit that the slow one does not meet
my $rests = RawClient->new($node, addr => '127.0.0.1', user => 'reader');
$rests->messages(Q => "SELECT repeat('x', 1000) FROM generate_series(1, 1000000)\0");
wait_until($node, "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $rests->{pid})");
pass('a client that does not read is terminated');
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND pid = $reader->{pid}"),
	1, 'one that reads slowly and steadily is still there');

# the policy has been in force for far longer than its limits by now
foreach (1 .. 5)
{
	scan($_) foreach ($node, $standby);
}
is($node->safe_psql('postgres', $list), $before, 'all others are still there');
foreach my $what (sort keys %innocent)
{
	is($node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE state <> 'idle' AND pid = $innocent{$what}{pid}"),
		1, "$what is still there");
}
is( $node->safe_psql(
		'postgres',
		"SELECT count(*) FROM leakwatch.sessions WHERE pid IN"
		  . " (SELECT pid FROM pg_stat_activity WHERE backend_type <> 'client backend')"
	),
	0,
	'none of them is a session to be judged');
settle($node);
is( $node->safe_psql(
		'postgres',
		"SELECT count(*) FROM leakwatch.incidents WHERE usename IS DISTINCT FROM 'app' AND pid <> $rests->{pid}"
	),
	0,
	'no incident is of anybody but the client');

$node->safe_psql('postgres', 'INSERT INTO stock VALUES (1)');
$node->poll_query_until('copy', 'SELECT count(*) = 1 FROM stock')
  or die 'logical replication has stopped';
$node->wait_for_catchup($standby);
is($standby->safe_psql('postgres', 'SELECT count(*) FROM stock'),
	1, 'replication goes on, logical and physical');

kill('KILL', $reading);
waitpid($reading, 0);
$_->die_now foreach $leader, $root, values %innocent;
$node->stop;
$standby->stop;
done_testing();
