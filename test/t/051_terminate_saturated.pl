# Shows that with terminate_when = saturated sessions are ended only while
# connections run out, the longest first, and no more than have to go.
use strict;
use warnings FATAL => 'all';

use LeakwatchTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# 70 connections for ordinary roles
my $node = new_node('terminate_saturated', <<'EOC');
max_connections = 73
superuser_reserved_connections = 3
leakwatch.terminate_when = saturated
leakwatch.max_terminations_per_minute = 0
leakwatch.saturation_warn = 100
EOC

# All that is asked is asked in one session, so that nobody comes and goes.
my $ask = session($node, user => undef, app => 'ask');

sub scan_now
{
	$ask->query('SELECT leakwatch.scan()');
	return;
}

sub wait_until_asked
{
	my ($sql) = @_;

	wait_for($sql, sub { scan_now(); $ask->query("SELECT $sql") eq 't' });
	return;
}

sub set
{
	my (%settings) = @_;

	$ask->query("ALTER SYSTEM SET leakwatch.$_ = '$settings{$_}'") foreach sort keys %settings;
	$ask->query('SELECT pg_reload_conf()');
	return;
}

# The applications that have sessions, in the order of their names.
sub there
{
	return $ask->query(q(SELECT string_agg(application_name, ' ' ORDER BY application_name)
		FROM pg_stat_activity WHERE application_name ~ '^leak'));
}

sub names
{
	return join(' ', map { sprintf 'leak%02d', $_ } @_);
}

sub leaky
{
	my ($number, %args) = @_;

	return leak($node, 'idle_in_transaction', app => sprintf('leak%02d', $number), terminate => '10ms', %args,
		set => { mode => $args{mode} // 'enforce' });
}

#
# Of 60, as many go as must
#
my @leaks = map { leaky($_) } 1 .. 60;
wait_until_asked(q(60 = (SELECT count(*) FROM leakwatch.leaks)));
is(there(), names(1 .. 60), 'nobody is ended while connections are left');
is($ask->query(q(SELECT DISTINCT protected_by, next_action FROM leakwatch.sessions WHERE application_name ~ '^leak')),
	'{"not saturated"}|', 'and that is said');

# 61 are in use, and 35 would be half
set(saturation_warn => 50);
wait_until_asked(q((SELECT used = 34 FROM leakwatch.saturation WHERE scope = 'server')));
scan_now() foreach 1 .. 3;
is(there(), names(28 .. 60), 'the 27 that have been there longest');
is($ask->query('SELECT terminated FROM leakwatch.status'), '27', 'and no more');

my $one = session($node, app => 'plain');
wait_until_asked(q((SELECT used = 34 FROM leakwatch.saturation WHERE scope = 'server')));
is(there(), names(29 .. 60), 'one for each that comes');

set(saturation_warn => 0);
my @more = map { session($node, app => 'plain') } 1 .. 3;
scan_now() foreach 1 .. 3;
is(there(), names(29 .. 60), 'nobody when that is off');

#
# Of a role, those of that role
#
$ask->query('CREATE ROLE few LOGIN CONNECTION LIMIT 6');
$ask->query($_) foreach map { "GRANT SET ON PARAMETER leakwatch.$_ TO few" } qw(mode idle_in_transaction_terminate);
my @few = map { leaky($_, user => 'few') } 61 .. 65;
set(saturation_warn => 100);
scan_now() foreach 1 .. 3;
is(there(), names(29 .. 65), 'nobody below the limit of a role');
push @few, leaky(66, user => 'few');
wait_until_asked(q((SELECT used = 5 FROM leakwatch.saturation WHERE name = 'few')));
scan_now() foreach 1 .. 3;
is(there(), names(29 .. 60, 62 .. 66), 'at it, one of that role');

#
# Announced are as many as would go
#
$_->quit foreach @few, @leaks;
wait_until_asked(q((SELECT used = 5 FROM leakwatch.saturation WHERE scope = 'server')));
@leaks = map { leaky($_, mode => 'observe') } 1 .. 5;
# 10 are in use, and 7 would be a tenth
set(saturation_warn => 10);
wait_until_asked(q(4 = (SELECT count(*) FROM leakwatch.leaks WHERE action = 'would_terminate')));
scan_now() foreach 1 .. 3;
is($ask->query(q(SELECT string_agg(application_name, ' ' ORDER BY application_name)
	FROM leakwatch.leaks WHERE action = 'would_terminate')), names(1 .. 4), 'those are announced that would go');
is(there(), names(1 .. 5), 'and nobody is ended');

#
# Blocking or saturated
#
set(saturation_warn => 100, terminate_when => 'blocking_or_saturated');
scan_now();
$ask->query('CREATE TABLE t ()');
$ask->query('GRANT ALL ON t TO PUBLIC');
my $blocker = leaky(67);
my $idle = leaky(68);
$blocker->query('LOCK t');
wait_until_asked(q(2 = (SELECT count(*) FROM leakwatch.leaks WHERE application_name IN ('leak67', 'leak68'))));
is($ask->query(q(SELECT DISTINCT protected_by FROM leakwatch.sessions WHERE application_name = 'leak68')),
	'{"not blocking","not saturated"}', 'neither');
$more[0]->begin('SELECT count(*) FROM t');
wait_until_asked(q(NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'leak67')));
pass('who blocks is ended');
set(saturation_warn => 10);
wait_until_asked(q(NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'leak68')));
pass('and so is who is in the way of others');

my ($status, $out, $err) = $node->psql('postgres', q(ALTER SYSTEM SET leakwatch.terminate_when = 'full'));
like($err, qr/Available values: always, blocking, saturated, blocking_or_saturated/, 'other words are refused');

$_->quit foreach @leaks, @more, $one, $blocker, $idle, $ask;
$node->stop;
done_testing();
