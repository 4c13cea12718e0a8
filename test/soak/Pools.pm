# Real applications with a pool, of three languages in turn: those of
# test/clients make each of their mistakes, undo them or are ended for them, and
# work as they should.
package Pools;

use strict;
use warnings FATAL => 'all';

use Clients;
use FindBin;
use LeakwatchTest;
use List::Util qw(shuffle);
use Soak;
use Test::More;
use Time::HiRes qw(time);

my $jars = '/usr/share/java';
my %applications = (
	'leaks.js' => ['/usr/bin/node'],
	'leaks.py' => ['/usr/bin/python3'],
	'Leaks.java' => [
		'/usr/bin/java', '-XX:TieredStopAtLevel=1', '-cp',
		join(':', map { "$jars/$_.jar" } qw(HikariCP postgresql slf4j-api slf4j-jdk14)) ]);

# The policy of the sessions that an application opens from now on.
sub set_policy
{
	my ($self, %policy) = @_;
	my $sql = 'ALTER ROLE app RESET ALL;';

	%policy = ((map { ("${_}_warn" => 0, "${_}_terminate" => 0) } kinds()), mode => 'observe', %policy);
	$sql .= "ALTER ROLE app SET leakwatch.$_ = '$policy{$_}';" foreach sort keys %policy;
	$self->{node}->safe_psql('watch', $sql);
	return;
}

sub ask_watch
{
	my ($self, $sql) = @_;

	return $self->{node}->safe_psql('watch', $sql);
}

# Let the application make a mistake, and wait until it is found.  Returns what
# is known of it; undef if it was not found, which is told.
sub make_mistake
{
	my ($self, $mistake, $enforce) = @_;
	my $limit = $mistake->{kind} eq 'transaction' ? 1500 : 500;

	set_policy($self, "$mistake->{kind}_warn" => $limit,
		$enforce ? (mode => 'enforce', "$mistake->{kind}_terminate" => $limit + 1000) : ());
	my $pid = ask($self, "do $mistake->{name}");
	my $since = time;
	my $leak = { kind => $mistake->{kind}, pid => $pid, since => $since, many => 1 };

	$leak->{start} = ask_watch($self, "SELECT max(backend_start) FROM pg_stat_activity WHERE pid = $pid");
	return $leak if $enforce;
	while (time < $since + 40)
	{
		return $leak
		  if ask_watch($self, "SELECT count(*) FROM leakwatch.leaks WHERE pid = $pid AND kind = '$mistake->{kind}'") > 0;
		rest(0.3);
	}
	event('overdue', rule => 'who is over a limit is listed', since => $since,
		evidence => "PID $pid, $self->{name}, $mistake->{name}");
	return undef;
}

sub undo_mistakes
{
	my ($self) = @_;

	foreach my $mistake (Clients::mistakes())
	{
		last if is_over();
		my $leak = make_mistake($self, $mistake, 0) // next;

		rest(rand 2);
		ask($self, "undo $mistake->{name}");
		event('leak', %$leak, end => 'undo', outcomes => ['finished']);
	}
	return;
}

# The application may die of what happens to its sessions.
sub be_ended
{
	my ($self) = @_;
	my @leaks;

	foreach my $mistake (Clients::mistakes())
	{
		my $leak = quietly(sub { make_mistake($self, $mistake, 1) }) // last;

		push @leaks, $leak if $leak->{start} ne '';
	}
	foreach my $leak (@leaks)
	{
		rest(0.3) until is_over() || time > $leak->{since} + 40
		  || ask_watch($self, "SELECT count(*) FROM pg_stat_activity WHERE pid = $leak->{pid} AND backend_start = '$leak->{start}'") == 0;
		# one whose application died of another's end is as gone; and the server's
		# policy may have held it back until the application ended
		event('leak', %$leak, end => 'enforce', maybe => 1,
			outcomes => [qw(terminated disconnected ended_by_server finished)]);
	}
	return;
}

sub behave
{
	my ($self) = @_;

	set_policy($self);
	my $answer = ask($self, 'load 2 15');
	event('broken', rule => 'who does as it should works', evidence => "$self->{name}: $answer")
	  if $answer ne '24 paid, 6 refused';
	$answer = ask($self, 'check 0');
	# the extension may be missing at the moment, and what it granted with it
	event('broken', rule => 'who does as it should is not complained about', evidence => "$self->{name}: $answer")
	  if $answer ne 'no leaks' && $answer !~ /^(?:3F000|42501|42883|42P01|58P01|55000) /;
	return;
}

sub run
{
	my ($node) = @_;

	# an application that dies of what is done to it is no news
	Test::More->builder->no_diag(1);
	while (1)
	{
		foreach my $name (shuffle(keys %applications))
		{
			my $self = { node => $node, name => $name, command => [ @{ $applications{$name} }, "$FindBin::Bin/../clients/$name" ] };

			foreach my $way (\&behave, \&undo_mistakes, \&be_ended)
			{
				return if is_over();
				set_policy($self);
				Clients::start($self);
				event('pool', name => $name);
				my $worked = eval { $way->($self); 1 };
				event('broken', rule => "what $name asks is answered", evidence => substr("$@ $self->{err}", 0, 2000))
				  unless $worked || $way == \&be_ended;
				quietly(sub { Clients::stop($self) });
				delete $self->{run};
				rest(3);
			}
		}
	}
	return;
}

1;
