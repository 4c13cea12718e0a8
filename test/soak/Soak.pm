# What the parts of the soak share: how they tell what they do, and the processes
# that they are.
#
# Each part but the one that watches is a process of its own, and tells what it
# does by events: a line of JSON each, in a pipe that the watching one reads.  A
# line is shorter than what a pipe takes as one piece, so none is torn.
package Soak;

use strict;
use warnings FATAL => 'all';

# PostgreSQL::Test::Utils moves this to a log of its own
my $out;

BEGIN
{
	open $out, '>&', \*STDOUT or die "could not duplicate stdout: $!";
	$out->autoflush;
}

use Exporter 'import';
use IO::Handle;
use JSON::PP;
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Time::HiRes qw(sleep time);

our @EXPORT = qw(show event read_events part is_over rest end_parts kinds any_of quietly);

use constant LONGEST_EVENT => 4000;

# The kinds that have limits, most specific first.
sub kinds
{
	return qw(idle_in_transaction aborted_transaction waiting_for_client idle_blocker
	  idle_session transaction session);
}

sub show
{
	print $out @_;
	return;
}

sub any_of
{
	return $_[ rand @_ ];
}

# ---------- events ----------

pipe(my $reader, my $writer) or die "could not make a pipe: $!";
$reader->blocking(0);
my $name = 'soak';
my $unread = '';
my $json = JSON::PP->new->canonical;

# Tell what is done: what, and facts about it.
sub event
{
	my ($what, %facts) = @_;
	my $line = $json->encode({ %facts, at => time, who => $name, what => $what });

	die "this event is too long: $line" if length $line > LONGEST_EVENT;
	syswrite($writer, "$line\n") // die "could not tell: $!";
	return;
}

# The events that have come, in their order.
sub read_events
{
	1 while sysread($reader, $unread, 65536, length $unread);
	my @lines = split /\n/, $unread, -1;
	$unread = pop @lines // '';
	return map { $json->decode($_) } @lines;
}

# ---------- parts ----------

my %parts;
my $ending = 0;

# Run this as a process of its own until it returns, which it does when it
# finds that the soak is over.
sub part
{
	my ($part, $run) = @_;
	my $pid = fork() // die "could not fork: $!";

	if ($pid != 0)
	{
		$parts{$pid} = $part;
		return;
	}
	$name = $part;
	%parts = ();
	srand;
	$SIG{TERM} = sub { $ending = 1 };
	$SIG{PIPE} = 'IGNORE';
	my $ran = eval { $run->(); 1 };
	event('broken', rule => "$part came to an end", evidence => substr("$@", 0, 3000))
	  if !$ran || !$ending;

	# the servers are not this process's to stop
	POSIX::_exit($ran ? 0 : 1);
}

sub is_over { return $ending; }

# Do nothing for so many seconds, or until the soak is over.
sub rest
{
	my ($seconds) = @_;
	my $until = time + $seconds;

	sleep(0.1) while !$ending && time < $until;
	return;
}

# End all parts, and wait for them.
sub end_parts
{
	my $until = time + 300;

	kill 'TERM', keys %parts;
	while (%parts && time < $until)
	{
		my $pid = waitpid(-1, POSIX::WNOHANG());

		delete $parts{$pid} if $pid > 0;
		sleep(0.1) if $pid <= 0;
	}
	return sort values %parts;
}

# Run this; what it dies of is nobody's business.
sub quietly
{
	my ($run) = @_;

	return eval { $run->() };
}

1;
