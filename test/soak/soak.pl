# Runs everything at once that happens to a server in its life, and looks each
# second whether all still holds.
#
#	perl soak.pl SECONDS PIDFILE
#
# Weather.pm has what happens to the server, Leaky.pm and Pools.pm those who
# leak, Innocents.pm those who must not be hit, Invariants.pm what must hold.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;
use Soak;

use File::Spec;
use Innocents;
use Invariants;
use Leaky;
use LeakwatchTest;
use Pools;
use PostgreSQL::Test::Utils;
use TestLibrary;
use Time::HiRes qw(sleep time);
use Weather;

my ($seconds, $pid_file) = @ARGV;
my $started;

# The server's wall clock is ahead by what this file says.
my $clock = File::Spec->rel2abs(PostgreSQL::Test::Utils::tempdir() . '/wallclock');
append_to_file($clock, pack('q3', 0, 0, 0));
$ENV{WALLCLOCK} = $clock;
$ENV{SOAK_PRELOAD} = join ' ', library('wallclock'), $ENV{LD_PRELOAD} // ();

sub new_server
{
	local $ENV{LD_PRELOAD} = $ENV{SOAK_PRELOAD};
	my $node = new_node('soak', <<'EOC');
listen_addresses = '127.0.0.1'
max_connections = 100
max_wal_senders = 4
wal_level = replica
max_wal_size = 200MB
log_line_prefix = '%m [%p] %b %e '
leakwatch.protected_addresses = '127.0.0.2/32'
leakwatch.max_terminations_per_minute = 0
leakwatch.idle_in_transaction_warn = 2s
leakwatch.idle_in_transaction_terminate = 6s
leakwatch.aborted_transaction_warn = 2s
leakwatch.transaction_warn = 8s
leakwatch.transaction_terminate = 12s
leakwatch.waiting_for_client_warn = 2s
leakwatch.waiting_for_client_terminate = 6s
leakwatch.idle_blocker_warn = 2s
leakwatch.idle_blocker_terminate = 6s
leakwatch.idle_session_warn = 3s
leakwatch.idle_session_terminate = 6s
EOC

	$node->append_conf('pg_hba.conf', "host all all 127.0.0.2/32 trust\nlocal replication all trust\nhost replication all 127.0.0.1/32 trust");
	$node->safe_psql('postgres', 'SELECT pg_reload_conf(); CREATE DATABASE watch;');
	$node->safe_psql('watch', 'CREATE EXTENSION leakwatch');
	$node->safe_psql('postgres', <<'EOS' . Weather::grant_check());
CREATE ROLE guest LOGIN;
CREATE ROLE innocent LOGIN;
CREATE ROLE innocent_off LOGIN;
ALTER ROLE innocent_off SET leakwatch.mode = 'off';
CREATE TABLE payment (item text, pieces int CHECK (pieces > 0));
GRANT ALL ON payment TO app;
CREATE SCHEMA soak;
GRANT USAGE ON SCHEMA soak TO app, guest, innocent;
CREATE TABLE soak.counter (id int PRIMARY KEY, n int NOT NULL);
INSERT INTO soak.counter SELECT i, 0 FROM generate_series(0, 99) AS i;
GRANT ALL ON soak.counter TO app, guest, innocent;
CREATE TABLE soak.kept (pid int, backend_start timestamptz, kind text, since timestamptz,
	outcome text, outcome_detail text, action text, application_name text,
	PRIMARY KEY (pid, backend_start, kind, since));
-- keeps what the table of incidents has, which is about to be dropped
CREATE PROCEDURE soak.keep() LANGUAGE sql AS $$
	INSERT INTO soak.kept
	SELECT pid, backend_start, kind, since, outcome, outcome_detail, action, application_name FROM leakwatch.incidents
	ON CONFLICT (pid, backend_start, kind, since) DO UPDATE SET outcome = EXCLUDED.outcome,
		outcome_detail = EXCLUDED.outcome_detail, action = EXCLUDED.action
$$;
EOS
	$node->run_log([ 'pgbench', '-i', '-q', '-s', '1', $node->connstr('postgres') ]) or die 'pgbench has failed';
	$node->safe_psql('postgres', 'GRANT ALL ON ALL TABLES IN SCHEMA public TO innocent');
	return $node;
}

# The load: pgbench, a few transactions a second, in runs of a minute.
sub run_pgbench
{
	my ($node) = @_;
	my $rate = 25;

	until (is_over())
	{
		my ($out, $err) = run_command([ 'pgbench', '-n', '-c', 2, '-R', $rate, '-T', $seconds < 300 ? 10 : 60, '-U', 'innocent',
			$node->connstr('postgres') ]);
		my ($done) = $out =~ /number of transactions actually processed: (\d+)/;

		event('broken', rule => 'the load goes on', evidence => substr("$out\n$err", 0, 3000))
		  if !defined $done || $err =~ /aborted|error/i;
		event('pgbench', transactions => $done // 0);
	}
	return;
}

# ---------- the report ----------

sub lines_of
{
	my ($counts) = @_;

	return map { sprintf "%8d  %s\n", $counts->{$_}, $_ } sort { $counts->{$b} <=> $counts->{$a} || $a cmp $b } keys %$counts;
}

sub report
{
	my $figures = figures();
	my $status = $figures->{status} // {};
	my $broken = @{ $figures->{broken} };

	show(sprintf "\n==> %d s, looked at %d times; the table could not be read %d times\n", time - $started,
		$figures->{seconds}, $figures->{unreadable} // 0);
	show("\nLeaks made, by kind and end:\n");
	foreach my $kind (sort keys %{ $figures->{leaks} })
	{
		my $ends = $figures->{leaks}{$kind};

		show(sprintf "  %-20s %s\n", $kind, join ', ', map { "$_ $ends->{$_}" } sort keys %$ends);
	}
	show("\nRecorded of them, by outcome:\n", lines_of($figures->{outcomes} // {}));
	show("\nWhat happened:\n", lines_of($figures->{done} // {}));
	show(sprintf "\nIncidents reported %d, rows %d, finished %d, terminated %d, announced %d, spared %d, dropped %d\n",
		$status->{reported}, $figures->{rows}, map { $status->{$_} } qw(finished terminated announced spared dropped));
	show('Held back: ', join(', ', map { "$_ " . $status->{"held_$_"} } map { /^held_(.*)/ ? $1 : () } sort keys %$status), "\n");
	show("Scans $status->{scans}, in $status->{total_scan_time}; clock jumps $status->{clock_jumps}\n");
	show(sprintf "Innocent: %d sessions, %d transactions; pgbench %d transactions\n",
		map { $figures->{$_} // 0 } qw(innocent_sessions innocent_times pgbench));
	foreach my $worker (sort keys %{ $figures->{memory} })
	{
		my $memory = $figures->{memory}{$worker};

		show(sprintf "Private memory of the %s: first %d kB, warm %d kB, last %d kB, most %d kB; %d lives, the longest %d s, grown by %d kB at most since warm\n",
			$worker, @{$memory}{qw(first warm last max lives longest)}, $memory->{growth} // 0);
	}
	show("\nWhat the workers said, by how often:\n", lines_of($figures->{said} // {}));
	show($broken ? "\n==> $broken rules were broken:\n\n" . join('', @{ $figures->{broken} }) : "\n==> no rule was broken\n");
	return $broken;
}

# ---------- the soak ----------

my $node = new_server();
my $over = 0;

$started = time;

# scripts/soak is interrupted, and tells us so
$SIG{INT} = 'IGNORE';
$SIG{TERM} = sub { $over = 1 };
append_to_file($pid_file, "$$\n");
part('load', sub { run_pgbench($node) });
part('innocents', sub { Innocents::run($node) });
part('leaks', sub { Leaky::run($node) });
part('pools', sub { Pools::run($node) });
part('weather', sub { Weather::run(node => $node, clock => $clock, seconds => $seconds) });
watch_server($node, $seconds);

my ($told, $unanswered) = (0, 0);
sub look_once
{
	my $from = time;
	my $looked = eval { hear($_) foreach read_events(); look(); 1 };

	if (!$looked)
	{
		broken('the server answers', "$@");
		$over = 1 if ++$unanswered > 3;
	}
	if ($from - $told >= 60)
	{
		my $figures = figures();

		show(sprintf "%5d s: %d incidents, %d terminated, %d leaks to be looked up, %d rules broken\n", $from - $started,
			@{ $figures->{status} }{qw(reported terminated)}, leaks_left(), scalar @{ $figures->{broken} });
		$told = $from;
	}
	my $rest = $from + 1 - time;
	sleep($rest) if $rest > 0;
	return;
}

look_once() until $over || time >= $started + $seconds || is_too_much();
my @stuck = end_parts();
broken('each part comes to its end', "@stuck") if @stuck;

# what was still under way has to be in the table at last
my $patience = time + 30;
look_once() until $over || (!leaks_left() && time > $patience - 20) || time > $patience;
broken('each leak is recorded', leaks_left() . ' are not') if leaks_left() && !$over;
my $broken = report();
$node->stop('immediate');
exit($broken ? 1 : 0);
