# Shows that no password and no value of EXECUTE gets into what leakwatch keeps
# or says, however the statement was sent and whatever became of it, and that
# statements that only speak of passwords are shown.
use strict;
use warnings FATAL => 'all';

use IPC::Run;
use LeakwatchTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $hidden = '<not shown: it may contain a password>';
my $node = new_node('secrets', <<'EOC');
log_min_error_statement = panic
max_connections = 100
EOC
$node->safe_psql('postgres', <<'EOC');
CREATE EXTENSION IF NOT EXISTS plpgsql;
CREATE FOREIGN DATA WRAPPER w;
CREATE SERVER s FOREIGN DATA WRAPPER w;
CREATE TABLE account (id int, password_digest text);
CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
EOC

my %set = (
	map { ("${_}_warn" => '50ms') }
	  qw(idle_in_transaction aborted_transaction idle_session transaction));

sub open_session
{
	return session($node, user => undef, set => \%set);
}

# What is there of a session, once it has been found: a column of the view.
sub column_of
{
	my ($session, $column) = @_;
	my $where = "pid = $session->{pid}";

	wait_until($node,
		"SELECT EXISTS (SELECT FROM leakwatch.leaks JOIN pg_stat_activity AS a USING (pid)"
		  . " WHERE $where AND since >= a.query_start)");
	wait_for_incident($node, $where);
	return $node->safe_psql('postgres',
		"SELECT $column FROM leakwatch.leaks WHERE $where ORDER BY since DESC LIMIT 1");
}

# Wherever leakwatch may show something.  The context of a message is the server's.
sub everything
{
	my (undef, undef, $assertion) = $node->psql('postgres', 'SELECT leakwatch.assert_no_leaks()');

	settle($node);
	return join "\n", $assertion,
	  (map { @$_{ grep { $_ ne 'query' && $_ ne 'context' } keys %$_ } } log_entries($node)),
	  map { $node->safe_psql('postgres', "SELECT * FROM leakwatch.$_") }
	  qw(leaks incidents sessions status);
}

my $alter = q{ALTER ROLE app PASSWORD 'open sesame'};
my @cases = (
	[ $alter ],
	[ q{CREATE ROLE other PASSWORD 'open sesame'} ],
	[ q{BEGIN}, $alter ],
	[ "BEGIN\\; $alter\\; SELECT 1" ],
	[ q{BEGIN}, "SELECT 1\\; $alter" ],
	[ "BEGIN\\; CREATE USER MAPPING FOR app SERVER s OPTIONS (token 'open sesame')\\; SELECT 1" ],
	[ q{BEGIN}, q{CREATE USER MAPPING FOR app SERVER s OPTIONS (token 'open sesame')} ],
	[ q{BEGIN}, q{ALTER SERVER s OPTIONS (token 'open sesame')} ],
	[ q{BEGIN}, q{ALTER SERVER nowhere OPTIONS (token 'open sesame')} ],
	[ q{BEGIN}, q{ALTR ROLE app PASSWORD 'open sesame'} ],
	[ q{BEGIN}, qq{SELECT 1 $alter} ],
	[ q{BEGIN}, q{ALTER ROLE nobody PASSWORD 'open sesame'} ],
	[ q{BEGIN}, 'SELECT 1/0', $alter ],
	[ q{BEGIN}, 'SELECT 1/0', q{CREATE USER MAPPING FOR app SERVER s OPTIONS (token 'open sesame')} ],
	[ q{BEGIN}, q{SET app.password = 'open sesame'} ],
	[ q{BEGIN}, q{DO $$BEGIN ALTER ROLE app PASSWORD 'open sesame'; END$$} ],
	[ 'PREPARE p (text) AS SELECT $1', 'BEGIN', q{EXECUTE p('open sesame')} ],
	[ 'PREPARE p (text) AS SELECT $1', q{BEGIN\; EXECUTE p('open sesame')\\; SELECT 1} ],
	[ 'PREPARE p (text) AS SELECT $1', q{EXPLAIN ANALYZE EXECUTE p('open sesame')} ],
	[ 'BEGIN', q{EXECUTE nothing('open sesame')} ],
	[ 'PREPARE p (text) AS SELECT $1', 'BEGIN', 'SELECT 1/0', q{EXECUTE p('open sesame')} ]);

# These say no more than they may.
my @open = (
	[ 'BEGIN', q{SELECT password_digest FROM account} ],
	[ 'BEGIN', q{/* who */ UPDATE account SET password_digest = 'x' WHERE id = 1} ],
	[ q{SELECT password_digest FROM account} ],
	[ 'BEGIN', q{SELECT passwd FROM account, account AS password} ]);
my @told_by_tree = (
	[ 'BEGIN', 'CREATE TRIGGER t BEFORE INSERT ON account FOR EACH ROW EXECUTE FUNCTION audit()' ],
	[ 'BEGIN', 'ALTER TABLE account ADD password text' ]);

sub try_all
{
	my ($with, $told) = @_;
	foreach my $case (@cases)
	{
		my $session = open_session();
		my $what = substr(join('; ', @$case), 0, 100);

		$session->query($_) foreach @$case;
		unlike(column_of($session, 'leaks::text'), qr/sesame/, "$with: $what");
		terminate($node, $session);
	}
	foreach my $case (@open, @$told)
	{
		my $session = open_session();

		$session->query($_) foreach @$case;
		is(column_of($session, 'query'), "$case->[-1];", "$with, shown: $case->[-1]");
		terminate($node, $session);
	}

	# one that runs
	my $running = open_session();
	my $lock = open_session();
	$lock->query('BEGIN\\; LOCK TABLE account');
	$running->begin(q{DO $$BEGIN PERFORM 'password', 'open sesame' FROM account; END$$});
	unlike(column_of($running, 'leaks::text'), qr/sesame/, "$with: while it runs");

	# the extended protocol
	my $script = $node->basedir . '/secrets.sql';
	my ($out, $err) = ('', '');
	append_to_file($script, "BEGIN;\n$alter;\n\\sleep 600 s\n") unless -e $script;
	local $ENV{PGAPPNAME} = 'extended';
	local $ENV{PGOPTIONS} = '-c leakwatch.idle_in_transaction_warn=50ms';
	my $pgbench = IPC::Run::start(
		[
			$node->installed_command('pgbench'), '-n', '-M', 'extended', '-t', '1',
			'-f', $script, '-d', $node->connstr('postgres')
		],
		'<' => \undef, '>' => \$out, '2>' => \$err);
	my $where = q{application_name = 'extended' AND state = 'idle in transaction'};
	wait_until($node, "SELECT EXISTS (SELECT FROM leakwatch.leaks WHERE $where)");
	like(
		$node->safe_psql('postgres', "SELECT query FROM leakwatch.leaks WHERE $where"),
		qr/^(ALTER ROLE )?\Q$hidden\E$/, "$with: by the extended protocol");

	my $everything = everything();
	unlike($everything, qr/sesame/, "$with: nor anywhere else");
	like($everything, qr/\Q$hidden\E/, "$with: but that it is hidden");
	$pgbench->kill_kill;
	terminate($node, $running, $lock);
	return;
}

try_all('with the trail', \@told_by_tree);

my $session = open_session();
$session->query($_)
  foreach 'BEGIN', q{DO $$BEGIN PERFORM 'open sesame', '} . 'x' x 2000 . q{', 'password'; END$$};
is(column_of($session, 'query'), "DO $hidden", 'the word may be beyond what is shown');
terminate($node, $session);
$session = open_session();
$session->query($_) foreach 'BEGIN', $alter;
is(column_of($session, 'query'), "ALTER ROLE $hidden", 'the command is shown');
terminate($node, $session);
$session = open_session();
$session->query($_) foreach 'PREPARE p (int) AS SELECT $1', 'BEGIN', 'EXECUTE p(1)';
is(column_of($session, 'query'), 'PREPARE p (int) AS SELECT $1;', 'EXECUTE is what it executes');
terminate($node, $session);
$session = open_session();
$session->query("BEGIN\\; $alter\\; SELECT id FROM account");
is(column_of($session, 'query'), 'SELECT id FROM account', 'the last of several is shown');
terminate($node, $session);
$session = open_session();
$session->query("/* who */ BEGIN\\; $alter");
is(column_of($session, 'query'), "ALTER ROLE $hidden", 'the one after the first is told from it');
like(column_of($session, 'trail::text'), qr{"/\* who \*/ BEGIN"}, 'which keeps the comment before it');
terminate($node, $session);

$node->append_conf('postgresql.conf', 'leakwatch.trail_length = 0');
$node->restart;
try_all('without the trail', []);

$node->stop;
done_testing();
