# Shows that the build is refused with a sentence where leakwatch cannot run.
use strict;
use warnings FATAL => 'all';

use FindBin;
use PostgreSQL::Test::Utils;
use Test::More;

my $top = "$FindBin::RealBin/../..";
my $directory = PostgreSQL::Test::Utils::tempdir();

# A server's headers are of no use without a compiler that finds them: what
# stands for an older server here is the part of PGXS that tells its version.
foreach my $version ('14', '9.6')
{
	append_to_file("$directory/pgxs-$version.mk", "MAJORVERSION = $version\nall:\n\ttrue\n");
	append_to_file("$directory/pg_config-$version", "#!/bin/sh\necho $directory/pgxs-$version.mk\n");
	chmod 0755, "$directory/pg_config-$version";
	command_fails_like(
		[ 'make', '-C', $top, "PG_CONFIG=$directory/pg_config-$version" ],
		qr/leakwatch needs PostgreSQL 15 or newer, and \S+ is of \Q$version\E/,
		"a build with $version is refused");
}

done_testing();
