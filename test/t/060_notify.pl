# Shows what listeners are told of incidents: each that is opened or ended, in JSON,
# never with a statement, no more than so many within a second; and that telling
# them keeps no row from being written.
use strict;
use warnings FATAL => 'all';

use Encode qw(encode_utf8);
use JSON::PP;
use LeakwatchTest;
use PostgreSQL::Test::Cluster;
use Test::More;

# notifications within a second, as in src/notify.c
use constant BURST => 20;

my $kind = 'idle_in_transaction';
my $node = new_node('notify', "wal_level = replica\nmax_wal_senders = 1");
my $listener = session($node, user => undef, app => 'listener');
my @told;

$listener->query('LISTEN leaks');

# What it has been told so far, the oldest first, each as a hash with its payload.
sub told
{
	my $heard = $listener->query('SELECT 1');

	while ($heard =~ /^Asynchronous notification "leaks" with payload "(.*)" received from server process/mg)
	{
		push @told, { %{ decode_json($1) }, payload => $1 };
	}
	return @told;
}

# That of this session, once there is as much of it.
sub told_of
{
	my ($session, $count) = @_;
	my @found;

	wait_for(
		"the listener has been told $count times of PID $session->{pid}",
		sub {
			@found = grep { ($_->{pid} // 0) == $session->{pid} } told();
			return @found >= $count;
		});
	return @found;
}

sub events
{
	return join ' ', map { $_->{event} } @_;
}

#
# Off, as it is by default
#
my $untold = leak($node, $kind, app => 'untold', warn => '50ms');
wait_for_incident($node, "pid = $untold->{pid} AND outcome = 'open'");
configure($node, notify_channel => 'leaks');
$untold->query('ROLLBACK');
is(events(told_of($untold, 1)), 'ended', 'with no channel nobody is told, and with one of what comes from then on');

#
# One incident
#
my $session = leak($node, $kind, app => 'shop "checkout"', warn => '50ms');
my ($opened) = told_of($session, 1);
my $row = incident($node, $session, $kind);

is($row->{id}, $opened->{id}, 'who is told finds the row');
is_deeply(
	[ @$opened{qw(event kind pid application user database action outcome blocked_sessions)} ],
	[ 'opened', $kind, $session->{pid}, 'shop "checkout"', 'app', 'postgres', 'warned', 'open', 0 ],
	'an incident that is opened is told of');
is( $node->safe_psql('postgres', "SELECT since = '$opened->{since}' FROM leakwatch.incidents WHERE id = $opened->{id}"),
	't', 'with the time since when');
cmp_ok($opened->{duration}, '>=', 0.05, 'and for how many seconds');
is_deeply(
	[ sort grep { $_ ne 'payload' } keys %$opened ],
	[qw(action application blocked_sessions database duration event id kind outcome pid since user)],
	'and nothing else');

my $waiter = session($node, app => 'waiter');
# in one message, or it may leak in between
$session->query("SELECT pg_advisory_lock(7)\\; SELECT 'the secret statement'");
$waiter->begin('SELECT pg_advisory_lock(7)');
wait_for_lock($node, $waiter);
wait_for_leak($node, $kind, $session);
wait_until($node, "SELECT blocked_sessions = 1 FROM leakwatch.leaks WHERE pid = $session->{pid}");
$session->query('SELECT pg_advisory_unlock(7)\; ROLLBACK');
$waiter->wait;
my ($ended) = grep { $_->{event} eq 'ended' && $_->{blocked_sessions} == 1 } told_of($session, 4);
is_deeply(
	[ @{ $ended // {} }{qw(event kind pid application outcome)} ],
	[ 'ended', $kind, $session->{pid}, 'shop "checkout"', 'finished' ],
	'and so is its end, with whom it has blocked');
is(events(told_of($session, 4)), 'opened ended opened ended', 'each once, though rows are written more often');
unlike(join("\n", map { $_->{payload} } told()), qr/secret|SELECT/, 'without a statement');

#
# Hostile names; from 19 on they are of one line
#
my @one_line = $node->pg_version->major >= 19 ? (10, 13) : ();
my $hostile = join('', map { chr } grep { my $code = $_; !grep { $_ == $code } @one_line } 1 .. 31, 92, 34, 39, 60);
$hostile .= chr(1) x (63 - length $hostile);
$node->safe_psql('postgres', 'CREATE ROLE plain LOGIN SUPERUSER');
my $nasty = session($node, user => 'plain', app => "\"'<script>\\");
$node->safe_psql('postgres',
	'SELECT format(\'ALTER ROLE plain RENAME TO %I\', '
	  . join(' || ', map { 'chr(' . ord . ')' } split //, $hostile)
	  . ')\gexec');
$nasty->query("SET leakwatch.${kind}_warn = '50ms'\\; BEGIN");
my ($of_nasty) = told_of($nasty, 1);
is_deeply([ @$of_nasty{qw(user application)} ], [ $hostile, "\"'<script>\\" ], 'a name with anything in it arrives');
cmp_ok(length $of_nasty->{payload}, '<', 8000, 'in less than 8000 bytes');
$nasty->quit;

#
# Many at once
#
@told = ();
my $count = BURST + 18;
my @many = map { session($node, app => "many-" . $_ % 12) } 1 .. $count;
$_->query('BEGIN') foreach @many;

# How many have been told of, one by one or in summaries.
sub told_in_all
{
	my ($event) = @_;
	my $sum = 0;

	$sum += $_->{event} eq $event ? 1 : $_->{event} eq 'summary' ? $_->{$event} : 0 foreach told();
	return $sum;
}

configure($node, "${kind}_warn" => '10ms');
wait_for('all have been told of', sub { told_in_all('opened') >= $count });
is(told_in_all('opened'), $count, 'of many at once, all are told of');
my ($summary) = grep { $_->{event} eq 'summary' } @told;
ok($summary, 'some in a summary');
is_deeply(
	[ sort grep { $_ ne 'payload' } keys %$summary ],
	[qw(applications ended event opened)], '... which has how many were opened and ended');
cmp_ok(scalar @{ $summary->{applications} }, '<=', 10, '... of ten applications at the most');
like($summary->{applications}[0]{application}, qr/^many-\d+$/, '... each with its name');
cmp_ok($summary->{applications}[0]{opened}, '>=', 1, '... and its numbers');

#
# What a stopped server left open.  It is closed when there is somebody to tell.
# The recorder does not wait for its commits to be on disk: the checkpoint does.
#
settle($node);
$node->safe_psql('postgres', "ALTER SYSTEM SET leakwatch.database = 'nowhere'; CHECKPOINT");
$node->stop('immediate');
$_->quit('SELECT 1;') foreach @many, $listener, $untold, $session, $waiter;
$node->start;
@told = ();
$listener = session($node, user => undef, app => 'listener');
$listener->query('LISTEN leaks');
configure($node, database => undef);
wait_for('the end of all has been told of', sub { told_in_all('ended') >= $count });
is(told_in_all('ended'), $count, 'what a restart has ended is told of');
is($told[0]{outcome}, 'server_restart', '... as that');

#
# A session holds the lock of all that notify, since its commit waits for a standby
# that never comes.
#
@told = ();
$node->safe_psql('postgres', "ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
$node->reload;
my $holder = session($node, user => undef, app => 'holder');
wait_until($node, "SELECT current_setting('synchronous_standby_names') = 'nobody'");
$holder->query('SELECT 1');
$holder->begin('CREATE TABLE held ()\; NOTIFY others');
wait_until($node, "SELECT wait_event = 'SyncRep' FROM pg_stat_activity WHERE pid = $holder->{pid}");

# Its lock is asked for before the next row is written, or not at all.
sub failures
{
	return grep { $_->{message} =~ /^leakwatch could not notify channel "leaks": / } log_entries($node);
}

$listener->query('UNLISTEN *');
foreach my $app (qw(unheard unheard-too))
{
	my $unheard = leak($node, $kind, app => $app, warn => '50ms');
	wait_for_incident($node, "pid = $unheard->{pid}");
	$unheard->quit;
}
is(scalar failures(), 0, 'while nobody listens, nothing is sent');
settle($node);
$listener->query('LISTEN leaks');
my $kept = leak($node, $kind, app => 'kept', warn => '50ms');
wait_for_incident($node, "pid = $kept->{pid}");
wait_for('the failure is in the log', sub { grep { $_->{sqlstate} eq '55P03' } failures() });
wait_until($node, 'SELECT pending = 0 FROM leakwatch.status');
is(status($node)->{health}, 'ok', 'rows are written though nobody can be told');
$node->safe_psql('postgres', "ALTER SYSTEM RESET synchronous_standby_names");
$node->reload;
$holder->wait;
my $next = leak($node, $kind, app => 'next', warn => '50ms');
wait_for('both have been told of', sub { told_in_all('opened') >= 2 });
is(told_in_all('opened'), 2, 'and what could not be told is told later');
$_->quit foreach $kept, $next;

#
# Names beyond ASCII, told in databases of several encodings
#
my %utf8_in = (LATIN1 => "caf\xc3\xa9", SQL_ASCII => "caf\xc3\xa9 \xf0\x9f\x90\x98");
foreach my $encoding (qw(LATIN1 SQL_ASCII))
{
	my ($database, $role) = map { lc "$_$encoding" } 'in_', 'role_';

	$node->safe_psql('postgres', "CREATE DATABASE $database ENCODING '$encoding' LOCALE 'C' TEMPLATE template0; CREATE ROLE $role LOGIN SUPERUSER");
	$node->safe_psql($database, "SET client_min_messages = error; CREATE EXTENSION leakwatch");
	configure($node, database => $database);
	$listener->quit;
	$listener = session($node, user => undef, app => 'listener', db => $database);
	$listener->query("SET client_encoding = 'SQL_ASCII'\\; LISTEN leaks");
	my $named = session($node, user => $role, app => $encoding);
	$node->safe_psql($database, "SET client_encoding = 'UTF8'; ALTER ROLE $role RENAME TO \"$utf8_in{$encoding}\"");
	$named->query("SET leakwatch.${kind}_warn = '50ms'\\; BEGIN");
	my ($of_named) = told_of($named, 1);
	is(encode_utf8($of_named->{user}), $utf8_in{$encoding}, "from a database in $encoding, a name arrives");
	like($of_named->{payload}, qr/\A[\x20-\x7e]+\z/, '... in ASCII');
	$named->quit;
}

#
# Off again
#
configure($node, notify_channel => undef);
my $silent = leak($node, $kind, app => 'silent', warn => '50ms');
wait_until($node, "SELECT EXISTS (SELECT FROM leakwatch.incidents WHERE pid = $silent->{pid})", 'in_sql_ascii');
settle($node);
is(scalar(grep { ($_->{application} // '') eq 'silent' } told()), 0, 'and nobody is told when it is off again');

$node->stop;
done_testing();
