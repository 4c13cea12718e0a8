# What leakwatch costs the workload: CPU time of a backend for the same
# transactions, on servers that differ in nothing else.
use strict;
use warnings FATAL => 'all';

use Bench;
use LeakwatchTest;
use PostgreSQL::Test::Utils;

# One pair: a new connection to each of both, and bursts on each in turn, so that
# what disturbs the machine disturbs both.  The ratio of the costs less 1.
sub pair
{
	my ($base, $other, $what, $n, $bursts, $other_first) = @_;
	my (@load, @ratios);

	foreach my $arm ($other_first ? (1, 0) : (0, 1))
	{
		$load[$arm] = driver(($base, $other)[$arm], 'load');
	}

	$_->tell("$what $n") foreach @load;
	foreach my $i (1 .. $bursts)
	{
		my @ns;

		foreach my $arm ($i % 2 ? (0, 1) : (1, 0))
		{
			($ns[$arm]) = $load[$arm]->tell("$what $n");
		}
		push @ratios, $ns[1] / $ns[0] - 1;
	}
	$_->finish foreach @load;
	return median(@ratios);
}

sub pairs
{
	my ($base, $other, $what, $n, $bursts, $pairs) = @_;
	my @ratios = map { pair($base, $other, $what, $n, $bursts, $_ % 2) } 1 .. $pairs;

	return {
		median => median(@ratios),
		lower => quantile(0.25, @ratios),
		upper => quantile(0.75, @ratios),
		values => [@ratios] };
}

sub part_overhead
{
	my ($mode) = @_;
	my ($pairs, $bursts, $n) = $mode eq 'quick' ? (2, 2, 100) : $mode eq 'full' ? (100, 20, 1000) : (24, 16, 500);
	my %node = (
		plain => plain_node('plain'),
		alike => plain_node('alike'),
		timeout => plain_node('timeout', "idle_in_transaction_session_timeout = 60s\n"),
		leakwatch => watched_node('overhead', 70, "leakwatch.trail_length = 0\n"),
		trail => watched_node('trail', 70));
	my (%figures, @rows);

	foreach my $node (values %node)
	{
		system_or_bail('pgbench', '-i', '-q', '-h', $node->host, '-p', $node->port, 'postgres');
		$node->safe_psql('postgres', 'VACUUM FREEZE ANALYZE; CHECKPOINT');
	}
	foreach my $arm (
		[ 'alike', 'select', 'a second server without leakwatch (A/A), pgbench -S prepared' ],
		[ 'leakwatch', 'select', 'leakwatch without the trail, pgbench -S prepared', 1 ],
		[ 'trail', 'select', 'leakwatch with the trail, pgbench -S prepared', 2 ],
		[ 'alike', 'transaction', 'a second server without leakwatch (A/A), BEGIN; SELECT; COMMIT' ],
		[ 'trail', 'transaction', 'leakwatch with the trail, BEGIN; SELECT; COMMIT' ],
		[ 'timeout', 'transaction', 'idle_in_transaction_session_timeout = 60s, BEGIN; SELECT; COMMIT' ])
	{
		my ($name, $what, $words, $promised) = @$arm;

		say_step("$words");
		my $f = pairs($node{plain}, $node{$name}, $what, $what eq 'select' ? $n : $n / 2, $bursts, $pairs);
		$figures{"${name}_$what"} = $f;
		push @rows,
		  row("backend CPU a transaction, $words",
			sprintf('%s (quartiles %s, %s; %d pairs of %d bursts)', percent($f->{median}), percent($f->{lower}), percent($f->{upper}), $pairs, $bursts),
			defined $promised ? ("within $promised %", $f->{median} <= $promised / 100) : ());
	}
	$_->stop('immediate') foreach values %node;
	return (\@rows, \%figures);
}

1;
