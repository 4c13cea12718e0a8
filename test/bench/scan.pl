# What watching costs a minute, and what a scan does, against the query that
# people look for leaks with, and what waking up costs at all.
use strict;
use warnings FATAL => 'all';

use Bench;
use LeakwatchTest;
use POSIX qw(sysconf _SC_CLK_TCK);
use PostgreSQL::Test::Utils;
use Time::HiRes qw(sleep);

my $usual_query = <<'EOF';
SELECT pid, datname, usename, application_name, client_addr, state, xact_start, state_change, query
FROM pg_stat_activity
WHERE backend_type = 'client backend' AND state LIKE 'idle in transaction%' AND now() - state_change > '2 hours'
EOF
$usual_query =~ tr/\n/ /;

my $counters = "SELECT scans, extract(epoch FROM total_scan_time) * 1e9 FROM leakwatch.status";
my $back_to_back = 2000;

# What happens while the query is asked once a second for so many seconds: of
# each process the CPU time in ns and how often it was woken, and how many scans
# there were and how long they took by the wall clock.
sub poll
{
	my ($bench, $seconds) = @_;
	my %pid = (
		watcher => $bench->{watcher},
		query => $bench->{query}{backend_pid},
		client => $bench->{query}{os_pid},
		floor => $bench->{floor});
	my $counter = sub {
		my ($row) = $bench->{status}->tell('run 1 0');
		return (split ' ', $row)[ 2, 3 ];
	};
	my ($scans, $inside) = $counter->();
	my %before = map { $_ => [ schedstat($pid{$_}) ] } keys %pid;
	$bench->{query}->tell("run $seconds 1000");
	my %after = map { $_ => [ schedstat($pid{$_}) ] } keys %pid;
	my ($scans_after, $inside_after) = $counter->();

	return {
		scans => $scans_after - $scans,
		inside => $inside_after - $inside,
		cpu => { map { $_ => $after{$_}[0] - $before{$_}[0] } keys %pid },
		wakes => { map { $_ => $after{$_}[1] - $before{$_}[1] } keys %pid } };
}

# One round: watcher, query and floor in the same seconds.  ns for each.
sub round_of
{
	my ($bench, $seconds) = @_;
	my $polled = poll($bench, $seconds);
	my %times = (watcher => $polled->{scans}, floor => $polled->{wakes}{floor}, query => $seconds, client => $seconds);

	return {
		inside => $polled->{inside} / ($polled->{scans} || 1),
		map { $_ => $polled->{cpu}{$_} / ($times{$_} || 1) } keys %times };
}

# Without a pause between them: what each costs when nothing is cold.
sub warm
{
	my ($bench) = @_;
	my ($cpu) = schedstat($bench->{watcher});
	my %result;

	$bench->{scan}->tell('run 1 0');
	$result{watcher} = ((schedstat($bench->{watcher}))[0] - $cpu) / $back_to_back;
	($cpu) = schedstat($bench->{query}{backend_pid});
	$bench->{query}->tell('run 100 0');
	$result{query} = ((schedstat($bench->{query}{backend_pid}))[0] - $cpu) / 100;
	return \%result;
}

sub measure
{
	my ($bench, $rounds, $seconds) = @_;
	my (@rounds, @warm, %result);

	foreach (1 .. $rounds)
	{
		push @rounds, round_of($bench, $seconds);
		push @warm, warm($bench);
	}
	foreach my $name (sort keys %{ $rounds[0] })
	{
		$result{$name} = spread_of(map { $_->{$name} } @rounds);
	}
	$result{warm_watcher} = spread_of(map { $_->{watcher} } @warm);
	$result{warm_query} = spread_of(map { $_->{query} } @warm);

	# each round's own ratio: what disturbs one round disturbs both
	$result{times_less} = spread_of(map { $_->{query} / $_->{watcher} } @rounds);
	$result{warm_times_less} = spread_of(map { $_->{query} / $_->{watcher} } @warm);
	return \%result;
}

# ---------- a minute, with settings as shipped ----------

# What the watcher and the poll beside it take a minute, in ns, and how often
# the watcher is woken.
sub minute_of
{
	my ($bench, $seconds) = @_;
	my $polled = poll($bench, $seconds);

	return {
		watcher_wakes => $polled->{wakes}{watcher} * 60 / $seconds,
		map { $_ => $polled->{cpu}{$_} * 60 / $seconds } keys %{ $polled->{cpu} } };
}

# What a poll by a client that connects for each query takes a minute, in ns: of
# the backends that are started for it, and of the postmaster.
sub connecting_poll
{
	my ($node, $times) = @_;
	my ($postmaster) = slurp_file($node->data_dir . '/postmaster.pid') =~ /^(\d+)/;
	my $cpu = sub {
		# behind the name, which may have spaces
		my @stat = split ' ', slurp_file("/proc/$postmaster/stat") =~ s/.*\) //rs;

		return (schedstat($postmaster))[0] + ($stat[13] + $stat[14]) * 1e9 / sysconf(_SC_CLK_TCK);
	};
	my $before = $cpu->();

	$node->safe_psql('postgres', $usual_query) foreach 1 .. $times;
	return ($cpu->() - $before) * 60 / $times;
}

# How long a transaction is open, and how long a session rests between two.
my ($hold_ms, $rest_ms) = (5, 2000);

sub minutes
{
	my ($mode, $size) = @_;
	my $seconds = $mode eq 'quick' ? 2 : $mode eq 'full' ? 360 : 120;
	my $settled = $mode eq 'quick' ? 2 : 90;
	my $node = watched_node('minute', $size);
	my %result;

	# new_node() switches limits off
	configure($node, map { $_->{name} =~ s/^leakwatch\.//r => $_->{boot_val} } rows($node,
		"SELECT name, boot_val FROM pg_settings WHERE name LIKE 'leakwatch.%\\_warn' OR name = 'leakwatch.scan_interval'"));
	my $bench = {
		watcher => watcher_pid($node),
		floor => spawn_program('floor', 10_000),
		map { $_ => driver($node, 'query') } qw(query status) };
	$bench->{query}->tell("prepare $usual_query");
	$bench->{status}->tell("prepare $counters");
	say_step("an idle server, $seconds s");
	# at first there is more to be learnt
	$bench->{query}->tell("run $settled 1000");
	$result{idle} = minute_of($bench, $seconds);
	$result{idle}{connecting} = connecting_poll($node, $mode eq 'quick' ? 2 : 60);

	say_step("$size sessions in short transactions, $seconds s");
	my $clients = driver($node, 'clients');
	my $cycles = int($size * ($settled + $seconds + 30) * 1000 / ($hold_ms + $rest_ms));
	$clients->tell("open $size");
	scan($node);
	$clients->begin_to_tell("cycle $hold_ms $rest_ms $cycles");
	$bench->{query}->tell("run $settled 1000");
	$result{busy} = minute_of($bench, $seconds);
	$result{busy}{connecting} = connecting_poll($node, $mode eq 'quick' ? 2 : 60);
	$clients->answer;
	$clients->finish;
	kill 'TERM', $bench->{floor};
	waitpid $bench->{floor}, 0;
	$node->stop('immediate');
	return \%result;
}

sub rows_of_minutes
{
	my ($minutes, $size) = @_;
	my @rows;

	foreach my $case ([ 'an idle server', 'idle' ], [ "$size sessions in short transactions", 'busy' ])
	{
		my ($what, $name) = @$case;
		my $m = $minutes->{$name};
		my $watcher = $m->{watcher} || 1;	# it may sleep through a short measurement
		my $times = $m->{query} / $watcher;

		push @rows,
		  row("CPU a minute of the watcher, $what",
			us($m->{watcher}) . sprintf(' in %.0f wake-ups', $m->{watcher_wakes})),
		  row("the same of a process that only wakes up every ten seconds", us($m->{floor})),
		  row("the same of a query on pg_stat_activity once a second, and of its client",
			ms($m->{query} / 1e6) . ' and ' . ms($m->{client} / 1e6)),
		  row("the same of a server for a client that connects for each query", ms($m->{connecting} / 1e6)),
		  row("that against the watcher, $what", factor($m->{connecting} / $watcher)),
		  row("the query against the watcher, $what", factor($times),
			$name eq 'busy' ? ('at least 500 times', $times >= 500) : ());
	}
	return @rows;
}

sub part_scan
{
	my ($mode) = @_;
	my @sizes = $mode eq 'quick' ? (20, 50) : (100, 500, 1000, 2500);
	my ($rounds, $seconds) = $mode eq 'quick' ? (1, 2) : $mode eq 'full' ? (9, 15) : (5, 8);
	my (%scan, @rows);

	# a backend takes up to 3 MB
	if ($mode ne 'quick')
	{
		if (available_mb() > 5000 * 3) { push @sizes, 5000 }
		else { say_step('skipped: 5,000 sessions, for which there is no memory') }
	}

	my ($crowd) = grep { $mode eq 'quick' || $_ == 2500 } reverse @sizes;
	my $minutes = minutes($mode, $crowd);

	# a scan a second, so that what one costs is seen in seconds
	my $node = watched_node('scan', $sizes[-1], "leakwatch.scan_interval = 1s\n");
	my $bench = {
		watcher => watcher_pid($node),
		floor => spawn_program('floor'),
		map { $_ => driver($node, 'query') } qw(query scan status) };
	$bench->{query}->tell("prepare $usual_query");
	$bench->{scan}->tell("prepare SELECT count(leakwatch.scan()) FROM generate_series(1, $back_to_back)");
	$bench->{status}->tell("prepare $counters");
	my $clients = driver($node, 'clients');

	foreach my $size (@sizes)
	{
		say_step("$size sessions");
		$clients->tell("open $size");
		$clients->tell('send even ROLLBACK');
		$clients->tell('send even BEGIN; SELECT 1');
		scan($node);
		$scan{$size} = measure($bench, $rounds, $seconds);

		if ($size == 2500 || $mode eq 'quick' && $size == $sizes[-1])
		{
			say_step("and half of them incidents");
			# a limit of seconds would have the watcher look at everybody all along
			configure($node, idle_in_transaction_warn => $mode eq 'quick' ? '1s' : '30s');
			wait_until($node, 'SELECT count(*) = '
				  . $size / 2 . ' FROM leakwatch.incidents');
			settle($node);
			$scan{open} = measure($bench, $rounds, $seconds);
			configure($node, idle_in_transaction_warn => undef);
			settle($node);
		}
	}
	$clients->finish;
	kill 'TERM', $bench->{floor};
	waitpid $bench->{floor}, 0;
	$node->stop('immediate');

	my ($size) = $scan{2500} ? 2500 : $sizes[-1];
	push @rows, rows_of_minutes($minutes, $crowd);
	$scan{minutes} = $minutes;
	foreach my $case (
		[ "$size sessions", $scan{$size}, 500 ],
		[ $size / 2 . ' incidents open', $scan{open}, 100 ])
	{
		my ($what, $s, $promised) = @$case;

		push @rows,
		  row("query on pg_stat_activity against a scan, $what",
			factor($s->{times_less}{median})
			  . sprintf(' (%s to %s)', us($s->{query}{median}), us($s->{watcher}{median})),
			"at least $promised times", $s->{times_less}{median} >= $promised),
		  row("the same, back to back, $what",
			factor($s->{warm_times_less}{median})
			  . sprintf(' (%s to %s)', us($s->{warm_query}{median}), us($s->{warm_watcher}{median}))),
		  row("a process that only wakes up once a second, beside it", us($s->{floor}{median})),
		  row("the query against what the scan takes beyond that",
			$s->{watcher}{median} > $s->{floor}{median}
			? factor($s->{query}{median} / ($s->{watcher}{median} - $s->{floor}{median}))
			: 'nothing was beyond'),
		  row("from the start of the scan to its end, by the wall clock", us($s->{inside}{median}));
	}
	if ($scan{1000} && $scan{2500})
	{
		my $growth = $scan{2500}{watcher}{median} / $scan{1000}{watcher}{median};
		my $warm = $scan{2500}{warm_watcher}{median} / $scan{1000}{warm_watcher}{median};

		push @rows,
		  row('scan at 2,500 sessions against 1,000', factor($growth), 'at most 2.5 times', $growth <= 2.5),
		  row('the same, back to back', factor($warm), 'at most 2.5 times', $warm <= 2.5);
	}
	push @rows,
	  row("a poll once a second: server, and its client, a second, $size sessions",
		us($scan{$size}{query}{median}) . ' and ' . us($scan{$size}{client}{median}));
	return (\@rows, \%scan);
}

1;
