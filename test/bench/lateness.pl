# How late a leak is found, against the server's own timeout and against a
# client that polls once a second.
use strict;
use warnings FATAL => 'all';

use Bench;
use LeakwatchTest;
use PostgreSQL::Test::Utils;

my $sessions = 200;
my $limit_ms = 2000;

# The usual poll: who is over the limit now, and since when.
my $poll = <<'EOF';
SELECT pid, (extract(epoch FROM state_change) * 1e6)::bigint FROM pg_stat_activity
WHERE application_name = 'clients' AND state = 'idle in transaction' AND now() - state_change > '2 s'
EOF
$poll =~ tr/\n/ /;

# Sessions that go idle in transaction at random moments; ms after the limit.
sub found_by_leakwatch
{
	my ($node, $n, $within_ms, $load) = @_;
	my $clients = driver($node, 'clients');
	my $poller = driver($node, 'query');
	my %seen;

	$poller->tell("prepare $poll");
	$clients->tell("open $n");

	# the end of an earlier round may still be written at any time
	my $mine = "since >= '" . $node->safe_psql('postgres', 'SELECT now()') . "'";
	my @load = $load ? start_load($node) : ();
	my $seconds = ($within_ms + $limit_ms) / 1000 + 2;
	$poller->begin_to_tell("run $seconds 1000");
	$clients->tell("spread $within_ms all BEGIN; SELECT 1");
	wait_until($node, "SELECT count(*) = $n FROM leakwatch.incidents WHERE $mine");
	foreach ($poller->answer)
	{
		my (undef, $at, $pid, $since) = split ' ';
		$seen{$pid} //= ($at - $since) / 1000 - $limit_ms if defined $since;
	}
	end_load(@load);
	$clients->finish;
	$poller->finish;
	my @late = map { $_->{late} } rows($node,
		"SELECT 1000 * extract(epoch FROM detected_at - since - warn_limit) AS late FROM leakwatch.incidents WHERE $mine");
	return { leakwatch => [@late], poll => [ values %seen ] };
}

sub start_load
{
	my ($node) = @_;
	my $clients = 2 * $ENV{BENCH_CORES};
	my $pid = fork() // die "could not fork: $!";

	if ($pid == 0)
	{
		open STDOUT, '>', '/dev/null';
		open STDERR, '>', '/dev/null';
		exec 'pgbench', '-n', '-S', '-M', 'prepared', '-c', $clients, '-j', 2, '-T', 600,
		  '-h', $node->host, '-p', $node->port, 'postgres';
	}
	return $pid;
}

sub end_load
{
	kill 'TERM', @_;
	waitpid $_, 0 foreach @_;
	return;
}

# What the server's own timeout does, by the clock of the client it ends.
sub ended_by_server
{
	my ($node, $n, $within_ms, $load) = @_;
	my $clients = driver($node, 'clients');
	my @late;

	$clients->tell("open $n");
	my @load = $load ? start_load($node) : ();
	$clients->tell("send all SET idle_in_transaction_session_timeout = $limit_ms");
	$clients->tell("spread $within_ms all BEGIN; SELECT 1");
	$clients->tell("gone $n 60000");
	foreach ($clients->tell('times'))
	{
		my (undef, undef, $replied, $ended) = split ' ';
		push @late, ($ended - $replied) / 1000 - $limit_ms if $ended;
	}
	end_load(@load);
	$clients->finish;
	return [@late];
}

sub figures
{
	return { p50 => quantile(0.5, @_), p99 => quantile(0.99, @_), max => quantile(1, @_), n => scalar @_ };
}

sub in_words
{
	my ($f) = @_;

	return sprintf 'p50 %s, p99 %s, max %s', map { ms($f->{$_}) } qw(p50 p99 max);
}

sub part_lateness
{
	my ($mode) = @_;
	my $n = $mode eq 'quick' ? 20 : $sessions;
	my $within_ms = $mode eq 'quick' ? 1000 : $mode eq 'full' ? 60_000 : 15_000;
	my $node = watched_node('lateness', $n + 2 * $ENV{BENCH_CORES});
	my (%figures, @rows);

	configure($node, idle_in_transaction_warn => $limit_ms);
	system_or_bail('pgbench', '-i', '-q', '-h', $node->host, '-p', $node->port, 'postgres');
	foreach my $load (0, 1)
	{
		my $when = $load ? 'under load' : 'quiet';

		say_step("$n sessions, $when");
		my $found = found_by_leakwatch($node, $n, $within_ms, $load);
		my %by = (%$found, timeout => ended_by_server($node, $n, $within_ms, $load));
		my %f = map { $_ => figures(@{ $by{$_} }) } keys %by;

		$figures{$when} = { %f, values => \%by };
		push @rows,
		  row("found after the limit, $n sessions, $when", in_words($f{leakwatch}),
			'p99 within 20 ms', $f{leakwatch}{p99} <= 20),
		  row("idle_in_transaction_session_timeout, seen by the client, $when", in_words($f{timeout})),
		  row("a client that polls once a second, $when", in_words($f{poll}));
	}
	$node->stop('immediate');
	return (\@rows, \%figures);
}

1;
