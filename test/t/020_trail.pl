# Shows the statement trail: what is in it and what never gets there, how long
# statements lose their middle, and who sees it.
use strict;
use warnings FATAL => 'all';

use IPC::Run;
use LeakwatchTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $kind = 'idle_in_transaction';
my $node = new_node('trail', <<'EOC');
leakwatch.trail_length = 4
compute_query_id = on
EOC
$node->safe_psql('postgres', <<'EOC');
CREATE TABLE item (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, name text);
INSERT INTO item VALUES (1, 'one');
GRANT ALL ON item TO app;
CREATE FUNCTION inner_work(int) RETURNS int LANGUAGE plpgsql AS
	$$ DECLARE r record; BEGIN PERFORM 'within'; FOR r IN SELECT 'looped' LOOP END LOOP; RETURN $1; END $$;
CREATE FUNCTION folded(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
	$$ DECLARE r record; BEGIN FOR r IN SELECT 'planned' LOOP END LOOP; RETURN $1; END $$;
CREATE PROCEDURE work() LANGUAGE plpgsql AS $$ BEGIN PERFORM 'within'; END $$;
EOC

# The row of a session in the leaks view, once it is there.
sub row_of
{
	my ($session, $of) = @_;

	wait_for_leak($node, $of // $kind, $session);
	return (
		rows(
			$node,
			"SELECT kind, query, trail, tags FROM leakwatch.leaks WHERE pid = $session->{pid}"
		))[0];
}

# A trail in words.
sub words
{
	my ($row) = @_;

	return join(
		' | ',
		map {
			exists $_->{dropped}
			  ? "($_->{dropped})"
			  : $_->{query}
			  . (defined $_->{count} ? " x$_->{count}" : '')
			  . (defined $_->{sqlstate} ? " [$_->{sqlstate}]" : '')
		} @{ $row->{trail} // [] });
}

# What a session leaves behind that sends these statements, one by one.
sub trail_of
{
	my ($statements, %args) = @_;
	my $of = $args{kind} // $kind;
	my $session =
	  session($node, %args, set => { "${of}_warn" => '50ms' });

	$session->query($_) foreach @$statements;

	my $words = words(row_of($session, $of));

	terminate($node, $session);
	return $words;
}

sub is_trail
{
	my ($what, $statements, $expected, %args) = @_;

	is(trail_of($statements, %args), $expected, $what);
	return;
}

#
# What is in it
#
is_trail(
	'a transaction, with the options of BEGIN',
	[
		'SELECT 0', 'BEGIN ISOLATION LEVEL REPEATABLE READ',
		'SELECT 1', 'LOCK TABLE item'
	],
	'BEGIN ISOLATION LEVEL REPEATABLE READ; | SELECT 1; | LOCK TABLE item;');
is_trail(
	'the first and the newest, and how many between',
	[ 'BEGIN', map { "SELECT $_" } 1 .. 7 ],
	'(1) | SELECT 1; | (3) | SELECT 5; | SELECT 6; | SELECT 7;');
is_trail(
	'statements of one text are one entry, wherever they come',
	[ 'BEGIN', 'SELECT 1', 'LOCK TABLE item', ('SELECT 1') x 3, 'SELECT 2' ],
	'BEGIN; | SELECT 1; x4 | LOCK TABLE item; | SELECT 2;');
is_trail(
	'a string of several statements once',
	[ 'BEGIN\; SELECT 1\; SELECT 2', 'SELECT 3' ],
	'BEGIN; SELECT 1; SELECT 2; | SELECT 3;');
is_trail(
	'nothing of what functions run',
	[ 'BEGIN', 'SELECT inner_work(1), folded(2)', 'CALL work()' ],
	'BEGIN; | SELECT inner_work(1), folded(2); | CALL work();');
is_trail(
	'utility commands',
	[
		'BEGIN',
		'DECLARE c CURSOR FOR SELECT inner_work(1)',
		'FETCH c',
		'EXPLAIN ANALYZE SELECT 1'
	],
	'BEGIN; | DECLARE c CURSOR FOR SELECT inner_work(1); | FETCH c; | EXPLAIN ANALYZE SELECT 1;'
);
is_trail(
	'COPY, CREATE TABLE AS and DO',
	[
		'BEGIN\; COPY (SELECT 1) TO STDOUT',
		'CREATE TEMP TABLE t AS SELECT 1',
		q{DO $$BEGIN PERFORM 1; END$$}
	],
	'BEGIN; COPY (SELECT 1) TO STDOUT; | CREATE TEMP TABLE t AS SELECT 1; | DO $$BEGIN PERFORM 1; END$$;'
);
is_trail(
	'COMMIT AND CHAIN begins another',
	[ 'BEGIN', 'SELECT 1', 'COMMIT AND CHAIN', 'SELECT 2' ],
	'COMMIT AND CHAIN; | SELECT 2;');
is_trail(
	'an idle session keeps its last transaction',
	[ 'SELECT 0', 'BEGIN', 'SELECT 1', 'COMMIT' ],
	'BEGIN; | SELECT 1; | COMMIT;',
	kind => 'idle_session');


#
# What is worth a place
#
is_trail(
	'transaction control takes no place from anything else',
	[
		'BEGIN',
		'SAVEPOINT a',
		'SELECT name FROM item',
		'RELEASE a',
		'SAVEPOINT b',
		'SELECT id FROM item',
		'RELEASE b',
		'SELECT 1 FROM item',
		'SAVEPOINT c',
		'SELECT 2 FROM item',
		'ROLLBACK TO c',
		'SAVEPOINT d'
	],
	'(2) | SELECT name FROM item; | (2) | SELECT id FROM item; | (1) | SELECT 1 FROM item; | (1) | SELECT 2 FROM item; | (2)'
);
is_trail(
	'nor does what drivers and frameworks send from what the application did',
	[
		'BEGIN',
		'SELECT name FROM item',
		'SHOW search_path',
		'SELECT id FROM item',
		'SET extra_float_digits = 3',
		'SELECT version()',
		'SELECT oid FROM pg_catalog.pg_type LIMIT 1',
		'SELECT 1 FROM item',
		'SELECT current_schema()',
		'SELECT 1',
		'SELECT count(*) FROM item'
	],
	'(1) | SELECT name FROM item; | (1) | SELECT id FROM item; | (3) | SELECT 1 FROM item; | (2) | SELECT count(*) FROM item;'
);
is_trail(
	'the first and the newest of the application, and what changed something',
	[
		'BEGIN',
		'SELECT name FROM item',
		q{UPDATE item SET name = 'a'},
		map { "SELECT $_ FROM item" } 1 .. 7
	],
	q{(1) | SELECT name FROM item; | UPDATE item SET name = 'a'; | (5) | SELECT 6 FROM item; | SELECT 7 FROM item;}
);

# What changed or locked something, by its own means or by what it executes.
$node->safe_psql('postgres', <<'EOC');
CREATE FUNCTION touch() RETURNS void LANGUAGE sql AS $$ UPDATE public.item SET name = 'touched' $$;
CREATE PROCEDURE touch_all() LANGUAGE plpgsql AS $$ BEGIN UPDATE item SET name = 'touched'; END $$;
EOC
foreach my $sql (
	q{UPDATE item SET name = 'b'},
	'SELECT name FROM item FOR UPDATE',
	q{WITH u AS (UPDATE item SET name = 'b' RETURNING id) SELECT id FROM u},
	'LOCK TABLE item',
	'SELECT pg_advisory_xact_lock(1)',
	'SELECT pg_try_advisory_xact_lock(1)',
	'SELECT touch()',
	'CALL touch_all()',
	'DO $$BEGIN PERFORM touch(); END$$',
	q{EXPLAIN ANALYZE UPDATE item SET name = 'b'},
	'EXECUTE change',
	'DECLARE c CURSOR FOR SELECT id FROM item FOR UPDATE',
	'CREATE TABLE another (i int)',
	'BEGIN\; SELECT 1 FROM item\; DELETE FROM item')
{
	my $session = session($node, set => { "${kind}_warn" => '50ms' }, user => undef);

	$session->query(q{PREPARE change AS UPDATE item SET name = 'c'});
	$session->query('BEGIN') unless $sql =~ /^BEGIN/;
	$session->query($sql);
	$session->query("SELECT $_ FROM item") foreach 1 .. 7;

	my $row = row_of($session);
	my @changed = grep { $_->{changed} } @{ $row->{trail} };
	my ($first_words) = $sql eq 'EXECUTE change' ? 'PREPARE change' : $sql =~ s/\\//gr;
	is(scalar @changed, 1, "changed, once: $sql");
	like($changed[0]{query}, qr/^\Q$first_words\E/, "and it keeps its place: $sql");
	terminate($node, $session);
}
foreach my $sql (
	'SELECT name FROM item',
	q{EXPLAIN UPDATE item SET name = 'b'},
	q{PREPARE p AS UPDATE item SET name = 'b'},
	'SET search_path = public',
	'COPY item TO STDOUT')
{
	my $session = session($node, set => { "${kind}_warn" => '50ms' }, user => undef);

	$session->query($_) foreach 'BEGIN', $sql;
	is_deeply([ grep { $_->{changed} } @{ row_of($session)->{trail} } ],
		[], "not changed: $sql");
	terminate($node, $session);
}

# A heartbeat hides neither the statement that holds the lock, nor its tags.
my $heart = session($node);
$heart->query('BEGIN');
$heart->query(q{UPDATE item SET name = 'd' /*controller='stock',action='recount'*/});
$heart->query('SELECT 1') foreach 1 .. 8;
configure($node, transaction_warn => '50ms');
my $beat = row_of($heart, 'transaction');
is( words($beat),
	q{BEGIN; | UPDATE item SET name = 'd' /*controller='stock',action='recount'*/; | SELECT 1; x8},
	'a heartbeat is one entry');
is_deeply(
	$beat->{tags},
	{ controller => 'stock', action => 'recount' },
	'the tags are those of the statement before it');
my ($said) = grep { $_->{detail} =~ /recount/ } log_of($node, $heart);
like($said->{detail}, qr/Last statement: UPDATE item SET name = 'd'/,
	'and so is the last statement in the message')
  or diag(explain([ log_of($node, $heart) ]));
terminate($node, $heart);
configure($node, transaction_warn => undef);

# The other form of tags.
{
	my $session = session($node, set => { "${kind}_warn" => '50ms' });

	$session->query($_)
	  foreach 'BEGIN', 'SELECT 1 /*application:Blog,controller:posts,action:show*/',
	  'SELECT 2 /* TODO: tell, why: so */';
	is_deeply(
		row_of($session)->{tags},
		{ application => 'Blog', controller => 'posts', action => 'show' },
		'tags as key:value');
	terminate($node, $session);
}

# Nor do other statements hide the tags, where there are places enough.
is_deeply(
	do {
		my $session = session($node, set => { "${kind}_warn" => '50ms' });

		$session->query($_)
		  foreach 'BEGIN', 'SELECT 0 FROM item',
		  q{SELECT 1 FROM item /*action='show'*/}, map { "SELECT $_ FROM item" } 2 .. 7;
		my $tags = row_of($session)->{tags};

		terminate($node, $session);
		$tags;
	},
	{ action => 'show' },
	'tags keep a place');

# Outside a transaction, a pool's question is not the last thing that was done.
is_trail(
	'an idle session keeps its last transaction when a pool asks whether it is alive',
	[ 'BEGIN', 'SELECT 1 FROM item', 'COMMIT', 'SELECT 1', 'SET search_path = public' ],
	'BEGIN; | SELECT 1 FROM item; | COMMIT;',
	kind => 'idle_session');

# A procedure that commits is the same CALL in each of its transactions.
$node->safe_psql('postgres', <<'EOC');
CREATE PROCEDURE batches(n int) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1..n LOOP
		INSERT INTO item VALUES (100 + i, 'batch');
		COMMIT;
	END LOOP;
	PERFORM pg_advisory_lock(7);
	COMMIT;
	PERFORM pg_advisory_lock(8);
END $$;
EOC
my $blocker = session($node, user => undef);
$blocker->query('SELECT pg_advisory_lock(7), pg_advisory_lock(8)');
my $caller = session($node, user => undef, set => { transaction_warn => '50ms' });
$caller->begin(q{CALL batches(2) /*action='move',controller='job'*/});
foreach my $lock (7, 8)
{
	my $row = row_of($caller, 'transaction');

	is( words($row),
		q{CALL batches(2) /*action='move',controller='job'*/;},
		"a later transaction of a procedure has the CALL ($lock)");
	is_deeply(
		$row->{tags},
		{ action => 'move', controller => 'job' },
		"and its tags ($lock)");
	ok($row->{trail}[0]{changed}, "and what it changed ($lock)");
	$blocker->query("SELECT pg_advisory_unlock($lock)");
	wait_for_incident($node,
		"pid = $caller->{pid} AND kind = 'transaction' AND outcome = 'finished'");
}
terminate($node, $caller, $blocker);

#
# What failed
#
my $aborted = 'aborted_transaction';
is_trail(
	'the statement that failed',
	[ 'BEGIN', 'SELECT 1/0', 'SELECT 2', 'SELCT 3' ],
	'BEGIN; | SELECT 1/0; [22012]',
	kind => $aborted);
is_trail(
	'one that could not be parsed',
	[ 'BEGIN', 'SELECT 1', 'SELCT 1' ],
	'BEGIN; | SELECT 1; | SELCT 1; [42601]',
	kind => $aborted);
is_trail(
	'one that could not be analysed',
	[ 'BEGIN', 'SELECT nothing', ],
	'BEGIN; | SELECT nothing; [42703]',
	kind => $aborted);
is_trail(
	'an error that was caught is none',
	[
		'BEGIN',
		q{DO $$BEGIN PERFORM 1/0; EXCEPTION WHEN division_by_zero THEN END$$}
	],
	'BEGIN; | DO $$BEGIN PERFORM 1/0; EXCEPTION WHEN division_by_zero THEN END$$;'
);
is_trail(
	'one that was rolled back to a savepoint',
	[ 'BEGIN\; SAVEPOINT s', 'SELECT 1/0', 'ROLLBACK TO s' ],
	'BEGIN; SAVEPOINT s; | SELECT 1/0; [22012] | ROLLBACK TO s;');
is_trail(
	'a COMMIT that failed',
	[ 'BEGIN', q{INSERT INTO item VALUES (1, 'two')}, 'COMMIT' ],
	q{BEGIN; | INSERT INTO item VALUES (1, 'two'); | COMMIT; [23505]},
	kind => 'idle_session');

foreach my $level (qw(log fatal panic))
{
	my $set = "SET log_min_messages = $level";

	is_trail(
		"with errors not logged ($level): the statement that failed",
		[ $set, 'BEGIN', 'SELECT 1', 'SELECT 1/0', 'SELECT 2' ],
		'BEGIN; | SELECT 1; | SELECT 1/0; [22012]',
		kind => $aborted,
		user => undef);
	is_trail(
		"with errors not logged ($level): one that could not be parsed",
		[ $set, 'BEGIN', 'SELCT 1' ],
		'BEGIN; | SELCT 1; [42601]',
		kind => $aborted,
		user => undef);
	is_trail(
		"with errors not logged ($level): one within a savepoint, and one that was caught",
		[
			$set,
			'BEGIN\; SAVEPOINT s',
			q{DO $$BEGIN PERFORM 1/0; EXCEPTION WHEN division_by_zero THEN END$$},
			'SELECT nothing'
		],
		'BEGIN; SAVEPOINT s; | DO $$BEGIN PERFORM 1/0; EXCEPTION WHEN division_by_zero THEN END$$; | SELECT nothing; [42703]',
		kind => $aborted,
		user => undef);
}

#
# What never gets there
#
is_trail(
	'EXECUTE is what it executes, without values',
	[
		'PREPARE p (int) AS SELECT $1 AS chosen', 'BEGIN',
		'EXECUTE p(4711)', 'EXPLAIN ANALYZE EXECUTE p(4711)'
	],
	'BEGIN; | PREPARE p (int) AS SELECT $1 AS chosen; x2'
);
is_trail(
	'in a string of several statements too',
	[
		'PREPARE p (int) AS SELECT $1',
		'BEGIN\; SELECT 1\; EXECUTE p(4711)\; SELECT 2'
	],
	'BEGIN | SELECT 1 | PREPARE p (int) AS SELECT $1; | SELECT 2');
is_trail(
	'one that is not there',
	[ 'BEGIN', 'EXECUTE unknown(4711)' ],
	'BEGIN; | EXECUTE unknown [26000]',
	kind => $aborted);
$node->safe_psql('postgres',
	"CREATE EXTENSION IF NOT EXISTS plpgsql; CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w"
);
my %secret = (
	"ALTER ROLE app PASSWORD 'open sesame'" => 'ALTER ROLE',
	"ALTER USER app ENCRYPTED PASSWORD 'open sesame'" => 'ALTER ROLE',
	"CREATE ROLE other PASSWORD 'open sesame'" => 'CREATE ROLE',
	"CREATE USER MAPPING FOR app SERVER s OPTIONS (user 'u', password 'open sesame')"
	  => 'CREATE USER MAPPING',
	"CREATE SUBSCRIPTION b CONNECTION 'password=''open sesame'' host=/nowhere' PUBLICATION p WITH (connect = false)"
	  => 'CREATE SUBSCRIPTION',
	q{DO $$BEGIN ALTER ROLE app PASSWORD 'open sesame'; END$$} => 'DO');
foreach my $sql (sort keys %secret)
{
	is( trail_of([ 'BEGIN', $sql ], user => undef),
		"BEGIN; | $secret{$sql} <not shown: it may contain a password>",
		"no password: $sql");
	unlike(
		trail_of([ "BEGIN\\; $sql\\; SELECT 2" ], user => undef),
		qr/sesame/, 'nor in a string of several');
}
is_trail(
	'nor what could not be parsed',
	[ 'BEGIN', "ALTR ROLE app PASSWORD 'open sesame'" ],
	'BEGIN; | <not shown: it may contain a password> [42601]',
	kind => $aborted);

#
# The extended protocol
#
foreach my $mode (qw(extended prepared))
{
	my $script = $node->basedir . "/$mode.sql";
	my ($out, $err) = ('', '');

	append_to_file($script, <<'EOC');
\set value 4711
BEGIN;
SELECT :value::int AS read;
SELECT :value::int AS read;
UPDATE item SET id = :value WHERE name = 'nobody';
\sleep 600 s
EOC
	local $ENV{PGAPPNAME} = $mode;
	local $ENV{PGOPTIONS} = '-c leakwatch.idle_in_transaction_warn=50ms';
	my $pgbench = IPC::Run::start(
		[
			$node->installed_command('pgbench'),
			'-n', '-M', $mode, '-t', '1', '-f', $script, '-d',
			$node->connstr('postgres')
		],
		'<' => \undef,
		'>' => \$out,
		'2>' => \$err);

	my $where = "application_name = '$mode'";
	wait_until($node,
		"SELECT EXISTS (SELECT FROM leakwatch.leaks WHERE $where)");
	my ($row) = rows($node, "SELECT * FROM leakwatch.leaks WHERE $where");
	is( words($row),
		q{BEGIN; | SELECT $1::int AS read; x2 | UPDATE item SET id = $1 WHERE name = 'nobody';},
		"$mode: texts without values");
	my @ids = map { $_->{query_id} // 0 } @{ $row->{trail} };
	ok($ids[1] != 0 && $ids[2] != 0 && $ids[1] != $ids[2],
		"$mode: with their query identifiers");
	cmp_ok($row->{trail}[1]{last_at},
		'gt', $row->{trail}[1]{at}, "$mode: a repeat with the last time");
	my @at = map { $_->{at} } @{ $row->{trail} };
	is_deeply([ sort @at ], \@at, "$mode: and their times");
	$pgbench->kill_kill;
}

#
# Long texts
#
my $tags = q{/*action='list',controller='item'*/};
my $long = 'SELECT 1 AS "' . ("\x{e4}" x 60) . q{", '} . ("\x{e4}\x{20ac}" x 400) . "' $tags";
utf8::encode(my $bytes = $long);
my $session = session($node, set => { "${kind}_warn" => '50ms' });
$session->query('BEGIN');
$session->query($bytes);
my $row = row_of($session);
my ($head, $tail) = split / \.\.\. /, $row->{trail}[1]{query};
utf8::encode(my $kept = $row->{trail}[1]{query});
cmp_ok(length($kept), '<=', 512, 'a long statement is cut');
cmp_ok(length($kept), '>', 500, 'to no less than it may be');
is($head, substr($long, 0, length $head), 'it keeps its beginning');
is($tail, substr("$long;", -length $tail), 'and its end, in whole characters');
is_deeply(
	$row->{tags},
	{ action => 'list', controller => 'item' },
	'its tags are there');

#
# Tags, and what is said of them
#
$session->query('SELECT 2');
$session->query('ROLLBACK');
wait_for_incident($node,
	"pid = $session->{pid} AND outcome = 'finished' AND tags IS NOT NULL");
my $incident = incident($node, $session, $kind);
is_deeply(
	$incident->{tags},
	{ action => 'list', controller => 'item' },
	'tags are those of the newest statement that has some');
my ($entry) = log_of($node, $session);
like($entry->{detail}, qr/^Tags: action=list, controller=item$/m,
	'the message names the tags');
like(
	$entry->{detail},
	qr/^First statement of the transaction: BEGIN;$/m,
	'and the first statement');
terminate($node, $session);

# an incident of the transaction ends with its last statement, and not as soon
# as the session goes on, which a scan may see before the next statement comes
$session = session($node, set => { transaction_warn => '50ms' });
$session->query('BEGIN');
wait_for_leak($node, 'transaction', $session);
$session->query($_) foreach 'SELECT 2', 'ROLLBACK';
wait_for_incident($node, "pid = $session->{pid} AND outcome = 'finished'");
is(words(incident($node, $session, 'transaction')),
	'BEGIN; | SELECT 2; | ROLLBACK;',
	'the incident has how the transaction went on');
terminate($node, $session);
$session = session($node, set => { "${aborted}_warn" => '50ms' });
$session->query($_) foreach 'BEGIN', 'SELECT 1/0', 'SELECT 1';
wait_for_leak($node, $aborted, $session);
($entry) = log_of($node, $session);
like(
	$entry->{detail},
	qr/^Failed with SQLSTATE 22012: SELECT 1\/0;$/m,
	'and what failed');
terminate($node, $session);

#
# A database of another encoding
#
$node->safe_psql('postgres',
	"CREATE DATABASE latin ENCODING LATIN1 LOCALE 'C' TEMPLATE template0");
$session = session($node, db => 'latin', set => { "${kind}_warn" => '50ms' });
$session->query('SET client_encoding = UTF8');
$session->query('BEGIN');
utf8::encode(my $accented = "SELECT '\x{e4}' /*name='\x{e4}',encoded='%C3%A4'*/");
$session->query($accented);
$row = row_of($session);
is($row->{trail}[1]{query},
	"SELECT '\x{e4}' /*name='\x{e4}',encoded='%C3%A4'*/;",
	'text of another encoding is converted');
is_deeply(
	$row->{tags},
	{ name => "\x{e4}", encoded => "\x{e4}" },
	'and so are its tags');
terminate($node, $session);

#
# Who sees it
#
$node->safe_psql('postgres', <<'EOC');
CREATE ROLE nobody;
CREATE ROLE reader IN ROLE pg_read_all_stats;
GRANT USAGE ON SCHEMA leakwatch TO nobody, reader, app;
GRANT SELECT ON leakwatch.leaks TO nobody, reader, app;
GRANT EXECUTE ON FUNCTION leakwatch.leaks() TO nobody, reader, app;
EOC
$session = session($node, set => { "${kind}_warn" => '50ms' });
$session->query("BEGIN\\; SELECT 1 $tags");
row_of($session);
my $sql = "SELECT trail IS NULL, tags IS NULL FROM leakwatch.leaks WHERE pid = $session->{pid}";
is($node->safe_psql('postgres', "SET ROLE nobody; $sql"),
	't|t', 'an ordinary role sees no trail of others');
is($node->safe_psql('postgres', "SET ROLE $_; $sql"),
	'f|f', "$_ does")
  foreach qw(reader app);

#
# No text at all
#
settle($node);
configure($node, capture_query => 'off');
settle($node);
is($node->safe_psql('postgres', $sql),
	't|t', 'with capture_query off, no trail is shown');
is( $node->safe_psql(
		'postgres',
		"SELECT trail IS NULL AND tags IS NULL AND query IS NULL FROM leakwatch.incidents WHERE pid = $session->{pid}"
	),
	't',
	'and it goes from the table');
$session->query('SELECT 2');
$session->query('COMMIT');
settle($node);
is( $node->safe_psql(
		'postgres',
		"SELECT count(*) FROM leakwatch.incidents WHERE pid = $session->{pid} AND trail IS NOT NULL"
	),
	'0',
	'nor comes back when the incident ends');
configure($node, capture_query => undef);
$session->query('BEGIN');
$session->query('SELECT 3');
is(words(row_of($session)), 'BEGIN; | SELECT 3;', 'turned on, it is back');
terminate($node, $session);

#
# Lengths of one and none
#
foreach my $case ([ 1, '(2) | SELECT 2;' ], [ 0, '' ])
{
	my ($length, $expected) = @$case;

	$node->append_conf('postgresql.conf', "leakwatch.trail_length = $length");
	$node->restart;
	is(trail_of([ 'BEGIN', 'SELECT 1', 'SELECT 2' ]),
		$expected, "a trail_length of $length");
}

$node->stop;
done_testing();
