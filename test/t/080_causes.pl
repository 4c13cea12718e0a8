# Shows that incidents of the same code have the same cause, and others another:
# whatever values stand in their statements, on every server, after a restart; what
# is said of a cause that is known, and of one that comes back.
use strict;
use warnings FATAL => 'all';

use CodePaths;
use LeakwatchTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $kind = 'idle_in_transaction';
my $node = new_node('causes', "compute_query_id = off\n");

code_paths_set_up($node);

# A session that leaks after these statements.  The limit comes last, so that it is
# not found on the way there.
sub leaking
{
	my ($where, $statements, %args) = @_;
	my $session = session($where, app => 'shop', %args);

	$session->query($_) foreach ('BEGIN', @$statements, "SET LOCAL leakwatch.${kind}_warn = '50ms'");
	wait_for_leak($where, $kind, $session);
	return $session;
}

# One that is recorded too.
sub leaked
{
	my ($where, @args) = @_;
	my $session = leaking($where, @args);

	settle($where);
	return $session;
}

# One whose last statement is this.
sub leaked_by
{
	my ($where, $statement, %args) = @_;
	my $session = leak_after($where, $kind, ["BEGIN\\; $statement"], app => 'shop', %args);

	settle($where);
	return $session;
}

sub cause_of
{
	my ($where, $session) = @_;

	return $where->safe_psql('postgres',
		"SELECT cause FROM leakwatch.incidents WHERE pid = $session->{pid} ORDER BY id DESC LIMIT 1");
}

sub said_of_cause
{
	my ($where, $session) = @_;

	return join "\n", map { $_->{detail} =~ /^(Cause .*)/m ? $1 : 'nothing' } log_of($where, $session);
}

sub cause_row
{
	my ($cause, $columns) = @_;

	return $node->safe_psql('postgres', "SELECT $columns FROM leakwatch.causes WHERE cause = $cause");
}

#
# Code paths with other values each time
#
my @sessions = code_paths_start($node);
my $rounds = 5;
code_paths_run($node, @sessions) foreach 1 .. $rounds;
is(code_paths_verdict($node), join('|', $rounds * @sessions, scalar @sessions, 0, 0),
	'each code path has one cause, and no two have the same');
is($node->safe_psql('postgres', "SELECT count(*), min(incidents), max(incidents), sum(finished) FROM leakwatch.causes"),
	join('|', scalar @sessions, $rounds, $rounds, $rounds * @sessions), 'and one row of the view');
my $paths = $node->safe_psql('postgres', 'SELECT string_agg(cause::text, $$ $$ ORDER BY cause) FROM leakwatch.causes');

#
# The row of a cause
#
my @bought = map {
	leaked($node,
		[ "UPDATE stock SET pieces = pieces - $_, item = 'item $_' WHERE id IN ($_, 77) /*controller='checkout',traceparent='00-$_'*/",
			"SELECT pieces FROM stock WHERE item = 'item $_'" ])
} 1 .. 3;
my $cause = cause_of($node, $bought[0]);
like($cause, qr/^[1-9]\d*$/, 'a cause is a positive number');
is(cause_row($cause, 'kind, datname, application_name, tags, incidents, open, terminated, finished, trend, regressed, resolved_at IS NULL'),
	"$kind|postgres|shop|" . '{"controller": "checkout"}' . '|3|3|0|0|3|f|t', 'its row has what the incidents have in common');
is(cause_row($cause, q{array_to_string(statements, E'\n')}), <<"EOS" =~ s/\n\z//r, 'and the statements without values');
BEGIN;
UPDATE stock SET pieces = pieces - \$1, item = \$2 WHERE id IN (\$3); /*controller='checkout'*/
SELECT pieces FROM stock WHERE item = \$1;
SET LOCAL leakwatch.${kind}_warn = \$1;
EOS
is($node->safe_psql('postgres', <<"EOC"), 't|t|t|t|t', 'and what the table adds up to');
SELECT c.first_seen = min(i.detected_at), c.last_seen = max(i.detected_at), c.longest = max(i.duration),
	c.total_duration = sum(i.duration), c.last_incident = max(i.id)
FROM leakwatch.causes AS c JOIN leakwatch.incidents AS i USING (cause) WHERE cause = $cause
GROUP BY c.first_seen, c.last_seen, c.longest, c.total_duration, c.last_incident
EOC
is($node->safe_psql('postgres', "SELECT count(*) FROM leakwatch.leaks WHERE cause = $cause"), 3, 'leaks has the cause');

# It is that of the statements up to where it leaked, whatever comes then.
$bought[0]->query("SELECT count(*) FROM log WHERE note = 'later'");
$_->query('COMMIT') foreach @bought;
settle($node);
is(cause_row($cause, 'incidents, open, finished'), '3|0|3', 'it does not change when they end');
$node->safe_psql('postgres', 'UPDATE leakwatch.incidents SET detected_at = now() - $$30 hours$$::interval'
	  . " WHERE pid IN ($bought[0]{pid}, $bought[1]{pid})");
is(cause_row($cause, 'trend'), -1, 'trend: one in the last day, two in the day before');
$node->safe_psql('postgres', "UPDATE leakwatch.incidents SET cause = NULL WHERE pid = $bought[1]{pid}");
is(cause_row($cause, 'incidents, trend'), '2|0', 'a row without a cause, as those of 0.1.0, is in none');
$_->quit foreach @bought;

#
# A cause is the same number everywhere, and with every version
#
sub pinned
{
	my ($statements, $expected, $what) = @_;
	my $session = leaked($node, $statements, app => 'pinned');

	is(cause_of($node, $session), $expected, "the number of $what");
	$session->quit;
	return;
}
pinned(["UPDATE stock SET pieces = pieces - 1, item = 'lamp' WHERE id IN (1, 2, -3) /*action='take',traceparent='00-1'*/"],
	'3146866628826429895', 'a statement with constants and tags');
pinned([ "SELECT \$\$a\$\$, E'\\n', X'1F', .5e3, \"item\" AS \"B\" FROM stock WHERE item <> '" . 'x' x 2000 . "' OR pieces = -1", 'SELECT count(*) FROM log' ],
	'4395338005171351364', 'one that is cut, and of another after it');

#
# Texts that are not in this database's encoding
#
$node->safe_psql('postgres', 'CREATE DATABASE latin ENCODING LATIN1 LOCALE $$C$$ TEMPLATE template0');
my @foreign = map { leaked($node, [ 'SET client_encoding = latin1', 'SELECT 1 AS ' . $_ x 80 . ", '$_'" ], app => 'foreign', db => 'latin') } "\xe9", "\xe8";
is(cause_row(cause_of($node, $foreign[0]), q{statements[3] = 'SELECT $1 AS ' || repeat(U&'\00e9', 80) || ', $2;'}),
	't', 'a long name of another encoding is shown');
isnt(cause_of($node, $foreign[0]), cause_of($node, $foreign[1]), 'and told from another');
$_->quit foreach @foreign;

#
# What is said
#
sub pay
{
	my ($where, $n, %args) = @_;

	return leaked($where, ["INSERT INTO log (note) VALUES ('payment $n')"], app => 'payments', %args);
}

my $time = qr/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \w+/;
my $ago = qr/\d+(\.\d+)? (ms|s|min)( \d+ s)? ago/;
my @paid = (pay($node, 1));
my $known = cause_of($node, $paid[0]);
is(said_of_cause($node, $paid[0]), 'nothing', 'there is nothing to say of a cause that is new');
push @paid, pay($node, 2);
like(said_of_cause($node, $paid[1]), qr/^Cause $known: seen once, $ago\.$/, 'the second time, it is named');
push @paid, pay($node, 3);
like(said_of_cause($node, $paid[2]), qr/^Cause $known: seen 2 times since $time, last $ago\.$/, 'and how often it has been seen');
configure($node, log_repeat => '1s');
$node->wait_for_log(qr/session with PID $paid[2]{pid} is still there/);
like(said_of_cause($node, $paid[2]), qr/^.*\nCause $known\./, 'a reminder only names it');
configure($node, log_repeat => undef);

# A restart: the recorder has read the table again.
$_->quit foreach (@paid, @sessions);
settle($node);
$node->restart;
settle($node);
wait_until($node, 'SELECT recorder_pid IS NOT NULL OR pending = 0 FROM leakwatch.status');
wait_until($node, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'leakwatch recorder' AND state = 'idle')");
@paid = (pay($node, 4));
is(cause_of($node, $paid[0]), $known, 'after a restart the cause is the same');
like(said_of_cause($node, $paid[0]), qr/^Cause $known: seen 3 times since $time, last $ago\.$/, 'and still known');

#
# Resolved
#
my ($out, $err) = psql_as($node, 'app', "SELECT leakwatch.resolve($known)");
like($err, qr/permission denied/, 'an ordinary role can resolve nothing');
$node->safe_psql('postgres', <<'EOC');
CREATE ROLE oncall LOGIN IN ROLE pg_monitor;
EOC
($out, $err) = psql_as($node, 'oncall', "SELECT leakwatch.resolve($known)");
like($err, qr/permission denied/, 'nor a member of pg_monitor');
$node->safe_psql('postgres', 'GRANT EXECUTE ON FUNCTION leakwatch.resolve TO oncall');
($out, $err) = psql_as($node, 'oncall', 'SELECT leakwatch.resolve(77)');
like($err, qr/ERROR:  no incident has the cause 77\nDETAIL:  .*\nHINT:  The view leakwatch\.causes lists/, 'a cause that is not there is refused');
($out, $err) = psql_as($node, 'oncall', 'SELECT leakwatch.resolve(NULL)');
like($err, qr/ERROR:  cause must not be null/, 'and so is none');
psql_as($node, 'oncall', "BEGIN; SELECT leakwatch.resolve($known, 'taken back'); ROLLBACK");
is(cause_row($known, 'resolved_at, note, regressed'), '||f', 'what is rolled back resolves nothing');
($out, $err) = psql_as($node, 'oncall', "SELECT leakwatch.resolve($known, 'release 1.2')");
is($err, '', 'who may can resolve a cause');
is(cause_row($known, 'resolved_at IS NOT NULL, note, regressed'), 't|release 1.2|f', 'which the view shows');
is($node->safe_psql('postgres', "SELECT resolved_by, note FROM leakwatch.resolutions"), 'oncall|release 1.2', 'and who did');
wait_until($node, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'leakwatch recorder' AND state = 'idle' AND state_change > (SELECT resolved_at FROM leakwatch.resolutions))");

push @paid, pay($node, 5);
like(said_of_cause($node, $paid[1]),
	qr/^Cause $known was resolved at $time and has come back: seen 4 times since $time, last $ago\.$/,
	'a cause that comes back is told of');
is(cause_row($known, 'regressed, incidents'), 't|5', 'and is regressed');
$node->safe_psql('postgres', "SELECT leakwatch.resolve($known, 'release 1.3')");
is(cause_row($known, 'regressed, note'), 'f|release 1.3', 'it can be resolved once more');
$_->quit foreach @paid;

#
# A summary is by cause
#
configure($node, log_burst => 1);
my @crowd = map { session($node, app => 'crowd') } 1 .. 7;
foreach my $n (0 .. 6)
{
	my $table = $n < 4 ? 'log' : 'audit';

	$crowd[$n]->query("BEGIN; INSERT INTO $table (note) VALUES ('$n')");
}
configure($node, idle_in_transaction_warn => '10ms');
$node->wait_for_log(qr/\d more messages about sessions over a limit/);
settle($node);
my %unsaid = map { $_->{cause} => $_->{count} } rows($node,
	"SELECT cause, count(*) FROM leakwatch.incidents WHERE application_name = 'crowd' GROUP BY cause");
is(scalar keys %unsaid, 2, 'there are two causes in a crowd');
my %summed;
foreach my $entry (grep { $_->{message} =~ /more messages about sessions over a limit/ } log_entries($node))
{
	like($entry->{detail}, qr/^By cause: cause \d+ \($kind of "\w+"\): \d+/, 'the summary is by cause');
	$summed{$1} += $2 while $entry->{detail} =~ /cause (\d+) \($kind of "crowd"\): (\d+)/g;
}
is_deeply([ sort keys %summed ], [ sort keys %unsaid ], 'and names both');
configure($node, log_burst => undef, idle_in_transaction_warn => undef);
$_->quit foreach @crowd;
settle($node);

#
# A statement that the lexer does not take
#
my $junk = session($node, app => 'junk', set => { aborted_transaction_warn => '50ms' });
$junk->query('BEGIN');
$junk->query('SELEC 123abc');
wait_for_leak($node, 'aborted_transaction', $junk);
settle($node);
isnt(cause_of($node, $junk), '', 'has a cause, too');
$node->safe_psql('postgres', 'CREATE DATABASE dropped');
{
	local %ENV = (%ENV, PGOPTIONS => "-c statement_timeout=${PostgreSQL::Test::Utils::timeout_default}s");

	# which waits for each process to answer
	$node->psql('postgres', 'DROP DATABASE dropped', stderr => \$err);
	is($err, '', 'and the watcher can be interrupted after it');
}
$junk->quit;

#
# Recorded only after it has ended
#
configure($node, database => 'nowhere');
my $late = leaking($node, ["INSERT INTO log (note) VALUES ('payment 6')"], app => 'payments');
$late->query('UPDATE stock SET pieces = 5\; COMMIT');
scan($node);
configure($node, database => undef);
settle($node);
is(cause_of($node, $late), $known, 'what a session does after it was found is not in its cause');
$late->quit;

#
# Another server, with another encoding
#
my $other = PostgreSQL::Test::Cluster->new('other');
$other->init(extra => [ '--encoding=LATIN1', '--locale=C' ]);
$other->append_conf('postgresql.conf', <<'EOC');
shared_preload_libraries = 'leakwatch'
leakwatch.idle_in_transaction_warn = 0
EOC
$other->append_conf('postgresql.conf', <<'EOC') if $node->pg_version->major < 19;
standard_conforming_strings = off
escape_string_warning = off
EOC
$other->start;
$other->safe_psql('postgres', 'CREATE EXTENSION leakwatch; CREATE TABLE log (note text)');
my $there = leaked($other, ["insert into  log (\"note\")\nvalues ('payment 7')"], app => 'payments', user => undef);
is(cause_of($other, $there), $known, 'the same code has the same cause on another server');
$there->quit;
$other->stop;

#
# A dump
#
my $file = PostgreSQL::Test::Utils::tempdir() . '/dump.sql';
my $all = 'SELECT cause, incidents, statements, resolved_at, note, regressed FROM leakwatch.causes ORDER BY cause';
$node->command_ok([ 'pg_dump', '-f', $file, 'postgres' ], 'pg_dump');
$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', $file, 'restored' ], 'restore');
is($node->safe_psql('restored', $all), $node->safe_psql('postgres', $all), 'causes come along, resolved or not');

# What is deleted counts no more.
$node->safe_psql('postgres', "DELETE FROM leakwatch.incidents WHERE cause = $known");
is(cause_row($known, 'incidents'), '', 'a cause without incidents is not listed');

#
# Without statements
#
configure($node, capture_query => 'off');
my @plain = map { leaked_by($node, "SELECT pieces FROM stock WHERE id = $_") } 1 .. 2;
push @plain, leaked_by($node, "UPDATE stock SET pieces = 0");
is(cause_of($node, $plain[0]), cause_of($node, $plain[2]), 'capture_query = off: by kind and application');
push @plain, leaked_by($node, 'SELECT 1 FROM stock', app => 'another');
isnt(cause_of($node, $plain[0]), cause_of($node, $plain[3]), 'which is another for another');
is(cause_row(cause_of($node, $plain[0]), 'statements, tags'), '|', 'and has no statements');
$_->quit foreach @plain;
$node->append_conf('postgresql.conf', 'compute_query_id = on');
$node->reload;
wait_until($node, q{SELECT current_setting('compute_query_id') = 'on'});
my @computed = map { leaked_by($node, "SELECT pieces FROM stock WHERE id = $_") } 1 .. 2;
push @computed, leaked_by($node, "UPDATE stock SET pieces = 0");
is(cause_of($node, $computed[0]), cause_of($node, $computed[1]), 'and by query identifier, where it is computed');
isnt(cause_of($node, $computed[0]), cause_of($node, $computed[2]), 'which tells statements apart');

$_->quit foreach @computed;
$node->stop;
done_testing();
