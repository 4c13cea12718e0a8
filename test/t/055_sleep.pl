# Shows that the watcher sleeps while nothing can happen, whatever the sessions do,
# and misses nothing by it.
use strict;
use warnings FATAL => 'all';

use LeakwatchTest;
use Test::More;

my $node = new_node('sleep', 'max_connections = 100');
my @shipped = map { ($_->{name} => $_->{boot_val}) } rows($node,
	"SELECT replace(name, 'leakwatch.', '') AS name, boot_val FROM pg_settings"
	  . " WHERE name LIKE 'leakwatch.%\_warn' OR name = 'leakwatch.scan_interval'");
configure($node, @shipped);

#
# With settings as shipped, sessions that come, go, work and rest make it scan no
# more often than it has to
#
my @sessions = map { session($node) } 1 .. 20;
settle($node);
my $state = 'SELECT clock_timestamp() AS at, scans FROM leakwatch.status';
my ($before) = rows($node, $state);
my $begun = "'$before->{at}'::timestamptz";
my $rounds = 0;
do
{
	foreach my $session (@sessions)
	{
		$session->query('BEGIN');
		$session->query('SELECT 1');
		$session->query('COMMIT');
	}
	$rounds++;
} until $node->safe_psql('postgres', "SELECT clock_timestamp() > $begun + interval '20 s'") eq 't';
my ($after) = rows($node, "SELECT scans, extract(epoch FROM clock_timestamp() - $begun) AS seconds FROM leakwatch.status");

# once in ten seconds, and once a minute when that begins
my $scans = $after->{scans} - $before->{scans};
cmp_ok($scans, '<=', 2 + $after->{seconds} / 5,
	"$scans scans in $after->{seconds} s, in which 20 sessions have worked $rounds times");
is_deeply([ rows($node, 'SELECT kind FROM leakwatch.leaks') ], [], 'and nobody was reported');
$_->quit foreach @sessions;

#
# What is to be seen is seen, though no scan comes by itself for an hour
#
configure($node, scan_interval => '1h', map { $_ . '_warn' => 0 } KINDS, qw(idle_blocker waiting_for_client));

# a session that is over a terminate limit as soon as somebody waits for it
configure($node, terminate_when => 'blocking', transaction_terminate => '500ms', mode => 'enforce');
my $holder = session($node);
my $waiter = session($node, set => { mode => 'off' });
$holder->query('BEGIN');
$holder->query('SELECT pg_advisory_xact_lock(1)');
wait_for_leak($node, 'transaction', $holder);
$waiter->begin('SELECT pg_advisory_lock(1)');
$waiter->wait;
pass('a session is ended when somebody comes to wait for it');
wait_for_incident($node, "pid = $holder->{pid} AND outcome = 'terminated'");
like($holder->quit('SELECT 1;'), qr/leakwatch terminated the session/, 'by leakwatch');
$waiter->quit;
configure($node, terminate_when => undef, transaction_terminate => undef, mode => undef);

# a limit that a session sets when it is over it
my $own = session($node);
$own->query('BEGIN');
$own->query(q(SET LOCAL leakwatch.transaction_warn = '10ms'));
wait_for_leak($node, 'transaction', $own);
pass('a session is found that sets a limit which it is over');
$own->quit;

# who waits that the recorder can do its work
$node->safe_psql('postgres', 'ALTER EXTENSION leakwatch DROP TABLE leakwatch.incidents; ALTER TABLE leakwatch.incidents RENAME TO gone');
my $unwritten = leak($node, 'idle_in_transaction', warn => '50ms');
wait_for_leak($node, 'idle_in_transaction', $unwritten);
wait_until($node, "SELECT health LIKE 'incidents are not recorded%' FROM leakwatch.status");
$node->safe_psql('postgres', 'ALTER TABLE leakwatch.gone RENAME TO incidents; ALTER EXTENSION leakwatch ADD TABLE leakwatch.incidents');
wait_for_incident($node, "pid = $unwritten->{pid}");
pass('what could not be recorded is tried again');
$unwritten->quit;

#
# Since when somebody is in others' way is told from what both note, however late
# it is seen
#
configure($node, idle_blocker_warn => '2s');
my $blocker = session($node);
$blocker->query('SELECT pg_advisory_lock(2)');
my @waiters = map { session($node) } 1 .. 2;
$waiters[0]->begin('SELECT pg_advisory_lock(2)');
wait_for_lock($node, $waiters[0]);

sub both_are_so
{
	my ($waiter) = @_;

	return $node->safe_psql('postgres',
		'SELECT greatest(state_change, waitstart) FROM pg_stat_activity AS a, pg_locks AS l'
		  . " WHERE a.pid = $blocker->{pid} AND l.pid = $waiter->{pid} AND NOT granted");
}
my $since = both_are_so($waiters[0]);
wait_for_leak($node, 'idle_blocker', $blocker);
is(leak_row($node, $blocker, 'since'), $since, 'since the first one waits');

# the clock runs on when the first gives up, and another one waits
$waiters[1]->begin('SELECT pg_advisory_lock(2)');
wait_for_lock($node, $waiters[1]);
terminate($node, $waiters[0]);
scan($node);
is(leak_row($node, $blocker, 'since'), $since, 'as long as anybody does');

# and starts anew when a look has found nobody
terminate($node, $waiters[1]);
wait_until($node,
	"SELECT NOT EXISTS (SELECT FROM leakwatch.leaks WHERE pid = $blocker->{pid}) FROM leakwatch.scan()");
my $later = session($node);
$later->begin('SELECT pg_advisory_lock(2)');
wait_for_lock($node, $later);
my $anew = both_are_so($later);
cmp_ok($anew, 'gt', $since, 'another one comes later');
wait_for_leak($node, 'idle_blocker', $blocker);
is(leak_row($node, $blocker, 'since'), $anew, 'since that one waits');
terminate($node, $later);

# it becomes idle while others wait
my $late = session($node);
$late->query('SELECT pg_advisory_lock(3)');
$late->begin('SELECT pg_sleep(1)');
my $patient = session($node);
$patient->begin('SELECT pg_advisory_lock(3)');
$late->wait;
wait_for_leak($node, 'idle_blocker', $late);
is(leak_row($node, $late, 'since'),
	$node->safe_psql('postgres', "SELECT state_change FROM pg_stat_activity WHERE pid = $late->{pid}"),
	'since it is idle, where others have waited before');
terminate($node, $patient);
$_->quit foreach $blocker, $late;

$node->stop;
done_testing();
