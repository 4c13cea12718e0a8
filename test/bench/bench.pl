# Runs the parts of the benchmark, and prints one table of what was promised
# and what was measured.
#
#	perl bench.pl MODE OUTPUT PART...
#
# MODE is default, quick or full.  Writes results.json and results.md to OUTPUT,
# and scaling.dat for the plot when scan is among the parts.
use strict;
use warnings FATAL => 'all';

use Bench;
use File::Basename;
use JSON::PP;
use POSIX qw(strftime);

my ($mode, $output, @parts) = @ARGV;
my (@table, %raw);

sub first_line
{
	my ($file, $pattern) = @_;

	open my $handle, '<', $file or return 'unknown';
	while (my $line = <$handle>)
	{
		return $1 if $line =~ $pattern;
	}
	return 'unknown';
}

sub file
{
	my ($name, $text) = @_;

	open my $handle, '>', "$output/$name" or die "could not write $output/$name: $!";
	print $handle $text;
	close $handle or die "could not write $output/$name: $!";
	return;
}

my %machine = (
	date => strftime('%Y-%m-%d', gmtime),
	commit => $ENV{BENCH_COMMIT},
	mode => $mode,
	postgresql => $ENV{BENCH_VERSION},
	cpu => first_line('/proc/cpuinfo', qr/^model name\s*:\s*(.*)/),
	cores => 0 + $ENV{BENCH_CORES},
	kernel => first_line('/proc/sys/kernel/osrelease', qr/(\S+)/),
	load => first_line('/proc/loadavg', qr/(\S+)/));

foreach my $part (@parts)
{
	say_step("==> $part");
	require(dirname(__FILE__) . "/$part.pl");
	my ($rows, $figures) = eval { no strict 'refs'; "part_$part"->($mode) };
	if (!$rows)
	{
		say_step("could not measure $part: $@");
		exit 1;
	}
	if ($mode eq 'quick')
	{
		# so few say nothing of a promise
		$_->{verdict} = '' foreach @$rows;
	}
	push @table, @$rows;
	$raw{$part} = $figures;
}

my $machine = "Measured on $machine{date} at commit $machine{commit}"
  . " with PostgreSQL $machine{postgresql} on $machine{cores} cores of $machine{cpu}"
  . ", Linux $machine{kernel}, load $machine{load} at the start"
  . ($mode eq 'default' ? '' : ", --$mode")
  . ".\n";
my $text = "$machine\n| what | measured | promised | |\n| --- | --- | --- | --- |\n"
  . join('', map { "| $_->{what} | $_->{measured} | $_->{promise} | $_->{verdict} |\n" } @table);
my $json = JSON::PP->new->pretty->canonical;

file('results.md', $text);
file('results.json', $json->encode({ machine => \%machine, table => \@table, figures => \%raw }));
if (my $scan = $raw{scan})
{
	file('scaling.dat',
		join '', map {
			my $s = $scan->{$_};
			join(' ', $_, map { $s->{$_}{median} / 1e3 } qw(query watcher floor warm_watcher)) . "\n";
		} sort { $a <=> $b } grep { /^\d/ } keys %$scan);
	file('machine.txt', $machine);
}
show($text);
