# Shows that each kind of leak is found as what it is and said once, without
# waiting for a scan of all sessions, and that sessions which do not leak are left
# alone.
use strict;
use warnings FATAL => 'all';

use LeakwatchTest;
use List::Util qw(max);
use Test::More;
use Time::HiRes qw(time);

my $node = new_node('kinds', <<'EOF');
leakwatch.scan_interval = '1h'
leakwatch.idle_in_transaction_warn = '200ms'
leakwatch.aborted_transaction_warn = '250ms'
# more leaks than it says one by one
leakwatch.log_burst = 0
EOF

# Whom the server's limits are not for
my %off = map { $_ . '_warn' => 0 } KINDS;

#
# Sessions that really leak
#
my @leaks;
foreach my $round (1 .. 5)
{
	push @leaks, map { [ $_, leak($node, $_) ] }
	  qw(idle_in_transaction aborted_transaction);
	push @leaks, map { [ $_, leak($node, $_, warn => '350ms', set => \%off) ] }
	  qw(transaction idle_session session);
}
my $pids = join(', ', map { $_->[1]{pid} } @leaks);
my %expected = map { $_->[1]{pid} => $_->[0] } @leaks;

wait_until($node,
	"SELECT count(*) >= ${\scalar @leaks} FROM leakwatch.incidents WHERE pid IN ($pids)"
);
foreach my $relation (qw(leaks incidents))
{
	my @found =
	  rows($node, "SELECT pid, kind FROM leakwatch.$relation WHERE pid IN ($pids)");

	is(scalar @found, scalar @leaks, "each leak is in $relation once");
	is_deeply({ map { $_->{pid} => $_->{kind} } @found },
		\%expected, "each has its kind in $relation");
}

my @found = rows($node, <<EOF);
SELECT kind,
	bool_and(detected_at >= since + warn_limit) AS never_early,
	bool_and(detected_at < since + current_setting('leakwatch.scan_interval')::interval) AS in_between
FROM leakwatch.incidents WHERE pid IN ($pids) GROUP BY kind ORDER BY kind
EOF
is(scalar @found, 5, 'each kind is there');
foreach my $kind (@found)
{
	ok($kind->{never_early}, "$kind->{kind} is never reported before its limit");
	ok($kind->{in_between}, "$kind->{kind} is reported before a scan of all is due");
}

my %warnings =
  map { $_->[1]{pid} => join(' ', map { $_->{severity} } log_of($node, $_->[1])) }
  @leaks;
is_deeply(\%warnings, { map { $_ => 'WARNING' } keys %expected },
	'each is warned about once');
terminate($node, map { $_->[1] } @leaks);

#
# A session that keeps working is never listed.  On a busy machine it may be made
# to pause for as long as a limit, which is a leak: then another one tries, with a
# longer limit.
#

# Have a session work for three times a limit (in seconds), piece by piece, each
# with at least one transaction.  Returns the session and the longest time that it
# can have been in one state or transaction.
sub works
{
	my ($piece, $limit) = @_;
	my @begun = (time);
	my $session = session(
		$node,
		set => {
			%off,
			map { ("${_}_warn" => $limit . 's') }
			  qw(idle_in_transaction transaction idle_session)
		});

	while ($begun[-1] - $begun[0] < 3 * $limit)
	{
		push @begun, time;
		$piece->($session);
	}
	# it works no more
	$session->quit;
	push @begun, time;
	return ($session, max(map { $begun[$_] - $begun[ $_ - 2 ] } 2 .. $#begun));
}

my %work = (
	'a session of short transactions' => sub {
		$_[0]->query($_) foreach 'BEGIN', 'SELECT 1', 'COMMIT', 'SELECT pg_sleep(0.02)';
	},
	'a procedure that commits' => sub {
		$_[0]->query('DO $$ BEGIN FOR i IN 1..3 LOOP PERFORM pg_sleep(0.04); COMMIT; END LOOP; END $$');
	});
foreach my $what (sort keys %work)
{
	my ($session, $longest, $limit);

	foreach (0.8, 2, 5, 10, 20)
	{
		$limit = $_;
		($session, $longest) = works($work{$what}, $limit);
		last if $longest < $limit;
	}
	cmp_ok($longest, '<', $limit, "$what has worked without a pause");
	settle($node);
	is( log_of($node, $session) + rows(
			$node, "SELECT FROM leakwatch.incidents WHERE pid = $session->{pid}"),
		0,
		"$what is never reported");
}

# Nor does one whose heartbeat keeps the idle clock at zero escape the clock of
# the transaction.
my $heartbeat =
  session($node, set => { %off, idle_in_transaction_warn => '1h', transaction_warn => '300ms' });

$heartbeat->query('BEGIN');
wait_for(
	'the heartbeat is caught',
	sub {
		$heartbeat->query('SELECT 1');
		return leaks($node, $heartbeat) ne '';
	});
wait_for_leak($node, 'transaction', $heartbeat);
is(leaks($node, $heartbeat), 'transaction',
	'a heartbeat in an open transaction is caught by the transaction clock');
# its client is told with the first
$heartbeat->query('SELECT 1');
is($heartbeat->query('SELECT 1') . $heartbeat->quit,
	'1', 'the heartbeat goes on undisturbed');

#
# Sessions that listen, and such that do not, or no longer do
#
my @listening = (
	[ 'LISTEN', 'LISTEN a' ],
	[ 'LISTEN in a transaction', 'BEGIN', 'LISTEN a', 'COMMIT' ],
	[
		'LISTEN in a subtransaction that commits',
		'BEGIN', 'SAVEPOINT s', 'LISTEN a', 'RELEASE s', 'COMMIT'
	],
	[
		'LISTEN before a savepoint that is gone back to',
		'BEGIN', 'LISTEN a', 'SAVEPOINT s', 'ROLLBACK TO s', 'COMMIT'
	],
	[ 'LISTEN in a function', q(DO $$BEGIN EXECUTE 'LISTEN a'; END$$) ],
	[
		'UNLISTEN of one of two channels',
		'LISTEN a', 'LISTEN b', 'UNLISTEN a'
	],
	[
		'UNLISTEN that is rolled back',
		'LISTEN a', 'BEGIN', 'UNLISTEN *', 'ROLLBACK'
	],
	[ 'DISCARD PLANS', 'LISTEN a', 'DISCARD PLANS' ]);
my @not_listening = (
	[ 'no LISTEN', 'SELECT 1' ],
	[ 'UNLISTEN', 'LISTEN a', 'UNLISTEN a' ],
	[ 'UNLISTEN *', 'LISTEN a', 'UNLISTEN *' ],
	[
		'UNLISTEN of the last of two channels',
		'LISTEN a', 'LISTEN b', 'UNLISTEN a', 'UNLISTEN b'
	],
	[ 'DISCARD ALL', 'LISTEN a', 'DISCARD ALL' ],
	[ 'LISTEN that is rolled back', 'BEGIN', 'LISTEN a', 'ROLLBACK' ],
	[
		'LISTEN after a savepoint that is gone back to',
		'BEGIN', 'SAVEPOINT s', 'LISTEN a', 'ROLLBACK TO s', 'COMMIT'
	],
	[
		'LISTEN in a block whose exception is caught',
		q(DO $$BEGIN BEGIN EXECUTE 'LISTEN a'; RAISE 'no'; EXCEPTION WHEN raise_exception THEN NULL; END; END$$)
	]);
my @idle;

foreach my $case (
	(map { [ '', @$_ ] } @listening),
	(map { [ 'idle_session', @$_ ] } @not_listening))
{
	my ($listed, $what, @statements) = @$case;
	my $session =
	  session($node, set => { %off, idle_session_warn => '300ms' });

	$session->query($_) foreach @statements;
	push @idle, [ $session, $listed, $what ];
}
wait_age($node, 'state_age', '300ms', map { $_->[0] } @idle);
foreach (@idle)
{
	my ($session, $listed, $what) = @$_;

	is(leaks($node, $session),
		$listed, "$what: " . ($listed ? 'listed' : 'not listed'));
	is(!!policy($node, $session)->{listening},
		$listed eq '', "$what: as the sessions view says");
	$session->quit;
}

#
# A thing is said once: the general kind waits for the specific one, whose
# incident is open before the general limit is met
#
my $transaction = leak($node, 'idle_in_transaction', warn => '200ms', set => { session_warn => 0 });
my $session = leak($node, 'idle_session', warn => '200ms', set => { transaction_warn => 0 });

wait_for_leak($node, 'idle_in_transaction', $transaction);
wait_for_leak($node, 'idle_session', $session);
configure($node, transaction_warn => '200ms', session_warn => '200ms');
wait_age($node, 'transaction_age', '200ms', $transaction);
wait_age($node, 'session_age', '200ms', $session);
is(leaks($node, $transaction), 'idle_in_transaction',
	'no transaction incident while one of idle_in_transaction is open');
is(leaks($node, $session), 'idle_session',
	'no session incident while one of idle_session is open');

# a long statement, so that the specific one does not open anew
$_->begin('SELECT pg_sleep(600)') foreach $transaction, $session;
wait_for_leak($node, 'transaction', $transaction);
wait_for_leak($node, 'session', $session);
is(leaks($node, $transaction), 'transaction',
	'the transaction incident opens when the specific one has ended');
is(leaks($node, $session), 'session',
	'the session incident opens when the specific one has ended');
settle($node);
is(incident($node, $transaction, 'idle_in_transaction')->{outcome},
	'finished', 'the idle_in_transaction incident has ended');
is(incident($node, $session, 'idle_session')->{outcome},
	'finished', 'the idle_session incident has ended');
terminate($node, $transaction, $session);

#
# A limit at 0 is off, whatever is overridden for somebody else
#
configure($node, %off);
my %age = (
	idle_in_transaction => 'state_age',
	aborted_transaction => 'state_age',
	transaction => 'transaction_age',
	idle_session => 'state_age',
	session => 'session_age');
foreach my $kind (KINDS)
{
	my $overrides = leak($node, $kind, warn => '100ms');
	my $does_not = leak($node, $kind);

	wait_age($node, $age{$kind}, '100ms', $overrides, $does_not);
	is(leaks($node, $overrides), $kind, "$kind: on for one session");
	is(leaks($node, $does_not), '', "$kind: off for everybody else");
	terminate($node, $overrides, $does_not);
}

$node->stop;
done_testing();
