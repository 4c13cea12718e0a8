# Runs TAP tests, Perl scripts and programs alike, and leaves the numbers of
# passed and failed checks in a file:  harness.pl COUNTS TEST...
use strict;
use warnings;

use TAP::Harness;

my $counts = shift;
my $harness = TAP::Harness->new(
	{
		jobs => $ENV{TEST_JOBS} || 2,
		merge => 0,
		failures => 1,
		exec => sub { $_[1] =~ /\.pl$/ ? [ $^X, $_[1] ] : [ $_[1] ] },
	});
my $result = $harness->runtests(@ARGV);

# A test that died, or did not do what it planned, has failed as well.
my $failed = $result->failed;
$failed ||= 1 if $result->has_problems;

open(my $file, '>', $counts) or die "could not write $counts: $!";
print $file scalar($result->passed), ' ', $failed, "\n";
close($file);
