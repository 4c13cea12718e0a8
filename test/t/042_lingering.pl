# Shows that a session that has been told to end is not said to have ended while
# it is still there, and that this is said.
use strict;
use warnings FATAL => 'all';

use LeakwatchTest;
use Test::More;

my $node = new_node('lingering', "leakwatch.log_repeat = '1s'");
my $kind = 'idle_in_transaction';
my %set = (set => { mode => 'enforce' });
my $leaky = leak($node, $kind, %set, warn => '100ms');
my $other = leak($node, $kind, warn => '100ms');

is(status($node)->{lingering}, 0, 'nobody lingers');

# it is stopped where no signal reaches it
kill('STOP', $leaky->{pid}) == 1 or die "could not stop the session: $!";
wait_for_leak($node, $kind, $leaky);
configure($node, "${kind}_terminate" => '200ms', log_repeat => '1s');
wait_for_incident($node, "pid = $leaky->{pid} AND action = 'terminated'");

my $told = qr/session with PID $leaky->{pid} has been told to end: it had been idle in transaction for /;
my $still = qr/session with PID $leaky->{pid} is still there (?:\d+ min )?[\d.]+ s after it was told to end/;
$node->wait_for_log(qr/$told.*$still.*$still/s);
my ($message) = grep { $_->{message} =~ $still } log_of($node, $leaky);
is($message->{severity}, 'WARNING', 'that it is still there is warned about');
like($message->{detail}, qr/^User "app", .* Its wait event is ClientRead of type Client\. .*Last statement: /, 'with what it waits in');
like($message->{hint}, qr/^A session ends when it gets to where it can be interrupted/, 'and why');
is(scalar(grep { $_->{message} =~ $told } log_of($node, $leaky)), 1, 'it has been told once');

settle($node);
is(status($node)->{lingering}, 1, 'it is counted');
my $incident = incident($node, $leaky, $kind);
is("$incident->{action} $incident->{outcome}", 'terminated open', 'its row says what was done, and that it is open');
is($incident->{ended_at}, undef, 'and knows of no end');
is($node->safe_psql('postgres', "SELECT action FROM leakwatch.leaks WHERE pid = $leaky->{pid}"), 'terminated', 'and it is listed');

# the next watcher knows of it
my $watcher = status($node)->{watcher_pid};
$node->safe_psql('postgres', "SELECT pg_terminate_backend($watcher)");
wait_until($node, "SELECT watcher_pid <> $watcher FROM leakwatch.status");
scan($node);
is(status($node)->{lingering}, 1, 'also by the next watcher');

kill('CONT', $leaky->{pid}) == 1 or die "could not continue the session: $!";
wait_for_incident($node, "pid = $leaky->{pid} AND outcome = 'terminated' AND outcome_detail = 'leakwatch.${kind}_terminate = 200 ms'");
is(status($node)->{lingering}, 0, 'once it is gone, its outcome is that it was terminated');

# one that goes at once leaves no such message
wait_for_incident($node, "pid = $other->{pid} AND action = 'would_terminate'");
my $quick = leak($node, $kind, %set, warn => '100ms', terminate => '200ms');
wait_for_incident($node, "pid = $quick->{pid} AND outcome = 'terminated'");
is(scalar(grep { $_->{message} =~ /is still there/ } log_of($node, $quick)), 0, 'who goes is not said to be still there');

$_->quit('SELECT 1;') foreach ($leaky, $quick);
$other->quit;
$node->stop;
done_testing();
