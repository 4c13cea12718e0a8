# How long a message of many statements takes, beside a server without
# leakwatch: in proportion to its length, whatever words are in it.
use strict;
use warnings FATAL => 'all';

use Bench;
use LeakwatchTest;
use PostgreSQL::Test::Utils;

# CPU time of a backend for one message, in turn on each server, in ns.
sub messages
{
	my ($load, $word, $size, $times, $rounds) = @_;
	my @ns = ([], []);

	foreach my $round (1 .. $rounds)
	{
		foreach my $arm ($round % 2 ? (0, 1) : (1, 0))
		{
			$load->[$arm]->tell("message $word $size");
			my ($ns) = $load->[$arm]->tell("message $times");
			push @{ $ns[$arm] }, $ns / $times;
		}
	}
	return map { median(@$_) } @ns;
}

sub part_message
{
	my ($mode) = @_;
	my @sizes = $mode eq 'quick' ? (1, 100, 1000) : (1, 100, 10_000, 100_000);
	my $rounds = $mode eq 'quick' ? 3 : $mode eq 'full' ? 21 : 7;
	my @node = (plain_node('message_plain'), watched_node('message', 70));
	my (%figures, @rows);

	$_->safe_psql('postgres', 'CREATE TABLE IF NOT EXISTS pgbench_accounts (aid int, abalance int)')
	  foreach @node;
	my @load = map { driver($_, 'load') } @node;
	foreach my $word (qw(none execute password))
	{
		my %factor;

		foreach my $size (@sizes)
		{
			say_step("$size statements, word: $word");
			my ($plain, $watched) =
			  messages(\@load, $word, $size, $size < 1000 ? 1000 / $size : 1, $rounds);

			$figures{"${word}_$size"} = { plain => $plain, leakwatch => $watched };
			$factor{$size} = $watched / $plain;
			push @rows,
			  row("backend CPU for a message of $size INSERTs, " . ($word eq 'none' ? 'no such word' : "with the word $word"),
				sprintf('%s with leakwatch, %s without: %s', ms($watched / 1e6), ms($plain / 1e6), factor($factor{$size})));
		}
		push @rows,
		  row("a message of $sizes[-1] INSERTs for each statement, against one of 100, " . ($word eq 'none' ? 'no such word' : "with the word $word"),
			factor($figures{"${word}_$sizes[-1]"}{leakwatch} / $sizes[-1] / ($figures{"${word}_100"}{leakwatch} / 100)),
			'as without leakwatch, within 10 %',
			$factor{ $sizes[-1] } <= 1.1 * $factor{100});
	}
	$_->finish foreach @load;
	$_->stop('immediate') foreach @node;
	return (\@rows, \%figures);
}

1;
