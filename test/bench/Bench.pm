# What the parts of the benchmark share: processes that are driven line by
# line, what the kernel knows of a process, and the arithmetic.
package Bench;

use strict;
use warnings FATAL => 'all';

# PostgreSQL::Test::Utils moves these to a log of its own
my ($out, $err);

BEGIN
{
	open $out, '>&', \*STDOUT or die "could not duplicate stdout: $!";
	open $err, '>&', \*STDERR or die "could not duplicate stderr: $!";
	$err->autoflush;
}

use Exporter 'import';
use IO::Handle;
use IPC::Open2;
use LeakwatchTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Time::HiRes qw(sleep time);

our @EXPORT = qw(
  plain_node watched_node driver spawn_program available_mb say_step show watcher_pid
  schedstat median quantile spread_of factor ms us percent row);

# Limits so far away that nobody meets them.
use constant FAR_AWAY => <<'EOC';
leakwatch.idle_in_transaction_warn = 1h
leakwatch.aborted_transaction_warn = 1h
leakwatch.transaction_warn = 1h
EOC

sub say_step
{
	print $err "@_\n";
	return;
}

sub show
{
	print $out @_;
	return;
}

# ---------- servers ----------

# A server without leakwatch.
sub plain_node
{
	my ($name, $conf) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init;
	$node->append_conf('postgresql.conf', "log_statement = none\n" . ($conf // ''));
	$node->start;
	return $node;
}

# A server with leakwatch, and room for that many connections.
sub watched_node
{
	my ($name, $connections, $conf) = @_;

	$connections += 30;
	return new_node($name,
		"max_connections = $connections\nleakwatch.log_burst = 20\n"
		  . FAR_AWAY
		  . ($conf // ''));
}

sub watcher_pid
{
	my ($node) = @_;

	return $node->safe_psql('postgres', 'SELECT watcher_pid FROM leakwatch.status');
}

# ---------- processes ----------

# A driver of test/bench that is running: ->tell(LINE) returns the lines of its
# answer, the last one without its "ok".
sub driver
{
	my ($node, $program, @arguments) = @_;
	my $role = $program eq 'innocent' || $program eq 'clients' ? 'app' : 'postgres';
	my $self = { name => $program };

	$self->{os_pid} = open2($self->{out}, $self->{in},
		"$ENV{BENCH_PROGRAMS}/$program",
		$node->connstr('postgres') . " user=$role application_name=$program", @arguments);
	bless $self, 'Bench::Driver';
	($self->{backend_pid}) = $self->answer unless $program eq 'innocent';
	return $self;
}

# A program of test/bench that nobody talks to.
sub spawn_program
{
	my ($program, @arguments) = @_;
	my $pid = fork() // die "could not fork: $!";

	if ($pid == 0)
	{
		exec "$ENV{BENCH_PROGRAMS}/$program", @arguments;
		die "could not run $program: $!";
	}
	return $pid;
}

# What the scheduler knows of a process: ns of CPU, and how often it ran.
sub schedstat
{
	my ($pid) = @_;
	my ($cpu, undef, $runs) = split ' ', slurp_file("/proc/$pid/schedstat");

	return ($cpu, $runs);
}

sub available_mb
{
	my ($kb) = slurp_file('/proc/meminfo') =~ /^MemAvailable:\s+(\d+)/m;

	return $kb / 1024;
}

# ---------- figures ----------

sub quantile
{
	my ($q, @values) = @_;
	my @sorted = sort { $a <=> $b } @values;

	die "no figure was measured" unless @sorted;
	return $sorted[ int($q * $#sorted + 0.5) ];
}

sub median
{
	my @sorted = sort { $a <=> $b } @_;

	die "no figure was measured" unless @sorted;
	return ($sorted[ $#sorted / 2 ] + $sorted[ @sorted / 2 ]) / 2;
}

sub spread_of
{
	return {
		median => median(@_),
		min => quantile(0, @_),
		max => quantile(1, @_),
		values => [@_] };
}

# Three digits say all that these figures know.
sub digits
{
	my ($value) = @_;

	return sprintf(abs($value) >= 100 ? '%.0f' : abs($value) >= 10 ? '%.1f' : '%.2f', $value);
}

sub us { return digits($_[0] / 1e3) . ' us'; }
sub ms { return digits($_[0]) . ' ms'; }
sub factor { return digits($_[0]) . ' times'; }
sub percent { return sprintf '%+.2f %%', 100 * $_[0]; }

# A line of the table.  kept: whether the promise is; undef where none is made.
sub row
{
	my ($what, $measured, $promise, $kept) = @_;

	return {
		what => $what,
		measured => $measured,
		promise => $promise // '',
		verdict => !defined $promise ? '' : $kept ? 'kept' : 'missed' };
}

package Bench::Driver;

sub answer
{
	my ($self) = @_;
	my $out = $self->{out};
	my @lines;

	while (my $line = <$out>)
	{
		chomp $line;
		die "$self->{name}: $line\n" if $line =~ /^error/;
		push @lines, $line;
		last if $line =~ /^ok/;
	}
	die "$self->{name} ended unexpectedly\n" unless @lines && $lines[-1] =~ /^ok/;
	$lines[-1] =~ s/^ok ?//;
	return @lines;
}

sub begin_to_tell
{
	my ($self, $line) = @_;
	my $in = $self->{in};

	print $in "$line\n";
	$in->flush;
	return;
}

sub tell
{
	my ($self, $line) = @_;

	$self->begin_to_tell($line);
	return $self->answer;
}

# Let a driver that goes on until its input ends come to its end.
sub finish
{
	my ($self) = @_;
	my @lines;

	close $self->{in};
	@lines = $self->answer if $self->{name} eq 'connects';
	waitpid $self->{os_pid}, 0;
	return @lines;
}

1;
