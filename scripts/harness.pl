# Runs tests that print TAP, Perl scripts and programs alike, shows the logs of
# those that fail, and leaves the numbers of passed and failed checks in a file:
#
#	harness.pl COUNTS TEST...
use strict;
use warnings;

use File::Basename;
use TAP::Harness;

my $counts = shift;
my $harness = TAP::Harness->new(
	{
		jobs => $ENV{TEST_JOBS} || 2,
		failures => 1,
		exec => sub { [ $_[1] =~ /\.pl$/ ? $^X : (), $_[1] ] },
	});
my $result = $harness->runtests(@ARGV);
my $failed = $result->failed;

foreach my $test ($result->descriptions)
{
	my ($parser) = $result->parsers($test);
	my $name = basename($test, '.pl');

	next if !$parser->has_problems;

	# One that died, or did not do what it planned, has failed as well.
	$failed++ if !$parser->failed;
	foreach my $log (glob("tmp_check/log/regress_log_$name tmp_check/log/${name}_*.log"))
	{
		open(my $file, '<', $log) or next;
		my @lines = <$file>;
		close($file);
		splice(@lines, 0, -60) if @lines > 60;
		print "--- end of $log\n", @lines;
	}
}

open(my $file, '>', $counts) or die "could not write $counts: $!";
print $file scalar($result->passed), " $failed\n";
close($file) or die "could not write $counts: $!";
