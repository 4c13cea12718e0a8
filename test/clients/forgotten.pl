# Shows that a connection of node-postgres that is taken from its pool, used and
# not given back is found, with the code that took it, and that those which its
# pool keeps are not.
use strict;
use warnings FATAL => 'all';

use Clients;
use LeakwatchTest;
use Test::More;

my $kind = 'suspected_leak';
my $application = application('forgotten.js', '/usr/bin/node');
my $node = $application->{node};

# What takes a minute as shipped takes five seconds.
configure($node, suspected_leak_warn => '5s');
start($application);
wait_until($node, "SELECT count(*) > 1 FROM leakwatch.sessions WHERE application_name = 'forgotten.js'");

my %forgotten = (pid => ask($application, 'forget'));

wait_for_leak($node, $kind, \%forgotten);
settle($node);

my ($leak) = rows($node, "SELECT * FROM leakwatch.leaks WHERE kind = '$kind'");

is($node->safe_psql('postgres', "SELECT string_agg(pid::text, ' ') FROM leakwatch.incidents WHERE kind = '$kind'"),
	$forgotten{pid}, 'the connection that was not given back is suspected, and no other')
  or diag($node->safe_psql('postgres', 'SELECT pid, confidence, duration, outcome, reason FROM leakwatch.incidents'));
is_deeply($leak->{tags}, { action => 'add', controller => 'cart' }, 'with the tags of the code that took it');
like($leak->{trail}[0]{query}, qr/^INSERT INTO payment /, 'and its statement');
like($leak->{reason}, qr/^its application has /, 'and the reason');
is($node->safe_psql('postgres', "SELECT suspected FROM leakwatch.applications WHERE application_name = 'forgotten.js'"),
	'1', 'of those of its application');

is(ask($application, 'retried'), $forgotten{pid}, 'it is used again');
wait_for_incident($node, "pid = $forgotten{pid} AND kind = '$kind' AND outcome = 'finished'");
is(status($node)->{refuted}, 1, 'which tells against the suspicion');

stop($application);
$node->stop;
done_testing();
