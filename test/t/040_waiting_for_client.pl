# Shows that a session that waits for its client in the middle of a statement is
# found and can be ended, in each way to be so, and that one whose client goes
# on, however slowly, is not.
use strict;
use warnings FATAL => 'all';

use LeakwatchTest;
use POSIX ();
use RawClient;
use Test::More;
use Time::HiRes qw(time usleep);

my $node = new_node('waiting', "listen_addresses = '127.0.0.1'");
my $kind = 'waiting_for_client';
my $rows = "SELECT repeat('x', 1000) FROM generate_series(1, 1000000)";

# Wait until a session is listed with this kind.
sub wait_listed
{
	my ($session, $kind) = @_;

	wait_until($node,
		"SELECT EXISTS (SELECT FROM leakwatch.leaks WHERE pid = $session->{pid} AND kind = '$kind')");
	return;
}

sub wait_recorded
{
	my ($session, $where) = @_;

	wait_for_incident($node, "pid = $session->{pid} AND $where");
	return;
}

#
# Each way to wait for the client, and how it goes on
#
my @ways = (
	{
		name => 'a statement parsed, and no Sync',
		stop => sub { $_[0]->messages($_[0]->parse('SELECT 1'), H => ''); $_[0]->wait_message('1') },
		for => 'client read',
		go => sub { $_[0]->messages(S => ''); $_[0]->wait_message('Z') },
	},
	{
		name => 'a portal bound, and no Execute',
		stop => sub { $_[0]->messages($_[0]->parse($rows), $_[0]->bind, H => ''); $_[0]->wait_message('2') },
		for => 'client read',
		go => sub { $_[0]->messages(S => ''); $_[0]->wait_message('Z') },
	},
	{
		name => 'a portal suspended',
		stop => sub { $_[0]->messages($_[0]->parse($rows), $_[0]->bind, $_[0]->execute(10), H => ''); $_[0]->wait_message('s') },
		for => 'client read',
		go => sub { $_[0]->messages(S => ''); $_[0]->wait_message('Z') },
	},
	{
		name => 'a pipeline without Sync',
		stop => sub { $_[0]->messages(($_[0]->parse('SELECT 1'), $_[0]->bind, $_[0]->execute) x 2, H => ''); $_[0]->wait_message('C') },
		for => 'client read',
		go => sub { $_[0]->messages(S => ''); $_[0]->wait_message('Z') },
	},
	{
		name => 'an error in a pipeline, skipped until Sync',
		stop => sub { $_[0]->messages($_[0]->parse('SELECT nonsense'), H => ''); $_[0]->wait_message('E') },
		for => 'client read',
		go => sub { $_[0]->messages(S => ''); $_[0]->wait_message('Z') },
	},
	{
		name => 'COPY FROM STDIN without data',
		stop => sub { $_[0]->messages(Q => "COPY pg_temp.taken FROM STDIN\0"); $_[0]->wait_message('G') },
		for => 'client read',
		go => sub { $_[0]->messages(d => "1\n", c => ''); $_[0]->wait_message('Z') },
	},
	{
		name => 'COPY FROM STDIN by the extended protocol',
		stop => sub { $_[0]->messages($_[0]->parse('COPY pg_temp.taken FROM STDIN'), $_[0]->bind, $_[0]->execute, S => ''); $_[0]->wait_message('G') },
		for => 'client read',
		go => sub { $_[0]->messages(d => "1\n", c => '', S => ''); $_[0]->wait_message('Z') },
	},
	{
		name => 'COPY TO STDOUT, and not read',
		stop => sub { $_[0]->messages(Q => "COPY ($rows) TO STDOUT\0") },
		for => 'client write',
		go => sub { $_[0]->close },
	},
	{
		name => 'SELECT, and not read',
		stop => sub { $_[0]->messages(Q => "$rows\0") },
		for => 'client write',
		go => sub { $_[0]->close },
	});

foreach my $way (@ways)
{
	foreach my $begin (0, 1)
	{
		foreach my $addr (undef, '127.0.0.1')
		{
			my $client = RawClient->new($node, addr => $addr, set => { session_warn => '1h' });
			my $what = "$way->{name}, " . ($begin ? 'in BEGIN' : 'alone') . ', ' . ($addr ? 'by TCP' : 'local');

			# set as the last thing, so that it is over no limit on its way
			$client->query('CREATE TEMP TABLE taken (i int)') if $way->{name} =~ /COPY FROM/;
			$client->query("SELECT set_config('leakwatch.$_', '100ms', false)")
			  foreach ("${kind}_warn", 'transaction_warn', 'idle_in_transaction_warn');
			$client->query('BEGIN') if $begin;
			$way->{stop}->($client);
			wait_listed($client, $kind);
			is(policy($node, $client)->{waiting_for}, $way->{for}, "$what: listed, waiting for $way->{for}");
			push @{ $way->{clients} }, $client;
		}
	}
}

# the transaction limit has been exceeded all the while
scan($node);
foreach my $way (@ways)
{
	foreach my $client (@{ $way->{clients} })
	{
		my ($row) = rows($node, "SELECT state, client_gone FROM leakwatch.leaks WHERE pid = $client->{pid} AND kind = '$kind'");

		is_deeply($row, { state => 'active', client_gone => JSON::PP::false }, "$way->{name}: active, with a client");
		my ($message) = grep { $_->{message} =~ /waiting for its client within a statement for / } log_of($node, $client);
		like($message->{detail}, $way->{for} eq 'client read' ? qr/ It waits for its client to send\. / : qr/ It waits for its client to read\. /,
			"$way->{name}: the message says for what");
		like($message->{hint}, qr/^The client has begun to send or to read/, "$way->{name}: and has a hint of its own");
		$way->{go}->($client);
	}
}
foreach my $way (@ways)
{
	foreach my $client (@{ $way->{clients} })
	{
		wait_recorded($client, "kind = '$kind' AND "
			  . ($way->{for} eq 'client read' ? "outcome = 'finished'"
				# a look in the moment before its end finds it at work
				: "(outcome = 'finished' OR outcome = 'ended_by_server' AND outcome_detail = 'connection to client lost, SQLSTATE 08006')"));
		pass("$way->{name}: its end is recorded");
		# what has not been said by the first of them may be by the others
		$client->close if $way->{for} eq 'client read';
	}
}

#
# What an idle session waits for is no news, nor what a working one does
#
my $idle = RawClient->new($node, set => { "${kind}_warn" => '10ms' });
my $works = session($node, set => { "${kind}_warn" => '10ms' });
$works->begin('SELECT pg_sleep(600)');
wait_age($node, 'state_age', '300ms', $idle, $works);
is(leaks($node, $_), '', 'not listed') foreach ($idle, $works);
is(policy($node, $_)->{waiting_for}, undef, 'and not waiting') foreach ($idle, $works);
$idle->close;
terminate($node, $works);

#
# Ended by a limit on the transaction, since it is not at work
#
my $cursor = RawClient->new($node,
	set => { mode => 'enforce', idle_in_transaction_warn => '1s', transaction_warn => '1s', transaction_terminate => '4s' });
$cursor->query('BEGIN');
$cursor->messages($cursor->parse($rows), $cursor->bind, $cursor->execute(10), H => '');
$cursor->wait_message('s');
wait_until($node, "SELECT NOT EXISTS (SELECT FROM leakwatch.sessions WHERE pid = $cursor->{pid} AND 'active' = ANY (protected_by))");
ok($cursor->is_ended, 'half of a cursor in a transaction: ended by the limit on that');
wait_recorded($cursor, q(kind = 'transaction' AND outcome = 'terminated' AND outcome_detail = 'leakwatch.transaction_terminate = 4 s'));
pass('and recorded so');

# a statement of the same age that works is protected
my $busy = session($node, set => { mode => 'enforce', transaction_warn => '100ms', transaction_terminate => '200ms' });
$busy->begin('SELECT pg_sleep(600)');
wait_listed($busy, 'transaction');
is_deeply(policy($node, $busy)->{protected_by}, ['active'], 'who works is protected');
terminate($node, $busy);

#
# Ended by its own limit
#
foreach my $way (@ways[2, 5, 7, 8])
{
	my $client = RawClient->new($node, addr => '127.0.0.1', set => { mode => 'enforce' });

	$client->query('CREATE TEMP TABLE taken (i int)') if $way->{name} =~ /COPY FROM/;
	$client->query("SELECT set_config('leakwatch.${kind}_terminate', '300ms', false)");
	$way->{stop}->($client);
	wait_recorded($client, "kind = '$kind' AND outcome = 'terminated' AND outcome_detail = 'leakwatch.${kind}_terminate = 300 ms'");
	ok($client->is_ended, "$way->{name}: ended by the limit of its kind");
}

#
# Slow and steady: these take and send a little, time and again
#
my $limit = 4;
my %slow = (set => { mode => 'enforce', "${kind}_warn" => "${limit}s", "${kind}_terminate" => "${limit}s",
	transaction_terminate => '1s' });
my $select = [ 'a client that reads a result slowly', sub { $_[0]->messages(Q => "$rows\0") }, sub { $_[0]->take(1000) } ];
my $copy_to = [ 'a client that reads a COPY slowly', sub { $_[0]->messages(Q => "COPY ($rows) TO STDOUT\0") }, sub { $_[0]->take(1000) } ];
my $copy_from = [
	'a client that sends a COPY slowly',
	sub { $_[0]->query('CREATE TEMP TABLE taken (i int)'); $_[0]->messages(Q => "COPY pg_temp.taken FROM STDIN\0"); $_[0]->wait_message('G') },
	sub { $_[0]->messages(d => "1\n") } ];
my $large = [
	'a client that sends a large message slowly',
	sub { $_[0]->query('CREATE TEMP TABLE taken (i text)'); $_[0]->messages(Q => "COPY pg_temp.taken FROM STDIN\0"); $_[0]->wait_message('G'); $_[0]->put('d' . pack('N', 100_000_000)) },
	sub { $_[0]->put('x') } ];

# A process in which these go on until it is told to end; its exit code is 1 if
# they were not steady, as on a machine so busy that it was held up for long.
sub start_going_on
{
	my (@clients) = @_;
	my ($longest, $last, $told) = (0, time, 0);
	my $child = fork // die "could not fork: $!";

	return $child if $child;
	local $SIG{TERM} = sub { $told = 1 };
	until ($told)
	{
		foreach my $client (@clients)
		{
			eval { $client->[0][2]->($client->[1]); };
		}
		usleep(50_000);
		$longest = time - $last if time - $last > $longest;
		$last = time;
	}
	POSIX::_exit($longest < $limit / 5 ? 0 : 1);
}

# Let these go on until the watcher has found all of them waiting for longer
# than the limit.  If they were not steady, it is tried again.
sub go_on
{
	my (@cases) = @_;

	foreach my $attempt (1 .. 10)
	{
		my @clients = map { [ $_, RawClient->new($node, %slow, addr => $_->[3]) ] } @cases;
		my $pids = join(', ', map { $_->[1]{pid} } @clients);
		my ($child, $found);

		$_->[0][1]->($_->[1]) foreach @clients;
		wait_until($node, "SELECT bool_and(waiting_for IS NOT NULL) FROM leakwatch.sessions WHERE pid IN ($pids)");
		$child = start_going_on(@clients);
		wait_until($node, "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid IN ($pids)"
			. " AND query_start > clock_timestamp() - 2 * interval '$limit s')");
		settle($node);
		$found = $node->safe_psql('postgres', "SELECT count(*) FROM leakwatch.sessions WHERE pid IN ($pids)");
		my %incidents = map { $_->{pid} => "$_->{kind} $_->{action}" }
		  rows($node, "SELECT pid, kind, action FROM leakwatch.incidents WHERE pid IN ($pids)");
		kill 'TERM', $child;
		waitpid($child, 0);
		my $steady = $? == 0;
		$_->[1]->close foreach @clients;
		next unless $steady || $attempt == 10;
		is($found, scalar @cases, 'all of them are still there');
		# reported for the age of its transaction, and spared as one that works
		is($incidents{ $_->[1]{pid} }, 'transaction warned', $_->[0][0] . ($_->[0][3] ? ' by TCP' : '') . ' is at work')
		  foreach @clients;
		return;
	}
	return;
}
go_on(map { ([ @$_ ], [ @$_, '127.0.0.1' ]) } ($select, $copy_to));
go_on([@$copy_from], [ @$copy_from, '127.0.0.1' ], [ @$large, '127.0.0.1' ]);

$node->stop;
done_testing();
