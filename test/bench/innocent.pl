# Whether leakwatch ever hits an innocent: transactions around a limit, judged by
# the clocks of the clients alone.
use strict;
use warnings FATAL => 'all';

use Bench;
use LeakwatchTest;

sub part_innocent
{
	my ($mode) = @_;
	my ($connections, $seconds) = $mode eq 'quick' ? (20, 3) : $mode eq 'full' ? (300, 600) : (300, 60);
	my $limit_ms = 300;
	my $node = watched_node('innocent', $connections, "leakwatch.log_burst = 1\n");
	my (%count, @late, @victims);

	configure($node, idle_in_transaction_terminate => $limit_ms, mode => 'enforce',
		max_terminations_per_minute => 0);
	say_step("$connections connections for $seconds s");
	my $driver = driver($node, 'innocent', $connections, $seconds, $limit_ms);
	foreach ($driver->answer)
	{
		if (/^late (-?\d+)/) { push @late, $1 / 1000 }
		elsif (/^victim (.*)/) { push @victims, $1 }
		elsif (/^(\w+) (\d+)/) { $count{$1} = 0 + $2 }
	}
	settle($node);
	my $status = status($node);
	$node->stop('immediate');

	die "not one session was terminated\n" unless $count{due};
	die join("\n", "these were innocent:", @victims) . "\n" if @victims;
	die "$count{forgotten} sessions were forgotten\n" if $count{forgotten};
	die "clients know of $count{terminated} terminations, leakwatch of $status->{terminated}\n"
	  if $count{terminated} != $status->{terminated};
	my $words = "$count{changes} changes of state, $count{leaks} leaks";
	return ([
		row("terminated too early, of $words", $count{early} + $count{afterwards}, '0', $count{early} + $count{afterwards} == 0),
		row('forgotten', $count{forgotten}, '0', $count{forgotten} == 0),
		row('terminated while COMMIT was on its way, after the limit', $count{crossed}),
		row('terminated after COMMIT was replied to, which was sent after the limit', $count{overtaken}),
		row('terminations after the limit, seen by the client',
			sprintf('p50 %s, p99 %s, max %s', map { ms(quantile($_, @late)) } 0.5, 0.99, 1))
	], { %count, late => { map { $_ => quantile($_, @late) } 0.5, 0.99, 1 }, status => $status });
}

1;
