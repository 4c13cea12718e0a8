# Shows that the listeners of doc/notify.md post what they are told to a webhook,
# also if that is not ready, and after they have lost their connection.
use strict;
use warnings FATAL => 'all';

use FindBin;
use IPC::Run;
use JSON::PP;
use LeakwatchTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils qw(pump_until);
use Test::More;

my $kind = 'idle_in_transaction';
my $node = new_node('notify_clients', "listen_addresses = '127.0.0.1'\nleakwatch.notify_channel = 'Leaks'");

# A program that goes on until the end, and what it has printed.
sub start
{
	my (@command) = @_;
	my $self = { in => '', out => '', err => '' };
	local %ENV = (
		%ENV,
		PGHOST => '127.0.0.1',
		PGPORT => $node->port,
		PGDATABASE => 'postgres',
		PGUSER => 'app',
		PGAPPNAME => $command[1]);

	$self->{timer} = IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default);
	$self->{run} = IPC::Run::start(\@command, '<' => \$self->{in}, '>' => \$self->{out}, '2>' => \$self->{err}, $self->{timer});
	return $self;
}

# Wait until it has printed this.
sub printed
{
	my ($self, $pattern) = @_;

	pump_until($self->{run}, $self->{timer}, \$self->{out}, $pattern)
	  or die "gave up waiting for $pattern: $self->{out}$self->{err}";
	return;
}

my $receiver = start('/usr/bin/node', "$FindBin::Bin/receiver.js");
printed($receiver, qr/^port \d+$/m);
my ($port) = $receiver->{out} =~ /^port (\d+)$/m;
my %listener = map {
	my ($path, $program) = @$_;
	($path => start($program, "$FindBin::Bin/../../doc/webhook.$path", "http://127.0.0.1:$port/$path", 'Leaks'))
} [ py => '/usr/bin/python3' ], [ js => '/usr/bin/node' ];

printed($_, qr/^listening on Leaks$/m) foreach values %listener;

# What has been posted to each path of this event of a session.
sub posted
{
	my ($event, $session) = @_;
	my %found;

	foreach my $path (sort keys %listener)
	{
		# the keys of jsonb are in the order of their length
		printed($receiver, qr{^/$path .*"pid":\s*$session->{pid}\b.*"event":\s*"$event".*\n}m);
		($found{$path}) = grep { $_->{event} eq $event && $_->{pid} == $session->{pid} }
		  map { decode_json($_) } $receiver->{out} =~ m{^/$path (.*)$}mg;
	}
	return %found;
}

my $session = leak($node, $kind, app => 'shop', warn => '50ms');
my %opened = posted('opened', $session);

foreach my $path (sort keys %listener)
{
	is($opened{$path}{application}, 'shop', "webhook.$path posts who has leaked");
	like($opened{$path}{text}, qr/^$kind of shop \(PID $session->{pid}, app in postgres\): open after \d+ s$/, '... and in words');
}

$node->safe_psql('postgres',
	"SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE query LIKE 'LISTEN %'");
printed($_, qr/(?:^listening on Leaks\n.*){2}/ms) foreach values %listener;
$session->query('ROLLBACK');
my %ended = posted('ended', $session);
is($ended{$_}{outcome}, 'finished', "webhook.$_ goes on after it has lost its connection") foreach sort keys %listener;

$_->{run}->kill_kill foreach values %listener, $receiver;
$node->stop;
done_testing();
