# Shows that each kind of leak is found as what it is, on time and said once,
# and that sessions which do not leak are left alone.
use strict;
use warnings FATAL => 'all';

use LeakwatchTest;
use Test::More;
use Time::HiRes qw(usleep);

my $node = new_node('kinds', <<'EOF');
track_commit_timestamp = on
leakwatch.scan_interval = '1s'
leakwatch.idle_in_transaction_warn = '200ms'
leakwatch.aborted_transaction_warn = '250ms'
leakwatch.transaction_warn = '300ms'
# more leaks than it says one by one
leakwatch.log_burst = 0
EOF

# Whom the server's limits are not for
my %off = map { $_ . '_warn' => 0 } KINDS;

#
# Sessions that really leak.  One thing the machine does at the wrong moment
# makes a single leak late whatever the watcher does, so there are several of
# each kind, and the median decides.
#
my @leaks;
foreach my $round (1 .. 5)
{
	push @leaks, map { [ $_, leak($node, $_) ] }
	  qw(idle_in_transaction aborted_transaction transaction);
	push @leaks, map { [ $_, leak($node, $_, warn => '350ms', set => \%off) ] }
	  qw(idle_session session);
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

my @lateness = rows($node, <<EOF);
SELECT kind,
	min(detected_at - since - warn_limit) >= '0' AS never_early,
	1000 * extract(epoch FROM percentile_cont(0.5)
		WITHIN GROUP (ORDER BY detected_at - since - warn_limit)) AS detected,
	1000 * extract(epoch FROM percentile_cont(0.5)
		WITHIN GROUP (ORDER BY pg_xact_commit_timestamp(xmin) - since - warn_limit)) AS recorded
FROM leakwatch.incidents WHERE pid IN ($pids) GROUP BY kind ORDER BY kind
EOF
is(scalar @lateness, 5, 'there is a lateness for each kind');
foreach my $kind (@lateness)
{
	note("$kind->{kind}: detected $kind->{detected} ms late, recorded $kind->{recorded} ms");
	ok($kind->{never_early}, "$kind->{kind} is never reported before its limit");
	cmp_ok($kind->{detected}, '<', 50,
		"$kind->{kind} is detected within 50 ms after its limit");
	cmp_ok($kind->{recorded}, '<', 2000,
		"$kind->{kind} is in the table within 2 s after its limit");
}

my %warnings =
  map { $_->[1]{pid} => join(' ', map { $_->{severity} } log_of($node, $_->[1])) }
  @leaks;
is_deeply(\%warnings, { map { $_ => 'WARNING' } keys %expected },
	'each is warned about once');
terminate($node, map { $_->[1] } @leaks);

#
# A session that keeps working is never listed, and one whose heartbeat keeps
# the idle clock at zero does not escape the clock of the transaction.
#
my $worker = session(
	$node,
	set => {
		%off,
		idle_in_transaction_warn => '800ms',
		transaction_warn => '800ms',
		idle_session_warn => '800ms'
	});
my $procedure =
  session($node, set => { %off, transaction_warn => '800ms' });
my $heartbeat = session(
	$node,
	set => {
		%off,
		idle_in_transaction_warn => '2s',
		transaction_warn => '1s'
	});

$procedure->begin(
	'DO $$ BEGIN FOR i IN 1..60 LOOP PERFORM pg_sleep(0.04); COMMIT; END LOOP; END $$'
);
$worker->begin(
	"BEGIN; SELECT 1; COMMIT; SELECT pg_sleep(0.02);\n" x 160 . 'SELECT 1');
$heartbeat->query('BEGIN');
foreach my $beat (1 .. 7)
{
	$heartbeat->query('SELECT 1');
	usleep(400_000);
}
$procedure->wait;
$worker->wait;
# it works no more
$worker->quit;
settle($node);

my @kinds = rows($node,
	"SELECT kind FROM leakwatch.incidents WHERE pid = $heartbeat->{pid}");
is_deeply(
	[ map { $_->{kind} } @kinds ],
	['transaction'],
	'a heartbeat in an open transaction is caught by the transaction clock');
is($heartbeat->quit, '', 'the heartbeat went on undisturbed');

foreach (
	[ $worker, 'a session of short transactions' ],
	[ $procedure, 'a procedure that commits' ])
{
	my ($session, $what) = @$_;
	my @incidents = rows($node,
		"SELECT * FROM leakwatch.incidents WHERE pid = $session->{pid}");

	is(@incidents + log_of($node, $session), 0, "$what is never reported");
}
$procedure->quit;

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
# A thing is said once: the general kind waits for the specific one
#
my $transaction = leak(
	$node, 'idle_in_transaction',
	warn => '200ms',
	set => { %off, transaction_warn => '400ms' });
my $session = leak(
	$node, 'idle_session',
	warn => '200ms',
	set => { %off, session_warn => '400ms' });

wait_age($node, 'transaction_age', '600ms', $transaction);
wait_age($node, 'state_age', '600ms', $session);
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
