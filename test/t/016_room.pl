# Shows what happens when there is no room for more incidents: they are found,
# warned about once and terminated all the same, and counted as not recorded.
# And how much shared memory the usual room takes.
use strict;
use warnings FATAL => 'all';

use LeakwatchTest;
use Test::More;

my $kind = 'idle_in_transaction';
my $node = new_node('room', 'leakwatch.max_incidents = 8');

my @all = map { leak($node, $kind, warn => '100ms') } 1 .. 12;
wait_until($node, 'SELECT reported = 12 FROM leakwatch.status');
scan($node) foreach (1 .. 5);
my $status = status($node);
is($status->{open}, 8, 'as many as there is room for are kept');
is($status->{dropped}, 4, 'the others are counted');
is(warnings_about($node, @all), 12, 'each is warned about once, however many scans');

# Room is given to those who wait for it.
my @listed = map { leaks($node, $_) ne '' ? $_ : () } @all;
is(scalar @listed, 8, 'the view lists those that there is room for');
terminate($node, @listed[ 0 .. 3 ]);
wait_until($node,
	'SELECT count(*) = 8 FROM leakwatch.leaks WHERE pid IN ('
	  . join(', ', map { $_->{pid} } @all)
	  . ')');
pass('when some end, the others take their room');
is(warnings_about($node, @all), 12, 'without a second warning');

# Those without a record are terminated like the others.
my @doomed = map {
	leak($node, $kind, warn => '100ms', terminate => '300ms', set => { mode => 'enforce' })
} 1 .. 3;
wait_until($node, 'SELECT terminated = 3 FROM leakwatch.status');
like($_->quit('SELECT 1;'),
	qr/leakwatch terminated the session/, 'terminated, and told why')
  foreach @doomed;
is( scalar(
		grep { $_->{message} =~ /^session with PID \d+ has been told to end:/ }
		  log_entries($node)),
	3,
	'and the log says so');

$_->quit foreach @all;
wait_until($node, 'SELECT open = 0 FROM leakwatch.status');
settle($node);
is($node->safe_psql('postgres',
	"SELECT count(*) FROM leakwatch.incidents WHERE outcome = 'open'"),
	0, 'no row is left open');
my $next = leak($node, $kind, warn => '100ms');
wait_for_incident($node, "pid = $next->{pid}");
pass('and there is room again');
$next->quit;

# Without a trail nothing is set aside for one.
$node->append_conf('postgresql.conf', <<'EOC');
max_connections = 1000
leakwatch.max_incidents = 0
leakwatch.trail_length = 0
EOC
$node->restart;
my $bytes = $node->safe_psql('postgres', <<'EOC');
SELECT sum(allocated_size) / current_setting('max_connections')::int
FROM pg_shmem_allocations WHERE name LIKE 'leakwatch%'
EOC
cmp_ok($bytes, '<', 4096, 'less than 4 kB of shared memory a connection without the trail');

my @without = map { leak($node, $kind, warn => '100ms') } 1 .. 2;
wait_for_incident($node, "pid = $_->{pid}") foreach @without;
is($node->safe_psql('postgres',
	'SELECT count(*) FROM leakwatch.leaks WHERE trail IS NULL AND query IS NOT NULL'),
	2, 'incidents without a trail have none');
$_->quit foreach @without;
wait_until($node, 'SELECT open = 0 FROM leakwatch.status');

$node->stop;
done_testing();
