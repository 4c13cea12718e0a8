# What leakwatch costs the workload: CPU time of a backend for the same
# transactions, on servers that differ in nothing else.
use strict;
use warnings FATAL => 'all';

use Bench;
use LeakwatchTest;
use PostgreSQL::Test::Utils;

# ns of a backend for so many transactions, on a new connection
sub cost
{
	my ($node, $what, $n) = @_;
	my $load = driver($node, 'load');

	$load->tell("$what " . int($n / 10 + 1));
	my ($ns) = $load->tell("$what $n");
	$load->finish;
	return $ns / $n;
}

# Ratios less 1 of pairs, in alternating order; the first arm is the base.
sub pairs
{
	my ($base, $other, $what, $n, $pairs) = @_;
	my @ratios;

	foreach my $i (1 .. $pairs)
	{
		my ($a, $b);

		if ($i % 2)
		{
			$a = cost($base, $what, $n);
			$b = cost($other, $what, $n);
		}
		else
		{
			$b = cost($other, $what, $n);
			$a = cost($base, $what, $n);
		}
		push @ratios, $b / $a - 1;
	}
	return {
		median => median(@ratios),
		lower => quantile(0.25, @ratios),
		upper => quantile(0.75, @ratios),
		values => [@ratios] };
}

sub part_overhead
{
	my ($mode) = @_;
	my ($pairs, $n) = $mode eq 'quick' ? (2, 500) : $mode eq 'full' ? (100, 20_000) : (40, 10_000);
	my %node = (
		plain => plain_node('plain'),
		alike => plain_node('alike'),
		timeout => plain_node('timeout', "idle_in_transaction_session_timeout = 60s\n"),
		leakwatch => watched_node('overhead', 70));
	my (%figures, @rows);

	foreach my $node (values %node)
	{
		system_or_bail('pgbench', '-i', '-q', '-h', $node->host, '-p', $node->port, 'postgres');
		$node->safe_psql('postgres', 'VACUUM FREEZE ANALYZE; CHECKPOINT');
	}
	foreach my $arm (
		[ 'alike', 'select', 'a second server without leakwatch (A/A), pgbench -S prepared' ],
		[ 'leakwatch', 'select', 'leakwatch loaded, pgbench -S prepared', 0.01 ],
		[ 'alike', 'transaction', 'a second server without leakwatch (A/A), BEGIN; SELECT; COMMIT' ],
		[ 'leakwatch', 'transaction', 'leakwatch loaded, BEGIN; SELECT; COMMIT', 0.01 ],
		[ 'timeout', 'transaction', 'idle_in_transaction_session_timeout = 60s, BEGIN; SELECT; COMMIT' ])
	{
		my ($name, $what, $words, $promised) = @$arm;

		say_step("$words");
		my $f = pairs($node{plain}, $node{$name}, $what, $what eq 'select' ? $n : $n / 2, $pairs);
		$figures{"${name}_$what"} = $f;
		push @rows,
		  row("backend CPU a transaction, $words",
			sprintf('%s (quartiles %s, %s; %d pairs)', percent($f->{median}), percent($f->{lower}), percent($f->{upper}), $pairs),
			defined $promised ? ('within 1 %', $f->{median} <= $promised) : ());
	}
	$_->stop('immediate') foreach values %node;
	return (\@rows, \%figures);
}

1;
