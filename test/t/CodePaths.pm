# Forty code paths of a made-up application, each with other values whenever it is
# run: what leakwatch.causes has to tell apart, and to keep together.
package CodePaths;

use strict;
use warnings FATAL => 'all';

use Exporter 'import';
use LeakwatchTest;

our @EXPORT = qw(code_paths_set_up code_paths_start code_paths_run code_paths_count
  code_paths_verdict);

# ---------- values ----------

sub number { return int(rand(1_000_000)); }

# Of up to so many characters, with those in it that mean something elsewhere.
sub string
{
	my ($length) = @_;
	my @pieces = ('a' .. 'z', ' ', "''", '$1', '/*', '*/', '--', ';', ',', '"', ' ... ', '%', "\x{c3}\x{a9}");

	return "'" . join('', map { $pieces[ rand @pieces ] } 1 .. rand($length // 20)) . "'";
}

sub list
{
	my ($most, $value) = @_;

	return join(', ', map { $value->() } 0 .. rand $most);
}

sub uuid { return sprintf("'%08x-%04x-%04x-%012x'", map { rand $_ } 2**32, 2**16, 2**16, 2**31); }

sub traceparent { return sprintf("traceparent='00-%032x-%016x-01'", map { rand $_ } 2**31, 2**31); }

my @columns = map { sprintf 'measurement_%02d', $_ } 1 .. 40;
my $all_columns = join(', ', map { "w.$_" } @columns);

# ---------- the paths ----------

my $take = sub { 'UPDATE stock SET pieces = pieces - ' . number() . ' WHERE item = ' . string() };
my $log = sub { 'INSERT INTO log (item, note) VALUES (' . string() . ', ' . string() . ')' };
my $look = sub { 'SELECT pieces FROM stock WHERE id = ' . number() };

# Each returns the statements of its transaction.
my @paths = (
	$take,
	sub { 'UPDATE stock SET pieces = pieces + ' . number() . ' WHERE item = ' . string() },
	sub { 'UPDATE stock SET pieces = ' . (rand() < 0.5 ? '-' : '') . number() . ' WHERE item = ' . string() },
	# the same statement, and tags
	(
		map {
			my $action = $_;
			sub { $take->() . " /*action='$action',controller='checkout'," . traceparent() . '*/' }
		} qw(pay cancel)),
	(
		map {
			my $action = $_;
			sub { '/*application:Shop,action:' . $action . ',line:/app/' . $action . '.rb:' . number() . ':in x*/ ' . $look->() }
		} qw(show edit)),
	# lists
	sub { 'SELECT * FROM stock WHERE id IN (' . list(9, \&number) . ')' },
	sub { 'SELECT * FROM stock WHERE id NOT IN (' . list(9, \&number) . ')' },
	sub { 'SELECT * FROM stock WHERE id = ANY (ARRAY[' . list(9, sub { (rand() < 0.5 ? '-' : '') . number() }) . '])' },
	sub { 'INSERT INTO log (item, note) VALUES ' . list(6, sub { '(' . string() . ', ' . string() . ')' }) },
	sub { 'INSERT INTO log (note, item) VALUES ' . list(6, sub { '(' . string() . ', ' . string() . ')' }) . ' RETURNING note' },
	sub { 'SELECT * FROM stock WHERE item IN (' . list(6, sub { string() . '::text' }) . ')' },
	# texts that are cut in their middle, most of the time
	sub { 'INSERT INTO log (note) VALUES (' . string(3000) . ')' },
	sub { 'DELETE FROM stock WHERE id IN (' . list(400, \&number) . ') AND pieces = ' . number() },
	sub { 'DELETE FROM stock WHERE id NOT IN (' . list(400, \&number) . ') AND pieces > ' . number() },
	sub { 'DELETE FROM stock WHERE item IN (' . list(100, \&uuid) . ') AND pieces < ' . number() },
	sub { 'INSERT INTO audit (item, note) VALUES ' . list(200, sub { '(' . uuid() . ', ' . number() . ')' }) },
	sub { "SELECT $all_columns FROM wide AS w WHERE w.id = " . number() . ' AND w.name = ' . string() },
	sub { "SELECT $all_columns FROM wide AS w WHERE w.name = " . string() . ' LIMIT ' . number() },
	sub { "SELECT $all_columns FROM wide AS w JOIN stock USING (id) WHERE w.name = " . string() },
	sub { 'UPDATE wide SET ' . join(', ', map { "$_ = " . number() } @columns) . ' WHERE id = ' . number() },
	# several statements
	sub { ($take->(), $log->()) },
	sub { ($log->(), $take->()) },
	sub { ($take->(), $look->()) },
	sub { ($take->(), $look->(), $log->()) },
	sub { ($take->(), 'SELECT note FROM log WHERE item = ' . string(), $log->()) },
	# loops
	sub { (map { 'INSERT INTO audit (note) VALUES (' . string() . ')' } 0 .. rand 12) },
	sub { ($look->(), (map { $take->() } 0 .. rand 12)) },
	# constants of each form
	sub { q{SELECT item, $q$a'b} . number() . q{$q$, E'\\'} . number() . q{\u0041', X'1F', B'01' FROM stock WHERE pieces = } . number() . '.5e' . int(rand 9) },
	sub { "SELECT item FROM stock WHERE at > '2026-01-0" . (1 + int(rand 9)) . "'::date" },
	sub { "SELECT item FROM stock WHERE at > now() - interval '" . number() . " seconds'" },
	sub { "SELECT item FROM stock WHERE data ->> 'k" . number() . "' = " . string() . " OR data \@> '{\"a\": " . number() . "}'" },
	sub { 'UPDATE log SET note = ' . (rand() < 0.5 ? 'NULL' : string()) . ' WHERE note IS NULL' },
	sub { 'UPDATE stock SET active = ' . (rand() < 0.5 ? 'true' : 'false') . ' WHERE active IS NOT true' },
	# and the rest
	sub { 'WITH x AS (SELECT ' . number() . '::bigint AS n) SELECT n, pieces FROM x, stock LIMIT ' . number() . ' OFFSET ' . number() },
	sub { 'SELECT CASE WHEN pieces > ' . number() . ' THEN ' . string() . ' ELSE coalesce(item, ' . string() . ') END FROM stock' },
	sub { 'SELECT /* ' . number() . " don't */ count(*) -- it's " . number() . "\nFROM stock" },
	sub { 'SELECT "pieces" / 0 + ' . number() . ' FROM stock' });

# One of another application comes on top.
sub code_paths_count { return @paths + 1; }

# ---------- running them ----------

sub code_paths_set_up
{
	my ($node) = @_;
	my $measurements = join(', ', map { "$_ int" } @columns);

	$node->safe_psql('postgres', <<"EOC");
CREATE TABLE stock (id int, item text, pieces int, at timestamptz, data jsonb, active boolean);
CREATE TABLE log (item text, note text);
CREATE TABLE audit (item text, note text);
CREATE TABLE wide (id int, name text, $measurements);
INSERT INTO stock VALUES (1, 'lamp', 1, now(), '{}', false);
GRANT ALL ON stock, log, audit, wide TO app;
EOC
	return;
}

# A session for each path.
sub code_paths_start
{
	my ($node) = @_;
	my %set = (aborted_transaction_warn => '10ms');

	srand(42);
	return ((map { session($node, app => 'shop', set => \%set) } @paths),
		session($node, app => 'import', set => \%set));
}

# Run each path once, up to where it leaks; then let it end.  The limit comes last,
# so that nobody leaks on the way there; a path that fails has met its own by then.
sub code_paths_run
{
	my ($node, @sessions) = @_;

	foreach my $n (0 .. $#sessions)
	{
		my @statements = ($paths[$n] // $take)->();

		push @statements, "SET LOCAL leakwatch.idle_in_transaction_warn = '10ms'" unless $statements[-1] =~ m{/ 0};
		$sessions[$n]->begin(join(";\n", 'BEGIN', @statements));
	}
	$_->wait foreach @sessions;
	wait_until($node, "SELECT count(*) = ${\ scalar @sessions} FROM leakwatch.leaks");
	$_->begin('COMMIT') foreach @sessions;
	$_->wait foreach @sessions;
	settle($node);
	return;
}

# What became of them, as "incidents, causes, merged, split": causes that more
# than one path has, and paths that have more than one.
sub code_paths_verdict
{
	my ($node) = @_;

	return $node->safe_psql('postgres', <<'EOC');
WITH pairs AS (SELECT DISTINCT cause, pid FROM leakwatch.incidents)
SELECT (SELECT count(*) FROM leakwatch.incidents), count(DISTINCT cause),
	(SELECT count(*) FROM (SELECT FROM pairs GROUP BY cause HAVING count(*) > 1) AS merged),
	(SELECT count(*) FROM (SELECT FROM pairs GROUP BY pid HAVING count(*) > 1) AS split)
FROM pairs
EOC
}

1;
