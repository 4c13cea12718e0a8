# Thousands of sessions over their limit within the same second: that they are
# found, written and told of, and what other clients notice; then that they are
# gone when leakwatch is to terminate them.
use strict;
use warnings FATAL => 'all';

use Bench;
use LeakwatchTest;
use Time::HiRes qw(sleep);

my $limit_ms = 5000;
my $counts = 'SELECT (SELECT count(*) FROM leakwatch.leaks), (SELECT count(*) FROM leakwatch.incidents)';

sub connection_times
{
	return map { (split ' ')[2] / 1000 } grep { /^connect/ } @_;
}

sub found_and_written
{
	my ($node, $n, $seconds) = @_;
	my $clients = driver($node, 'clients');
	my $watch = driver($node, 'query');
	my $before = scalar(() = log_entries($node));

	$watch->tell("prepare $counts");
	$clients->tell("open $n");
	my $connects = driver($node, 'connects');
	sleep $seconds;
	my @before = connection_times($connects->finish);

	# the log is read while nobody is timed
	$clients->begin_to_tell('spread 1000 all BEGIN; SELECT 1');
	$connects = driver($node, 'connects');
	$clients->answer;
	my @polls = map { [ (split ' ')[ 1 .. 3 ] ] }
	  grep { /^row/ } $watch->tell('run ' . (($limit_ms + 4000) / 100) . ' 100');
	my @connections = map { [ (split ' ')[ 1, 2 ] ] } grep { /^connect/ } $connects->finish;
	settle($node);
	my ($spread) = rows($node, <<'EOF');
SELECT count(*), (extract(epoch FROM min(since + warn_limit)) * 1e6)::bigint AS first,
	(extract(epoch FROM max(since + warn_limit)) * 1e6)::bigint AS last,
	1000 * extract(epoch FROM percentile_disc(0.99) WITHIN GROUP (ORDER BY detected_at - since - warn_limit)) AS p99,
	1000 * extract(epoch FROM max(detected_at - since - warn_limit)) AS max
FROM leakwatch.incidents
EOF
	my ($listed) = grep { $_->[1] >= $n } @polls;
	my ($written) = grep { $_->[2] >= $n } @polls;
	die "$spread->{count} of $n sessions are in the table" unless $spread->{count} == $n;
	my @entries = log_entries($node);
	my @messages = grep { $_->{message} =~ /^session with PID|more messages/ } @entries[ $before .. $#entries ];
	my @during = map { $_->[1] / 1000 }
	  grep { $_->[0] >= $spread->{first} && $_->[0] <= $spread->{last} + 2_000_000 } @connections;

	$clients->finish;
	$watch->finish;
	return {
		late_p99 => 0 + $spread->{p99},
		late_max => 0 + $spread->{max},
		listed_ms => $listed ? ($listed->[0] - $spread->{last}) / 1000 : undef,
		written_ms => $written ? ($written->[0] - $spread->{last}) / 1000 : undef,
		messages => scalar @messages,
		connect_before => { p50 => quantile(0.5, @before), p99 => quantile(0.99, @before) },
		connect_during => { p50 => quantile(0.5, @during), p99 => quantile(0.99, @during) } };
}

sub terminated
{
	my ($node, $n) = @_;
	my $clients = driver($node, 'clients');

	configure($node, idle_in_transaction_warn => undef, idle_in_transaction_terminate => $limit_ms,
		mode => 'enforce', max_terminations_per_minute => 0);
	$clients->tell("open $n");
	$clients->tell('spread 1000 all BEGIN; SELECT 1');
	my ($gone) = $clients->tell("gone $n 120000");
	die "only $gone of $n sessions were terminated" unless $gone == $n;
	my ($first, $last, $end) = (undef, 0, 0);

	foreach ($clients->tell('times'))
	{
		my (undef, undef, $replied, $ended) = split ' ';

		next unless $ended;
		$last = $replied if $replied > $last;
		$end = $ended if $ended > $end;
	}
	$clients->finish;
	return { gone_ms => ($end - $last) / 1000 - $limit_ms };
}

sub part_storm
{
	my ($mode) = @_;
	my $n = $mode eq 'quick' ? 40 : 2000;
	my $node = watched_node('storm', $n, "leakwatch.scan_interval = 1s\n");

	configure($node, idle_in_transaction_warn => $limit_ms);
	say_step("$n sessions over the limit within a second");
	my $f = found_and_written($node, $n, $mode eq 'quick' ? 1 : 10);

	say_step("$n sessions to be terminated within a second");
	my $t = terminated($node, $n);
	$node->stop('immediate');

	return ([
		row("$n sessions over the limit within a second: each is in leaks after", 'p99 ' . ms($f->{late_p99}) . ', max ' . ms($f->{late_max}),
			'within one scan (1 s)', $f->{late_max} <= 1000),
		row('all are in incidents after', defined $f->{written_ms} ? 'at most ' . ms($f->{written_ms}) : 'more than 4 s',
			'within 2 s', defined $f->{written_ms} && $f->{written_ms} <= 2000),
		row('messages in the log', $f->{messages}, '20 and a summary a second: at most 63', $f->{messages} <= 63),
		row('a new connection, before and during',
			sprintf('p50 %s and %s, p99 %s and %s', map { ms($_) } $f->{connect_before}{p50}, $f->{connect_during}{p50},
				$f->{connect_before}{p99}, $f->{connect_during}{p99})),
		row("$n sessions to be terminated, brake open: all clients know after", ms($t->{gone_ms}))
	], { storm => $f, termination => $t });
}

1;
