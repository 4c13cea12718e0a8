# Runs the parts of the benchmark, and prints one table of what was promised
# and what was measured.
#
#	perl bench.pl MODE OUTPUT PART...
#
# MODE is default, quick or full.  Writes results.json and results.md to OUTPUT,
# which keep the other parts' results that were there, and what the plot needs.
use strict;
use warnings FATAL => 'all';

use Bench;
use File::Basename;
use JSON::PP;
use POSIX qw(strftime);
use PostgreSQL::Test::Utils;

my ($mode, $output, @parts) = @ARGV;

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

# What was measured before stays, part by part, until it is measured anew.
my $json = JSON::PP->new->pretty->canonical;
my $results = -e "$output/results.json" ? $json->decode(slurp_file("$output/results.json")) : {};

my $failed = 0;
foreach my $part (@parts)
{
	say_step("==> $part");
	require(dirname(__FILE__) . "/$part.pl");
	my ($rows, $figures) = eval { no strict 'refs'; "part_$part"->($mode) };
	if (!$rows)
	{
		say_step("could not measure $part: $@");
		$failed = 1;
		next;
	}
	if ($mode eq 'quick')
	{
		# so few say nothing of a promise
		$_->{verdict} = '' foreach @$rows;
	}
	$results->{$part} = { machine => \%machine, table => $rows, figures => $figures };
}

# The table: for each part where it was measured, and what.
sub words_of
{
	my ($m) = @_;

	return "Measured on $m->{date} at commit $m->{commit} with PostgreSQL $m->{postgresql}"
	  . " on $m->{cores} cores of $m->{cpu}, Linux $m->{kernel}, load $m->{load} at the start"
	  . ($m->{mode} eq 'default' ? '' : ", --$m->{mode}") . ".\n";
}

my $text = '';
foreach my $part (grep { $results->{$_} } qw(scan lateness overhead instructions message suspicion storm harm memory causes scale innocent))
{
	my $result = $results->{$part};

	$text .= ($text eq '' ? '' : "\n") . "## $part\n\n" . words_of($result->{machine})
	  . "\n| what | measured | promised | |\n| --- | --- | --- | --- |\n";
	$text .= "| $_->{what} | $_->{measured} | $_->{promise} | $_->{verdict} |\n" foreach @{ $result->{table} };
}

file('results.md', $text);
file('results.json', $json->encode($results));
if (my $scan = $results->{scan})
{
	my $figures = $scan->{figures};

	file('scaling.dat',
		join '', map {
			my $s = $figures->{$_};
			join(' ', $_, map { $s->{$_}{median} / 1e3 } qw(query watcher floor warm_watcher)) . "\n";
		} sort { $a <=> $b } grep { /^\d/ } keys %$figures);
	file('machine.txt', words_of($scan->{machine}));
}
show($text);
exit $failed;
