# Shows that leakwatch.capture_query = normalized keeps constants out of all that
# leakwatch shows, keeps and says, and nothing else.
use strict;
use warnings FATAL => 'all';

use LeakwatchTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $kind = 'idle_in_transaction';
my $node = new_node('normalized', "leakwatch.capture_query = normalized\n");

$node->safe_psql('postgres', 'CREATE TABLE person (id int, name text, note text); GRANT ALL ON person TO app');
$node->safe_psql('postgres', "INSERT INTO person VALUES (-2104711471, 'x', '')");

# All that leakwatch shows and has.
sub everything
{
	return join "\n", map { $node->safe_psql('postgres', "SELECT t::text FROM leakwatch.$_ AS t") }
	  qw(leaks incidents causes sessions);
}

# What it has said.
sub said
{
	return join "\n", map { join ' ', grep { defined } values %$_ } grep { $_->{message} =~ /session with PID/ } log_entries($node);
}

#
# Statements of every kind, each with a secret in it
#
my $long = "INSERT INTO person (note) VALUES ('" . 'secret ' x 100 . "'), ('" . "it''s secret " x 50 . "')";
my @statements = (
	"SELECT id FROM person WHERE name = 'secret' AND id IN (2104711471, 2104711471) -- secret\n",
	"UPDATE person SET note = \$q\$secret\$q\$ WHERE id = -2104711471 /*controller='people',action='rename',user='secret'*/",
	$long);
my $session = session($node, app => 'people', set => { "${kind}_warn" => '1h' });
$session->query("BEGIN");
$session->query($_) foreach @statements;
my $waiter = session($node, app => 'people');
$waiter->begin("UPDATE person SET note = 'secret' WHERE id = -2104711471");
wait_for_lock($node, $waiter);
$session->query("SET LOCAL leakwatch.${kind}_warn = '50ms'");
wait_for_leak($node, $kind, $session);
wait_until($node, "SELECT blocked_query IS NOT NULL FROM leakwatch.leaks WHERE pid = $session->{pid}");
settle($node);

is(leak_row($node, $session, 'blocked_query'), 'UPDATE person SET note = $1 WHERE id = $2;', 'whom it blocks is shown without values');
is(leak_row($node, $session, 'query'), "SET LOCAL leakwatch.${kind}_warn = \$1;", 'so is its last statement');
is(leak_row($node, $session, q{(SELECT string_agg(e ->> 'query', E'\n') FROM jsonb_array_elements(trail) AS e)}), <<"EOS" =~ s/\n\z//r, 'and its trail');
BEGIN;
SELECT id FROM person WHERE name = \$1 AND id IN (\$2);
UPDATE person SET note = \$1 WHERE id = \$2; /*action='rename',controller='people'*/
INSERT INTO person (note) VALUES (\$1);
SET LOCAL leakwatch.${kind}_warn = \$1;
EOS
is(leak_row($node, $session, 'tags'), '{"action": "rename", "controller": "people"}', 'tags that name code stay, and others go');
like(everything(), qr/UPDATE person SET note = \$1/, 'the statements are there');
unlike(everything(), qr/secret|2104711471/, 'and no value');
like((log_of($node, $session))[0]{detail}, qr/Tags: action=rename, controller=people$/m, 'the log has the code');
unlike(said(), qr/secret|2104711471/, 'and no value');
my $err;
$node->psql('postgres', 'SELECT leakwatch.assert_no_leaks()', stderr => \$err);
like($err, qr/UPDATE person SET note = \$1/, 'the assertion has the statements');
unlike($err, qr/secret|2104711471/, 'and no value');

#
# When it ends
#
$session->query("UPDATE person SET name = 'secret later'; COMMIT");
$waiter->wait;
settle($node);
like(incident($node, $session, $kind)->{outcome}, qr/finished/, 'it has ended');
unlike(everything(), qr/secret|2104711471/, 'and what its trail has by then is without values');
$_->quit foreach ($session, $waiter);

#
# What could not be parsed
#
my $broken = session($node, app => 'people', set => { aborted_transaction_warn => '50ms' });
$broken->query('BEGIN');
$broken->query("SELEC 'secret', 2104711471");
wait_for_leak($node, 'aborted_transaction', $broken);
settle($node);
like(leak_row($node, $broken, 'trail'), qr/"SELEC \$1/, 'a statement that could not be parsed');
unlike(everything(), qr/secret|2104711471/, 'has no values either');
unlike(said(), qr/secret|2104711471/, 'nor has its message');
# which is not in the trail, because the transaction has failed already
$broken->query("SELEC 'can't', secret, 'shan't', 2104711471");
wait_for_leak($node, 'aborted_transaction', $broken);
settle($node);
like(leak_row($node, $broken, 'query'), qr/^SELEC \$1/, 'nor one that comes after it');
unlike(everything(), qr/secret|2104711471/, 'though its quotes seem to match');
$broken->quit;
my $quotes = session($node, app => 'people', set => { aborted_transaction_warn => '50ms' });
$quotes->query('BEGIN');
$quotes->query("SELECT 'don't', secret, 'won't', 2104711471");
wait_for_leak($node, 'aborted_transaction', $quotes);
settle($node);
unlike(everything(), qr/secret|2104711471/, 'nor has one in the trail whose quotes seem to match');
$quotes->quit;

#
# Another value while an incident is open
#
configure($node, capture_query => 'true');
my $open = leak_after($node, $kind, [ 'BEGIN', "SELECT name FROM person WHERE name = 'secret'" ], app => 'people');
settle($node);
my $cause = incident($node, $open, $kind)->{cause};
my $text = "SELECT name FROM person WHERE name = 'secret';";
is($node->safe_psql('postgres', "SELECT query FROM leakwatch.incidents WHERE pid = $open->{pid}"), $text, 'capture_query = true is on');
configure($node, capture_query => 'normalized');
wait_until($node, "SELECT query NOT LIKE '%secret%' FROM leakwatch.incidents WHERE pid = $open->{pid}");
is(leak_row($node, $open, 'query'), 'SELECT name FROM person WHERE name = $1;', 'what is open loses its values, in shared memory');
is($node->safe_psql('postgres', "SELECT query, trail::text ~ 'secret', cause = $cause FROM leakwatch.incidents WHERE pid = $open->{pid}"),
	'SELECT name FROM person WHERE name = $1;|f|t', 'and in the table, with the same cause');
my $next = leak_after($node, $kind, [ 'BEGIN', "SELECT name FROM person WHERE name = 'else'" ], app => 'people');
settle($node);
is(incident($node, $next, $kind)->{cause}, $cause, 'which does not depend on this setting');
configure($node, capture_query => 'false');
wait_until($node, "SELECT query IS NULL AND trail IS NULL FROM leakwatch.incidents WHERE pid = $open->{pid}");
is(leak_row($node, $open, 'query, trail'), '|', 'capture_query = false is off');
$_->quit foreach ($open, $next);

$node->stop;
done_testing();
