# Libraries that tests build from test/lib: what can't be had from outside of a
# server is done by one that it loads.
package TestLibrary;

use strict;
use warnings FATAL => 'all';

use File::Spec;
use Exporter 'import';
use FindBin;
use PostgreSQL::Test::Utils;

our @EXPORT = qw(library);

# The path of a library, built from the file of this name.
sub library
{
	my ($name) = @_;
	my $top = "$FindBin::RealBin/../..";
	my $library = File::Spec->rel2abs(PostgreSQL::Test::Utils::tempdir() . "/$name.so");
	my ($include, $error) = run_command([ 'pg_config', '--includedir-server' ]);

	system_or_bail('gcc', '-std=gnu99', '-O1', '-g', '-Wall', '-Wextra', '-Werror',
		'-Wno-sign-compare', '-Wno-unused-parameter', '-shared', '-fPIC',
		'-isystem', $include, "-I$top/src", '-o', $library, "$top/test/lib/$name.c", '-ldl');
	return $library;
}

1;
