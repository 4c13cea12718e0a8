# Shows that a jump of the wall clock counts for nobody's age.
use strict;
use warnings FATAL => 'all';

use File::Spec;
use LeakwatchTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($faketime) = glob('/usr/lib/*/faketime/libfaketime.so.1');
plan skip_all => 'libfaketime is not installed' unless $faketime;

my $kind = 'idle_in_transaction';
my $offset =
  File::Spec->rel2abs(PostgreSQL::Test::Utils::tempdir() . '/offset');

# The server's wall clock goes by this file, its monotonic clock by the truth.
# A process that asks for the time all along does not look at the file again,
# so each jump comes while the watcher is being started anew.
sub set_clock
{
	my ($seconds) = @_;

	# replaced at once, since it is read all the time
	append_to_file("$offset.new", sprintf("%+ds\n", $seconds));
	rename("$offset.new", $offset) or die "could not rename: $!";
	return;
}

sub jump_to
{
	my ($node, $seconds) = @_;
	my $before = status($node);

	set_clock($seconds);
	$node->safe_psql('postgres',
		"SELECT pg_terminate_backend($before->{watcher_pid})");
	wait_until($node,
		"SELECT clock_jumps > $before->{clock_jumps} FROM leakwatch.status");
	scan($node) foreach (1 .. 3);
	return;
}

my $node;
set_clock(0);
{
	local %ENV = (
		%ENV,
		LD_PRELOAD => $faketime,
		FAKETIME_TIMESTAMP_FILE => $offset,
		FAKETIME_CACHE_DURATION => 1,
		FAKETIME_DONT_FAKE_MONOTONIC => 1,
		DONT_FAKE_MONOTONIC => 1);

	$node = new_node('clock');
}

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

jump_to($node, 3600);
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

$_->quit foreach ($innocent, $idle, $leaky, $later, $after);
$node->stop;
done_testing();
