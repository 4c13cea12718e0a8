# Sessions that leak, by each kind and each way to end, several at a time.  Each
# has a policy of its own that nothing else changes, so what is to become of it
# is known: the event "leak" tells.
package Leaky;

use strict;
use warnings FATAL => 'all';

use IO::Select;
use JSON::PP;
use List::Util qw(shuffle);
use RawClient;
use Soak;
use Time::HiRes qw(sleep time);

use constant AT_A_TIME => 7;

# For how long a leak may go unnoticed, or a session over its limit unended, on a
# machine that does other things too, in s; and unended when the server's policy
# may be against it.
use constant { PATIENCE => 60, PATIENCE_HELD => 8 };

my $rows = "SELECT repeat('x', 1000) FROM generate_series(1, 20000)";

# What a session does to leak by each kind, and what to go on.
my %leaking = (
	idle_in_transaction => [
		[ sub { $_[0]->query('BEGIN; SELECT 1') }, sub { $_[0]->query('COMMIT') } ],
		[ sub { $_[0]->query('BEGIN; UPDATE soak.counter SET n = n + 1 WHERE id = ' . (100 + int rand 100000)) },
			sub { $_[0]->query('ROLLBACK') } ] ],
	aborted_transaction => [
		[ sub { $_[0]->messages(Q => "BEGIN; SELECT 1/0\0"); $_[0]->wait_message('E'); $_[0]->wait_message('Z') },
			sub { $_[0]->query('ROLLBACK') } ] ],
	transaction => [
		[ sub { $_[0]->query('BEGIN') }, sub { $_[0]->query('COMMIT') }, sub { $_[0]->query('SELECT 1') } ] ],
	waiting_for_client => [
		[ sub { $_[0]->query('CREATE TEMP TABLE taken (line text)');
				$_[0]->messages(Q => "COPY pg_temp.taken FROM STDIN\0"); $_[0]->wait_message('G') },
			sub { $_[0]->messages(c => ''); $_[0]->wait_message('Z') } ],
		[ sub { $_[0]->messages($_[0]->parse($rows), $_[0]->bind, $_[0]->execute(10), H => ''); $_[0]->wait_message('s') },
			sub { $_[0]->messages(S => ''); $_[0]->wait_message('Z') } ],
		[ sub { $_[0]->messages($_[0]->parse('SELECT nonsense'), H => ''); $_[0]->wait_message('E') },
			sub { $_[0]->messages(S => ''); $_[0]->wait_message('Z') } ],
		[ sub { $_[0]->messages(Q => "$rows\0"); $_[0]{silent} = 1 } ] ],
	idle_blocker => [
		[ sub { $_[0]->query("SELECT pg_advisory_lock($_[0]{pid})") },
			sub { $_[0]->query("SELECT pg_advisory_unlock($_[0]{pid})") } ] ],
	idle_session => [
		[ sub { $_[0]->query('SELECT 1') }, sub { $_[0]->query('SELECT 2') } ] ],
	session => [ [ sub { $_[0]->query('SELECT 1') } ] ]);

# How a leak ends, and what is to be recorded of it.  "whatever" is left to the
# policy of the server; "held" is one that it has not ended in time.
my %ends = (
	finish => ['finished'],
	disconnect => [ 'disconnected', 'ended_by_server' ],
	vanish => [ 'disconnected', 'ended_by_server' ],
	admin => ['terminated_by_admin'],
	terminate => ['terminated'],
	timeout => ['timed_out'],
	held => [ 'finished', 'disconnected', 'ended_by_server', 'terminated' ],
	whatever => [ 'finished', 'terminated' ]);

# Asks what is listed, and who is there.
my ($node, $control);
my ($listed, $there, $free, $asked) = ({}, {}, 0, 0);

sub ask
{
	my $answer = decode_json($control->value(<<'EOS'));
SELECT json_build_object(
	'listed', (SELECT coalesce(json_agg(pid || ' ' || kind), '[]') FROM leakwatch.leaks),
	'there', (SELECT coalesce(json_agg(pid), '[]') FROM pg_stat_activity WHERE application_name LIKE 'leaky %'),
	'free', current_setting('leakwatch.terminate_when') = 'always' AND current_setting('leakwatch.max_terminations_per_minute') = '0')
EOS

	$listed = { map { ($_ => 1) } @{ $answer->{listed} } };
	$there = { map { ($_ => 1) } @{ $answer->{there} } };
	$free = $answer->{free};
	$asked = time;
	return;
}

sub no_limits
{
	return map { ("${_}_warn" => 0, "${_}_terminate" => 0) } kinds();
}

sub begin_leak
{
	my ($kind) = @_;
	my ($leak, $go_on, $keep_on) = @{ any_of(@{ $leaking{$kind} }) };
	my @ends = (qw(disconnect vanish admin terminate terminate), $go_on ? qw(finish finish finish) : (),
		$kind eq 'idle_in_transaction' ? 'timeout' : ());
	my $end = $kind eq 'idle_in_transaction' && rand() < 0.3 ? 'whatever' : any_of(@ends);
	my $warn = any_of(100, 300, 1000, 2000);
	my $terminate = $end eq 'terminate' ? $warn + any_of(-50, 0, 300, 2000) : rand() < 0.3 ? $warn + 500 : 0;
	my %set = (no_limits(), mode => $end eq 'terminate' ? 'enforce' : 'observe',
		"${kind}_warn" => $warn, "${kind}_terminate" => $terminate);
	%set = () if $end eq 'whatever';
	my %limits = map { ($_ => delete $set{$_}) } grep { /^\Q$kind\E_/ } keys %set;
	my $client = RawClient->new($node, user => $end eq 'whatever' ? 'guest' : 'app', app => "leaky $kind", set => \%set,
		rand() < 0.5 ? (addr => '127.0.0.1') : ());
	my $self = { kind => $kind, end => $end, client => $client, go_on => $go_on, keep_on => $keep_on,
		warn => $warn / 1000, terminate => $terminate / 1000, pid => $client->{pid} };

	$self->{start} = $client->value('SELECT backend_start FROM pg_stat_get_activity(pg_backend_pid())');
	$client->query("SET idle_in_transaction_session_timeout = '" . ($warn + 2500) . "ms'") if $end eq 'timeout';

	# the limits last, or it would leak before it means to
	$client->query('SELECT ' . join ', ', map { "set_config('leakwatch.$_', '$limits{$_}', false)" } sort keys %limits) if %limits;
	$leak->($client);
	if ($kind eq 'idle_blocker')
	{
		$self->{waiter} = RawClient->new($node, user => 'app', app => 'leaky waiter', set => { no_limits() });
		$self->{waiter}->messages(Q => "SELECT pg_advisory_lock($self->{pid})\0");
	}
	$self->{since} = time;
	$self->{due} = time + $self->{warn} + 0.5 + rand(5);
	$self->{due} = time + 9 if $end eq 'whatever';
	return $self;
}

# What is to be said of one that is over.
sub over
{
	my ($self, $end) = @_;

	event('leak', (map { $_ => $self->{$_} } qw(kind pid start since)), end => $end,
		# what a slow client takes starts the clock anew, and a COMMIT that is seen at
		# work is the server's limit on transactions exceeded
		many => $self->{kind} eq 'waiting_for_client' || $end eq 'whatever' ? 1 : 0,
		# a COPY whose client is gone fails before its session does
		outcomes => [ @{ $ends{$end} }, $self->{kind} eq 'waiting_for_client' && $end =~ /^(?:vanish|disconnect)$/ ? 'finished' : () ]);
	quietly(sub { $self->{client}->close });
	quietly(sub { $self->{waiter}->close }) if $self->{waiter};
	return;
}

# Has the server ended it?  Then the last that it said.  One that does not read
# is not told.
sub farewell
{
	my ($self) = @_;

	return $asked > $self->{since} && !$there->{ $self->{pid} } ? '' : undef if $self->{client}{silent};
	return undef unless IO::Select->new($self->{client}{socket})->can_read(0);
	return eval { $self->{client}->wait_message('E') } // '';
}

sub has_waited_in_vain
{
	my ($self, $rule, $limit) = @_;

	return 0 if time < $self->{since} + $limit + PATIENCE;
	my $row = $control->value("SELECT json_agg(s) FROM leakwatch.sessions AS s WHERE pid IN ($self->{pid}, "
		  . ($self->{waiter} ? $self->{waiter}{pid} : 0) . ')') // '';
	my $activity = $control->value("SELECT json_agg(json_build_object('pid', pid, 'state', state, 'event', wait_event, 'blocking', pg_blocking_pids(pid), 'query', left(query, 80)))"
		  . " FROM pg_stat_activity WHERE pid IN ($self->{pid}, " . ($self->{waiter} ? $self->{waiter}{pid} : 0) . ')') // '';
	event('overdue', rule => $rule, since => $self->{since} + $limit,
		evidence => substr("PID $self->{pid}, backend_start $self->{start}, $self->{kind}: $activity $row", 0, 3000));
	return 1;
}

# The server is to end it.
sub await_end
{
	my ($self) = @_;
	my $by_leakwatch = $self->{end} eq 'terminate';
	my $limit = $by_leakwatch ? $self->{terminate} : $self->{warn} + 2.5;
	my $told = farewell($self);

	if (defined $told)
	{
		event('broken', rule => 'who is ended is told why', evidence => "PID $self->{pid}, $self->{kind}: $told")
		  if $by_leakwatch && $told ne '' && $told !~ /leakwatch terminated the session because/;
		over($self, $self->{end});
		return 1;
	}
	return 0
	  if $by_leakwatch && $free
	  ? !has_waited_in_vain($self, 'who is over a terminate limit is ended', $limit)
	  : time < $self->{since} + $limit + PATIENCE_HELD;

	# the policy holds it back; a timer of the server goes by the wall clock, and
	# so can be late
	$self->{end} = $by_leakwatch ? 'held' : 'finish';
	return 0;
}

# End it, as it was to.  True when it is over.
sub end_leak
{
	my ($self) = @_;
	my $client = $self->{client};

	# that a statement came to its end is noticed by a scan alone
	if ($self->{kind} eq 'waiting_for_client' && $self->{go_on} && $self->{end} =~ /^(?:finish|held)$/)
	{
		$self->{go_on}->($client) unless $self->{went_on};
		$self->{went_on} //= time;
		return 0 if ($asked < $self->{went_on} || $listed->{"$self->{pid} $self->{kind}"})
		  && !has_waited_in_vain($self, 'who goes on is not listed any more', $self->{went_on} - $self->{since});
	}
	if ($self->{go_on} && $self->{end} =~ /^(?:finish|held|whatever)$/)
	{
		$self->{go_on}->($client) unless $self->{went_on};
	}
	elsif ($self->{end} =~ /^(?:disconnect|held)$/)
	{
		$client->messages(X => '');
	}
	elsif ($self->{end} eq 'admin')
	{
		$control->query("SELECT pg_terminate_backend($self->{pid}, 10000)");
	}
	over($self, $self->{end});
	return 1;
}

# True when it is over.
sub step
{
	my ($self) = @_;
	my $whatever = $self->{end} =~ /^(?:whatever|held)$/;

	# who does not see that it is ended, dies of going on
	$self->{keep_on}->($self->{client})
	  if $self->{keep_on} && !IO::Select->new($self->{client}{socket})->can_read(0);
	if ($whatever && !$self->{went_on} && defined farewell($self))
	{
		over($self, $self->{end});
		return 1;
	}
	return await_end($self) if $self->{end} =~ /^t(erminate|imeout)$/;
	return 0 if time < $self->{due};
	if ($self->{end} ne 'whatever' && !$self->{went_on} && !$listed->{"$self->{pid} $self->{kind}"})
	{
		return 0 unless has_waited_in_vain($self, 'who is over a limit is listed', $self->{warn});
		over($self, 'finish');
		return 1;
	}
	return end_leak($self);
}

# Is this what a session learns that leakwatch has ended?
sub tells_of_end
{
	my ($error) = @_;

	return $error =~ /leakwatch terminated|Broken pipe|reset by peer|closed the connection/;
}

# One that may be ended at any time learns of it by what it does.
sub step_or_die
{
	my ($self) = @_;
	my $over = eval { step($self) };

	return $over if defined $over;
	my $error = $@;
	if ($self->{end} =~ /^(?:terminate|held|whatever)$/ && tells_of_end($error))
	{
		over($self, 'terminate');
		return 1;
	}
	event('broken', rule => 'who leaks is left to it',
		evidence => "PID $self->{pid}, $self->{kind}, end by $self->{end}: $error");
	return 1;
}

# Begin with another; on a busy machine it can be over its limit before it leaks.
sub begin_or_die
{
	my ($kind) = @_;
	my $from = time;
	my $self = eval { begin_leak($kind) };

	event('slow', name => "begin of $kind") if time - $from > 5;
	return $self if $self;
	die $@ unless tells_of_end($@);
	event('done', name => "$kind ended before it leaked");
	return;
}

sub run
{
	($node) = @_;
	my (@live, @deck);

	$control = RawClient->new($node, db => 'watch', app => 'soak', user => $ENV{PGUSER} // getpwuid($<), set => { mode => 'off' });
	until (is_over())
	{
		if (@live < AT_A_TIME)
		{
			@deck = shuffle(kinds()) unless @deck;
			push @live, begin_or_die(pop @deck);
		}
		ask() if time - $asked > 0.5;
		@live = grep {
			my $from = time;
			my $over = step_or_die($_);

			event('slow', name => "step of $_->{kind}, end $_->{end}") if time - $from > 5;
			!$over;
		} @live;
		sleep(0.1);
	}
	return;
}

1;
