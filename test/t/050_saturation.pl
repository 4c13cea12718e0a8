# Shows that connections are counted, that it is said when they run out and when
# clients are turned away, in each of the ways in which that happens, and who
# has them.
use strict;
use warnings FATAL => 'all';

use IO::Socket::UNIX;
use LeakwatchTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# 11 connections for ordinary roles, 10 of which are 90 percent
my $node = new_node('saturation', <<'EOC');
max_connections = 14
superuser_reserved_connections = 3
EOC

sub scope
{
	my ($what, $kind, $name) = @_;
	my $where = defined $name ? "name = '$name'" : 'name IS NULL';

	return $node->safe_psql('postgres',
		"SELECT $what FROM leakwatch.saturation WHERE scope = '$kind' AND $where");
}

# Messages about connections that run out.
sub alarms
{
	my ($pattern) = @_;

	return grep { $_->{message} =~ /connections.* in use/ && $_->{message} =~ $pattern } log_entries($node);
}

# Try to connect.  The query is an argument, as who is turned away reads no input.
sub try_to_connect
{
	my (%args) = @_;

	return $node->psql('postgres', '', extra_params => [ '-c', 'SELECT 1' ], %args);
}

# A client that is turned away; returns what it was told.
sub turned_away
{
	my ($connection, %args) = @_;
	my $err;

	local $ENV{PGUSER} = $args{user} // 'app';
	isnt(try_to_connect(connstr => $node->connstr($args{db} // 'postgres') . " $connection", stderr => \$err),
		0, 'a client is turned away');
	return $err;
}

# Is a client turned away with these words now?
sub turned_away_by
{
	my ($words) = @_;
	my $err;

	try_to_connect(stderr => \$err);
	return $err =~ /\Q$words\E/;
}

#
# Counting
#
$node->safe_psql('postgres', <<'EOC');
CREATE ROLE few LOGIN CONNECTION LIMIT 2;
CREATE ROLE barred LOGIN CONNECTION LIMIT 0;
CREATE ROLE admin LOGIN SUPERUSER CONNECTION LIMIT 5;
CREATE ROLE quiet LOGIN;
CREATE DATABASE small CONNECTION LIMIT 3;
EOC
my @own = map { session($node, app => 'shop') } 1 .. 3;
$own[0]->query('BEGIN');
is(scope('used, "limit", percent, idle, idle_in_transaction, leaked, rejected', 'server'),
	'4|11|36.4|2|1|0|0', 'the server, with the session that asks');
is(scope('used, "limit", percent, peak, idle, idle_in_transaction', 'role', 'app'), '3|||3|2|1', 'a role without a limit');
is(scope('used, "limit", percent, peak, peak_at', 'role', 'few'), '0|2|0|0|', 'a role that has a limit and no session');
is(scope('count(*)', 'role', 'quiet'), '0', 'one that has neither is not listed');
is(scope('count(*)', 'role', 'admin'), '0', 'a limit that is not enforced is none');
is(scope('used, "limit"', 'database', 'small'), '0|3', 'a database that has a limit');
is(scope('peak_at > pg_postmaster_start_time() AND peak_at <= now()', 'server'), 't', 'the peak has its time');
$_->quit foreach @own;
wait_until($node, q(SELECT used = 0 AND peak = 3 FROM leakwatch.saturation WHERE scope = 'role' AND name = 'app'));
pass('what ends is not used any more, and the peak stays');
cmp_ok(scope('peak', 'server'), '>=', 4, 'of the server too');
is($node->safe_psql('postgres', <<'EOC'), '', 'what is counted is what is there');
SELECT * FROM leakwatch.saturation AS s
WHERE used <> (SELECT count(*) FROM pg_stat_activity AS a
	WHERE backend_type = 'client backend' AND CASE scope WHEN 'role' THEN usename = s.name
		WHEN 'database' THEN datname = s.name ELSE true END)
EOC
is(scalar(alarms(qr/./)), 0, 'and nothing has been said');

#
# The limit of a role: crossing it, and clients turned away
#
my @few = map { session($node, app => 'few-app', user => 'few') } 1 .. 2;
wait_for('the role is warned of', sub { alarms(qr/^2 of 2 connections of role "few" are in use$/) });
my ($crossed) = alarms(qr/^2 of 2 connections of role "few" are in use$/);
is($crossed->{severity}, 'WARNING', 'with a WARNING');
is($crossed->{sqlstate}, '53300', 'with the SQLSTATE of too many connections');
like($crossed->{detail}, qr/^2 by application "few-app" of user "few", database "postgres": [012] idle, 0 idle in transaction, 0 over a limit/,
	'it says who has them');
like($crossed->{hint}, qr/^Application "few-app" keeps more connections than it uses/, 'and what to do');

like(turned_away('', user => 'few'), qr/too many connections for role "few"/, 'by the limit of its role');
wait_for('that is said', sub { alarms(qr/^clients are turned away: 2 of 2 connections of role "few" are in use$/) });
is(scope('rejected, last_rejected_at IS NOT NULL', 'role', 'few'), '1|t', 'and counted for the role');
like(turned_away('', user => 'few'), qr/too many connections/, 'and another one');
scan($node);
is(scope('rejected', 'role', 'few'), '2', 'is counted too');
is(scalar(alarms(qr/^clients are turned away: .* role "few"/)), 1, 'and said only after log_repeat');
configure($node, log_repeat => '1s');
wait_for('that', sub { my @a = alarms(qr/^clients are turned away: .* role "few"/); @a == 2 && $a[1]{detail} =~ /turned away since the last message: 1\./ });
pass('which it is');
wait_for('a reminder', sub { alarms(qr/^2 of 2 connections of role "few" are still in use$/) });
pass('and then it is repeated');
configure($node, log_repeat => undef);
$_->quit foreach @few;
wait_for('it is over', sub { scan($node); alarms(qr/^[01] of 2 connections of role "few" are in use, which is well below the threshold again$/) });
is((alarms(qr/below the threshold again/))[0]{severity}, 'LOG', 'the end has a LOG');

like(turned_away('', user => 'barred'), qr/too many connections for role "barred"/, 'by a limit of 0');
wait_for('that is said', sub { alarms(qr/^clients are turned away: 0 of 0 connections of role "barred" are in use$/) });
like((alarms(qr/role "barred"/))[0]{detail}, qr/^Clients turned away since the last message: 1\.$/, 'without anybody who has them');

#
# The limit of a database, by a leak
#
my @small = map { leak($node, 'idle_in_transaction', app => 'leaky', db => 'small', warn => '10ms') } 1 .. 3;
wait_for('the database is warned of', sub { alarms(qr/^3 of 3 connections of database "small" are in use$/) });
like(turned_away('', db => 'small'), qr/too many connections for database "small"/, 'by the limit of its database');
is(scope('rejected', 'database', 'small'), '1', 'it is counted for the database');
is(scope('rejected', 'role', 'app'), '0', 'and not for the role');
is(scope('leaked', 'database', 'small'), '3', 'what leaks is counted');
wait_for('that is said', sub { alarms(qr/^clients are turned away: 3 of 3 connections of database "small"/) });
like((alarms(qr/^clients are turned away: .*"small"/))[0]{hint}, qr/^Application "leaky" has forgotten connections/,
	'with the hint that they are forgotten');
$_->quit foreach @small;

#
# A limit that was raised since it was read
#
$node->safe_psql('postgres', 'CREATE ROLE grown LOGIN CONNECTION LIMIT 2');
my @grown = session($node, user => 'grown');
scan($node);
$node->safe_psql('postgres', 'ALTER ROLE grown CONNECTION LIMIT 20');
my $scans = status($node)->{scans};
push @grown, session($node, user => 'grown');
wait_until($node, "SELECT scans > $scans FROM leakwatch.status");
is(scalar(alarms(qr/role "grown"/)), 0, 'who comes near the old limit is not warned of');
$_->quit foreach @grown;

#
# The server: slots that are reserved, and none at all.  Settings as shipped.
#
my @shop = map { session($node, app => 'shop-web') } 1 .. 10;
wait_for('the server is warned of', sub { alarms(qr/^1[01] of 11 connections are in use$/) });
push @shop, session($node, app => 'shop-web');
my $word = $node->pg_version >= 16 ? 'roles with the SUPERUSER attribute' : 'non-replication superuser connections';
like(turned_away(''), qr/remaining connection slots are reserved for $word/, 'what is left is for superusers');
is(scope('rejected', 'server'), '1', 'that is counted for the server, which a superuser sees');
wait_for('that is said', sub { alarms(qr/^clients are turned away: 1[12] of 11 connections are in use$/) });
my ($refused) = alarms(qr/^clients are turned away: .* of 11 /);
like($refused->{detail}, qr/^11 by application "shop-web" of user "app", database "postgres": 11 idle, /, 'with who has them');
like($refused->{detail}, qr/^Clients turned away since the last message: 1\.$/m, 'and how many were turned away');
like($refused->{hint}, qr/^Application "shop-web" keeps more connections than it uses/, 'and what to do');

my @super = map { session($node, user => undef) } 1 .. 3;
like(turned_away('', user => 'nobody'), qr/sorry, too many clients already/, 'nothing is left');
$super[0]->query('SELECT leakwatch.scan()');
is($super[0]->query(q(SELECT used, "limit", percent, rejected FROM leakwatch.saturation WHERE scope = 'server')),
	'14|11|127.3|2', 'who it claims to be does not matter');
is($super[0]->query(q(SELECT string_agg(name, ' ' ORDER BY name) FROM leakwatch.saturation WHERE scope = 'role' AND rejected > 0)),
	'barred few', 'nor does a name that nobody has get into the list');

$_->quit foreach @shop, @super;

# More processes than the postmaster begins, most of which are still waiting for
# what their client wants: nothing is in use.
wait_until($node, q(SELECT used = 1 FROM leakwatch.saturation WHERE scope = 'server'));
my $inside = session($node, user => undef);
my @sockets = map { IO::Socket::UNIX->new(Peer => $node->host . '/.s.PGSQL.' . $node->port) } 1 .. 100;
wait_for('no process is begun any more', sub { turned_away_by('sorry, too many clients already') });
is($inside->query(q(SELECT rejected >= 3 AND used = 1 FROM leakwatch.saturation WHERE scope = 'server')),
	't', 'it is counted where no session was begun');
undef @sockets;
wait_for('it is possible again', sub { try_to_connect() == 0 });
$inside->quit;

#
# What is known survives the watcher, and bad values are refused
#
my @again = map { session($node, user => 'few') } 1 .. 2;
wait_for('it is crossed again', sub { 2 == alarms(qr/^2 of 2 connections of role "few" are in use$/) });
my $watcher = status($node)->{watcher_pid};
$node->safe_psql('postgres', "SELECT pg_terminate_backend($watcher)");
wait_until($node, "SELECT watcher_pid <> $watcher FROM leakwatch.status");
scan($node);
is(scalar(alarms(qr/^2 of 2 connections of role "few" are in use$/)), 2, 'a new watcher says nothing twice');
is(scope('used, peak, rejected', 'role', 'few'), '2|2|2', 'and nothing is forgotten');

configure($node, saturation_warn => 0);
$_->quit foreach @again;
wait_until($node, q(SELECT used = 0 FROM leakwatch.saturation WHERE name = 'few'));
scan($node);
my $before = alarms(qr/ in use$/);
@again = map { session($node, user => 'few') } 1 .. 2;
scan($node);
is(scalar(alarms(qr/ in use$/)), $before, 'off is off');
configure($node, saturation_warn => undef);
wait_for('it is on again', sub { $before < alarms(qr/ in use$/) });
$node->safe_psql('postgres', 'ALTER ROLE few CONNECTION LIMIT 20');
scan($node);
wait_for('a limit that was raised counts', sub { alarms(qr/^2 of 20 connections of role "few" are in use, which is well/) });
$_->quit foreach @again;

foreach my $bad ([ saturation_warn => '101' ], [ saturation_warn => '-1' ], [ saturation_warn => 'many' ], [ saturation_forecast => '2d' ])
{
	my ($name, $value) = @$bad;
	my ($status, $out, $err) = $node->psql('postgres', "ALTER SYSTEM SET leakwatch.$name = '$value'");

	isnt($status, 0, "$name = $value is refused");
}

#
# With whose rights
#
$node->safe_psql('postgres', 'CREATE ROLE monitor LOGIN IN ROLE pg_monitor; CREATE ROLE other LOGIN');
foreach my $what (qw(saturation usage samples))
{
	my ($status, $out, $err) = $node->psql('postgres', "TABLE leakwatch.$what", extra_params => [ '-U', 'other' ]);

	like($err, qr/permission denied/, "nobody reads $what");
	is($node->psql('postgres', "TABLE leakwatch.$what", extra_params => [ '-U', 'monitor' ]), 0, "but pg_monitor does");
}

# A role that is dropped is not listed, and its sessions are told of by number.
$node->safe_psql('postgres', 'DROP ROLE few');
is(scope('count(*)', 'role', 'few'), '0', 'what is dropped is not listed');

#
# More roles than there is room for
#
$node->safe_psql('postgres', 'DO $$ BEGIN FOR i IN 1 .. 200 LOOP EXECUTE format($c$CREATE ROLE r%s LOGIN$c$, i); END LOOP; END $$; ALTER ROLE r199 CONNECTION LIMIT 0');
psql_as($node, "r$_", 'SELECT 1') foreach 1 .. 198;
my $roomless = session($node, user => 'r200');
is(scope('used, peak, idle', 'role', 'r200'), '1|1|1', 'who finds no room is known while connected');
is(scope('used, peak', 'role', 'r1'), '0|1', 'and who has been there before stays');
$roomless->quit;
like(turned_away('', user => 'r199'), qr/too many connections for role "r199"/, 'a client is turned away');
is(scope('rejected', 'role', 'r199'), '1', 'and there is room for that');
scan($node);
is(scalar(grep { $_->{message} =~ /^leakwatch has no room for the connections of more/ } log_entries($node)), 1, 'which the log tells once');

#
# A restart, and without the extension
#
$node->restart;
is(scope('rejected', 'server'), '0', 'a restart begins anew');
$node->safe_psql('postgres', 'DROP EXTENSION leakwatch');
@shop = map { session($node, app => 'shop-web') } 1 .. 11;
like(turned_away(''), qr/remaining connection slots are reserved/, 'without the extension');
wait_for('that is said', sub { 2 == alarms(qr/^clients are turned away: 1[12] of 11 connections are in use$/) });
pass('it is said all the same');
$_->quit foreach @shop;

$node->stop;
done_testing();
