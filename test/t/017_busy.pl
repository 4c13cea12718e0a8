# Shows that a session that can't be read, because its process has been stopped
# in the middle of a change, is neither gone nor innocent nor guilty.
use strict;
use warnings FATAL => 'all';

use LeakwatchTest;
use PostgreSQL::Test::Utils;
use Test::More;
use TestLibrary;

my $kind = 'idle_in_transaction';
my $node = new_node('busy', 'leakwatch.scan_interval = 50ms');
my $library = library('busy');

$node->safe_psql('postgres',
	"CREATE FUNCTION busy(pid int, busy bool) RETURNS bool LANGUAGE C STRICT AS '$library'");

sub busy
{
	my ($session, $busy) = @_;

	is( $node->safe_psql('postgres', "SELECT busy($session->{pid}, $busy)"),
		't', $busy eq 'true' ? 'a session is held up' : 'it goes on');
	return;
}

sub scans
{
	scan($node) foreach (1 .. 3);
	return;
}

sub assertion
{
	my ($out, $error);

	$node->psql('postgres', '\set VERBOSITY verbose' . "\n" . 'SELECT leakwatch.assert_no_leaks($$leaky$$)',
		stderr => \$error);
	return $error;
}

# a leak that is known
my $leaky = leak($node, $kind, warn => '100ms', terminate => '1h', set => { mode => 'enforce' });
wait_for_leak($node, $kind, $leaky);
settle($node);
busy($leaky, 'true');
scans();
is(leaks($node, $leaky), $kind, 'its incident stays open');
is($node->safe_psql('postgres', "SELECT count(*) FROM leakwatch.sessions WHERE pid = $leaky->{pid}"),
	1, 'it is among the sessions');
is(status($node)->{sessions},
	$node->safe_psql('postgres', "SELECT count(*) FROM leakwatch.sessions"),
	'and counted');
like(assertion(), qr/P0004: .*1 leaked session/, 'the assertion knows of it');
busy($leaky, 'false');
scans();
settle($node);
is( $node->safe_psql('postgres',
		"SELECT count(*), min(outcome) FROM leakwatch.incidents WHERE pid = $leaky->{pid}"),
	'1|open', 'it has had one incident');
is(scalar(log_of($node, $leaky)), 1, 'and one message');
is(status($node)->{finished}, 0, 'nobody has finished');
$leaky->quit;

# one that is not known yet
my $unseen = leak($node, $kind, set => { "${kind}_warn" => '1h' });
busy($unseen, 'true');
like(
	assertion(),
	qr/55006: .*could not tell whether the session with PID $unseen->{pid} leaks/,
	'the assertion says that it could not tell');
$node->safe_psql('postgres', "SELECT busy($unseen->{pid}, false)");
is(assertion(), '', 'and passes when it can');
$unseen->quit;

# a session meets its limit while it can't be read
my $due = leak($node, $kind);
busy($due, 'true');
configure($node, "${kind}_warn" => '300ms');
my $later = leak($node, $kind);
# not by pg_stat_activity, which waits for who is held up
wait_until($node, "SELECT count(*) = 1 FROM leakwatch.leaks WHERE pid = $later->{pid}");
is(leaks($node, $due), '', 'no limit is met as long as nothing is known');
busy($due, 'false');
wait_for_leak($node, $kind, $due);
pass('and it is then');

$_->quit foreach ($due, $later);
settle($node);
is( $node->safe_psql('postgres',
		"SELECT string_agg(outcome, ' ') FROM leakwatch.incidents WHERE pid = $due->{pid}"),
	'disconnected', 'an end is still an end');

$node->stop;
done_testing();
