# Shows who is terminated, who is spared and by which rule, and what the
# terminated session, the log, the table and the counters are told.
use strict;
use warnings FATAL => 'all';

use LeakwatchTest;
use Test::More;

# the brake starts with the first termination, so it is shown first
my $node = new_node('terminate', <<'EOC');
listen_addresses = '127.0.0.1, ::1'
leakwatch.max_terminations_per_minute = 2
EOC
my $kind = 'idle_in_transaction';

$node->safe_psql('postgres', <<'EOC');
CREATE TABLE a (i int);
CREATE TABLE b (i int);
GRANT ALL ON a, b TO app;
EOC

# A session over its terminate limit under mode enforce
sub doomed
{
	my (%args) = @_;

	return leak(
		$node, $kind,
		warn => '100ms',
		terminate => '300ms',
		%args,
		set => { mode => 'enforce', %{ $args{set} // {} } });
}

# A session that is warned about, and comes over its terminate limit when that is
# known.
sub warned_and_doomed
{
	my ($mode) = @_;
	my $session = leak($node, $kind, warn => '100ms', set => { mode => $mode });

	wait_for_leak($node, $kind, $session);
	configure($node, "${kind}_terminate" => '300ms');
	return $session;
}

# Counters that a piece of work has moved, and how far
my $counters;

sub count_from_here
{
	$counters = status($node);
	return;
}

sub counted
{
	my (%expected) = @_;
	my $now = status($node);
	my %moved;

	foreach my $name (
		qw(announced terminated spared failed),
		grep { /^held_/ } keys %$now)
	{
		$moved{$name} = $now->{$name} - $counters->{$name}
		  if $now->{$name} != $counters->{$name};
	}
	is_deeply(\%moved, \%expected,
		'counted: ' . join(', ', map { "$_ $expected{$_}" } sort keys %expected));
	return;
}

# Wait for what became of sessions, and see that it is in the table.
sub terminated
{
	my (@sessions) = @_;

	wait_until($node,
		"SELECT count(*) = ${\scalar @sessions} FROM leakwatch.incidents"
		  . " WHERE outcome = 'terminated' AND action = 'terminated' AND pid IN ("
		  . join(', ', map { $_->{pid} } @sessions) . ')');
	return;
}

# A session that is over the terminate limit of 300 ms and was left alone, by
# the rule that has this counter
sub spared
{
	my ($session, $rule, $what, $kind) = @_;
	$kind //= 'idle_in_transaction';

	wait_until($node,
		"SELECT held_$rule > $counters->{'held_' . $rule} FROM leakwatch.status");
	# more than once
	scan($node) foreach 1 .. 2;
	my ($leak) = rows($node,
		"SELECT * FROM leakwatch.leaks WHERE pid = $session->{pid} AND kind = '$kind'");
	is($leak && $leak->{action}, 'warned', "$what: warned about, and there");
	cmp_ok($leak->{duration}, 'gt', '00:00:00.3', "$what: over the limit");
	counted("held_$rule" => 1);
	return;
}

#
# The brake
#
count_from_here();
my @five = map { doomed() } 1 .. 5;
wait_until($node,
	"SELECT terminated = 2 AND held_brake = 3 FROM leakwatch.status");
wait_age($node, 'state_age', '800ms',
	grep { leaks($node, $_) ne '' } @five);
scan($node) foreach 1 .. 3;
counted(terminated => 2, held_brake => 3);
my @braked = grep {
	$_->{message} eq 'leakwatch terminates no more sessions in this minute'
} log_entries($node);
is(scalar @braked, 1, 'what the brake holds back is warned about once');
like(
	$braked[0]{detail},
	qr/^2 sessions have been terminated in it/,
	'with how many were terminated');

configure($node, max_terminations_per_minute => 0);
terminated(@five);
counted(terminated => 5, held_brake => 3);
$_->quit('SELECT 1;') foreach @five;

#
# observe: announced once, and nobody ends
#
count_from_here();
my $session = warned_and_doomed('observe');
wait_for_incident($node,
	"pid = $session->{pid} AND action = 'would_terminate'");
wait_age($node, 'state_age', '800ms', $session);
scan($node) foreach 1 .. 3;
my @said = log_of($node, $session);
is(scalar @said, 2, 'observe: warned about and announced, each once');
like($said[0]{message}, qr/has been idle in transaction/, 'observe: the warning');
like(
	$said[1]{message},
	qr/would be terminated: it has been idle in transaction for .* over the limit of 300 ms \(leakwatch.${kind}_terminate\)$/,
	'observe: the announcement');
is($said[1]{severity}, 'WARNING', 'observe: is a warning');
like($said[1]{hint}, qr/leakwatch\.mode/, 'observe: and says what to do');
is(leaks($node, $session), $kind, 'observe: the session is still there');
counted(announced => 1);
$session->query('COMMIT');
like($session->{err}, qr/\A[^\n]*WARNING:  this session had been idle in transaction[^\n]*\n[^\n]*HINT:[^\n]*\n\z/,
	'observe: and goes on, with a warning');
$session->quit;
configure($node, "${kind}_terminate" => undef);

#
# enforce: everybody is told, and all the same
#
count_from_here();
$session = warned_and_doomed('enforce');
terminated($session);
counted(terminated => 1);
my $told = $session->quit('SELECT 1;');
configure($node, "${kind}_terminate" => undef);
my $why =
  qr/idle in transaction for [\d.]+ m?s, over the limit of 300 ms \(leakwatch\.${kind}_terminate\)/;
like(
	$told,
	qr/FATAL:  terminating connection due to administrator command$/m,
	'enforce: the client is told that');
like(
	$told,
	qr/^DETAIL:  leakwatch terminated the session because it had been $why\.$/m,
	'enforce: the client is told why');
like($told, qr/^HINT:  Commit or roll back/m, 'enforce: and what to do');

my ($detail) = $told =~ /^DETAIL:  (.*)$/m;
my ($fatal) =
  grep { $_->{pid} == $session->{pid} && $_->{severity} eq 'FATAL' }
  log_entries($node);
# From 19 on, the server adds who sent the signal, for the log alone.
like($fatal->{detail}, qr/^\Q$detail\E$/m,
	'enforce: its own log line tells the same');

my $audit = (log_of($node, $session))[1];
like(
	$audit->{message},
	qr/^session with PID $session->{pid} has been told to end: it had been $why$/,
	'enforce: so does the audit line');
my ($excess) = $audit->{message} =~ /($why)/;
like($detail, qr/\Q$excess\E/, 'enforce: from one reading');

my $incident = incident($node, $session, $kind);
is($incident->{action}, 'terminated', 'enforce: the row has the action');
is($incident->{outcome_detail},
	"leakwatch.${kind}_terminate = 300 ms", 'enforce: and the limit');
is($incident->{terminate_limit}, '00:00:00.3', 'enforce: as an interval too');
is(scalar log_of($node, $session), 2, 'enforce: said once');

# what it was told is not told to who has its slot next
my @next = map { session($node) } 1 .. 5;
$node->safe_psql('postgres', "SELECT pg_terminate_backend($_->{pid}, 60000)")
  foreach @next;
my @told = map { $_->quit('SELECT 1;') } @next;
is(scalar(grep { /FATAL/ && !/leakwatch/ } @told),
	5, 'enforce: its successors are not told so');

# a terminate limit below the warn limit: one message tells of both
$session = doomed(warn => '1h');
terminated($session);
my ($message, @more) = log_of($node, $session);
like($message->{message}, qr/^session with PID \d+ has been told to end:/,
	'terminate limit below the warn limit: said');
is(scalar @more, 0, 'terminate limit below the warn limit: once');
$session->quit('SELECT 1;');
$session = doomed(warn => 0, set => { mode => 'observe' });
wait_for_incident($node,
	"pid = $session->{pid} AND action = 'would_terminate'");
is(scalar log_of($node, $session), 1, 'terminate limit without a warn limit: once');
$session->quit;

# the general limit ends whom the specific one only reports
$session = leak($node, $kind, warn => '100ms', set => { mode => 'enforce' });
wait_for_leak($node, $kind, $session);
configure($node, transaction_terminate => '400ms');
terminated($session);
configure($node, transaction_terminate => undef);
$incident = incident($node, $session, $kind);
is($incident->{terminate_limit},
	'00:00:00.4', 'transaction_terminate on an open incident: its limit');
is( $incident->{outcome_detail},
	'leakwatch.transaction_terminate = 400 ms',
	'transaction_terminate on an open incident: its name');
is( scalar(
		rows($node,
			"SELECT FROM leakwatch.incidents WHERE pid = $session->{pid}")),
	1,
	'transaction_terminate on an open incident: no further one');
like(
	$session->quit('SELECT 1;'),
	qr/^DETAIL:  .* in a transaction for .* over the limit of 400 ms \(leakwatch\.transaction_terminate\)\.$/m,
	'transaction_terminate on an open incident: what the client is told');

# each of the other kinds
foreach my $other (grep { $_ ne $kind } KINDS)
{
	# a transaction that runs a statement would be spared
	$session = leak(
		$node,
		$other eq 'transaction' ? $kind : $other,
		set => {
			"${other}_warn" => '100ms',
			"${other}_terminate" => '300ms',
			mode => 'enforce'
		});
	terminated($session);
	like(
		$session->quit('SELECT 1;'),
		qr/^DETAIL:  .* \(leakwatch\.${other}_terminate\)\.$/m,
		"$other: terminated, and told so");
}

#
# Who is spared
#
count_from_here();
$session = doomed(user => undef);
spared($session, 'superuser', 'superuser');
configure($node, terminate_superusers => 'on');
terminated($session);
pass('terminate_superusers ends superusers too');
configure($node, terminate_superusers => undef);
$session->quit('SELECT 1;');

count_from_here();
$session = leak(
	$node,
	'transaction',
	warn => '100ms',
	terminate => '300ms',
	set => { mode => 'enforce' });
spared($session, 'active', 'running a statement', 'transaction');
configure($node, terminate_active => 'on');
terminated($session);
pass('terminate_active ends running statements too');
configure($node, terminate_active => undef);
$session->quit('SELECT 1;');

configure($node, protected_applications => 'etl_*, "job ?", 100%');
foreach my $app ('etl_', 'etl_night', 'job 1', '100%')
{
	count_from_here();
	$session = doomed(app => $app);
	spared($session, 'application', "protected application $app");
	is_deeply(policy($node, $session)->{protected_by},
		['application'], "protected application $app: seen in the view");
	$session->quit;
}
count_from_here();
my @unprotected =
  map { doomed(app => $_) } 'etlxnight', 'my etl_night', 'job', 'job 12', '100', 'ETL_night', '100%%';
terminated(@unprotected);
counted(terminated => scalar @unprotected);
$_->quit('SELECT 1;') foreach @unprotected;

# lists that match nobody mean nobody
foreach my $list ('', 'nobody')
{
	configure($node, protected_applications => $list);
	count_from_here();
	$session = doomed();
	terminated($session);
	counted(terminated => 1);
	$session->quit('SELECT 1;');
}
configure($node, protected_applications => undef);

my @addresses = ('127.0.0.1');
{
	local $ENV{PGHOSTADDR} = '::1';
	push @addresses, '::1' if $node->psql('postgres', 'SELECT 1') == 0;
}
foreach my $address (@addresses)
{
	my $bits = $address =~ /:/ ? 128 : 32;

	configure($node, protected_addresses => "10.0.0.0/8, $address/$bits");
	count_from_here();
	$session = doomed(addr => $address);
	my $local = doomed();
	terminated($local);
	$local->quit('SELECT 1;');
	$counters->{terminated}++;
	spared($session, 'address', "protected address $address/$bits");
	is_deeply(policy($node, $session)->{protected_by},
		['address'], "protected address $address/$bits: seen in the view");

	configure($node, protected_addresses => '10.0.0.0/8, fe80::/10');
	terminated($session);
	pass("protected addresses that $address is not among do not protect it");
	$session->quit('SELECT 1;');
}
configure($node, protected_addresses => '');
$session = doomed(addr => '127.0.0.1');
terminated($session);
like(
	(log_of($node, $session))[0]{detail},
	qr/client 127\.0\.0\.1\(\d+\)\./,
	'an empty list protects nobody, and the client is named');
$session->quit('SELECT 1;');

#
# Who blocks whom
#
sub blocks
{
	my ($session, $kind, $count, $what) = @_;

	wait_until($node,
		"SELECT blocked_sessions = $count FROM leakwatch.leaks"
		  . " WHERE pid = $session->{pid} AND kind = '$kind'");
	pass("$what: blocks $count");
	return;
}

my %observed = (set => { "${kind}_warn" => '100ms', transaction_warn => '200ms' });
my ($first, $second, $third) = map { session($node, %observed) } 1 .. 3;
$first->query('BEGIN; LOCK TABLE a');
$second->query('BEGIN; LOCK TABLE b');
$third->query('BEGIN');
$second->begin('LOCK TABLE a');
$third->begin('LOCK TABLE b');
wait_for_lock($node, $second, $third);
blocks($first, $kind, 2, 'first of a chain of three');
blocks($second, 'transaction', 1, 'second of a chain of three');
blocks($third, 'transaction', 0, 'third of a chain of three');
$first->query('COMMIT');
$second->wait;
$second->query('COMMIT');
$third->wait;
settle($node);
is(incident($node, $first, $kind)->{blocked_sessions},
	2, 'the row keeps how many it blocked');
is(incident($node, $second, 'transaction')->{blocked_sessions},
	1, 'also that of the one between');
$_->quit foreach $first, $second, $third;

my $reader = session($node, %observed);
my $alter = session($node, %observed, user => undef);
my @queue = map { session($node) } 1 .. 2;
$reader->query('BEGIN; SELECT * FROM a');
$alter->begin('ALTER TABLE a ADD COLUMN j int');
wait_for_lock($node, $alter);
$_->begin('SELECT * FROM a') foreach @queue;
wait_for_lock($node, $alter, @queue);
blocks($reader, $kind, 3, 'a reader that an ALTER TABLE with a queue waits for');
blocks($alter, 'transaction', 2, 'the ALTER TABLE');
$reader->quit;
$_->wait foreach $alter, @queue;
$_->quit foreach $alter, @queue;

#
# terminate_when = blocking
#
configure($node, terminate_when => 'blocking');
count_from_here();
my $innocent = doomed();
spared($innocent, 'not_blocking', 'terminate_when = blocking, blocks nobody');
$innocent->quit;

count_from_here();
my $blocker = session(
	$node,
	set => {
		"${kind}_warn" => '100ms',
		"${kind}_terminate" => '300ms',
		mode => 'enforce'
	});
$blocker->query('BEGIN\; LOCK TABLE a');
spared($blocker, 'not_blocking', 'terminate_when = blocking, nobody waits yet');
my $waiter = session($node);
$waiter->begin('SELECT count(*) FROM a');
terminated($blocker);
counted(terminated => 1, held_not_blocking => 1);
is($waiter->wait, 0, 'terminate_when = blocking: who has waited goes on');
like(
	$blocker->quit('SELECT 1;'),
	qr/leakwatch terminated the session/,
	'terminate_when = blocking: the blocker is told');
is(incident($node, $blocker, $kind)->{blocked_sessions},
	1, 'terminate_when = blocking: its row tells how many waited');
$waiter->quit;

my $status = status($node);
cmp_ok($status->{reported}, '>=', 30, 'all that was reported is counted');
is($status->{$_}, 0, "nothing is counted as $_") foreach qw(failed dropped);

$node->stop;
done_testing();
