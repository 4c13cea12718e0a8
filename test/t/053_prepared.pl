# Shows that transactions which were prepared and never finished are found, by
# whom they block and for how long, that an incident of one outlives the server,
# and that nothing is read where there can be none.
use strict;
use warnings FATAL => 'all';

use LeakwatchTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TestLibrary;
use Time::HiRes qw(time);

# The server's clock stands still at this time, in seconds.
sub stand_still
{
	my ($at) = @_;

	set_clock(standstill => int($at * 1_000_000));
	return;
}

my $node;
{
	local %ENV = (%ENV, clock_environment());

	$node = new_node('prepared', <<'EOC');
max_prepared_transactions = 5
leakwatch.prepared_transaction_warn = 100ms
EOC
}
$node->safe_psql('postgres', <<'EOC');
CREATE DATABASE shop;
CREATE ROLE web LOGIN;
GRANT SET ON PARAMETER leakwatch.transaction_warn TO web;
CREATE ROLE reader LOGIN;
GRANT USAGE ON SCHEMA leakwatch TO reader;
GRANT EXECUTE ON FUNCTION leakwatch.leaks() TO reader;
GRANT SELECT ON leakwatch.leaks TO reader;
EOC
$node->safe_psql('shop', <<'EOC');
CREATE TABLE stock (item text PRIMARY KEY, pieces int);
INSERT INTO stock VALUES ('lamp', 5), ('chair', 5);
GRANT ALL ON stock TO web;
EOC

# A client prepares a transaction, and is gone.
sub prepare
{
	my ($gid, %args) = @_;
	my $update = $args{update} // "UPDATE stock SET pieces = pieces - 1 WHERE item = 'lamp'";

	local $ENV{PGUSER} = $args{user} // 'web';
	$node->safe_psql($args{db} // 'shop', "BEGIN; $update; PREPARE TRANSACTION '$gid'");
	return;
}

sub finish
{
	my ($how, $gid, $db) = @_;

	$node->safe_psql($db // 'shop', "$how PREPARED '$gid'");
	return;
}

# Wait until a scan lists all these, and nobody else of this kind.
sub wait_for_prepared
{
	my $expected = join(' ', sort @_);

	wait_for("the prepared transactions are those: $expected", sub {
		scan($node);
		return join(' ', map { $_->{gid} } rows($node,
			q(SELECT gid FROM leakwatch.leaks WHERE kind = 'prepared_transaction' ORDER BY gid COLLATE "C"))) eq $expected;
	});
	return;
}

sub recorded
{
	my ($what, $gid) = @_;

	settle($node);
	return $node->safe_psql('postgres', "SELECT $what FROM leakwatch.incidents WHERE gid = '$gid'");
}

sub leak_of
{
	my ($gid, $columns) = @_;

	return $node->safe_psql('postgres', "SELECT $columns FROM leakwatch.leaks WHERE gid = '$gid'");
}

# The recorder goes, and another only comes if there is work for it.
sub end_recorder
{
	$node->safe_psql('postgres', 'SELECT pg_terminate_backend(recorder_pid, 60000) FROM leakwatch.status WHERE recorder_pid IS NOT NULL');
	wait_until($node, 'SELECT recorder_pid IS NULL FROM leakwatch.status');
	return;
}

# Messages about this transaction.
sub messages
{
	my ($gid, $server) = @_;

	return grep { $_->{message} =~ /^transaction "\Q$gid\E" / } log_entries($server // $node);
}

#
# One, with somebody who waits for it
#
prepare('order-1');
wait_for_prepared('order-1');
is($node->safe_psql('postgres', <<'EOC'),
SELECT kind, pid, backend_start = since, datname, usename, application_name, client_addr, client_port, state,
	since = prepared, duration > '100ms', warn_limit, terminate_limit, action, blocked_sessions, query, trail, client_gone, gid
FROM leakwatch.leaks JOIN pg_prepared_xacts USING (gid)
EOC
	'prepared_transaction|0|t|shop|web|||||t|t|00:00:00.1||warned|0||||order-1', 'it is listed');
my ($opened) = messages('order-1');
like($opened->{message},
	qr/^transaction "order-1" has been prepared for .*, over the limit of 100 ms \(leakwatch\.prepared_transaction_warn\)$/,
	'and said');
is($opened->{severity}, 'WARNING', 'with a WARNING');
is($opened->{sqlstate}, '08007', 'with the SQLSTATE of a transaction whose end is not known');
like($opened->{detail}, qr/^User "web", database "shop"\./, 'which tells whose it is');
is($opened->{hint},
	q(Execute COMMIT PREPARED 'order-1' or ROLLBACK PREPARED 'order-1' in database "shop", as user "web" or a superuser.)
	  . ' Its transaction manager knows which of the two.',
	'and what to do, where and as whom');

settle($node);
like($node->safe_psql('postgres', "SELECT leakwatch.report('1 hour')"), qr/PREPARE TRANSACTION (?:'|&#39;)order-1/,
	'and the report names it');

# what it keeps VACUUM from
my $age = leak_of('order-1', 'xmin_age');
$node->safe_psql('postgres', 'SELECT pg_current_xact_id()') foreach (1 .. 3);
is(leak_of('order-1', 'xmin_age'), $age + 3, 'it keeps dead rows for as long as it is prepared');
is(leak_of('order-1', 'xmin_age_alone = xmin_age'), 't', 'and nobody else in its database does');

my $waiter = session($node, app => 'shop-cart', user => 'web', db => 'shop', set => { transaction_warn => '50ms' });
$waiter->begin("UPDATE stock SET pieces = 0 WHERE item = 'lamp'");
wait_for_lock($node, $waiter);
my $second = session($node, app => 'shop-cart', user => 'web', db => 'shop');
$second->begin("UPDATE stock SET pieces = 1 WHERE item = 'lamp'");
wait_for_lock($node, $second);
is($node->safe_psql('postgres', "SELECT pg_blocking_pids($waiter->{pid})"), '{0}', 'for the server nobody blocks them');
wait_for('both are seen to wait', sub { scan($node); leak_of('order-1', 'blocked_sessions') eq '2' });
is(leak_of('order-1', 'blocked_pids, blocked_application, blocked_query'),
	"{$waiter->{pid},$second->{pid}}|shop-cart|UPDATE stock SET pieces = 0 WHERE item = 'lamp';", 'by whom');
like(leak_of('order-1', 'strongest_lock'), qr/^RowExclusiveLock on relation \d+ of database \d+$/, 'and for what');
wait_for_leak($node, 'transaction', $waiter);
like((log_of($node, $waiter))[0]{detail}, qr/It waits for a lock of the prepared transaction "order-1"\./,
	'who waits is said to wait for that');
is(leaks($node, $waiter), 'transaction', 'and the innocent is not the blocker');

#
# Reminders, and its end
#
configure($node, log_repeat => '1s');
wait_for('it is said again', sub { scan($node); messages('order-1') > 1 });
my $reminder = (messages('order-1'))[1];
like($reminder->{message}, qr/^transaction "order-1" is still there and has been prepared for /, 'as one that is still there');
like($reminder->{detail}, qr/^User "web", database "shop"\. It has kept VACUUM from removing dead rows for \d+ transactions\. Blocks 2 other sessions\. Its strongest lock is RowExclusiveLock on relation \d+ of database \d+\.\nWaiting for its locks, longest first: PID $waiter->{pid}, $second->{pid}\nThe first, application "shop-cart", has waited for .* to execute: UPDATE stock/,
	'with the harm that it does');
configure($node, log_repeat => undef);
finish('COMMIT', 'order-1');
$waiter->wait;
$second->wait;
wait_for_prepared();
is(recorded('outcome, outcome_detail, ended_at > since, blocked_sessions, xmin_age > 3, action, pid', 'order-1'),
	'finished|committed|t|2|t|warned|0', 'it is recorded that it was committed');
$_->quit foreach $waiter, $second;
prepare('order-2');
wait_for_prepared('order-2');
finish('ROLLBACK', 'order-2');
wait_for_prepared();
is(recorded('outcome, outcome_detail', 'order-2'), 'finished|rolled back', 'or rolled back');
is(status($node)->{terminated}, 0, 'nobody was terminated');

#
# Several, one name after another, and names that are hard to write
#
my $awkward = q(it's "a\\1\\);
(my $quoted = $awkward) =~ s/'/''/g;
prepare($quoted, update => "UPDATE stock SET pieces = 1 WHERE item = 'chair'");
prepare('order-2', user => 'app', db => 'postgres', update => 'SELECT pg_current_xact_id()');
wait_for_prepared('order-2', $awkward);
is(recorded('count(*), count(DISTINCT since)', 'order-2'), '2|2', 'the same name again is another transaction');
is(recorded('outcome', $quoted), 'open', 'any name is recorded');
like((messages($awkward))[0]{hint}, qr/^Execute COMMIT PREPARED  ?E'it''s "a\\\\1\\\\' or /, 'and quoted as one has to');

# two of the same microsecond
stand_still(time);
prepare($_, user => 'app', db => 'postgres', update => 'SELECT pg_current_xact_id()') foreach 'twin-1', 'twin-2';
stand_still(0);
is($node->safe_psql('postgres', q(SELECT count(DISTINCT prepared) FROM pg_prepared_xacts WHERE gid LIKE 'twin%')), '1',
	'two are prepared at the same time');
wait_for_prepared('order-2', $awkward, 'twin-1', 'twin-2');
is(recorded('outcome', $_), 'open', 'each is recorded') foreach 'twin-1', 'twin-2';
finish('COMMIT', 'twin-1', 'postgres');
wait_for_prepared('order-2', $awkward, 'twin-2');
is(recorded('outcome', 'twin-1') . ' ' . recorded('outcome', 'twin-2'), 'finished open', 'and each for itself');
finish('COMMIT', 'twin-2', 'postgres');

# names in the encoding of another database
my ($e_utf8, $e_latin1) = ("\xc3\xa9", "\xe9");
$node->safe_psql('postgres', "CREATE DATABASE latin1 TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'");
prepare("caf$e_latin1", user => 'app', db => 'latin1', update => "SET LOCAL client_encoding = LATIN1; SELECT pg_current_xact_id()");
wait_for('the one of a LATIN1 database is listed', sub { scan($node); $node->safe_psql('postgres', 'SELECT count(*) FROM leakwatch.leaks') eq '3' });
settle($node);
is($node->safe_psql('postgres', q(SELECT count(*), string_agg(encode(convert_to(gid, 'UTF8'), 'hex'), '') FROM leakwatch.incidents WHERE datname = 'latin1')),
	'1|636166c3a9', 'the name of one in a LATIN1 database is converted');

#
# Rights: the name is everybody's, as in pg_prepared_xacts
#
is((psql_as($node, 'reader', q(SELECT gid, usename, query IS NULL FROM leakwatch.leaks WHERE gid = 'order-2')))[0],
	'order-2|app|t', 'whoever may see the view sees the name');
is((psql_as($node, 'app', 'SELECT * FROM leakwatch.leaks'))[0], '', 'others see nothing');

#
# The use of connections, and the assertion for tests
#
$node->safe_psql('latin1', q(SET client_encoding = LATIN1; ROLLBACK PREPARED 'caf) . $e_latin1 . q('));
wait_for_prepared('order-2', $awkward);
is($node->safe_psql('postgres', q(SELECT leaked FROM leakwatch.saturation WHERE scope = 'server')), '0', 'it takes no connection');
is($node->safe_psql('postgres', q(SELECT open_incidents, sessions FROM leakwatch.applications
	WHERE usename = 'web' AND application_name IS NULL AND datname = 'shop')), '1|0', 'it counts for its role');
my (undef, $error) = psql_as($node, 'postgres', '\set VERBOSITY verbose
SELECT leakwatch.assert_no_leaks()');
like($error, qr/P0004: there are 2 prepared transactions that nobody has finished/, 'the assertion finds them');
like($error, qr/^DETAIL:  .*Prepared transaction "order-2", user "app", database "postgres": prepared for .*, over the limit of 100 ms/ms,
	'and lists them');
is((psql_as($node, 'postgres', q(SELECT leakwatch.assert_no_leaks('shop-cart'))))[1], '', 'they are of no application');
finish('ROLLBACK', 'order-2', 'postgres');
finish('ROLLBACK', $quoted);
is((psql_as($node, 'postgres', 'SELECT leakwatch.assert_no_leaks()'))[1], '', 'and finds none when there is none');
prepare('order-3');
like((psql_as($node, 'postgres', q(SELECT leakwatch.assert_no_leaks(NULL, '1s'))))[1], qr/there is 1 prepared transaction/,
	'within the grace it waits for those to come');
finish('ROLLBACK', 'order-3');

#
# The clock is set, which makes nothing older
#
sub set_ahead
{
	my ($hours) = @_;
	my $jumps = status($node)->{clock_jumps};

	set_clock(offset => $hours * 3600 * 1_000_000);
	wait_for('the jump is noticed', sub { scan($node); status($node)->{clock_jumps} > $jumps });
	scan($node) foreach (1 .. 3);
	settle($node);
	return;
}

configure($node, prepared_transaction_warn => '1h', log_repeat => '50min');
prepare('order-7');
scan($node);
set_ahead(2);
is($node->safe_psql('postgres', 'SELECT count(*) FROM leakwatch.leaks'), '0', 'who is prepared meets no limit by a jump');
configure($node, prepared_transaction_warn => undef);
wait_for_prepared('order-7');
set_ahead($_) foreach 4, 0;
is(leak_of('order-7', q(duration < '1h')), 't', 'nor has it been prepared for longer');
is(scalar(messages('order-7')), 1, 'and nothing is said again for a jump');
finish('COMMIT', 'order-7');
wait_for_prepared();
configure($node, log_repeat => undef);

#
# The limit
#
configure($node, prepared_transaction_warn => 0);
prepare('order-4');
scan($node);
is($node->safe_psql('postgres', q(SELECT count(*) FROM leakwatch.leaks)), '0', 'a limit of 0 is none');
configure($node, prepared_transaction_warn => undef);
wait_for_prepared('order-4');
configure($node, prepared_transaction_warn => '1h');
wait_for_prepared();
is(recorded('outcome, outcome_detail', 'order-4'), 'finished|no longer over a limit: the settings have changed', 'a longer one ends it');
configure($node, prepared_transaction_warn => undef);
wait_for_prepared('order-4');
is(recorded('count(*), min(outcome)', 'order-4'), '1|open', 'a shorter one opens it again');
configure($node, prepared_transaction_warn => 0);
wait_for_prepared();
configure($node, prepared_transaction_warn => undef);
wait_for_prepared('order-4');
configure($node, mode => 'off');
wait_for_prepared();
is((psql_as($node, 'postgres', 'SELECT leakwatch.assert_no_leaks()'))[1], '', 'nor is one reported by a server whose mode is off');
configure($node, mode => undef);
wait_for_prepared('order-4');

#
# Its incident outlives the watcher, and the server
#
prepare("caf$e_latin1", user => 'app', db => 'latin1', update => "SET LOCAL client_encoding = LATIN1; SELECT pg_current_xact_id()");
wait_for('both are listed', sub { scan($node); $node->safe_psql('postgres', 'SELECT count(*) FROM leakwatch.leaks') eq '2' });
my $before = recorded('id, since, detected_at', 'order-4');
my $said = messages('order-4');
my $watcher = status($node)->{watcher_pid};
$node->safe_psql('postgres', "SELECT pg_terminate_backend($watcher)");
wait_until($node, "SELECT watcher_pid <> $watcher FROM leakwatch.status");
scan($node);
is($node->safe_psql('postgres', 'SELECT count(*) FROM leakwatch.leaks'), '2', 'another watcher takes them over');
is(scalar(messages('order-4')), $said, 'and says nothing again');

foreach my $mode (qw(fast immediate))
{
	$node->stop($mode);
	$node->start;
	wait_for('both are listed again', sub { scan($node); $node->safe_psql('postgres', 'SELECT count(*) FROM leakwatch.leaks') eq '2' });
	is(recorded('id, since, detected_at', 'order-4'), $before, "after a stop ($mode) it is the same incident");
	is(recorded('outcome', 'order-4'), 'open', 'and open');
	is(scalar(messages('order-4')), $said, 'nothing is said again');
}
configure($node, log_repeat => '1s');
wait_for('the next reminder', sub { scan($node); messages('order-4') > $said });
like((messages('order-4'))[-1]{message}, qr/ is still there and has been prepared /, 'but by log_repeat');
configure($node, log_repeat => undef);
is($node->safe_psql('postgres', q(SELECT count(*), min(outcome) FROM leakwatch.incidents WHERE datname = 'latin1' AND outcome = 'open')), '1|open',
	'so it is with a name of another encoding');
$node->safe_psql('latin1', q(SET client_encoding = LATIN1; ROLLBACK PREPARED 'caf) . $e_latin1 . q('));

# finished while nobody looks
$node->stop('fast');
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->start;
finish('COMMIT', 'order-4');
$node->restart;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'leakwatch'");
$node->restart;
wait_until($node, q(SELECT outcome = 'finished' FROM leakwatch.incidents WHERE gid = 'order-4'));
is(recorded('outcome_detail', 'order-4'), 'the end was not recorded', 'one that was finished while nobody looked is closed');

#
# Many that live for a moment cost no connection
#
configure($node, prepared_transaction_warn => '1h');
end_recorder();
prepare('order-5');
scan($node) foreach (1 .. 3);
is(status($node)->{recorder_pid}, undef, 'who has just been prepared is not read');
finish('COMMIT', 'order-5');

#
# Without the extension it is found all the same
#
configure($node, prepared_transaction_warn => undef);
$node->safe_psql('postgres', "ALTER SYSTEM SET leakwatch.database = 'template1'; SELECT pg_reload_conf()");
prepare('order-6');
wait_for_prepared('order-6');
is(scalar(messages('order-6')), 1, 'what can be recorded nowhere is found');
finish('COMMIT', 'order-6');
$node->safe_psql('postgres', "ALTER SYSTEM RESET leakwatch.database; SELECT pg_reload_conf()");

#
# Where there can be none
#
is($node->safe_psql('postgres', q(SELECT count(*) FROM pg_shmem_allocations WHERE name = 'leakwatch prepared')), '1', 'there is room for them');
$node->append_conf('postgresql.conf', 'max_prepared_transactions = 0');
$node->restart;
configure($node, prepared_transaction_warn => undef);
is($node->safe_psql('postgres', q(SELECT count(*) FROM pg_shmem_allocations WHERE name = 'leakwatch prepared')), '0', 'and none where there are none');
scan($node);
is($node->safe_psql('postgres', 'SELECT count(*) FROM leakwatch.leaks'), '0', 'nothing is found');
is((psql_as($node, 'postgres', 'SELECT leakwatch.assert_no_leaks()'))[1], '', 'nor by the assertion');
is(status($node)->{health}, 'ok', 'and all is well');

done_testing();
