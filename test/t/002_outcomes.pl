# Shows how an incident ends, and that its row tells: one row for each, from
# its first warning over its reminders to its end and its deletion.
use strict;
use warnings FATAL => 'all';

use LeakwatchTest;
use RawClient;
use Test::More;

# few connections, so that the slots of ended sessions are soon taken again
my $node = new_node('outcomes', 'max_connections = 20');
my $kind = 'idle_in_transaction';

# Wait until no incident of these sessions is open any more, and recorded so.
sub wait_for_end
{
	my (@sessions) = @_;
	my $pids = join(', ', map { $_->{pid} } @sessions);

	wait_until($node,
		"SELECT NOT EXISTS (SELECT FROM leakwatch.leaks WHERE pid IN ($pids))");
	settle($node);
	return;
}

sub outcome_is
{
	my ($session, $kind, $outcome, $detail, $what) = @_;
	my $incident = incident($node, $session, $kind);

	is($incident->{outcome}, $outcome, "$what: outcome $outcome");
	is($incident->{outcome_detail}, $detail,
		"$what: " . ($detail // 'no') . ' detail');
	ok($incident->{ended_at} && $incident->{ended_at} ge $incident->{detected_at},
		"$what: ended after it was detected");
	return;
}

#
# What sessions and others do
#
my @ends = (
	[ 'COMMIT', 'finished', sub { $_[0]->query('COMMIT') } ],
	[ 'ROLLBACK', 'finished', sub { $_[0]->query('ROLLBACK') } ],
	[
		'a further statement',
		'finished', sub { $_[0]->begin('SELECT pg_sleep(600)') }
	],
	[
		'COMMIT and disconnection',
		'finished', sub { $_[0]->quit("COMMIT;\n\\q") }
	],
	[ 'disconnection', 'disconnected', sub { $_[0]->quit } ],
	[ 'death of the client', 'disconnected', sub { $_[0]->die_now } ],
	[
		'pg_terminate_backend',
		'terminated_by_admin', sub { terminate($node, $_[0]) }
	]);
my @ending = map { leak($node, $kind, warn => '100ms') } @ends;
wait_for_leak($node, $kind, @ending);
my $before = status($node);
$ends[$_][2]->($ending[$_]) foreach 0 .. $#ends;
wait_for_end(@ending);
outcome_is($ending[$_], $kind, $ends[$_][1], undef, $ends[$_][0])
  foreach 0 .. $#ends;
is(status($node)->{finished} - $before->{finished},
	4, 'finished incidents are counted');
terminate($node, @ending[ 0 .. 2 ]);

# a session that is over two limits and leaves after its commit: the
# transaction was finished, the session was not
my $two = leak($node, $kind,
	set => { transaction_warn => '100ms', session_warn => '100ms' });
wait_for_leak($node, $_, $two) foreach qw(transaction session);
$two->quit("COMMIT;\n\\q");
wait_for_end($two);
outcome_is($two, 'transaction', 'finished', undef, 'transaction of a session that left');
outcome_is($two, 'session', 'disconnected', undef, 'session that left');

#
# The server's own timeouts
#
my %timeouts = (
	idle_in_transaction_session_timeout => 'idle_in_transaction',
	idle_session_timeout => 'idle_session');
$timeouts{transaction_timeout} = 'transaction'
  if $node->pg_version >= 17;
foreach my $timeout (sort keys %timeouts)
{
	my $session = session($node,
		set => { "$timeouts{$timeout}_warn" => '100ms' });

	# the statement sets off the timeout that the transaction runs into; the
	# session may have been idle for too long before it
	$session->query("SET $timeout = '1s'");
	$session->query('BEGIN') unless $timeout eq 'idle_session_timeout';
	wait_for_incident($node,
		"pid = $session->{pid} AND kind = '$timeouts{$timeout}' AND outcome NOT IN ('open', 'finished')");
	outcome_is($session, $timeouts{$timeout}, 'timed_out', $timeout, $timeout);
	$session->quit('SELECT 1;');
}

#
# The server, by a FATAL of its own
#
my @fatal = (
	[
		'a message that is none', 'protocol violation by the client, SQLSTATE 08P01',
		sub { $_[0]->messages('!' => '') }
	],
	[
		'a connection that is lost', 'connection to client lost, SQLSTATE 08006',
		sub {
			$_[0]->query("SET client_connection_check_interval = '100ms'");
			$_[0]->messages(Q => "SELECT pg_sleep(600)\0");
			wait_until($node, "SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = $_[0]{pid}");
			$_[0]->close;
		}
	],
	# who leaves in a COPY is not found to have broken the protocol
	[
		'a client that leaves within a COPY', undef,
		sub {
			$_[0]->messages(Q => "COPY pg_temp.taken FROM STDIN\0");
			$_[0]->wait_message('G');
			$_[0]->close;
		}
	]);
foreach my $case (@fatal)
{
	my ($what, $detail, $end) = @$case;
	my $client = RawClient->new($node, set => { transaction_warn => '100ms' });

	$client->query('CREATE TEMP TABLE taken (i int)');
	$client->query('BEGIN');
	wait_for_leak($node, 'transaction', $client);
	$end->($client);
	wait_for_end($client);
	outcome_is($client, 'transaction', defined $detail ? 'ended_by_server' : 'disconnected',
		$detail, $what);
}

#
# One that takes long to leave: what it was in is over before it is gone
#
sub psql_in_transaction
{
	my ($limit) = @_;
	my $session = session($node, set => { "${limit}_warn" => '100ms' });

	$session->query('CREATE TEMP TABLE kept (i int)');
	$session->query('BEGIN');
	return $session;
}

sub client_in_statement
{
	my ($limit) = @_;
	my $client = RawClient->new($node, set => { "${limit}_warn" => '100ms' });

	$client->query('CREATE TEMP TABLE kept (i int)');
	$client->messages($client->parse('SELECT 1'), H => '');
	$client->wait_message('1');
	return $client;
}

my $dies = sub { $_[0]->die_now };
my $is_ended = sub { $node->safe_psql('postgres', "SELECT pg_terminate_backend($_[0]{pid})") };
foreach my $case (
	[ $kind, \&psql_in_transaction, $dies, 'disconnected' ],
	[ 'transaction', \&psql_in_transaction, $dies, 'disconnected' ],
	[ 'transaction', \&psql_in_transaction, $is_ended, 'terminated_by_admin' ],
	[ 'waiting_for_client', \&client_in_statement, sub { $_[0]->close }, 'disconnected' ],
	[ 'waiting_for_client', \&client_in_statement, $is_ended, 'terminated_by_admin' ])
{
	my ($limit, $begin, $end, $outcome) = @$case;
	my $slow = $begin->($limit);
	my $holder = session($node, user => undef);
	my $kept = $node->safe_psql('postgres',
		"SELECT relnamespace::regnamespace FROM pg_class WHERE relname = 'kept'") . '.kept';

	$holder->query('BEGIN');
	$holder->query("LOCK TABLE $kept IN ACCESS SHARE MODE");
	wait_for_leak($node, $limit, $slow);
	$end->($slow);
	wait_for_lock($node, $slow);
	scan($node) foreach (1 .. 2);
	is(leaks($node, $slow), $limit, "$limit: who is about to leave has not gone on");
	$holder->quit('COMMIT;');
	wait_for_end($slow);
	outcome_is($slow, $limit, $outcome, undef, "$limit of one that is slow to leave");
}

#
# One that catches up with what others have changed, as the server has it do in a
# transaction of its own
#
my @idle = map { leak($node, 'idle_session', warn => '100ms') } 1 .. 3;
wait_for_leak($node, 'idle_session', @idle);
$node->safe_psql('postgres', <<'EOC') foreach 1 .. 5;
DO $$
BEGIN
	FOR i IN 1 .. 1000 LOOP
		CREATE TEMP TABLE passing (i int);
		DROP TABLE passing;
	END LOOP;
END
$$
EOC
$_->quit foreach @idle;
wait_for_end(@idle);
outcome_is($_, 'idle_session', 'disconnected', undef, 'one that has caught up') foreach @idle;

#
# leakwatch
#
my $ended = leak(
	$node, $kind,
	warn => '100ms',
	terminate => '300ms',
	set => { mode => 'enforce' });
wait_for_incident($node,
	"pid = $ended->{pid} AND outcome <> 'open'");
outcome_is($ended, $kind, 'terminated',
	'leakwatch.idle_in_transaction_terminate = 300 ms',
	'termination by leakwatch');
is(incident($node, $ended, $kind)->{action},
	'terminated', 'termination by leakwatch: action');
$ended->quit('SELECT 1;');

#
# The watcher learns only after others have taken the slots how sessions
# ended.  So that this is what happens, it is stopped meanwhile.
#
my @gone = map { leak($node, $kind, warn => '100ms') } 1 .. 5;
my %slots = map { slot_of($_) => 1 } @gone;
wait_for_leak($node, $kind, @gone);
my $committed = pop @gone;
my $left = pop @gone;

my $watcher = status($node)->{watcher_pid};
kill('STOP', $watcher) == 1 or die "could not stop the watcher: $!";
terminate($node, @gone);
$committed->quit("COMMIT;\n\\q");
$left->quit;
# the first to come publishes and leaves, the second publishes and stays
$_->quit foreach map { session($node, set => { mode => 'observe' }) } 1 .. 10;
my @successors = map { session($node, set => { mode => 'observe' }) } 1 .. 16;
# autovacuum may have one for a moment
cmp_ok(scalar(grep { $slots{ slot_of($_) } } @successors),
	'>=', 4, 'slots of ended sessions are taken again');
kill('CONT', $watcher) == 1 or die "could not continue the watcher: $!";

wait_for_end(@gone, $committed, $left);
outcome_is($_, $kind, 'terminated_by_admin', undef, 'slot that is taken again')
  foreach @gone;
outcome_is($left, $kind, 'disconnected', undef,
	'slot that is taken again: after a disconnection');
outcome_is($committed, $kind, 'finished', undef,
	'slot that is taken again: after a commit');
$_->quit foreach @successors;

#
# An incident that stays open: the same row, and reminders that become rarer
#
configure($node, log_repeat => 0);
my $stays = leak($node, $kind, warn => '100ms');
wait_age($node, 'state_age', '1600ms', $stays);
is(scalar log_of($node, $stays), 1, 'log_repeat = 0: said once');
settle($node);
my $first = incident($node, $stays, $kind);

configure($node, log_repeat => '1s');
my $again = qr/session with PID $stays->{pid} is still there and has been idle in transaction for /;
$node->wait_for_log(qr/$again.*$again/s);
settle($node);

my ($warning, @reminders) = log_of($node, $stays);
is_deeply([ map { $_->{severity} } @reminders[ 0, 1 ] ],
	[ 'WARNING', 'WARNING' ], 'log_repeat = 1s: reminders');
# as they tell, rounded; a late reminder does not make the next one early
my ($earlier, $later) = map { $_->{message} =~ / for ([\d.]+) s, / } @reminders[ 0, 1 ];
cmp_ok($later - $earlier, '>=', 1.9, 'the time between reminders doubles');

my @rows = rows($node,
	"SELECT * FROM leakwatch.incidents WHERE pid = $stays->{pid} AND kind = '$kind'");
is(scalar @rows, 1, 'an incident that is reminded of has one row');
is($rows[0]{id}, $first->{id}, 'which is the one it had');
is($rows[0]{outcome}, 'open', 'and is open');
cmp_ok($rows[0]{last_seen_at}, 'gt', $first->{last_seen_at},
	'a reminder brings the row up to date');
$stays->query('ROLLBACK');
wait_for_end($stays);
is( scalar(
		rows(
			$node, "SELECT FROM leakwatch.incidents WHERE pid = $stays->{pid}")),
	1,
	'its end is in the same row');
outcome_is($stays, $kind, 'finished', undef, 'incident with reminders');

#
# Retention.  Housekeeping also closes what was open when the server went
# down, which tells that it has been.  Rows that others insert as open have it
# come.
#
configure($node, retention => 0);
$node->safe_psql('postgres', <<'EOC');
TRUNCATE leakwatch.incidents;
INSERT INTO leakwatch.incidents (kind, pid, backend_start, since, detected_at,
	last_seen_at, ended_at, duration, action, outcome, blocked_sessions)
SELECT 'transaction', i, t, t, t, t, t, '0', 'warned',
	CASE WHEN i > 2500 THEN 'open' ELSE 'disconnected' END, 0
FROM generate_series(1, 2501) AS i, (SELECT now() - interval '31 days' AS t) AS old;
UPDATE leakwatch.incidents SET ended_at = NULL WHERE outcome = 'open';

-- a trigger that is enabled always sees the batches
CREATE TABLE batches (size int);
CREATE FUNCTION note_batch() RETURNS trigger LANGUAGE plpgsql AS
	'BEGIN INSERT INTO public.batches SELECT count(*) FROM deleted; RETURN NULL; END';
CREATE TRIGGER note_batch AFTER DELETE ON leakwatch.incidents
	REFERENCING OLD TABLE AS deleted
	FOR EACH STATEMENT EXECUTE FUNCTION note_batch();
ALTER TABLE leakwatch.incidents ENABLE ALWAYS TRIGGER note_batch;
EOC

$node->restart;
wait_for_incident($node, "outcome = 'server_restart'");
is($node->safe_psql('postgres', 'SELECT count(*) FROM leakwatch.incidents'),
	2501, 'retention = 0 keeps all incidents');

configure($node, retention => '30d');
$node->restart;
wait_until($node, 'SELECT count(*) = 1 FROM leakwatch.incidents');
is($node->safe_psql('postgres', 'SELECT outcome FROM leakwatch.incidents'),
	'server_restart', 'what has ended only now is kept');
is( $node->safe_psql(
		'postgres',
		"SELECT string_agg(size::text, ' ' ORDER BY size DESC) FROM batches WHERE size > 0"
	),
	'1000 1000 500',
	'old incidents are deleted in batches');

$node->stop;
done_testing();
