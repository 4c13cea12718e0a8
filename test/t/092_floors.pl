# Shows that src/ is built as doc/architecture.md says: each file on one floor,
# and none includes what stands on its own floor or above.
use strict;
use warnings FATAL => 'all';

use FindBin;
use PostgreSQL::Test::Utils;
use Test::More;

my $top = "$FindBin::RealBin/../..";
my ($list) = slurp_file("$top/doc/architecture.md") =~
  /^## The floors of src\/\n.*?^```\n(.*?)^```$/ms;
my @floors = reverse map { [split] } split /\n/, $list;
my %floor;
my @twice;

foreach my $number (0 .. $#floors)
{
	foreach my $room (@{ $floors[$number] })
	{
		push @twice, $room if exists $floor{$room};
		$floor{$room} = $number;
	}
}
is_deeply(\@twice, [], 'no room is on two floors');

my %rooms = map { m{/(\w+)\.[ch]$} ? ($1 => 1) : () } glob "$top/src/*.[ch]";
is_deeply([ sort keys %floor ], [ sort keys %rooms ], 'each room is on a floor');

my @upward;
foreach my $file (glob "$top/src/*.[ch]")
{
	my ($room) = $file =~ m{/(\w+)\.[ch]$};

	push @upward, map { "$room includes $_" }
	  grep { $_ ne $room && exists $floor{$_} && $floor{$_} >= $floor{$room} }
	  slurp_file($file) =~ /^#include "(\w+)\.h"$/mg;
}
is_deeply(\@upward, [], 'no room includes what stands on its floor or above');

done_testing();
