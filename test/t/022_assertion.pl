# Shows assert_no_leaks(): what it fails for, what it says then, for whom it
# waits, and who may call it.
use strict;
use warnings FATAL => 'all';

use LeakwatchTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('assertion');

# What an assertion fails with; "" if it does not.
sub failure
{
	my ($arguments, %args) = @_;
	my (undef, undef, $stderr) = $node->psql('postgres',
		"\\set VERBOSITY verbose\nSELECT leakwatch.assert_no_leaks($arguments)",
		connstr => $node->connstr('postgres') . ($args{user} ? " user=$args{user}" : ''));

	$stderr =~ s/^psql:\S+ //mg;
	return $stderr;
}

is(failure(''), '', 'it returns where nobody leaks');
is($node->safe_psql('postgres', "SELECT leakwatch.assert_no_leaks('none', '1s') IS NULL"),
	'f', 'and returns void');

my $checkout = leak_after(
	$node, 'idle_in_transaction',
	[ 'BEGIN', "SELECT 'paid' /*action='pay'*/" ],
	app => 'checkout');
my $import = leak($node, 'aborted_transaction', app => 'import', warn => '50ms');
wait_for_leak($node, 'aborted_transaction', $import);

like(
	failure("'checkout'"),
	qr{^ERROR:  P0004: application "checkout" has 1 leaked session
DETAIL:  PID $checkout->{pid}, user "app", database "postgres", application "checkout": idle in transaction for .*, over the limit of 50 ms \(leakwatch.idle_in_transaction_warn\)
    BEGIN;
    SELECT 'paid' /\*action='pay'\*/;
HINT:  Commit or roll back}, 'it lists the leak with its trail');
like(
	failure(''),
	qr{^ERROR:  P0004: there are 2 leaked sessions
DETAIL:  PID .*\n    BEGIN; SELECT 1/0; \[22012\]}s, 'of all applications, with what failed');
is(failure("'check'"), '', 'an application that has none is not blamed for others');
is(failure("repeat('x', 100)"), '', 'nor one of a name that no session can have');

# a long name is cut as the server cuts that of a session
my $long = leak($node, 'idle_in_transaction', app => 'y' x 80, warn => '50ms');
wait_for_leak($node, 'idle_in_transaction', $long);
like(failure("repeat('y', 80)"), qr/has 1 leaked session/, 'a long name is cut as that of a session');
terminate($node, $long);

# its own session is no witness against itself
my $own = leak_after($node, 'transaction', ['BEGIN'], user => undef, app => 'own');
$own->query("SELECT leakwatch.assert_no_leaks('own')");
unlike($own->{err}, qr/ERROR/, 'the session that asks is passed over');
$own->quit('COMMIT');

#
# Grace
#
my $asker = session($node, user => undef, app => 'asker');
$asker->begin("SELECT leakwatch.assert_no_leaks('checkout', '1h')");
wait_until($node, "SELECT query LIKE '%assert_no_leaks%' AND state = 'active' FROM pg_stat_activity WHERE pid = $asker->{pid}");
$checkout->query('COMMIT');
$asker->wait;
is($asker->{err}, '', 'a leak that ends within the grace is forgiven');
like(failure("'import', '100ms'"), qr/has 1 leaked session/, 'one that does not is not');
terminate($node, $import);

my $slow = session($node, app => 'slow', set => { idle_in_transaction_warn => '500ms' });
$slow->query('BEGIN');
like(failure("'slow', '1s'"), qr/application "slow" has 1 leaked session/, 'one that comes within the grace is waited for');
terminate($node, $slow);
my $within = session($node, app => 'within', set => { idle_in_transaction_warn => '1h' });
$within->query('BEGIN');
is(failure("'within', '30min'"), '', 'one that is far from its limit is not');
terminate($node, $within);

$import = leak($node, 'aborted_transaction', app => 'import', warn => '50ms');
wait_for_leak($node, 'aborted_transaction', $import);
$asker->begin("SELECT leakwatch.assert_no_leaks('import', '1h')");
wait_until($node, "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE pid = $asker->{pid} AND query LIKE '%assert_no_leaks%' AND state = 'active'");
$asker->wait;
like($asker->{err}, qr/canceling statement due to user request/, 'the wait can be cancelled');
$asker->quit;

like(failure("'import', NULL"), qr/has 1 leaked session/, 'a grace of NULL is none');

#
# Rights
#
$node->safe_psql('postgres', 'CREATE ROLE other LOGIN; CREATE ROLE monitor LOGIN; GRANT pg_monitor TO monitor');
like(failure('', user => 'other'), qr/permission denied for schema leakwatch/, 'not for PUBLIC');
like(failure('', user => 'monitor'), qr{BEGIN; SELECT 1/0}, 'pg_monitor sees all');
$node->safe_psql('postgres', 'GRANT USAGE ON SCHEMA leakwatch TO other, app; GRANT EXECUTE ON FUNCTION leakwatch.assert_no_leaks TO other, app');
my $seen = failure('', user => 'other');
like($seen, qr/there is 1 leaked session\nDETAIL:  PID \d+, user "app"/, 'others that may call it learn that there is one');
unlike($seen, qr/BEGIN|import/, 'but not of what and what it did');
like(failure('', user => 'app'), qr{BEGIN; SELECT 1/0}, 'whose sessions they are sees all');

configure($node, capture_query => 'off');
scan($node);
unlike(failure(''), qr/BEGIN/, 'no statements with leakwatch.capture_query = off');
terminate($node, $import);

#
# More than anybody reads
#
configure($node, capture_query => undef);
my @many = map { leak($node, 'idle_session', app => 'many', warn => '50ms') } 1 .. 23;
wait_for_leak($node, 'idle_session', @many);
my $all = failure("'many'");
like($all, qr/^ERROR:  P0004: application "many" has 23 leaked sessions/, 'all are counted');
is(() = $all =~ /^(?:DETAIL:  )?PID /mg, 20, 'and not all are listed');
like($all, qr/^and 3 more\.$/m, 'but said to be there');
terminate($node, @many);
is(failure("'many', '1min'"), '', 'it returns when they are gone');

$node->stop;
done_testing();
