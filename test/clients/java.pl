# Shows that the classic mistakes with a pool of HikariCP are found, with the
# code that made them, and that its proper use is not complained about; and that
# leakwatch and the pool's own detection agree on what leaks.
use strict;
use warnings FATAL => 'all';

use Clients;
use LeakwatchTest;
use Test::More;

sub agree
{
	my ($application) = @_;
	my @leaking = map { $_->{pid} } rows($application->{node},
		"SELECT pid FROM leakwatch.leaks WHERE application_name = 'Leaks.java' ORDER BY pid");
	my @reported;

	wait_for('HikariCP has reported as many',
		sub {
			@reported = split / /, ask($application, 'reported');
			return @reported >= @leaking;
		});
	is("@{[ sort { $a <=> $b } @reported ]}", "@leaking",
		'HikariCP reports the same connections as leakwatch');
	return;
}

my $jars = '/usr/share/java';
show(
	'Leaks.java',
	[
		'/usr/bin/java', '-cp',
		join(':', map { "$jars/$_.jar" } qw(HikariCP postgresql slf4j-api slf4j-jdk14))
	],
	found => \&agree,
	behaved => sub {
		is(ask($_[0], 'reported'), '', 'nor does HikariCP report anything');
	});
