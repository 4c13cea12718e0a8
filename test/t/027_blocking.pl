# Shows how an idle session that others wait for is found, told of with those
# that wait, and ended; and that of a chain the root ends and no victim.
use strict;
use warnings FATAL => 'all';

use IPC::Run;
use LeakwatchTest;
use PostgreSQL::Test::Utils;
use Test::More;
use TestLibrary;
use Time::HiRes qw(time);

my $node = new_node('blocking', "log_error_verbosity = default\n");
$node->safe_psql('postgres', <<'EOC');
CREATE TABLE t (i int PRIMARY KEY, v int);
INSERT INTO t VALUES (1, 1), (2, 2);
GRANT ALL ON t TO app;
CREATE ROLE looker LOGIN;
GRANT USAGE ON SCHEMA leakwatch TO looker;
GRANT SELECT ON leakwatch.leaks TO looker;
GRANT EXECUTE ON FUNCTION leakwatch.leaks() TO looker;
GRANT app TO looker;
EOC

# A session that waits for what this statement needs.
sub waiter
{
	my ($statement, %args) = @_;
	my $session = session($node, %args);

	$session->begin($statement);
	wait_for_lock($node, $session);
	return $session;
}

sub wait_listed
{
	my ($session, $kind) = @_;

	wait_until($node,
		"SELECT EXISTS (SELECT FROM leakwatch.leaks WHERE pid = $session->{pid} AND kind = '$kind')"
		  . ' FROM leakwatch.scan()');
	return;
}

sub wait_gone
{
	my ($session, $kind) = @_;

	wait_until($node,
		"SELECT NOT EXISTS (SELECT FROM leakwatch.leaks WHERE pid = $session->{pid} AND kind = '$kind')"
		  . ' FROM leakwatch.scan()');
	return;
}

#
# In whatever way it is idle
#
foreach my $way (
	[ 'outside a transaction', 'SELECT pg_advisory_lock(7)', 'SELECT pg_advisory_unlock_all()' ],
	[ 'in a transaction', 'BEGIN\; SELECT pg_advisory_xact_lock(7)', 'COMMIT' ],
	[ 'in an aborted transaction',
		'SELECT pg_advisory_lock(7); BEGIN\; SELECT 1/0', 'ROLLBACK; SELECT pg_advisory_unlock_all()' ])
{
	my ($what, $statement, $end) = @$way;
	my $blocker = session($node, app => 'root', set => { idle_blocker_warn => '100ms' });

	$blocker->query($statement);
	scan($node) foreach 1 .. 3;
	is(leaks($node, $blocker), '', "$what: nobody waits, nothing is said");
	my $waiter = waiter('SELECT pg_advisory_lock(7) /* wanted */', app => 'victim');
	wait_listed($blocker, 'idle_blocker');
	pass("$what: found once somebody waits");
	is(leaks($node, $waiter), '', "$what: who waits is not");
	$blocker->query($end);
	$waiter->wait;
	settle($node);
	is(leaks($node, $blocker), '', "$what: and not any more when it gave it back");
	is(incident($node, $blocker, 'idle_blocker')->{outcome}, 'finished', "$what: it went on");
	$_->quit foreach $blocker, $waiter;
}

#
# Whom it blocks
#
my $blocker = session($node, app => 'root', set => { idle_blocker_warn => '100ms' });
$blocker->query('BEGIN');
$blocker->query('UPDATE t SET v = 0 WHERE i = 1');
my $first = waiter("UPDATE t SET v = 3 WHERE i = 1 /* first */", app => 'shop "one"');
wait_listed($blocker, 'idle_blocker');
my $row = (rows($node,
	"SELECT blocked_sessions, blocked_pids, blocked_application, blocked_query FROM leakwatch.leaks WHERE pid = $blocker->{pid}"))[0];
is_deeply($row->{blocked_pids}, [ $first->{pid} ], 'who waits is told by the PID');
is($row->{blocked_application}, 'shop "one"', 'by the application');
like($row->{blocked_query}, qr/^UPDATE t SET v = 3 WHERE i = 1 /, 'and by the statement');
wait_for('the message is written', sub { log_of($node, $blocker) });
my ($said) = log_of($node, $blocker);
like($said->{message}, qr/has been idle while others wait for its locks for/, 'the message says what it does');
like($said->{detail}, qr/\nWaiting for its locks, longest first: PID $first->{pid}\nThe first, application "shop "one"", has waited for \S+ m?s to execute: UPDATE t SET v = 3/,
	'and whom it keeps from what');
like($said->{hint}, qr/Give back what it locks/, 'and what to do');

# the longest waiting first, and those behind them too
my @more = map { waiter('UPDATE t SET v = 4 WHERE i = 1', app => "more $_") } 1 .. 11;
wait_until($node, "SELECT blocked_sessions = 12 FROM leakwatch.leaks, leakwatch.scan() WHERE pid = $blocker->{pid}");
$row = (rows($node, "SELECT * FROM leakwatch.leaks WHERE pid = $blocker->{pid}"))[0];
is_deeply($row->{blocked_pids}, [ map { $_->{pid} } ($first, @more)[ 0 .. 9 ] ],
	'ten are told, the longest waiting first');
is($row->{blocked_application}, 'shop "one"', 'of whom the first is named');

settle($node);
is_deeply(incident($node, $blocker, 'idle_blocker')->{blocked_pids}, $row->{blocked_pids}, 'the table has it too');
is(incident($node, $blocker, 'idle_blocker')->{blocked_application}, 'shop "one"', 'with the application');
like(incident($node, $blocker, 'idle_blocker')->{blocked_query}, qr/^UPDATE t SET v = 3/, 'and the statement');

# privileges: the statement is of a session of role app
is((psql_as($node, 'looker', "SELECT blocked_application FROM leakwatch.leaks WHERE pid = $blocker->{pid}"))[0],
	'shop "one"', 'who has the rights of its role sees what waits');
$node->safe_psql('postgres', 'REVOKE app FROM looker');
is((psql_as($node, 'looker',
		"SELECT blocked_sessions, blocked_pids IS NOT NULL, blocked_application, blocked_query FROM leakwatch.leaks WHERE pid = $blocker->{pid}"))[0],
	'12|t||', 'others only that it does');
configure($node, capture_query => 'off');
is($node->safe_psql('postgres',
		"SELECT blocked_application, blocked_query FROM leakwatch.leaks WHERE pid = $blocker->{pid}"),
	'shop "one"|', 'without capture_query there is no statement');
configure($node, capture_query => undef);

# when nobody waits any more, it is over
terminate($node, $first, @more);
wait_gone($blocker, 'idle_blocker');
settle($node);
is(incident($node, $blocker, 'idle_blocker')->{outcome}, 'finished', 'it is over when nobody waits');
is(incident($node, $blocker, 'idle_blocker')->{outcome_detail}, 'nobody waits for its locks any more', 'and that is said');
cmp_ok(incident($node, $blocker, 'idle_blocker')->{ended_at}, 'gt',
	incident($node, $blocker, 'idle_blocker')->{since}, 'it ended after it began');
$blocker->quit;

#
# Once
#
$blocker = session($node, set => { idle_blocker_warn => '100ms', idle_in_transaction_warn => '10ms' });
$blocker->query('BEGIN');
$blocker->query('UPDATE t SET v = 0 WHERE i = 1');
wait_for_leak($node, 'idle_in_transaction', $blocker);
$first = waiter('UPDATE t SET v = 3 WHERE i = 1');
wait_until($node, "SELECT blocked_sessions = 1 FROM leakwatch.leaks, leakwatch.scan() WHERE pid = $blocker->{pid}");
wait_until($node, 'SELECT pg_sleep(0.2) IS NOT NULL FROM leakwatch.scan()');
scan($node);
is(leaks($node, $blocker), 'idle_in_transaction', 'who is reported as idle is not reported as a blocker too');
terminate($node, $first);
$blocker->query('ROLLBACK');
$blocker->quit;

$blocker = session($node, set => { idle_blocker_warn => '10ms', idle_in_transaction_warn => '1500ms' });
$blocker->query('BEGIN');
$blocker->query('UPDATE t SET v = 0 WHERE i = 1');
$first = waiter('UPDATE t SET v = 3 WHERE i = 1');
wait_listed($blocker, 'idle_blocker');
wait_age($node, 'state_age', '1600ms', $blocker);
is(leaks($node, $blocker), 'idle_blocker', 'nor the other way round');
terminate($node, $first);
wait_listed($blocker, 'idle_in_transaction');
wait_gone($blocker, 'idle_blocker');
pass('and it is what is left when nobody waits any more');
$blocker->quit;

#
# Ended
#
$blocker = session($node, set => { mode => 'enforce', idle_blocker_terminate => '200ms' });
my $idle = session($node, set => { mode => 'enforce', idle_blocker_terminate => '200ms' });
$idle->query('SELECT pg_advisory_lock(9)');
$blocker->query('SELECT pg_advisory_lock(8)');
# it may have to wait for less time than it takes to be seen
$first = session($node);
$first->begin('SELECT pg_advisory_lock(8)');
wait_for_incident($node, "pid = $blocker->{pid} AND outcome = 'terminated'");
$first->wait;
pass('whoever waited goes on');
my $told = $blocker->quit('SELECT 1;');
like($told, qr/because it had been idle while others wait for its locks for/, 'the client is told why');
is($idle->query('SELECT 1'), '1', 'who blocks nobody stays');
$_->quit for $first, $idle;

#
# While who waits is awake for a moment
#
my $awake = library('awake');
$node->safe_psql('postgres', "CREATE FUNCTION awake(pid int) RETURNS bool LANGUAGE C STRICT AS '$awake'");
$blocker = session($node, set => { idle_blocker_warn => '100ms' });
$blocker->query('SELECT pg_advisory_lock(20)');
$first = waiter("SET deadlock_timeout = '1h'; SELECT pg_advisory_lock(20)", user => undef);
wait_listed($blocker, 'idle_blocker');
is($node->safe_psql('postgres', "SELECT awake($first->{pid})"), 't', 'who waits wakes up');
my $next = session($node, set => { idle_blocker_warn => '100ms' });
$next->query('SELECT pg_advisory_lock(21)');
my $other = waiter('SELECT pg_advisory_lock(21)');
wait_listed($next, 'idle_blocker');
is(leaks($node, $blocker), 'idle_blocker', 'and waits as before');
settle($node);
is($node->safe_psql('postgres', "SELECT count(*) FROM leakwatch.incidents WHERE pid = $blocker->{pid}"),
	'1', 'nothing has ended');
terminate($node, $first, $other);
$_->quit foreach $blocker, $next;

#
# While others become leaks all the time
#
my $script = PostgreSQL::Test::Utils::tempdir() . '/leaks.sql';
append_to_file($script, "BEGIN;\n\\sleep 100 ms\nCOMMIT;\n");
my ($in, $out) = ('', '');
my $busy;
{
	# nobody reads what it would print if it were told
	local $ENV{PGOPTIONS} = '-c leakwatch.idle_in_transaction_warn=10ms -c leakwatch.warn_client=off';

	$busy = IPC::Run::start(
		[ $node->installed_command('pgbench'), '-n', '-c', 2, '-T', 100_000, '-f', $script, $node->connstr('postgres') . ' user=app' ],
		'<' => \$in, '&>' => \$out);
}
wait_until($node, q(SELECT count(*) >= 10 FROM leakwatch.incidents WHERE query = 'BEGIN;' AND detected_at > now() - interval '1min'));
$blocker = session($node, set => { idle_blocker_warn => '100ms' });
$blocker->query('SELECT pg_advisory_lock(10)');
$first = waiter('SELECT pg_advisory_lock(10)');
wait_until($node, "SELECT EXISTS (SELECT FROM leakwatch.leaks WHERE pid = $blocker->{pid})");
pass('an idle blocker is found while others become leaks all the time');
terminate($node, $first);
wait_until($node, "SELECT NOT EXISTS (SELECT FROM leakwatch.leaks WHERE pid = $blocker->{pid})");
pass('and that nobody waits for it any more');
$busy->signal('TERM');
$busy->finish;
$blocker->quit;

#
# Root, not victim
#
configure($node, terminate_active => 'on', terminate_when => 'blocking');
my %doomed = (set => { mode => 'enforce', transaction_terminate => '5s' });
my $victim = session($node, %doomed);
$victim->query('BEGIN');
$victim->query('UPDATE t SET v = 0 WHERE i = 2');
my $root = session($node, %doomed);
$root->query('BEGIN');
$root->query('UPDATE t SET v = 0 WHERE i = 1');
$victim->begin('UPDATE t SET v = 7 WHERE i = 1');
wait_for_lock($node, $victim);
my $last = waiter('UPDATE t SET v = v + 1 WHERE i = 2');
like(policy($node, $victim)->{protected_by}[0], qr/^waiting$/, 'who waits is protected');
wait_for_incident($node, "pid = $root->{pid} AND outcome = 'terminated'");
$victim->wait;
is($victim->query('COMMIT'), '', 'the victim goes on and commits');
$last->wait;
is($node->safe_psql('postgres', 'SELECT string_agg(v::text, $$ $$ ORDER BY i) FROM t'), '7 1', 'and nothing is lost but what the root did');
cmp_ok(status($node)->{held_waiting}, '>=', 1, 'it is counted that it was held back');
$root->quit('SELECT 1;');
$_->quit foreach $victim, $last;

#
# Who had to wait until just before its time was up has a moment to go on
#
configure($node, terminate_active => undef, terminate_when => undef);
my $holder = session($node, user => undef, set => { mode => 'off' });
foreach (1 .. 10)
{
	my $waiter = session($node, set => { mode => 'enforce', transaction_terminate => '3s' });

	$holder->query('SELECT pg_advisory_lock(11)');
	$waiter->begin('BEGIN\; SELECT pg_advisory_xact_lock(11)');
	wait_age($node, 'transaction_age', '2s', $waiter);

	my $freed = time;
	$holder->query('SELECT pg_advisory_unlock(11)');
	$waiter->wait;
	wait_until($node, "SELECT NOT EXISTS (SELECT FROM leakwatch.sessions"
		  . " WHERE pid = $waiter->{pid} AND transaction_age < '3100ms')");
	scan($node);
	my $told = $waiter->quit('COMMIT;');

	# if we took longer than that moment, once more
	next if time - $freed >= 3;
	unlike($told, qr/FATAL/, 'who waited until just before its limit can go on');
	last;
}
$holder->quit;

$node->stop;
done_testing();
