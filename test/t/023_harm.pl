# Shows what an incident says of the harm that its session does: whom it blocks
# and with which lock, what else it holds, and what it alone keeps VACUUM from.
use strict;
use warnings FATAL => 'all';

use LeakwatchTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $kind = 'idle_in_transaction';
# autovacuum takes transactions, which are counted here
my $node = new_node('harm', "max_prepared_transactions = 2\nautovacuum = off\n");
$node->safe_psql('postgres', $_)
  foreach 'CREATE TABLE "Item" (id int PRIMARY KEY, pieces int)',
  'INSERT INTO "Item" VALUES (1, 1), (2, 2)',
  'GRANT ALL ON "Item" TO app',
  'CREATE DATABASE other';
$node->safe_psql('other', 'CREATE TABLE elsewhere (id int); GRANT ALL ON elsewhere TO app; ALTER TABLE elsewhere OWNER TO app');

# A session that has executed this in a transaction and leaks.
sub leaky
{
	my (@statements) = @_;
	my %args = ref $statements[0] ? %{ shift @statements } : ();

	return leak_after($node, $kind, [ 'BEGIN', @statements ], %args);
}

# A session that waits for what this needs.
sub waiter
{
	my ($statement, %args) = @_;
	my $session = session($node, %args);

	$session->begin($statement);
	wait_for_lock($node, $session);
	return $session;
}

sub wait_blocked
{
	my ($session, $count) = @_;

	wait_until($node,
		"SELECT blocked_sessions = $count FROM leakwatch.leaks, leakwatch.scan() WHERE pid = $session->{pid}");
	return;
}

#
# Locks
#
my $row = leaky('UPDATE "Item" SET pieces = 0 WHERE id = 1');
is(leak_row($node, $row, 'strongest_lock IS NULL AND blocked_sessions = 0'), 't', 'no lock is looked up while nobody waits');
my $victim = waiter('UPDATE "Item" SET pieces = 3 WHERE id = 1');
wait_blocked($row, 1);
is(leak_row($node, $row, 'strongest_lock'), 'RowExclusiveLock on relation public."Item"',
	'who waits for a row waits for a lock on the table');
$row->query('ROLLBACK');
$victim->wait;
settle($node);
is(incident($node, $row, $kind)->{strongest_lock}, 'RowExclusiveLock on relation public."Item"', 'it is recorded');
is(incident($node, $row, $kind)->{blocked_sessions}, 1, 'with whom it blocked');

my $table = leaky('LOCK TABLE "Item"', 'SELECT pg_advisory_lock(7)');
my $second = waiter('SELECT count(*) FROM "Item"');
wait_blocked($table, 1);
is(leak_row($node, $table, 'strongest_lock'), 'AccessExclusiveLock on relation public."Item"', 'the strongest of several');
is(leak_row($node, $table, 'holds'), '{"advisory locks"}', 'advisory locks are seen with it');
my $third = waiter('SELECT pg_advisory_lock(7)');
wait_blocked($table, 2);
terminate($node, $table);
$_->wait foreach $second, $third;
$_->quit foreach $second, $third, $victim, $row;

my $advisory = session($node, set => { idle_session_warn => '50ms' });
$advisory->query('SELECT pg_advisory_lock(8)');
wait_for_leak($node, 'idle_session', $advisory);
$third = waiter('SELECT pg_advisory_lock(8)');
wait_blocked($advisory, 1);
like(leak_row($node, $advisory, 'strongest_lock'), qr/^ExclusiveLock on advisory lock \[\d+,0,8,1\]$/, 'an advisory lock');
terminate($node, $advisory);
$third->wait;
$third->quit;

my $far = leaky({ db => 'other' }, 'LOCK TABLE elsewhere IN SHARE MODE');
$second = waiter('INSERT INTO elsewhere VALUES (1)', db => 'other');
wait_blocked($far, 1);
my $oid = $node->safe_psql('other', "SELECT 'elsewhere'::regclass::oid");
like(leak_row($node, $far, 'strongest_lock'), qr/^ShareLock on relation $oid of database \d+$/, 'a relation of another database has no name here');
is($node->safe_psql('other', 'CREATE EXTENSION leakwatch; SELECT strongest_lock FROM leakwatch.leaks'),
	'ShareLock on relation public.elsewhere', 'but it has one there');
configure($node, log_repeat => '1s');
wait_for('it is repeated', sub { grep { $_->{message} =~ /is still there/ && $_->{detail} =~ /Blocks 1 other session\. Its strongest lock is ShareLock on relation $oid of database \d+\./ } log_of($node, $far) });
pass('the message in the log has it too');
configure($node, log_repeat => undef);
terminate($node, $far);
$second->wait;
$second->quit;

#
# What else it holds
#
my $temporary = leaky('CREATE TEMP TABLE t (id int)');
is(leak_row($node, $temporary, 'holds'), '{"temporary tables"}', 'temporary tables');
terminate($node, $temporary);
my $cursor = leaky('DECLARE c CURSOR FOR SELECT 1');
is(leak_row($node, $cursor, 'holds'), '{snapshot}', 'an open cursor keeps a snapshot');
$cursor->query('ROLLBACK');
settle($node);
is_deeply(incident($node, $cursor, $kind)->{holds}, ['snapshot'], 'which is recorded');
$cursor->quit;
my $nothing = leaky('SELECT 1');
is(leak_row($node, $nothing, 'holds IS NULL AND xmin_age_alone IS NULL'), 't', 'nothing at all');
terminate($node, $nothing);

#
# VACUUM
#
sub consume
{
	$node->safe_psql('postgres', 'SELECT pg_current_xact_id()') foreach 1 .. $_[0];
	return;
}

# The recorder takes a transaction for each round of writing.
sub holder
{
	my $session = leaky(@_, 'SET TRANSACTION ISOLATION LEVEL REPEATABLE READ', 'SELECT 1');

	settle($node);
	return $session;
}

sub ages
{
	return split /\|/, leak_row($node, $_[0], 'xmin_age, xmin_age_alone');
}

my $oldest = holder();
my ($before) = ages($oldest);
consume(5);
my ($age, $alone) = ages($oldest);
is($age, $before + 5, 'the age of its horizon grows with each transaction');
is($alone, $age, 'what one session keeps, it keeps alone');
my $newer = holder();
consume(3);
my ($age_then, $alone_then) = ages($oldest);
my @newer = ages($newer);
cmp_ok($age_then, '>=', $age + 3, 'another keeps newer rows too');
is($alone_then, $age_then - $newer[0], 'which are not held back by one alone');
is($newer[1], 0, 'nor by the other');
my $foreign = holder({ db => 'other' });
consume(1);
my @foreign = ages($foreign);
cmp_ok($foreign[1], '>', 0, 'a session of another database holds back that one');
is($foreign[1], $foreign[0], 'alone');
terminate($node, $foreign, $newer);
settle($node);
my @oldest = ages($oldest);
is($oldest[1], $oldest[0], 'when the other is gone, all is held back by one again');
terminate($node, $oldest);
settle($node);
cmp_ok(incident($node, $oldest, $kind)->{xmin_age}, '>=', $oldest[0], 'the age is recorded');

$node->safe_psql('postgres', q{BEGIN; SELECT pg_current_xact_id(); PREPARE TRANSACTION 'forgotten'});
my $after = holder();
consume(4);
is((ages($after))[1], 0, 'a prepared transaction holds back as much');
$node->safe_psql('postgres', q{ROLLBACK PREPARED 'forgotten'});
my @after = ages($after);
is($after[1], $after[0], 'until it is finished');
terminate($node, $after);

$node->stop;
done_testing();
