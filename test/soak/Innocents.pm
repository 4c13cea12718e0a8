# Sessions that nobody may end, each for a reason of its own.  They would notice.
package Innocents;

use strict;
use warnings FATAL => 'all';

use IO::Select;
use RawClient;
use Soak;
use Time::HiRes qw(sleep time);

# How long each stays in its transaction, in s: longer than the longest limit of
# the server's policy.  Those in a hurry stay for less than the shortest.
use constant HOLD => 20;

# name => what it connects with, and what it does before it holds still
my %innocents = (
	hurried => { count => 3, begin => ['BEGIN', 'UPDATE soak.counter SET n = n + 1 WHERE id = NUMBER'], hold => 0.3 },
	listening => { begin => ['LISTEN soak'], end => 'NOTIFY soak', hold => HOLD },
	protected_application => { app => 'pg_dump', begin => [ 'BEGIN', 'SELECT 1' ] },
	protected_address => { from => '127.0.0.2', begin => [ 'BEGIN', 'SELECT 1' ] },
	superuser => { user => $ENV{PGUSER} // getpwuid($<), begin => [ 'BEGIN', 'SELECT 1' ] },
	not_judged => { user => 'innocent_off', begin => [ 'BEGIN', 'SELECT 1' ] },
	without_limits => {
		user => 'app',
		set => { mode => 'enforce', map { ("${_}_warn" => 0, "${_}_terminate" => 0) } kinds() },
		begin => [ 'BEGIN', 'SELECT 1/0' ] },
	exporting => { begin => [ 'BEGIN ISOLATION LEVEL REPEATABLE READ', 'SELECT pg_export_snapshot()' ] },
	waiting => { begin => [ 'BEGIN', 'SELECT 1' ], wait => 'SELECT pg_advisory_xact_lock(1)' });

sub connect_innocent
{
	my ($node, $self) = @_;

	$self->{client} = RawClient->new($node, user => 'innocent', app => "innocent $self->{name}",
		(map { defined $self->{$_} ? ($_ => $self->{$_}) : () } qw(user app from set)),
		$self->{from} ? (addr => '127.0.0.1') : ());
	return;
}

# Send a statement whose error, if it gets one, is what is wanted.
sub send_statement
{
	my ($client, $sql) = @_;

	$client->messages(Q => "$sql\0");
	$client->wait_message($sql =~ m{1/0} ? 'E' : 'Z');
	$client->wait_message('Z') if $sql =~ m{1/0};
	return;
}

# Has the server closed this connection, or said something that nobody asked for?
sub has_news
{
	my ($self) = @_;

	return IO::Select->new($self->{client}{socket})->can_read(0) && !$self->{listens};
}

sub begin_innocent
{
	my ($self) = @_;

	$self->{since} = time;
	send_statement($self->{client}, s/NUMBER/$self->{number}/r) foreach @{ $self->{begin} };
	$self->{client}->messages(Q => "$self->{wait}\0") if $self->{wait};
	$self->{due} = time + ($self->{hold} // HOLD) * (0.3 + rand(0.7));
	$self->{holds} = 1;
	return;
}

# Who waits is let go by who has the lock, which ends its transaction.
sub end_innocent
{
	my ($self, $holder) = @_;

	if ($self->{wait})
	{
		$holder->query('SELECT pg_advisory_unlock(1)');
		$self->{client}->wait_message('Z');
	}
	send_statement($self->{client}, $self->{end} // 'COMMIT');
	$holder->query('SELECT pg_advisory_lock(1)') if $self->{wait};
	$self->{due} = time + rand(0.5);
	$self->{holds} = 0;
	return;
}

# The next step of this one.  A machine that is so slow that it was in a hurry in
# vain is no fault of the server.
sub step
{
	my ($node, $self, $holder) = @_;
	my $done = eval {
		die "its connection has ended" if !$self->{wait} && $self->{holds} && has_news($self);
		return 1 if time < $self->{due};
		$self->{holds} ? end_innocent($self, $holder) : begin_innocent($self);
		$self->{times}++ unless $self->{holds};
		1;
	};
	my $error = $@;

	return if $done;
	my $held = time - ($self->{since} // time);
	if ($self->{name} eq 'hurried' && $held > 4)
	{
		event('slow', name => "innocent $self->{name}");
	}
	else
	{
		event('broken', rule => 'nobody innocent is ended',
			evidence => "$self->{name} (PID $self->{client}{pid}), in its transaction for $held s: $error");
	}
	$holder->query('SELECT pg_advisory_unlock_all(), pg_advisory_lock(1)') if $self->{wait};
	connect_innocent($node, $self);
	$self->{holds} = 0;
	$self->{due} = time;
	return;
}

sub run
{
	my ($node) = @_;
	my $number = 0;
	my @all = map {
		my $name = $_;
		map { { name => $name, number => $number++, due => time, holds => 0, times => 0, %{ $innocents{$name} } } }
		  (1 .. $innocents{$name}{count} // 1);
	} sort keys %innocents;
	my $holder = RawClient->new($node, user => $innocents{superuser}{user}, app => 'innocent holder',
		set => { mode => 'off' });
	my $told = time;

	$holder->query('SELECT pg_advisory_lock(1)');
	foreach my $self (@all)
	{
		$self->{listens} = $self->{name} eq 'listening';
		connect_innocent($node, $self);
	}
	until (is_over())
	{
		step($node, $_, $holder) foreach @all;
		if (time - $told > 5)
		{
			my $times = 0;

			$times += $_->{times} foreach @all;
			event('innocents', times => $times, sessions => scalar @all);
			$told = time;
		}
		sleep(0.05);
	}
	return;
}

1;
