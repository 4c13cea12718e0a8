# What it costs the watcher to tell forgotten connections from pooled ones: many
# sessions of many applications that come back from idleness all the time, with
# settings as shipped, beside the same with leakwatch.suspected_leak_warn off.
use strict;
use warnings FATAL => 'all';

use Bench;
use LeakwatchTest;

# How long a transaction is open, and how long a session rests between two.
my ($hold_ms, $rest_ms) = (5, 2000);

# CPU, in ns, of the watcher for each of its scans, and how many there were.
sub scans_of
{
	my ($node, $watcher, $status, $seconds) = @_;
	my $counter = sub { return (split ' ', ($status->tell('run 1 0'))[0])[2] };
	my $scans = $counter->();
	my ($cpu) = schedstat($watcher);

	$status->tell("run $seconds 1000");
	$scans = $counter->() - $scans;
	return { cpu => ((schedstat($watcher))[0] - $cpu) / ($scans || 1), scans => $scans };
}

sub measure_suspicion
{
	my ($name, $sessions, $groups, $seconds, $warn) = @_;
	my $node = watched_node("suspicion_$name", $sessions, "leakwatch.suspected_leak_warn = $warn\n");
	my $watcher = watcher_pid($node);
	my $clients = driver($node, 'clients');
	my $status = driver($node, 'query');
	my $cycles = int($sessions * ($seconds + 30) * 1000 / ($hold_ms + $rest_ms));
	my $result;

	$status->tell('prepare SELECT scans FROM leakwatch.status');
	$clients->tell("open $sessions");
	$clients->tell("send all SELECT set_config('application_name', 'group ' || pg_backend_pid() % $groups, false)");
	scan($node);
	$clients->begin_to_tell("cycle $hold_ms $rest_ms $cycles");
	$status->tell('run 15 1000');
	$result = scans_of($node, $watcher, $status, $seconds);
	($result->{suspected}) = $node->safe_psql('postgres', 'SELECT suspected FROM leakwatch.status');
	$clients->answer;
	$clients->finish;
	$node->stop('immediate');
	return $result;
}

sub part_suspicion
{
	my ($mode) = @_;
	my ($sessions, $groups) = $mode eq 'quick' ? (40, 4) : (2000, 100);
	my $seconds = $mode eq 'quick' ? 2 : $mode eq 'full' ? 300 : 60;
	my (%figures, @rows);

	foreach my $case ([ off => '0' ], [ on => '1min' ])
	{
		my ($name, $warn) = @$case;

		say_step("$sessions sessions of $groups applications, suspicion $name");
		$figures{$name} = measure_suspicion($name, $sessions, $groups, $seconds, $warn);
		push @rows,
		  row("CPU of the watcher a scan, $sessions sessions of $groups applications, suspicion $name",
			us($figures{$name}{cpu}) . " ($figures{$name}{scans} scans in $seconds s)");
	}
	push @rows, row('sessions suspected, of which none was forgotten', $figures{on}{suspected},
		'none', $figures{on}{suspected} == 0);
	return (\@rows, \%figures);
}

1;
