# Shows what is said of a leak in the server log: how, how often, and what is
# kept out of it.
use strict;
use warnings FATAL => 'all';

use LeakwatchTest;
use Test::More;

my $node = new_node('messages', <<'EOC');
listen_addresses = '127.0.0.1'
EOC

$node->safe_psql('postgres', <<'EOC');
CREATE TABLE a (i int);
GRANT ALL ON a TO app;
EOC

#
# One message for each kind
#
my $duration = qr/\d+(\.\d)? (ms|s)/;
my %expected = (
	idle_in_transaction => [
		'25P03',
		'idle in transaction',
		'Last statement: BEGIN\; SELECT 1;',
		qr/^Commit or roll back on every path/
	],
	aborted_transaction => [
		'25P03',
		'idle in an aborted transaction',
		"Last statement: BEGIN\\; SELECT 1/0;\nFailed with SQLSTATE 22012.",
		qr/^A statement failed .* ROLLBACK/
	],
	transaction => [
		$node->pg_version >= 17 ? '25P04' : '57014',
		'in a transaction',
		'Statement: BEGIN\; SELECT pg_sleep(600);',
		qr/^Split the work/
	],
	idle_session => [
		'57P05', 'idle',
		'Last statement: SELECT 1;',
		qr/^The connection is held and not used/
	],
	session => [
		'57P05', 'connected',
		'Last statement: SELECT 1;',
		qr/maximum lifetime/
	]);
foreach my $kind (KINDS)
{
	my ($sqlstate, $phrase, $statement, $hint) = @{ $expected{$kind} };
	my $session = leak($node, $kind, app => "the $kind");

	configure($node, "${kind}_warn" => '1s');

	# as the server gets it
	$statement =~ s/\\;/;/;
	wait_for_leak($node, $kind, $session);
	# what is listed is said by the end of the same scan
	scan($node);
	my @said = log_of($node, $session);

	is(scalar @said, 1, "$kind: said once");
	is($said[0]{severity}, 'WARNING', "$kind: as a warning");
	is($said[0]{sqlstate}, $sqlstate, "$kind: SQLSTATE");
	like(
		$said[0]{message},
		qr/^session with PID $session->{pid} has been $phrase for $duration, over the limit of 1 s \(leakwatch\.${kind}_warn\)$/,
		"$kind: what, how long, which limit");
	# an aborted transaction is no longer seen as one by its start
	my $open =
	  $kind =~ /^(idle_in_)?transaction$/
	  ? qr/ Transaction open for $duration\./
	  : qr//;
	like(
		$said[0]{detail},
		qr/^User "app", database "postgres", application "the $kind", client \[local\]\.$open \Q$statement\E$/,
		"$kind: who it is, and what it did last");
	like($said[0]{hint}, $hint, "$kind: what can be done");
	terminate($node, $session);
	configure($node, "${kind}_warn" => undef);
}

# what the detail has further
my $session = session(
	$node,
	addr => '127.0.0.1',
	set => {
		idle_in_transaction_warn => '1s',
		idle_in_transaction_terminate => '2s'
	});
my $waiter = session($node);
$session->query('BEGIN\; LOCK TABLE a');
$waiter->begin('SELECT count(*) FROM a');
wait_for_incident($node,
	"pid = $session->{pid} AND action = 'would_terminate'");
foreach my $said (log_of($node, $session))
{
	like($said->{detail}, qr/ client 127\.0\.0\.1\(\d+\)\. /, 'client by TCP');
	like($said->{detail}, qr/ Blocks 1 other session\. /, 'whom it blocks');
}
$session->quit;
$waiter->wait;
$waiter->quit;

#
# log_level
#
configure($node, log_level => 'log');
$session = leak($node, 'idle_in_transaction', warn => '100ms');
wait_for_leak($node, 'idle_in_transaction', $session);
scan($node);
is_deeply([ map { $_->{severity} } log_of($node, $session) ],
	['LOG'], 'log_level = log');
$session->quit;

configure($node, log_level => 'notice');
$session = leak($node, 'idle_in_transaction', warn => '100ms');
wait_for_incident($node, "pid = $session->{pid}");
scan($node);
is(scalar log_of($node, $session),
	0, 'log_level = notice: not in the log, as log_min_messages has it');
$session->quit;
configure($node, log_level => undef);

#
# log_burst: within a second so many messages, and the rest in a summary
#
sub warnings_since
{
	my ($before) = @_;
	my @entries = log_entries($node);
	my @warnings = grep { $_->{severity} eq 'WARNING' } @entries[ $before .. $#entries ];
	my @summaries = grep { $_->{message} =~ /^\d+ more messages/ } @warnings;
	my @single = grep { $_->{message} =~ /^session with PID/ } @warnings;

	return (\@single, \@summaries);
}

# the number of sessions that the summaries count
sub summed_up
{
	my $sum = 0;

	$sum += $_ foreach map { $_->{message} =~ /^(\d+)/ } @_;
	return $sum;
}

# a limit that many have met already makes them leak in one scan
my %many = (checkout => 17, billing => 13);
my @crowd = map {
	my $app = $_;
	map { session($node, app => $app) } 1 .. $many{$app}
} sort keys %many;
$_->query('BEGIN\; SELECT 1') foreach @crowd;
wait_age($node, 'state_age', '100ms', @crowd);
my $before = scalar(() = log_entries($node));
configure($node, log_burst => 5, idle_in_transaction_warn => '100ms');
wait_for_leak($node, 'idle_in_transaction', @crowd);
is(leaks($node, $_), 'idle_in_transaction', 'log_burst: all are listed')
  foreach @crowd[ 0, -1 ];

my ($single, $summaries);
wait_for('the burst is summed up',
	sub {
		($single, $summaries) = warnings_since($before);
		return @$single + summed_up(@$summaries) >= @crowd;
	});
cmp_ok(scalar @$single, '<=', 5, 'log_burst: as many messages at most');
is(scalar @$summaries, 1, 'log_burst: one summary');
is( $summaries->[0]{message},
	(@crowd - @$single) . ' more messages about sessions over a limit',
	'log_burst: which tells how many were left out');
like($summaries->[0]{hint}, qr/leakwatch\.leaks/, 'log_burst: and where to look');
foreach my $app (sort keys %many)
{
	my $one_by_one =
	  grep { defined $_->{detail} && $_->{detail} =~ /application "$app"/ } @$single;
	my ($summed_up) = $summaries->[0]{detail} =~ /"$app"\): (\d+)/;

	is($one_by_one + ($summed_up // 0),
		$many{$app}, "log_burst: all of application $app are counted");
}

# one after the other, each found by a scan of its own
$_->query('COMMIT') foreach @crowd;
wait_until($node, 'SELECT count(*) = 0 FROM leakwatch.leaks');
configure($node, log_burst => 1);
$before = scalar(() = log_entries($node));
$crowd[$_]->begin('BEGIN\; SELECT pg_sleep(' . $_ * 0.02 . ')') foreach 0 .. $#crowd;
$_->wait foreach @crowd;
wait_for('the spread burst is summed up',
	sub {
		($single, $summaries) = warnings_since($before);
		return @$single + summed_up(@$summaries) >= @crowd;
	});
is(@$single + summed_up(@$summaries),
	@crowd, 'log_burst: a burst spread over many scans is counted too');
cmp_ok(scalar @$single, '<', scalar @crowd, 'log_burst: and bounded');

configure($node, log_burst => undef, idle_in_transaction_warn => undef);
$_->quit foreach @crowd;

#
# capture_query
#
sub seen
{
	my ($session, $secret) = @_;

	settle($node);
	return {
		leaks => (
			rows(
				$node,
				"SELECT query FROM leakwatch.leaks WHERE pid = $session->{pid}"
			))[0]{query},
		incidents => incident($node, $session, 'idle_in_transaction')->{query},
		log => scalar(
			grep { join(' ', values %$_) =~ /$secret/ } log_entries($node))
	};
}

# A session that leaks after this statement, and is spoken of twice: warned about,
# and over its terminate limit when that is known.
sub spoken_of
{
	my ($statement) = @_;
	my $session = leak_after($node, 'idle_in_transaction', ["BEGIN\\; $statement"]);

	configure($node, idle_in_transaction_terminate => '200ms');
	wait_for_incident($node,
		"pid = $session->{pid} AND action = 'would_terminate'");
	configure($node, idle_in_transaction_terminate => undef);
	return $session;
}

$session = spoken_of(q(SELECT 'told'));
is_deeply(
	seen($session, 'told'),
	{
		leaks => q(BEGIN; SELECT 'told';),
		incidents => q(BEGIN; SELECT 'told';),
		log => 2
	},
	'capture_query = on: the statement is everywhere');

configure($node, capture_query => 'off', log_repeat => '1s');
$node->wait_for_log(qr/session with PID $session->{pid} is still there/);
is(seen($session, 'told')->{log},
	2, 'capture_query = off: not in reminders of what is open');
is(seen($session, 'told')->{leaks},
	undef, 'capture_query = off: not in the view of what is open');
configure($node, log_repeat => undef);
$session->quit;

$session = spoken_of(q(SELECT 'kept'));
is_deeply(
	seen($session, 'kept'),
	{ leaks => undef, incidents => undef, log => 0 },
	'capture_query = off: the statement is nowhere');
is(scalar log_of($node, $session), 2, 'capture_query = off: the rest is said');
$session->quit;

$node->stop;
done_testing();
