# Shows that what goes wrong elsewhere neither stops the watcher nor loses or
# doubles an incident: locked tables, killed workers, missing extensions and
# databases, crashes and restarts.
use strict;
use warnings FATAL => 'all';

use LeakwatchTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $kind = 'idle_in_transaction';
my $node = new_node('faults', 'restart_after_crash = on');

# From here the views can be read while the extension is not in postgres.
$node->safe_psql('postgres', 'CREATE DATABASE watch');
my ($out, $notice);
$node->psql('watch', 'CREATE EXTENSION leakwatch', stderr => \$notice);
like(
	$notice,
	qr/NOTICE:  leakwatch records incidents in database "postgres", not in this one/,
	'CREATE EXTENSION elsewhere says where incidents are recorded');

sub in_watch
{
	my ($sql) = @_;

	return $node->safe_psql('watch', $sql);
}

# How many rows there are of a session, and their outcomes.
sub rows_of
{
	my ($session) = @_;

	return $node->safe_psql('postgres',
		"SELECT count(*), string_agg(outcome, ' ') FROM leakwatch.incidents"
		  . " WHERE pid = $session->{pid}");
}

sub wait_for_health
{
	my ($like) = @_;

	wait_until($node, "SELECT health LIKE '$like' FROM leakwatch.status", 'watch');
	return;
}

#
# The table is locked for as long as anybody likes
#
my $locker = session($node, user => undef, set => { mode => 'off' });
$locker->query('BEGIN; LOCK TABLE leakwatch.incidents');
my $warned = leak($node, $kind, warn => '100ms');
my $doomed = leak($node, $kind, warn => '100ms', terminate => '300ms',
	set => { mode => 'enforce' });

wait_until($node, "SELECT count(*) = 1 FROM leakwatch.leaks WHERE pid = $warned->{pid}", 'watch');
wait_until($node, 'SELECT terminated = 1 FROM leakwatch.status', 'watch');
pass('detection and termination go on while the table is locked');
wait_for_health('%lock timeout%');
is(in_watch('SELECT pending FROM leakwatch.status'),
	2, 'what could not be written is kept');

# each try is a recorder's, and no row may get lost over several
my %tries;
wait_for('recorders have tried three times',
	sub {
		$tries{$_} = 1
		  foreach split /\n/, in_watch('SELECT pid FROM pg_locks WHERE NOT granted');
		return keys %tries == 3;
	});
$locker->query('COMMIT');
$locker->quit;
wait_until($node, 'SELECT pending = 0 FROM leakwatch.status', 'watch');
is(rows_of($warned), '1|open', 'the open incident is there once');
is(rows_of($doomed), '1|terminated', 'and so is the ended one');
wait_for_health('ok');
$doomed->quit('SELECT 1;');

#
# The workers are killed
#
my $watcher = status($node)->{watcher_pid};
$node->safe_psql('postgres', "SELECT pg_terminate_backend($watcher)");
wait_until($node,
	"SELECT watcher_pid <> $watcher FROM leakwatch.status");
settle($node);
is(leaks($node, $warned), $kind, 'a new watcher knows the open incident');
is(rows_of($warned), '1|open', 'and does not double it');
is(warnings_about($node, $warned), 1, 'nor warns about it again');

my $recorder = status($node)->{recorder_pid};
$node->safe_psql('postgres', "SELECT pg_terminate_backend($recorder)")
  if defined $recorder;
$warned->query('COMMIT');
settle($node);
is(rows_of($warned), '1|finished', 'a new recorder writes what happens');

$node->safe_psql('postgres',
	'SELECT pg_cancel_backend(watcher_pid) FROM leakwatch.status');
my $after_cancel = leak($node, $kind, warn => '100ms');
wait_for_leak($node, $kind, $after_cancel);
pass('the watcher survives a cancellation');

#
# The extension is dropped, and created again
#
wait_until($node, 'SELECT pending = 0 FROM leakwatch.status');
$node->safe_psql('postgres', 'DROP EXTENSION leakwatch');
my $meanwhile = leak($node, $kind, warn => '100ms');
wait_until($node, "SELECT count(*) = 1 FROM leakwatch.leaks WHERE pid = $meanwhile->{pid}", 'watch');
wait_for_health('%extension "leakwatch" has not been created');
$node->safe_psql('postgres', 'CREATE EXTENSION leakwatch');
settle($node);
is(rows_of($meanwhile), '1|open', 'incidents wait for the extension');
is(rows_of($after_cancel), '1|open',
	'and those that the dropped table had are in the new one');

#
# There is no such database
#
$node->safe_psql('postgres',
	"ALTER SYSTEM SET leakwatch.database = 'nowhere'; SELECT pg_reload_conf()");
$meanwhile->query('COMMIT');
wait_for_health('%"nowhere"%does not exist');
$node->safe_psql('postgres',
	'ALTER SYSTEM RESET leakwatch.database; SELECT pg_reload_conf()');
wait_until($node, 'SELECT pending = 0 FROM leakwatch.status', 'watch');
is(rows_of($meanwhile), '1|finished',
	'incidents wait for their database to exist');

#
# A backend crashes, and the server starts anew
#
my $init = $node->safe_psql('postgres',
	'SELECT pid FROM pg_stat_activity WHERE backend_type = \'checkpointer\'');
# the recorder does not wait until what it commits is on disk
$node->safe_psql('postgres', 'CHECKPOINT');
kill 'KILL', $after_cancel->{pid};
$node->poll_query_until('postgres',
	"SELECT pid <> $init FROM pg_stat_activity WHERE backend_type = 'checkpointer'"
) or die 'the server did not come back';
wait_for_incident($node,
	"pid = $after_cancel->{pid} AND outcome = 'server_restart'");
is(rows_of($after_cancel), '1|server_restart',
	'a crash closes what it left open');
$after_cancel->quit;

my $over_restart = leak($node, $kind, warn => '100ms');
wait_for_leak($node, $kind, $over_restart);
settle($node);
is(rows_of($over_restart), '1|open', 'all works after the crash');
$node->restart;
wait_for_incident($node,
	"pid = $over_restart->{pid} AND outcome = 'server_restart'");
is(rows_of($over_restart), '1|server_restart',
	'so does a restart of the server');
$over_restart->quit;

# a shutdown terminates sessions as pg_terminate_backend() does, and the two
# workers may live a moment longer than they
my $over_stop = leak($node, $kind, warn => '100ms');
wait_for_leak($node, $kind, $over_stop);
settle($node);
my $control = session($node, user => undef);
$node->command_ok([ 'pg_ctl', '-D', $node->data_dir, '-m', 'smart', '-W', 'stop' ],
	'a shutdown that waits for clients');
wait_for('the server is stopping',
	sub { slurp_file($node->data_dir . '/postmaster.pid') =~ /^stopping/m });
$control->query("SELECT pg_terminate_backend($over_stop->{pid}, 60000)");
wait_for('the end is recorded', sub {
	$control->query("SELECT outcome <> 'open' FROM leakwatch.incidents WHERE pid = $over_stop->{pid}") eq 't';
});
is($control->query("SELECT outcome FROM leakwatch.incidents WHERE pid = $over_stop->{pid}"),
	'server_restart', 'an end by the shutdown is one by a restart');
$control->quit;
$over_stop->quit('SELECT 1;');
wait_for('the server has stopped', sub { !-e $node->data_dir . '/postmaster.pid' });
# the node finds out that it has
$node->stop('fast', fail_ok => 1);
$node->start;

#
# No worker can be started
#
$node->append_conf('postgresql.conf',
	"max_worker_processes = 1\nmax_logical_replication_workers = 0");
$node->restart;
my $unrecorded = leak($node, $kind, warn => '100ms');
wait_for_leak($node, $kind, $unrecorded);
wait_for_health('%no background worker slot is free%');
is(leaks($node, $unrecorded), $kind, 'detection needs no recorder');
$node->wait_for_log(qr/leakwatch could not start its recorder/);
is( scalar(grep { $_->{message} =~ /could not start its recorder/ }
		  log_entries($node)),
	1,
	'the log says once why nothing is recorded');
$unrecorded->quit;

$node->stop;
done_testing();
