# Whether leakwatch grows: private memory of its processes after few and after
# many incidents, and shared memory for each connection.
use strict;
use warnings FATAL => 'all';

use Bench;
use LeakwatchTest;
use PostgreSQL::Test::Utils;

# kB that are not shared with others
sub private_kb
{
	my ($pid) = @_;
	my ($kb) = slurp_file("/proc/$pid/status") =~ /^RssAnon:\s+(\d+)/m;

	return $kb;
}

# Have so many transactions become incidents, and say what the processes hold.
# The recorder is still there for a while when it has written the last.
sub after_incidents
{
	my ($node, $clients, $n) = @_;
	my $recorder;

	$clients->tell("cycle 30 2 $n");
	settle($node);
	wait_until($node, 'SELECT open = 0 AND pending = 0 FROM leakwatch.status');
	my ($status) = rows($node, 'SELECT * FROM leakwatch.status');
	my ($rows) = $node->safe_psql('postgres', 'SELECT count(*) FROM leakwatch.incidents');

	return {
		incidents => $rows,
		dropped => $status->{dropped},
		watcher_kb => private_kb($status->{watcher_pid}),
		recorder_kb => defined $status->{recorder_pid} ? private_kb($status->{recorder_pid}) : undef };
}

sub part_memory
{
	my ($mode) = @_;
	my @goals = $mode eq 'quick' ? (50, 200) : (1000, 100_000, 200_000);
	my $connections = 200;
	my $node = watched_node('memory', $connections, "leakwatch.max_incidents = 20000\nleakwatch.retention = 0\n");
	my $clients = driver($node, 'clients');
	my (@after, $done);

	configure($node, idle_in_transaction_warn => 10);
	$clients->tell('open ' . ($mode eq 'quick' ? 20 : $connections));
	$done = 0;
	foreach my $goal (@goals)
	{
		say_step("$goal incidents");
		until ($done >= $goal)
		{
			push @after, after_incidents($node, $clients, $goal - $done);
			$done = $after[-1]{incidents};
			pop @after if $done < $goal;
		}
	}
	$clients->finish;

	$node->stop('immediate');

	# without room for more incidents than the default gives
	my %bytes;
	foreach my $length (0, 5)
	{
		my $plain = watched_node("shared$length", 1000, "leakwatch.trail_length = $length\n");

		$bytes{$length} = $plain->safe_psql('postgres', <<'EOF');
SELECT sum(allocated_size) / current_setting('max_connections')::int
FROM pg_shmem_allocations WHERE name LIKE 'leakwatch%'
EOF
		$plain->stop('immediate');
	}

	my @rows;
	foreach my $process (qw(watcher recorder))
	{
		my @kb = map { $_->{"${process}_kb"} // die "the $process was not running\n" } @after;

		# a few pages more or less is what malloc does; a leak would be megabytes
		push @rows,
		  row("private memory of the $process after " . join(', ', map { $_->{incidents} } @after) . ' incidents',
			join(', ', @kb) . ' kB', 'after 100,000 within 10 % of after 1,000', $kb[1] <= 1.1 * $kb[0]);
	}
	push @rows,
	  row('shared memory a connection, without the trail', sprintf('%.0f bytes', $bytes{0}), 'under 4 kB', $bytes{0} < 4096),
	  row('shared memory a connection, with it', sprintf('%.0f bytes', $bytes{5}));
	return (\@rows, { after => \@after, bytes_per_connection => \%bytes });
}

1;
