# What it costs to look for the harm of open incidents on a server with many
# locks: a session that holds 100,000, 50 incidents, and 10 that wait for them.
# All are over a terminate limit and protected, so that each scan has to decide
# anew who of them blocks others.
use strict;
use warnings FATAL => 'all';

use Bench;
use LeakwatchTest;
use Time::HiRes qw(sleep);

# At most so much of the time goes into it: SURVEY_REST in harm.c.
my $most = 1 / 20;

sub part_harm
{
	my ($mode) = @_;
	my ($locks, $incidents, $waiters, $seconds) =
	  $mode eq 'quick' ? (1000, 5, 2, 3) : (100_000, 50, 10, $mode eq 'full' ? 60 : 15);
	my $node = watched_node('harm', 100,
		"max_locks_per_transaction = 2000\nleakwatch.scan_interval = 100ms\n"
		  . "leakwatch.terminate_when = blocking\nleakwatch.protected_applications = leaky\n");
	my $watcher = watcher_pid($node);

	$node->safe_psql('postgres', 'CREATE TABLE held (); GRANT ALL ON held TO app');
	say_step("$locks locks, $incidents incidents, $waiters waiters");
	my @sessions = map { leak($node, 'idle_in_transaction', warn => '100ms', terminate => '200ms', set => { mode => 'enforce' }) } (1 .. $incidents);
	$_->query('LOCK TABLE held IN ROW SHARE MODE') foreach @sessions;
	$sessions[0]->query("SELECT count(pg_advisory_xact_lock(i)) FROM generate_series(1, $locks) AS i");
	my @waiting = map { session($node) } (1 .. $waiters);
	$_->begin('BEGIN; LOCK TABLE held') foreach @waiting;
	$_->{run}->pump_nb foreach @waiting;
	wait_until($node, "SELECT count(*) = $incidents AND min(blocked_sessions) = $waiters FROM leakwatch.leaks");

	my ($cpu) = schedstat($watcher);
	my $before = status($node);
	sleep $seconds;
	my ($cpu_after) = schedstat($watcher);
	my $after = status($node);
	my $share = ($cpu_after - $cpu) / 1e9 / $seconds;
	my $scans = $after->{scans} - $before->{scans};

	$node->stop('immediate');
	$_->quit foreach (@sessions, @waiting);
	return ([
			row("CPU of the watcher, $locks locks, $incidents incidents, $waiters waiters",
				sprintf('%.2f %% of a core', 100 * $share),
				sprintf('at most %d %%', 100 * $most), $share <= $most),
			row('the same, by the scan', us(($cpu_after - $cpu) / $scans))
		],
		{ share => $share, scans => $scans });
}

1;
