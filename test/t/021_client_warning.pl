# Shows that a session which goes on in the transaction that it was reported in
# tells its client so: once, with its next statement, and only if that is wanted.
# Behind a pooler, who goes on outside may be another client.
use strict;
use warnings FATAL => 'all';

use LeakwatchTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('client_warning');

# What a session is told with each of these statements after it was reported.
sub told
{
	my ($kind, $statements, %args) = @_;
	my $session = leak($node, $kind, warn => '50ms', %args);
	my @told;

	wait_for_leak($node, $kind, $session);
	foreach my $statement (@$statements)
	{
		$session->query($statement);
		push @told, $session->{err};
	}
	terminate($node, $session);
	return @told;
}

# With which statements a session goes on, so that no other leak comes between.
my %on = (
	idle_in_transaction => 'SET leakwatch.idle_in_transaction_warn = 0',
	aborted_transaction => 'ROLLBACK');
my %words = (
	idle_in_transaction => 'idle in transaction',
	aborted_transaction => 'idle in an aborted transaction');

foreach my $kind (sort keys %words)
{
	my @told = told($kind, [ $on{$kind}, 'SELECT 2' ]);

	like(
		$told[0],
		qr/^psql:\S+ WARNING:  this session had been $words{$kind} for \d.*, over the limit of 50 ms \(leakwatch\.${kind}_warn\)\n(psql:\S+ )?HINT:  \w/,
		"$kind: with the next statement");
	is($told[1], '', "$kind: and not again");
}

is(join('', told($_, [ 'SELECT 1', 'BEGIN', 'SELECT 2', 'COMMIT' ])), '', "$_: nothing is told to whoever comes next")
  foreach qw(idle_session session);

my $session = leak_after($node, 'session', ['BEGIN']);
$session->query('SELECT 1');
is($session->{err}, '', 'session: nor within a transaction, which it does not concern');
$session->quit;

# one that ends by itself, and its successor in the same session
$session = session($node);
$session->query(<<'EOC');
DO $$
BEGIN
	PERFORM set_config('leakwatch.transaction_warn', '50ms', false);
	WHILE NOT EXISTS (SELECT FROM leakwatch.leaks WHERE pid = pg_backend_pid()) LOOP
		PERFORM pg_sleep(0.01);
	END LOOP;
	PERFORM set_config('leakwatch.transaction_warn', '0', false);
END
$$
EOC
$session->query('SELECT 1');
is($session->{err}, '', 'transaction: nothing is told in the one after it');
$session->quit;

$session = leak_after($node, 'transaction', ['BEGIN']);
$session->query('SELECT 1');
like($session->{err}, qr/WARNING:  this session had been in a transaction for /, 'transaction: with the next statement');
$session->query('SELECT 1');
is($session->{err}, '', 'transaction: and not again');
$session->query('COMMIT');
scan($node);
$session->query('BEGIN');
wait_for_leak($node, 'transaction', $session);
$session->query('COMMIT');
like($session->{err}, qr/WARNING:  this session had been in a transaction for /, 'another incident is told of anew');
$session->quit;

# as the client learns it, not as psql prints it
$session = leak($node, 'idle_in_transaction', warn => '50ms');
wait_for_leak($node, 'idle_in_transaction', $session);
$session->query('\set VERBOSITY verbose' . "\nSELECT 1");
like($session->{err}, qr/WARNING:  01000: this session had been idle in transaction/, 'with the SQLSTATE of a warning');
$session->quit;

# a terminate limit that is shorter is the one that was exceeded
my @told = told('idle_in_transaction', ['COMMIT'], warn => '1h', terminate => '60ms');
like($told[0], qr/over the limit of 60 ms \(leakwatch\.idle_in_transaction_terminate\)/,
	'under observe, of the terminate limit that was met first');

# no function keeps it from the client
$session = leak($node, 'idle_in_transaction', warn => '50ms');
wait_for_leak($node, 'idle_in_transaction', $session);
$session->query("DO 'BEGIN PERFORM 1; END'");
is(() = $session->{err} =~ /this session had been/g, 1, 'it is told once, whatever runs inside');
$session->quit;

# one that is reported in the middle of a statement goes on with the next
$session = session($node, user => undef);
$session->query('BEGIN');
$session->query(<<'EOC');
DO $$
BEGIN
	PERFORM set_config('leakwatch.transaction_warn', '50ms', false);
	WHILE NOT EXISTS (SELECT FROM leakwatch.leaks WHERE pid = pg_backend_pid()) LOOP
		PERFORM pg_sleep(0.01);
	END LOOP;
	PERFORM 1;
END
$$
EOC
is($session->{err}, '', 'the statement that it was reported in says nothing');
$session->query('SELECT 1');
like($session->{err}, qr/this session had been in a transaction for .*, over the limit of 50 ms/, 'the next one does');
$session->quit('COMMIT');

#
# Only if wanted, and never twice in the log
#
is((told('idle_in_transaction', ['COMMIT'], set => { warn_client => 'off' }))[0], '', 'not with leakwatch.warn_client = off');
$session = leak($node, 'idle_in_transaction', warn => '50ms');
wait_for_leak($node, 'idle_in_transaction', $session);
$session->query('SET leakwatch.warn_client = off');
like($session->{err}, qr/WARNING/, 'the statement that switches it off still tells');
$session->quit;
$session = session($node, set => { idle_in_transaction_warn => '50ms' });
$session->query('SET client_min_messages = error');
$session->query('BEGIN');
wait_for_leak($node, 'idle_in_transaction', $session);
$session->query('SELECT 1');
is($session->{err}, '', 'not with client_min_messages = error');
$session->quit;
is(scalar(grep { $_->{message} =~ /this session had been/ } log_entries($node)), 0,
	'the server log has it from the watcher already');

# nobody else is told: neither the slot's next session nor one that was never reported
my $first = leak($node, 'idle_session', warn => '50ms');
my $slot = slot_of($first);
wait_for_leak($node, 'idle_session', $first);
$first->quit;
wait_until($node, "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $first->{pid})");
my $successor = successor_in($node, $slot);
$successor->query('SELECT 1');
is($successor->{err}, '', 'the next session in its slot is told nothing');
$successor->quit;

#
# Without a trail too
#
$node->append_conf('postgresql.conf', 'leakwatch.trail_length = 0');
$node->restart;
@told = told('idle_in_transaction', ['SELECT 1']);
like($told[0], qr/WARNING:  this session had been idle in transaction/, 'without a trail too');

$node->stop;
done_testing();
