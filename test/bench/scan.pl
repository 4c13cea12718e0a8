# What a scan costs, against the query that people look for leaks with, and
# what waking up costs at all.
use strict;
use warnings FATAL => 'all';

use Bench;
use LeakwatchTest;
use Time::HiRes qw(sleep);

my $usual_query = <<'EOF';
SELECT pid, datname, usename, application_name, client_addr, state, xact_start, state_change, query
FROM pg_stat_activity
WHERE backend_type = 'client backend' AND state LIKE 'idle in transaction%' AND now() - state_change > '2 hours'
EOF
$usual_query =~ tr/\n/ /;

my $counters = "SELECT scans, extract(epoch FROM total_scan_time) * 1e9 FROM leakwatch.status";
my $back_to_back = 2000;

# One round: watcher, query and floor in the same seconds.  ns for each.
sub round_of
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
	my %cpu = map { $_ => [ schedstat($pid{$_}) ] } keys %pid;
	my ($scans_after, $inside_after) = $counter->();
	my %result;

	foreach my $name (keys %pid)
	{
		my $times = $name eq 'floor' ? $cpu{floor}[1] - $before{floor}[1]
		  : $name eq 'watcher' ? $scans_after - $scans
		  : $seconds;

		$result{$name} = ($cpu{$name}[0] - $before{$name}[0]) / ($times || 1);
	}
	$result{inside} = ($inside_after - $inside) / (($scans_after - $scans) || 1);
	return \%result;
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

	my $node = watched_node('scan', $sizes[-1]);
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
