# Shows that a jump of the wall clock counts for nobody's age, and that what is
# none is not taken for one.
use strict;
use warnings FATAL => 'all';

use LeakwatchTest;
use PostgreSQL::Test::Utils;
use Test::More;
use TestLibrary;
use Time::HiRes qw(time);

my $kind = 'idle_in_transaction';

# The wall clock of the server jumps, its monotonic clock goes by the truth.
sub jump_to
{
	my ($node, $seconds) = @_;
	my $jumps = status($node)->{clock_jumps};

	set_clock(offset => $seconds * 1_000_000);
	scan($node) foreach (1 .. 3);
	is(status($node)->{clock_jumps}, $jumps + 1, "the jump to $seconds s is noticed once");
	return;
}

my $node;
my $busy = library('busy');
{
	local %ENV = (%ENV, clock_environment());

	$node = new_node('clock', 'leakwatch.log_repeat = 50min');
}
$node->safe_psql('postgres',
	"CREATE FUNCTION busy(pid int, busy bool) RETURNS bool LANGUAGE C STRICT AS '$busy'");

#
# A process that is stopped between its readings of the two clocks
#
foreach my $stall (1_500_000, 2_500_000)
{
	set_clock(stall => $stall, status($node)->{watcher_pid});
	scan($node) foreach (1 .. 3);
	is(status($node)->{clock_jumps}, 0, 'a stall is no jump');
}

#
# A clock that is set by too little for a jump
#
foreach (1 .. 10)
{
	set_clock(offset => 900_000);
	my $leaky = session($node, set => { transaction_warn => '300ms' });

	$leaky->query('BEGIN');
	wait_for_leak($node, 'transaction', $leaky);
	set_clock(offset => -900_000);
	$leaky->query('SELECT 1');
	scan($node);
	my $young = policy($node, $leaky)->{transaction_age} lt '00:00:00.3';
	$leaky->query('SELECT 2');
	wait_age($node, 'transaction_age', '1s', $leaky);
	my $said = warnings_about($node, $leaky);
	$leaky->quit('COMMIT;');
	settle($node);

	# if it has become older than that by itself, once more
	next unless $young;
	is($said, 1, 'who is under its limit by the clock alone is told of once');
	is(incident($node, $leaky, 'transaction')->{outcome_detail}, undef, 'and no settings have changed');
	last;
}
set_clock(offset => 0);
is(status($node)->{clock_jumps}, 0, 'and nothing of it was a jump');

#
# Jumps
#
my $innocent = leak($node, $kind,
	warn => '10min', terminate => '20min',
	set => { mode => 'enforce', transaction_terminate => '20min',
		session_terminate => '20min' });
my $idle = leak($node, 'idle_session',
	warn => '10min', terminate => '20min', set => { mode => 'enforce' });
my $leaky = leak($node, $kind, warn => '300ms');
wait_for_leak($node, $kind, $leaky);

sub nobody_is_hit
{
	my ($what) = @_;

	is(leaks($node, $innocent), '', "$what: no transaction has become old");
	is(leaks($node, $idle), '', "$what: nor a session");
	is(status($node)->{terminated}, 0, "$what: nobody is terminated");
	is( $node->safe_psql(
			'postgres',
			"SELECT count(*) FROM leakwatch.sessions WHERE state_age > '30min'"
			  . " OR transaction_age > '30min' OR session_age > '30min'"
			  . " OR state_age < '0' OR session_age < '0'"),
		0,
		"$what: all ages are as they were");
	is( $node->safe_psql(
			'postgres',
			"SELECT count(*) FROM leakwatch.leaks WHERE duration > '30min' OR duration < '0'"
		),
		0,
		"$what: and all durations");
	return;
}

# one that can't be read at the time of the jump
my $held = leak($node, $kind,
	warn => '10min', terminate => '20min', set => { mode => 'enforce' });
$node->safe_psql('postgres', "SELECT busy($held->{pid}, true)");
jump_to($node, 3600);
$node->safe_psql('postgres', "SELECT busy($held->{pid}, false)");
scan($node) foreach (1 .. 3);
is(leaks($node, $held), '', 'who was just changing its state has not become old');
nobody_is_hit('an hour forward');
is(leaks($node, $leaky), $kind, 'who leaked before still leaks');

my $later = leak($node, $kind, warn => '300ms');
wait_for_leak($node, $kind, $later);
pass('and who leaks afterwards is found');
$later->query('COMMIT');
settle($node);
cmp_ok(
	$node->safe_psql('postgres',
		"SELECT extract(epoch FROM duration)::int FROM leakwatch.incidents WHERE pid = $later->{pid}"
	),
	'<', 1000,
	'for as long as it did');

jump_to($node, 10800);
nobody_is_hit('two more hours forward');

jump_to($node, 7200);
nobody_is_hit('an hour back');
my $after = leak($node, $kind, warn => '300ms');
wait_for_leak($node, $kind, $after);
pass('who leaks then is found too');
$leaky->query('COMMIT');
settle($node);
cmp_ok(
	$node->safe_psql('postgres',
		"SELECT extract(epoch FROM duration)::int FROM leakwatch.incidents"
		  . " WHERE pid = $leaky->{pid} AND outcome = 'finished'"),
	'<', 1000,
	'an incident over all jumps has lasted for its own time');
is(warnings_about($node, $leaky), 1, 'and was told of once');

#
# How a session ended is not told by times
#
my $committing = leak($node, $kind, warn => '300ms');
my $again = leak($node, $kind, warn => '300ms');
wait_for_leak($node, $kind, $committing, $again);
$again->query('COMMIT');
settle($node);
jump_to($node, 3600);
$committing->quit("COMMIT;\n\\q");
wait_for_incident($node, "pid = $committing->{pid} AND outcome <> 'open'");
is(incident($node, $committing, $kind)->{outcome}, 'finished',
	'who goes on after the clock was set back, and leaves at once, has gone on');
$again->query('BEGIN\; SELECT 1');
wait_for_leak($node, $kind, $again);
$again->quit;
wait_for_incident($node, "pid = $again->{pid} AND outcome = 'disconnected'");
is( $node->safe_psql('postgres',
		"SELECT string_agg(outcome, ' ' ORDER BY since) FROM leakwatch.incidents WHERE pid = $again->{pid}"),
	'disconnected finished',
	'who went on before that, and leaves in its next transaction, has not');

#
# Who had to wait for a lock has a moment to go on
#
my $holder = session($node, user => undef, set => { mode => 'off' });
foreach my $hour (2 .. 11)
{
	my $waiter = session($node, set => { mode => 'enforce', transaction_terminate => '200ms' });

	$holder->query('SELECT pg_advisory_lock(1)');
	$waiter->begin('BEGIN\; SELECT pg_advisory_xact_lock(1)');
	wait_for_leak($node, 'transaction', $waiter);
	scan($node);

	my $freed = time;
	$holder->query('SELECT pg_advisory_unlock(1)');
	$waiter->wait;
	set_clock(offset => $hour * 3600 * 1_000_000);
	scan($node);
	my $told = $waiter->quit('COMMIT;');

	# if we took longer than that moment, once more
	next if time - $freed >= 4;
	unlike($told, qr{FATAL}, 'which a jump of the clock does not shorten');
	last;
}

$_->quit foreach ($innocent, $idle, $leaky, $later, $after, $held, $holder);
$node->stop;
done_testing();
