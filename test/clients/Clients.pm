# What the tests of client libraries share: the mistakes that an application can
# make with its pool of connections, what leakwatch has to say of each, and the
# use of a pool about which it has nothing to say.
#
# For each library there is a program that reads commands, one a line:
#
#	do MISTAKE          make it on a pool of its own; answers with the PID of the
#	                    session
#	undo MISTAKE        the session goes on, with ROLLBACK; answers with the
#	                    notices that it got: severity, SQLSTATE, message
#	load WORKERS TIMES  so many threads use one pool so many times each, as it
#	                    should be used; every fifth time, a statement fails;
#	                    answers "N paid, N refused"
#	check GRACE         call leakwatch.assert_no_leaks for its application_name,
#	                    which is the name of its file; answers "no leaks", or
#	                    with SQLSTATE, message and detail of the error
#
# Each answer may have several lines and is followed by a line ".".
package Clients;

use strict;
use warnings FATAL => 'all';

use Exporter 'import';
use FindBin;
use IPC::Run;
use LeakwatchTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils qw(pump_until);
use Test::More;

our @EXPORT = qw(show ask application start stop);

# Each library sends the same text, for it is what the application wrote.
sub payment
{
	my ($action) = @_;

	return
	  "INSERT INTO payment (item, pieces) VALUES (\$1, \$2) /*action='$action',controller='checkout'*/";
}

# By what each mistake is known: the kind of leak, the words for it, and the
# trail, of which "..." stands for any part, and N for a number.
my @mistakes = (
	{
		# the work is done, and nothing gives the connection back
		name => 'never_released',
		kind => 'idle_session',
		been => 'idle',
		trail => [ 'BEGIN', payment('never_released'), 'COMMIT' ]
	},
	{
		# what would give it back stands after the statement that fails
		name => 'release_skipped',
		kind => 'idle_session',
		been => 'idle',
		trail => [ payment('release_skipped') . ' [23514]' ]
	},
	{
		# COMMIT is missing
		name => 'no_commit',
		kind => 'idle_in_transaction',
		been => 'idle in transaction',
		trail => [ 'BEGIN', payment('no_commit') ]
	},
	{
		# an error is caught, without ROLLBACK
		name => 'no_rollback',
		kind => 'aborted_transaction',
		been => 'idle in an aborted transaction',
		trail => [ 'BEGIN', payment('no_rollback') . ' (N times) [23514]' ]
	},
	{
		# something that never comes is waited for within the transaction
		name => 'no_answer',
		kind => 'idle_in_transaction',
		been => 'idle in transaction',
		trail => [ 'BEGIN', payment('no_answer') ]
	},
	{
		# nor is COMMIT in sight here, but the connection is kept busy
		name => 'heartbeat',
		kind => 'transaction',
		been => 'in a transaction',
		trail => [
			'BEGIN', '...',
			"SELECT 1 /*action='heartbeat',controller='checkout'*/ (N times)"
		]
	});

# Those of other users of these programs.
sub mistakes
{
	return @mistakes;
}

# A pool keeps connections that are idle for good reason: idle_session is for
# pools of one connection, of which each mistake has one.  A heartbeat may be
# late on a busy machine, so the short limits are not for it.
my %short = map { $_ => '300ms' }
  qw(idle_session idle_in_transaction aborted_transaction);
my %long = (transaction => '1s');

# A server, and one of the programs as an application of it: a hash of node,
# name and what runs it.
sub application
{
	my ($name, @command) = @_;
	my $node = new_node('clients', "listen_addresses = '127.0.0.1'");

	$node->safe_psql('postgres', <<'EOC');
CREATE TABLE payment (item text, pieces int CHECK (pieces > 0));
GRANT ALL ON payment TO app;
GRANT USAGE ON SCHEMA leakwatch TO app;
GRANT EXECUTE ON FUNCTION leakwatch.assert_no_leaks(text, interval) TO app;
EOC
	return {
		node => $node,
		name => $name,
		command => [ @command, "$FindBin::Bin/$name" ]
	};
}

# Start the program, anew if it has been before: nothing is left of what it did.
sub start
{
	my ($self) = @_;
	local %ENV = (
		%ENV,
		PGHOST => '127.0.0.1',
		PGPORT => $self->{node}->port,
		PGDATABASE => 'postgres',
		PGUSER => 'app');

	stop($self) if $self->{run};
	$self->{in} = $self->{out} = $self->{err} = '';
	$self->{timer} =
	  IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default);
	$self->{run} = IPC::Run::start(
		$self->{command},
		'<' => \$self->{in},
		'>' => \$self->{out},
		'2>' => \$self->{err},
		$self->{timer});
	return;
}

# It ends at the end of its input.
sub stop
{
	my ($self) = @_;

	$self->{run}->finish
	  or die "$self->{name} has failed: $self->{err}";
	return;
}

sub ask
{
	my ($self, $command) = @_;

	$self->{out} = '';
	$self->{in} .= "$command\n";
	$self->{timer}->start;
	pump_until($self->{run}, $self->{timer}, \$self->{out}, qr/^\.\n\z/m)
	  or die "no answer to \"$command\": $self->{err}";
	return $self->{out} =~ s/\n\.\n\z//r;
}

# Set the limits of the sessions that the application opens from now on; those
# that are not given are off.
sub limit
{
	my ($self, %limits) = @_;

	my $sql = 'ALTER ROLE app RESET ALL;';

	$sql .= "ALTER ROLE app SET leakwatch.${_}_warn = '$limits{$_}';"
	  foreach sort keys %limits;
	$self->{node}->safe_psql('postgres', $sql);
	return;
}

# A pattern for the trail of a mistake, whose statements are separated so.
sub trail_pattern
{
	my ($mistake, $separator) = @_;

	return join(
		quotemeta($separator),
		map { $_ eq '...' ? '(?s:.*)' : quotemeta($_) =~ s/N(?=\\ times)/\\d+/r }
		  @{ $mistake->{trail} });
}

# Is the session of this mistake found, as what it is?
sub is_caught
{
	my ($self, $mistake) = @_;
	my ($name, $kind, $been, $pid) = @$mistake{qw(name kind been pid)};
	my $node = $self->{node};

	wait_for_leak($node, $kind, $mistake);
	is(leaks($node, $mistake), $kind, "$name is found as $kind");

	my ($leak) = rows($node,
		"SELECT application_name, trail, tags FROM leakwatch.leaks WHERE pid = $pid");
	my $trail = join(
		' | ',
		map {
			($_->{query} // '...')
			  . (defined $_->{count} ? " ($_->{count} times)" : '')
			  . (defined $_->{sqlstate} ? " [$_->{sqlstate}]" : '')
		} @{ $leak->{trail} });
	my $expected = trail_pattern($mistake, ' | ');
	# the newest: on a busy machine it may have been so before, too
	my ($entry) = reverse
	  grep { $_->{message} =~ / has been $been for / } log_of($node, $mistake);

	is($leak->{application_name},
		$self->{name}, "$name: with the name of the application");
	like($trail, qr/^$expected$/, "$name: with its statements");
	is_deeply(
		$leak->{tags},
		{ action => $name, controller => 'checkout' },
		"$name: with their tags");
	like(
		$entry->{detail} // '',
		qr/^Tags: action=$name, controller=checkout$/m,
		"$name: with the tags in the log");
	return;
}

# Have the application make each mistake, and look at what is said of it.
sub make_mistakes
{
	my ($self) = @_;

	start($self);
	foreach my $mistake (@mistakes)
	{
		limit($self, $mistake->{kind} eq 'transaction' ? %long : %short);
		$mistake->{pid} = ask($self, "do $mistake->{name}");
	}
	is_caught($self, $_) foreach @mistakes;

	my $error = ask($self, 'check 0');
	my $count = @mistakes;

	like(
		$error,
		qr/^P0004 application "$self->{name}" has $count leaked sessions\n/,
		'assert_no_leaks fails');
	foreach my $mistake (@mistakes)
	{
		my $trail = trail_pattern($mistake, "\n    ");

		like(
			$error,
			qr/^PID $mistake->{pid}, .*: $mistake->{been} for .*\n    $trail$/m,
			"assert_no_leaks tells of $mistake->{name}");
	}
	return;
}

# Have each session that leaks go on, and look at what its client is told.
sub undo_mistakes
{
	my ($self) = @_;

	foreach my $mistake (@mistakes)
	{
		my ($name, $kind, $been, $pid) = @$mistake{qw(name kind been pid)};

		my $told = ask($self, "undo $name");

		if ($kind eq 'idle_session')
		{
			unlike($told, qr/this session had been/,
				"$name: outside a transaction the client is told nothing");
		}
		else
		{
			like(
				$told,
				qr/^WARNING 01000 this session had been $been for .*, over the limit of .* \(leakwatch\.${kind}_warn\)$/m,
				"$name: the client is told of the report");
		}
		wait_for_incident($self->{node},
			"pid = $pid AND kind = '$kind' AND outcome = 'finished'");
	}
	return;
}

# Have the application, started anew, do as it should, and see that nothing is
# said of it: not under load, with limits that only a leak can meet, and not
# afterwards, with limits that each open transaction meets at once.
sub behave
{
	my ($self) = @_;
	my $node = $self->{node};

	limit($self);
	configure($node, map { ("${_}_warn" => '5s') }
		  qw(idle_session idle_in_transaction aborted_transaction transaction));
	start($self);

	my $started = $node->safe_psql('postgres', 'SELECT clock_timestamp()');

	is(ask($self, 'load 6 100'), '480 paid, 120 refused', 'the work is done');
	settle($node);
	is( $node->safe_psql(
			'postgres',
			"SELECT count(*) FROM leakwatch.incidents WHERE application_name = '$self->{name}'"
			  . " AND backend_start > '$started'"
		),
		'0',
		'and nobody has leaked meanwhile');
	configure(
		$node,
		idle_session_warn => undef,
		idle_in_transaction_warn => '10ms',
		aborted_transaction_warn => '10ms');
	is(ask($self, 'check 5s'), 'no leaks', 'nor does anybody afterwards');
	return;
}

# All that is to be seen of a program, which this command runs.  Functions for
# "found" and "behaved" are called with the application when its mistakes have been
# found, and when it has done as it should.
sub show
{
	my ($name, $command, %also) = @_;
	my $application = application($name, @$command);

	make_mistakes($application);
	$also{found}->($application) if $also{found};
	undo_mistakes($application);
	behave($application);
	$also{behaved}->($application) if $also{behaved};
	stop($application);
	$application->{node}->stop;
	done_testing();
	return;
}

1;
