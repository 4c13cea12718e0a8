# Shows that a dump is restored into the database in which incidents are
# recorded, while they are recorded there, and that nothing of it is lost.
use strict;
use warnings FATAL => 'all';

use LeakwatchTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $kind = 'idle_in_transaction';
my $node = new_node('restore');
my $directory = PostgreSQL::Test::Utils::tempdir();
my $rows = 'SELECT id, pid, backend_start, kind, since, application_name, outcome, trail FROM leakwatch.incidents';

sub wait_in_history
{
	my ($sql) = @_;

	$node->poll_query_until('history', $sql) or die "gave up waiting for: $sql";
	return;
}

sub recorded
{
	my ($session, $outcome) = @_;

	wait_in_history(
		"SELECT EXISTS (SELECT FROM leakwatch.incidents WHERE pid = $session->{pid} AND outcome = '$outcome')");
	return;
}

sub leaky
{
	my ($app) = @_;

	return leak($node, $kind, app => $app, warn => '100ms');
}

# What is known of these sessions, or of all.
sub known
{
	my (@sessions) = @_;
	my $where = @sessions ? ' WHERE pid IN (' . join(', ', map { $_->{pid} } @sessions) . ')' : '';

	return $node->safe_psql('history', "$rows$where ORDER BY id");
}

# The database as if it had never been there.
sub new_history
{
	$node->safe_psql('postgres', 'DROP DATABASE IF EXISTS history WITH (FORCE)');
	$node->safe_psql('postgres', 'CREATE DATABASE history');
	return;
}

new_history();
$node->safe_psql('postgres', "ALTER SYSTEM SET leakwatch.database = 'history'; SELECT pg_reload_conf()");
$node->safe_psql('history', 'CREATE EXTENSION leakwatch');

#
# A history, with incidents open
#
my @ended = map { leaky($_) } qw(first second);
recorded($_, 'open') foreach @ended;
my ($open, $gone) = map { leaky($_) } qw(open gone);
recorded($_, 'open') foreach ($open, $gone);
$_->query('COMMIT') foreach @ended;
recorded($_, 'finished') foreach @ended;
settle($node);
scan($node);    # so that nothing but the table knows of them
my $dumped = known();
my ($dumped_ended, $dumped_open) = (known(@ended), known($open));

$node->command_ok([ 'pg_dump', '-Fc', '-f', "$directory/history.dump", 'history' ], 'pg_dump');
$node->command_ok([ 'pg_dump', '-f', "$directory/history.sql", 'history' ], 'pg_dump, in plain text');
$gone->quit;
recorded($gone, 'disconnected');
settle($node);
scan($node);

#
# Restored in steps: the recorder has written before the rows come
#
new_history();
my $meanwhile = leaky('meanwhile');
$node->command_ok([ 'pg_restore', '--section=pre-data', '-d', $node->connstr('history'), "$directory/history.dump" ],
	'the dump makes the extension');
recorded($_, 'open') foreach ($open, $meanwhile);
my $written = known($meanwhile);
$node->command_ok(
	[ 'pg_restore', '--section=data', '--section=post-data', '-d', $node->connstr('history'), "$directory/history.dump" ],
	'its rows come while the recorder is there');
is(known(@ended), $dumped_ended, 'what had ended is there as it was');
is(known($open), $dumped_open, 'what is open is there once, with its number');
is(known($meanwhile), $written, 'and so is what came meanwhile');
recorded($gone, 'disconnected');
pass('what ended after the dump is closed');
is($node->safe_psql('history', 'SELECT count(*), count(DISTINCT id) FROM leakwatch.incidents'),
	'5|5', 'there is nothing else');

#
# Then it goes on
#
$open->query('COMMIT');
recorded($open, 'finished');
my $later = leaky('later');
recorded($later, 'open');
is($node->safe_psql('history', "SELECT string_agg(application_name, ' ' ORDER BY id) FROM leakwatch.incidents"),
	'first second open gone meanwhile later', 'numbers go up with the time');
is(status($node)->{health}, 'ok', 'and all is well');

#
# Restored at one go, more than once
#
foreach my $how ([], ['-1'])
{
	new_history();
	$node->command_ok(
		[ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', @$how, '-d', $node->connstr('history'), '-f', "$directory/history.sql" ],
		"the dump is restored by psql @$how");
	is(known(@ended), $dumped_ended, 'with all its rows');
	recorded($later, 'open');
	pass('and what is open is recorded again');
}
is($node->safe_psql('history', "SELECT outcome FROM leakwatch.incidents WHERE pid = $open->{pid}"),
	'disconnected', 'what has ended since the dump, and was not recorded here, is closed');

#
# A dump of 0.1.0
#
$node->safe_psql('postgres', 'CREATE DATABASE old');
$node->safe_psql('old', "CREATE EXTENSION leakwatch VERSION '0.1.0'");
$node->safe_psql('old', <<'EOC');
INSERT INTO leakwatch.incidents (kind, pid, backend_start, since, detected_at, last_seen_at, ended_at,
	duration, action, outcome, blocked_sessions)
SELECT 'session', n, '2026-11-24', '2026-11-24', '2026-11-24', '2026-11-24', '2026-11-24', '1 s', 'warned', 'disconnected', 0
FROM generate_series(1, 3) AS n
EOC
$node->command_ok([ 'pg_dump', '-f', "$directory/old.sql", 'old' ], 'pg_dump of 0.1.0');
new_history();
$node->command_ok(
	[ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('history'), '-f', "$directory/old.sql" ],
	'it is restored too');
recorded($_, 'open') foreach ($meanwhile, $later);
is($node->safe_psql('history', 'SELECT string_agg(pid::text, $$ $$ ORDER BY id) FROM leakwatch.incidents'),
	"1 2 3 $meanwhile->{pid} $later->{pid}", 'with its numbers, and what comes then has others');

$_->quit foreach (@ended, $open, $meanwhile, $later);
$node->stop;
done_testing();
