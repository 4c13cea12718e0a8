# Libraries that tests build from test/lib: what can't be had from outside of a
# server is done by one that it loads.
package TestLibrary;

use strict;
use warnings FATAL => 'all';

use File::Spec;
use Exporter 'import';
use FindBin;
use PostgreSQL::Test::Utils;

our @EXPORT = qw(library clock_environment set_clock);

# The path of a library, built from the file of this name.
sub library
{
	my ($name) = @_;
	my $top = "$FindBin::RealBin/../..";
	my $library = File::Spec->rel2abs(PostgreSQL::Test::Utils::tempdir() . "/$name.so");
	my ($include, $error) = run_command([ 'pg_config', '--includedir-server' ]);

	system_or_bail('gcc', '-std=gnu11', '-O1', '-g', '-Wall', '-Wextra', '-Werror',
		'-Wno-sign-compare', '-Wno-unused-parameter', '-shared', '-fPIC',
		'-isystem', $include, "-I$top/src", '-o', $library, "$top/test/lib/$name.c", '-ldl');
	return $library;
}

# Where the numbers of struct setting in test/lib/wallclock.c are in its file.
my %place = (offset => 0, stall => 1, passed => 3, standstill => 4);
my $clock;

# What a server is started with to have its clocks set by set_clock().
sub clock_environment
{
	$clock = File::Spec->rel2abs(PostgreSQL::Test::Utils::tempdir() . '/wallclock');
	append_to_file($clock, pack('q5', 0, 0, 0, 0, 0));
	return (
		LD_PRELOAD => join(' ', library('wallclock'), $ENV{LD_PRELOAD} // ()),
		WALLCLOCK => $clock);
}

# Microseconds: the "offset" of the wall clock, a "stall" of the process that is
# given next, what has "passed" by both clocks, or where it comes to a "standstill".
sub set_clock
{
	my ($what, @numbers) = @_;

	open(my $file, '+<', $clock) or die "could not open: $!";
	seek($file, 8 * $place{$what}, 0) or die "could not seek: $!";
	print $file pack('q*', @numbers);
	close($file) or die "could not write: $!";
	return;
}

1;
