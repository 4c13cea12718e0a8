# Shows whom it would be wrong to end, and who is spared: a transaction that has
# committed, maintenance, an exported snapshot, backup and repack tools.  And
# what is said of them; and that what is not known of a role protects nobody
# longer than it is not known.
use strict;
use warnings FATAL => 'all';

use LeakwatchTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('promises', <<'EOC');
max_prepared_transactions = 4
wal_level = replica
max_wal_senders = 2
synchronous_standby_names = 'away'
synchronous_commit = local
autovacuum = off
leakwatch.terminate_active = on
EOC
$node->safe_psql('postgres', <<'EOC');
CREATE TABLE t (i int);
GRANT ALL ON t TO app;
GRANT CREATE ON SCHEMA public TO app;
EOC
sleep_in_function(0.05);

# A function that takes its time.
sub sleep_in_function
{
	my ($seconds) = @_;

	$node->safe_psql('postgres', 'CREATE OR REPLACE FUNCTION slow(i int) RETURNS int IMMUTABLE LANGUAGE plpgsql'
		  . " AS 'BEGIN PERFORM pg_sleep($seconds); RETURN i; END'");
	return;
}

# The first message about a session, once it is there.
sub said_of
{
	my ($session) = @_;

	wait_for('it is told of', sub { log_of($node, $session) });
	return (log_of($node, $session))[0];
}

# A session is over its terminate limit and stays, by this rule.
sub spared
{
	my ($session, $rule, $what) = @_;

	wait_until($node,
		"SELECT '$rule' = ANY (protected_by) FROM leakwatch.sessions, leakwatch.scan() WHERE pid = $session->{pid}");
	scan($node) foreach 1 .. 3;
	is($node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE pid = $session->{pid}"),
		1, "$what: it is spared");
	return;
}

my %doomed = (mode => 'enforce', transaction_warn => '300ms', transaction_terminate => '600ms');

#
# COMMIT that waits for a synchronous standby, and what else commits
#
my $prepared = session($node, set => {});
$prepared->query(q{BEGIN\; INSERT INTO t VALUES (7)\; PREPARE TRANSACTION 'old'});
$prepared->quit;
my %committing = (
	'an INSERT of its own' => 'INSERT INTO t VALUES (1)',
	'COMMIT' => 'BEGIN\; INSERT INTO t VALUES (2)\; COMMIT',
	'PREPARE TRANSACTION' => q{BEGIN\; INSERT INTO t VALUES (3)\; PREPARE TRANSACTION 'new'},
	'COMMIT PREPARED' => q{COMMIT PREPARED 'old'});
my %session;
my $before = status($node)->{held_committing};

foreach my $what (sort keys %committing)
{
	$session{$what} = session($node, set => \%doomed);
	$session{$what}->query('SET synchronous_commit = on');
	$session{$what}->begin($committing{$what});
}
foreach my $what (sort keys %committing)
{
	my $session = $session{$what};

	wait_until($node, "SELECT wait_event = 'SyncRep' FROM pg_stat_activity WHERE pid = $session->{pid}");
	wait_age($node, 'transaction_age', '700ms', $session);
	spared($session, 'committing', $what);
	my $said = said_of($session);
	like($said->{detail}, qr/ It has committed, and waits for a synchronous standby\./, "$what: what it waits for is said");
	like($said->{hint}, qr/^See in pg_stat_replication /, "$what: and where to look, not to split the work");
}
wait_until($node, "SELECT held_committing = $before + 4 FROM leakwatch.status");
pass('each is counted');
$node->safe_psql('postgres', "ALTER SYSTEM SET synchronous_standby_names = ''; SELECT pg_reload_conf()");
foreach my $what (sort keys %session)
{
	$session{$what}->wait;
	is($session{$what}->query('SELECT 1'), 1, "$what: and goes on when it is confirmed");
	$session{$what}->quit;
}
$node->safe_psql('postgres', q{ROLLBACK PREPARED 'new'});
is(status($node)->{terminated}, 0, 'none was ended');

#
# Maintenance
#
$node->safe_psql('postgres', $_) foreach
  'CREATE TABLE big (i int, filler text)',
  q{INSERT INTO big SELECT i, repeat('x', 500) FROM generate_series(1, 3000) AS i},
  'CREATE INDEX ON big (i)',
  'DELETE FROM big',
  'ALTER TABLE big OWNER TO app',
  'CREATE TABLE slow (i int)',
  'INSERT INTO slow SELECT generate_series(1, 2000)',
  'ALTER TABLE slow OWNER TO app';
my $delay = q{SET vacuum_cost_delay = '100ms'; SET vacuum_cost_limit = 1;};
my $vacuum = session($node, set => \%doomed);
$vacuum->query($delay);
$vacuum->begin('VACUUM big');
wait_age($node, 'transaction_age', '700ms', $vacuum);
scan($node) foreach 1 .. 3;
is(leaks($node, $vacuum), '', 'VACUUM holds back nobody, and is not reported');
is($node->safe_psql('postgres', "SELECT query FROM pg_stat_activity WHERE pid = $vacuum->{pid}"),
	'VACUUM big;', 'nor ended, whatever the limits');
is(status($node)->{terminated}, 0, 'and nobody else was');
terminate($node, $vacuum);

configure($node, terminate_active => 'off');
foreach my $case (
	[ 'CREATE INDEX', 'CREATE INDEX ON slow (slow(i))', qr/CREATE INDEX: building index/ ],
	[ 'CREATE INDEX CONCURRENTLY', 'CREATE INDEX CONCURRENTLY ON slow (slow(i))', qr/CREATE INDEX CONCURRENTLY: building index/ ],
	[ 'ANALYZE', "$delay ANALYZE big", qr/ANALYZE: acquiring sample rows, \d+ % done/ ])
{
	my ($what, $statement, $words) = @$case;
	my $session = session($node, set => \%doomed);

	$session->query($1) if $statement =~ s/^(SET.*;) //;
	$session->begin($statement);
	spared($session, 'maintenance', $what);
	wait_age($node, 'transaction_age', '700ms', $session);
	wait_leak($session);
	my $said = said_of($session);
	like($said->{detail}, qr/ It runs $words/, "$what: the command is named, and how far it has come");
	like($said->{hint}, qr/^Maintenance takes its time/, "$what: nobody is told to split it");
	cmp_ok(status($node)->{held_maintenance}, '>', 0, "$what: counted");
	terminate($node, $session);
}

sub wait_leak
{
	my ($session) = @_;

	wait_until($node, "SELECT EXISTS (SELECT FROM leakwatch.leaks WHERE pid = $session->{pid}) FROM leakwatch.scan()");
	return;
}

# VACUUM FULL keeps rows from being removed as everybody does
sleep_in_function(0);
$node->safe_psql('postgres', 'CREATE INDEX ON slow (slow(i))');
sleep_in_function(0.05);
my $full = session($node, set => \%doomed);
$full->begin('VACUUM FULL slow');
wait_leak($full);
spared($full, 'maintenance', 'VACUUM FULL');
like(said_of($full)->{detail}, qr/ It runs VACUUM FULL: /, 'VACUUM FULL: is named');
terminate($node, $full);

# with terminate_active it ends as any statement does
configure($node, terminate_active => 'on');
my $index = session($node, set => \%doomed);
$index->begin('REINDEX TABLE slow');
wait_for_incident($node, "pid = $index->{pid} AND outcome = 'terminated'");
pass('terminate_active ends maintenance too');
$index->quit;
configure($node, terminate_active => 'off');

#
# An exported snapshot
#
my %idle = (mode => 'enforce', idle_in_transaction_warn => '100ms', idle_in_transaction_terminate => '300ms');
my $exporter = session($node, set => \%idle);
$exporter->query('BEGIN ISOLATION LEVEL REPEATABLE READ');
my $snapshot = $exporter->query('SELECT pg_export_snapshot()');
spared($exporter, 'exported snapshot', 'an exported snapshot');
wait_until($node, 'SELECT held_exported_snapshot = 1 FROM leakwatch.status, leakwatch.scan()');
pass('and counted');
like(said_of($exporter)->{detail}, qr/ It has exported its snapshot to others\./, 'and that is said');
is(leak_row($node, $exporter, 'holds'), '{snapshot,"exported snapshot"}', 'and it is among what it holds');
my $importer = session($node, set => {});
$importer->query('BEGIN ISOLATION LEVEL REPEATABLE READ');
is($importer->query("SET TRANSACTION SNAPSHOT '$snapshot'"), '', 'which others can use');
$exporter->query('COMMIT');
settle($node);
is_deeply(incident($node, $exporter, 'idle_in_transaction')->{holds}, [ 'snapshot', 'exported snapshot' ], 'the table has it too');
$exporter->query('BEGIN');
wait_for_incident($node, "pid = $exporter->{pid} AND outcome = 'terminated'");
pass('its next transaction is nobody\'s snapshot');
$_->quit foreach $exporter, $importer;

#
# Tools that call themselves so
#
foreach my $name ('pg_repack', 'pgBackRest [backup]', 'barman', 'barman_cloud_backup', 'pgcopydb[1234] SNAPSHOT', 'Debezium Streaming', 'pg_probackup', 'pg_dumpall')
{
	my $tool = session($node, app => $name, set => { idle_in_transaction_terminate => '10ms', mode => 'enforce' });

	$tool->query('BEGIN');
	wait_age($node, 'state_age', '50ms', $tool);
	is_deeply(policy($node, $tool)->{protected_by}, ['application'], "$name is spared as shipped");
	$tool->quit;
}

#
# A dropped role is nobody's superuser
#
$node->safe_psql('postgres', q{CREATE ROLE leaver LOGIN;
	ALTER ROLE leaver SET leakwatch.mode = 'enforce';
	ALTER ROLE leaver SET leakwatch.idle_in_transaction_warn = '100ms';
	ALTER ROLE leaver SET leakwatch.idle_in_transaction_terminate = '2s'});
my $leaver = session($node, user => 'leaver');
$leaver->query('BEGIN');
$node->safe_psql('postgres', 'DROP ROLE leaver');
wait_for_leak($node, 'idle_in_transaction', $leaver);
is(policy($node, $leaver)->{protected_by}, undef, 'nothing protects a session of a role that was dropped');
wait_for_incident($node, "pid = $leaver->{pid} AND outcome = 'terminated'");
pass('and it ends');
$leaver->quit;

# without a state nobody knows whether it runs a statement
my $silent = session($node, user => undef, set => { session_warn => '1h' });
$silent->query('SET track_activities = off');
$silent->query('SELECT 1');
is_deeply(policy($node, $silent)->{protected_by}, [ 'superuser', 'state unknown' ], 'that a state is not known is said');
$silent->quit;

$node->stop;
done_testing();
