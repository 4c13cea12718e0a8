# Sessions are found on time although no scan looks at all of them: nobody
# here asks for a scan to find them, and none comes by itself for an hour.
use strict;
use warnings FATAL => 'all';

use LeakwatchTest;
use PostgreSQL::Test::Utils;
use Test::More;

# autovacuum takes transactions, which are counted here
my $node = new_node('agenda', 'autovacuum = off');

# Wait until a session is listed, without asking for a scan.
sub is_found
{
	my ($session, $kind, $what) = @_;

	ok( $node->poll_query_until(
			'postgres',
			"SELECT EXISTS (SELECT FROM leakwatch.leaks"
			  . " WHERE pid = $session->{pid} AND kind = '$kind')"),
		$what);
	return;
}

configure($node, scan_interval => '1h', idle_in_transaction_warn => '300ms');

# There when the limit was set, idle for several times the limit, then leaking
my $early = session($node);
scan($node);
wait_age($node, 'state_age', '1s', $early);
$early->query('BEGIN');
is_found($early, 'idle_in_transaction', 'a session that was idle for long');

# In its transaction already, and again and again before the limit
my $lively = session($node);
$lively->query('BEGIN\; SELECT pg_sleep(0.1)') foreach 1 .. 5;
is_found($lively, 'idle_in_transaction', 'a session that went on several times');
$lively->quit;

# A slot is looked at by the limits of the next session there
$node->safe_psql('postgres',
	"CREATE ROLE slow LOGIN; ALTER ROLE slow SET leakwatch.idle_in_transaction_warn = '1h'"
);
my $slow = session($node, user => 'slow');
my $slot = slot_of($slow);
$slow->query('BEGIN');
scan($node);
terminate($node, $slow);
my $successor = successor_in($node, $slot);
$successor->query('BEGIN');
is_found($successor, 'idle_in_transaction',
	'the successor of a session with a longer limit');
$successor->quit;

# The same where the session before had nothing to fear at all
$node->safe_psql('postgres',
	"ALTER ROLE slow RESET ALL; ALTER ROLE slow SET leakwatch.mode = 'off'");
$slow = session($node, user => 'slow');
$slot = slot_of($slow);
scan($node);
terminate($node, $slow);
$successor = successor_in($node, $slot);
$successor->query('BEGIN');
is_found($successor, 'idle_in_transaction',
	'the successor of a session with mode off');
$successor->quit;

# The same where some were looked at while they were on their way, which takes no
# longer than a minute, and were gone before they were looked at again.  With the
# shortest limit a look comes every 10 ms.
configure($node, idle_in_transaction_warn => '10ms');
my @unseen = map { session($node, user => 'slow') } 1 .. 15;
my @left = map { slot_of($_) } @unseen;
terminate($node, @unseen);
my @successors = successors_in($node, 10, @left);
$_->query('BEGIN') foreach @successors;
wait_for_incident($node, "pid = $_->{pid}") foreach @successors;
is( $node->safe_psql('postgres',
		"SELECT bool_and(detected_at < since + interval '30 s') FROM leakwatch.incidents WHERE pid IN ("
		  . join(', ', map { $_->{pid} } @successors) . ')'),
	't', 'successors of sessions with mode off that have hardly been there');
$_->quit foreach @successors;

# No limit but one that a session sets itself
configure($node, idle_in_transaction_warn => undef);
my $own = session($node);
scan($node);
$own->query("SET leakwatch.idle_in_transaction_warn = '200ms'");
$own->query('BEGIN');
is_found($own, 'idle_in_transaction', 'a session that sets a limit itself');
$own->quit;

$node->safe_psql('postgres',
	"ALTER ROLE slow RESET ALL; ALTER ROLE slow SET leakwatch.idle_in_transaction_warn = '200ms'"
);
my $role = session($node, user => 'slow');
$role->query('BEGIN');
is_found($role, 'idle_in_transaction', 'a session whose role has a limit');

# Changed limits count from now on for those who sleep
terminate($node, $role);
my $asleep = session($node);
$asleep->query('BEGIN');
configure($node, transaction_warn => '100ms');
is_found($asleep, 'transaction', 'a session that slept through the change');
configure($node, scan_interval => undef, transaction_warn => undef);

# With a limit beyond what a look at an incident is good for, and a scan that
# nobody asked for: that an incident has ended is known from who ended it
my %ends = (
	'goes on' => sub { $_[0]->query('SELECT 1') },
	'fails to be parsed' => sub { $_[0]->query('SELCT') },
	'commits' => sub { $_[0]->query('COMMIT') },
	'ends' => sub { $_[0]->quit },
	'dies' => sub { $_[0]->die_now },
	'is terminated' => sub { terminate($node, $_[0]) });
my %sessions = map {
	my $session = session($node, app => $_, set => { idle_in_transaction_warn => '6s' });
	$session->query('BEGIN');
	$_ => $session
} keys %ends;
my $waker = session($node);
wait_for_leak($node, 'idle_in_transaction', values %sessions);
foreach my $how (sort keys %ends)
{
	my $session = $sessions{$how};
	my ($leak) = rows($node, "SELECT since FROM leakwatch.leaks WHERE pid = $session->{pid}");

	$ends{$how}->($session);
	wait_until($node, "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $session->{pid} AND state = 'idle in transaction'"
		  . " AND state_change = (SELECT since FROM leakwatch.leaks WHERE pid = $session->{pid}))");
	my $scans = status($node)->{scans};
	$waker->query("SET leakwatch.session_warn = '" . (1000 + $scans) . " ms'");
	wait_until($node, "SELECT scans > $scans FROM leakwatch.status");
	is( scalar(rows($node, "SELECT FROM leakwatch.leaks WHERE pid = $session->{pid} AND since = '$leak->{since}'")),
		0, "an incident whose session $how is over at the next scan");
}
$_->quit foreach $waker, grep { defined } @sessions{ 'goes on', 'fails to be parsed', 'commits' };

# What VACUUM is kept from grows without anybody looking
my $holder = session($node,
	set => { idle_in_transaction_warn => '100ms' });
$holder->query('BEGIN ISOLATION LEVEL REPEATABLE READ\; SELECT 1');
is_found($holder, 'idle_in_transaction', 'a session with a snapshot');
# so does the recorder
settle($node);

my $before = leak_row($node, $holder, 'xmin_age');
$node->safe_psql('postgres', 'SELECT pg_current_xact_id()') foreach 1 .. 5;
is(leak_row($node, $holder, 'xmin_age'),
	$before + 5, 'xmin_age counts each transaction');
$holder->query('COMMIT');
settle($node);
is(incident($node, $holder, 'idle_in_transaction')->{xmin_age},
	$before + 5, 'xmin_age is recorded as of the end');

# A statement that runs has a snapshot only after it was seen to run, and so has
# that which asks for its PID: the limit comes after it.
my $busy = session($node);
configure($node, session_warn => '10ms');
wait_for_leak($node, 'session', $busy);
is(leak_row($node, $busy, 'xmin_age'), '', 'xmin_age is NULL without a snapshot');
$busy->begin('SELECT pg_sleep(600)');
wait_until($node,
	"SELECT xmin_age IS NOT NULL FROM leakwatch.leaks WHERE pid = $busy->{pid}");
terminate($node, $busy);

$node->stop;
done_testing();
