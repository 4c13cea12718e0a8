# Shows that leakwatch is not in the way of what is done with databases, and
# that text of any encoding arrives, without one row holding back the others.
use strict;
use warnings FATAL => 'all';

use LeakwatchTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $kind = 'idle_in_transaction';
my $node = new_node('databases');

# Names of characters, as bytes of UTF8 and of LATIN1.
my ($e_utf8, $e_latin1, $euro_utf8) = ("\xc3\xa9", "\xe9", "\xe2\x82\xac");

foreach my $encoding (qw(UTF8 LATIN1 SQL_ASCII))
{
	$node->safe_psql('postgres',
		"CREATE DATABASE \L$encoding\E TEMPLATE template0 ENCODING '$encoding' LOCALE 'C'"
	);
}
$node->safe_psql('postgres',
	"ALTER SYSTEM SET leakwatch.database = 'utf8'; SELECT pg_reload_conf()");
$node->safe_psql($_, 'CREATE EXTENSION leakwatch')
  foreach (qw(utf8 latin1 sql_ascii));

# A session of a database that leaks with this text in its last statement.
sub leak_with
{
	my ($db, $text, %args) = @_;
	my $session = session($node, db => $db, %args, set => { "${kind}_warn" => '100ms' });

	$session->query("SET client_encoding = $args{encoding}") if $args{encoding};
	$session->query("BEGIN\\; SELECT '$text'");
	return $session;
}

# The bytes of a recorded statement, in hexadecimal.
sub recorded
{
	my ($db, $session) = @_;

	wait_until($node, "SELECT EXISTS (SELECT FROM leakwatch.incidents WHERE pid = $session->{pid})", $db);
	return pack(
		'H*',
		$node->safe_psql(
			$db,
			"SELECT encode(convert_to(query, getdatabaseencoding()), 'hex')"
			  . " FROM leakwatch.incidents WHERE pid = $session->{pid}"));
}

#
# Encodings
#
my $of_utf8 = leak_with('utf8', "caf$e_utf8", encoding => 'UTF8');
my $of_latin1 = leak_with('latin1', "caf$e_latin1", encoding => 'LATIN1');
my $invalid = leak_with('sql_ascii', "caf$e_latin1.", encoding => 'SQL_ASCII');
my $long = leak_with('utf8', $euro_utf8 x 1000, encoding => 'UTF8');

like(recorded('utf8', $of_utf8), qr/'caf$e_utf8'/, 'UTF8 stays as it is');
like(recorded('utf8', $of_latin1),
	qr/'caf$e_utf8'/, 'LATIN1 is converted to UTF8');
like(recorded('utf8', $invalid),
	qr/'caf\?\.'/, 'bytes of no encoding are replaced');
like(recorded('utf8', $long),
	qr/'(?:$euro_utf8)+\z/, 'a long statement is cut between characters');
is( $node->safe_psql(
		'utf8',
		'SELECT count(*) FROM leakwatch.leaks WHERE query LIKE $$%caf%$$'),
	3,
	'the view shows them all');
is( $node->safe_psql(
		'latin1',
		"SELECT encode(convert_to(query, 'LATIN1'), 'hex') LIKE '%636166e9%'"
		  . " FROM leakwatch.leaks WHERE pid = $of_latin1->{pid}"),
	't',
	'in a LATIN1 database as LATIN1');

#
# Neighbours, with incidents open
#
$node->safe_psql('postgres', 'CREATE DATABASE neighbour TEMPLATE template1');
$node->safe_psql('postgres', 'CREATE DATABASE second TEMPLATE neighbour');
$node->safe_psql('postgres', 'DROP DATABASE neighbour');
pass('neighbours are created, copied and dropped while incidents are open');

#
# One row that the table refuses
#
$node->safe_psql('utf8',
	"ALTER TABLE leakwatch.incidents ADD CONSTRAINT no_bad CHECK (application_name <> 'bad') NOT VALID"
);
my @mixed = map { leak_with('utf8', $_, app => $_) } (qw(good bad better));
my $pids = join(', ', map { $_->{pid} } @mixed);
wait_until($node, "SELECT count(*) = 2 FROM leakwatch.incidents WHERE pid IN ($pids)", 'utf8');
is( $node->safe_psql(
		'utf8',
		"SELECT string_agg(application_name, ' ' ORDER BY application_name)"
		  . " FROM leakwatch.incidents WHERE pid IN ($pids)"),
	'better good',
	'a refused row does not hold back the others');
wait_until($node, "SELECT health LIKE '%refused 1 incident%' FROM leakwatch.status", 'utf8');
is($node->safe_psql('utf8', 'SELECT pending FROM leakwatch.status'),
	1, 'and is kept');
$node->safe_psql('utf8',
	'ALTER TABLE leakwatch.incidents DROP CONSTRAINT no_bad');
wait_until($node, "SELECT count(*) = 3 FROM leakwatch.incidents WHERE pid IN ($pids)", 'utf8');
wait_until($node, "SELECT health = 'ok' FROM leakwatch.status", 'utf8');
pass('until it is accepted');

#
# Into LATIN1, which lacks the euro
#
$_->quit foreach ($of_utf8, $of_latin1, $invalid, $long, @mixed);
$node->safe_psql('postgres',
	"ALTER SYSTEM SET leakwatch.database = 'latin1'; SELECT pg_reload_conf()");
my $euro = leak_with('utf8', "1 $euro_utf8 caf$e_utf8", encoding => 'UTF8');
like(recorded('latin1', $euro), qr/'1 \? caf$e_latin1'/,
	'a character without an equal is replaced, the others are converted');
$euro->quit;

#
# The database itself, once the recorder has nothing more to do
#
wait_until($node, 'SELECT open = 0 AND pending = 0 AND recorder_pid IS NULL FROM leakwatch.status', 'sql_ascii');
$node->safe_psql('postgres', 'DROP DATABASE latin1');
pass('leakwatch.database can be dropped when the recorder has gone');
$node->safe_psql('postgres', 'CREATE DATABASE latin1 TEMPLATE utf8');
my $restored = leak_with('utf8', 'again');
wait_until($node, "SELECT EXISTS (SELECT FROM leakwatch.incidents WHERE pid = $restored->{pid})", 'latin1');
pass('and created again as a copy of another that has the extension');
$restored->quit;

$node->stop;
done_testing();
