# Shows the view applications: what each has now and what it has leaked, and
# who sees that.
use strict;
use warnings FATAL => 'all';

use LeakwatchTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('applications');
my $columns = 'sessions, active, idle, idle_in_transaction, open_incidents, past_incidents';

sub application
{
	my ($name, $what, %args) = @_;

	return $node->safe_psql('postgres',
		"SELECT " . ($what // $columns) . " FROM leakwatch.applications WHERE application_name = '$name' ORDER BY usename",
		extra_params => $args{user} ? [ '-U', $args{user} ] : []);
}

my %leaks = map { $_ => leak($node, $_, app => 'shop', warn => '50ms') }
  qw(idle_in_transaction aborted_transaction idle_session);
my $active = session($node, app => 'shop');
$active->begin('SELECT pg_sleep(600)');
my $plain = session($node, app => 'shop', user => undef);
wait_for_leak($node, $_, $leaks{$_}) foreach keys %leaks;
wait_until($node, "SELECT active = 1 FROM leakwatch.applications WHERE application_name = 'shop' AND usename = 'app'");

is(application('shop'), "4|1|1|2|3|0\n1|0|1|0|0|0", 'what there is now, by role');
like(application('shop', q{longest >= '50ms', last_since = (SELECT max(since) FROM leakwatch.leaks)}), qr/^t\|t$/m,
	'the longest and the newest');
is(application('shop', 'datname, client_addr IS NULL'), "postgres|t\npostgres|t", 'and where it comes from');

$leaks{idle_in_transaction}->query('COMMIT');
terminate($node, $active, $leaks{aborted_transaction}, $plain);
settle($node);
is(application('shop'), '2|0|2|0|1|2', 'what has ended is in the past');
terminate($node, $leaks{idle_in_transaction}, $leaks{idle_session});
settle($node);
is(application('shop'), '0|0|0|0|0|3', 'all of it, when nobody is there any more');

is($node->safe_psql('postgres', 'SELECT count(*) FROM leakwatch.applications WHERE sessions = 0 AND open_incidents = 0 AND past_incidents = 0'),
	'0', 'nobody is listed for nothing');

#
# With the rights of whoever asks
#
$node->safe_psql('postgres', <<'EOC');
CREATE ROLE other LOGIN;
CREATE ROLE monitor LOGIN IN ROLE pg_monitor;
GRANT USAGE ON SCHEMA leakwatch TO other;
GRANT SELECT ON leakwatch.applications TO other;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA leakwatch TO other;
EOC
is(application('shop', undef, user => 'monitor'), '0|0|0|0|0|3', 'pg_monitor reads it');
my (undef, $err) = psql_as($node, 'other', 'TABLE leakwatch.applications');
like($err, qr/permission denied for table incidents/, 'who may not read the table does not read it through the view');

$node->stop;
done_testing();
