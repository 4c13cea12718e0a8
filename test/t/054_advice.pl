# Shows how limits are told from what transactions have taken: real sessions whose
# times are known, counted by application, kept by the hour, and asked for what a
# limit would have done.
use strict;
use warnings FATAL => 'all';

use LeakwatchTest;
use Test::More;
use Time::HiRes qw(time);

my $node = new_node('advice');
$node->safe_psql('postgres', 'CREATE ROLE web LOGIN; CREATE ROLE reader LOGIN; GRANT pg_monitor TO reader');

# The counts of an application by kind, from wherever they are.
sub observed
{
	my ($app, $kind) = @_;

	return $node->safe_psql('postgres',
		"SELECT coalesce(sum(observed), 0) FROM leakwatch.advice WHERE application_name = '$app' AND kind = '$kind'");
}

#
# Short transactions, pauses in them, and longer ones.  What each took at least and
# at most is taken by our clock.
#
my $session = session($node, user => 'web', app => 'shop');
my (@pauses, @transactions);
foreach my $pause ((0) x 12, (0.3) x 4, 1.3)
{
	my $begun = time;
	$session->query('BEGIN');
	my $idle = time;
	$node->safe_psql('postgres', "SELECT pg_sleep($pause)") if $pause;
	my $over = time;
	$session->query('COMMIT');
	push @pauses, [ $over - $idle, time - $begun ];
}
# beside the first statement, which asks for the PID
$session->query('SELECT 1') foreach 1 .. 5;
# one that ends with its session has not come to its end by itself
my $gone = session($node, user => 'web', app => 'shop');
$gone->query('BEGIN');
$gone->die_now;
wait_until($node, "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $gone->{pid})");
# one that fails is over when it fails; how long it stays so is no idle spell
$session->query('BEGIN');
$session->query('SELECT 1/0');
$session->query('ROLLBACK');
$session->quit;

wait_until($node, "SELECT sum(observed) >= 25 FROM leakwatch.advice WHERE application_name = 'shop' AND kind = 'transaction'");
is(observed('shop', 'idle_in_transaction'), 18, 'each pause in a transaction is counted once');
is(observed('shop', 'transaction'), 25, 'and each transaction, be it a single statement, or one that fails');

foreach my $kind (qw(idle_in_transaction transaction))
{
	foreach my $limit (0.1, 0.6)
	{
		my $least = grep { $_->[0] >= $limit * 2 } @pauses;
		my $most = grep { $_->[1] >= $limit / 2 } @pauses;
		my $over = $node->safe_psql('postgres', "SELECT leakwatch.spells_over(counts, '$limit s')"
			  . " FROM leakwatch.spells() WHERE application_name = 'shop' AND kind = '$kind'");

		cmp_ok($over, '>=', $least, "$kind over $limit s: as many as lasted twice as long");
		cmp_ok($over, '<=', $most, 'and no more than lasted half as long');
		# nobody else has been idle in a transaction
		next if $kind eq 'transaction';
		my ($told) = rows($node, "SELECT * FROM leakwatch.what_if('$kind', '$limit s')");
		is("$told->{observed} $told->{would_end} $told->{went_on}", "18 $over $over", 'which would have been ended, and all went on');
	}
}
my ($row) = rows($node, "SELECT * FROM leakwatch.advice WHERE application_name = 'shop' AND kind = 'idle_in_transaction'");
is("$row->{scope} $row->{datname} $row->{usename}", 'application postgres web', 'it says whom it is of');
is($row->{suggested}, undef, 'so few suggest nothing');
my ($longest) = map { $_->[0] } sort { $b->[0] <=> $a->[0] } @pauses;
cmp_ok($node->safe_psql('postgres', "SELECT extract(epoch FROM '$row->{longest}'::interval)"), '>=', int($longest), 'the longest is known');

#
# What did not go on is told from the history
#
configure($node, idle_in_transaction_warn => '200ms');
my $leak = session($node, user => 'web', app => 'shop');
$leak->query('BEGIN');
wait_for_leak($node, 'idle_in_transaction', $leak);
foreach my $kind (qw(idle_in_transaction transaction))
{
	my ($open) = rows($node, "SELECT * FROM leakwatch.what_if('$kind', '150 ms')");
	is($open->{would_end} - $open->{went_on}, 1, "$kind: one that is open has not gone on");
}
terminate($node, $leak);
settle($node);
foreach my $kind (qw(idle_in_transaction transaction))
{
	my ($ended) = rows($node, "SELECT * FROM leakwatch.what_if('$kind', '150 ms')");
	is($ended->{would_end} - $ended->{went_on}, 1, "$kind: nor has one that was ended");
	my ($longer) = rows($node, "SELECT * FROM leakwatch.what_if('$kind', '1 day')");
	is("$longer->{would_end} $longer->{went_on}", '0 0', "$kind: nothing has lasted for longer than the longest");
}
is($node->safe_psql('postgres', "SELECT leakwatch.spells_over('{1,2}', '178000000 years'), leakwatch.spells_over('{1,2}', '-1 s')"),
	'0|3', 'any limit has an answer');
($row) = rows($node, "SELECT * FROM leakwatch.advice WHERE application_name = 'shop' AND kind = 'idle_in_transaction'");
is($row->{met_warn} - $row->{met_warn_went_on}, 1, 'advice knows that too');
is($row->{met_terminate}, undef, 'a limit that is off meets nobody');

#
# The limits in force, and the statement that sets the one suggested
#
$node->safe_psql('postgres', <<'EOC');
ALTER DATABASE postgres SET leakwatch.idle_in_transaction_terminate = '10min';
ALTER ROLE web SET leakwatch.idle_in_transaction_terminate = '9e4';
ALTER ROLE web IN DATABASE postgres SET leakwatch.transaction_warn = 70000;
EOC
is($node->safe_psql('postgres', "SELECT string_agg(DISTINCT concat_ws(' ', warn_limit, terminate_limit), ', ' ORDER BY concat_ws(' ', warn_limit, terminate_limit)) FROM leakwatch.advice WHERE usename = 'web' AND application_name IS NULL"),
	'00:00:00.2 00:01:30, 00:01:10', 'limits are those of the role in the database, the role and the server');

my $many = session($node, user => 'web', app => 'many');
$many->query("DO \$\$ BEGIN FOR i IN 1..1200 LOOP COMMIT; END LOOP; END \$\$");
$many->quit;
wait_until($node, "SELECT bool_or(suggested IS NOT NULL) FROM leakwatch.advice WHERE usename = 'web' AND kind = 'transaction'");
($row) = rows($node, "SELECT * FROM leakwatch.advice WHERE usename = 'web' AND kind = 'transaction' AND scope = 'role in database'");
is($row->{application_name}, undef, 'the role as a whole has no application');
like($row->{sql}, qr/^ALTER ROLE web IN DATABASE postgres SET leakwatch.transaction_terminate = '\d+s'$/, 'a limit is suggested with its statement');
$node->safe_psql('postgres', $row->{sql});
is($node->safe_psql('postgres', "SELECT terminate_limit = suggested FROM leakwatch.advice WHERE usename = 'web' AND kind = 'transaction' AND scope = 'role in database'"),
	't', 'which sets it');

#
# It is kept by the hour, and nothing is lost or doubled by that
#
my $all = "SELECT sum(observed) FROM leakwatch.advice WHERE usename = 'web' AND scope = 'role in database'";
my $nameless = session($node, user => 'web', app => '');
$nameless->query('SELECT 1');
$nameless->quit;
wait_until($node, "SELECT EXISTS (SELECT FROM leakwatch.advice WHERE usename = 'web' AND application_name = '')");
my $before = $node->safe_psql('postgres', $all);
$node->safe_psql('postgres', 'ALTER EXTENSION leakwatch UPDATE');
wait_until($node, "SELECT EXISTS (SELECT FROM leakwatch.spells WHERE usename = 'web')");
is($node->safe_psql('postgres', $all), $before, 'the table has what memory had');
my $again = session($node, user => 'web', app => 'shop');
$again->query('SELECT 1') foreach 1 .. 3;
$again->quit;
wait_until($node, "SELECT sum(observed) = $before + 4 FROM leakwatch.advice WHERE usename = 'web' AND scope = 'role in database'");
$node->restart;
is($node->safe_psql('postgres', "SELECT sum(observed) >= $before FROM leakwatch.advice WHERE usename = 'web' AND scope = 'role in database'"),
	't', 'what was recorded outlives the server');

# names that are made up anew each time
foreach my $i (1 .. 130)
{
	local $ENV{PGAPPNAME} = "job $i";
	$node->safe_psql('postgres', 'SELECT 1');
}
wait_until($node, "SELECT sum(observed) >= 130 FROM leakwatch.advice WHERE kind = 'transaction' AND scope = 'role in database' AND usename <> 'web'");
is($node->safe_psql('postgres', "SELECT bool_or(others) FROM leakwatch.spells()"), 't', 'applications without room are counted together');
$node->safe_psql('postgres', 'ALTER EXTENSION leakwatch UPDATE');
wait_until($node, 'SELECT EXISTS (SELECT FROM leakwatch.spells WHERE others)');
wait_until($node, 'SELECT NOT EXISTS (SELECT FROM leakwatch.spells() WHERE others)');
pass('and recorded so');

#
# Permissions, and what is refused
#
my ($out, $err) = psql_as($node, 'reader', 'SELECT count(*) > 0 FROM leakwatch.advice');
is("$out$err", 't', 'pg_monitor reads it');
($out, $err) = psql_as($node, 'web', 'SELECT FROM leakwatch.advice');
like($err, qr/permission denied/, 'others do not');
($out, $err) = psql_as($node, 'reader', "SELECT * FROM leakwatch.what_if('idle_session', '1s')");
like($err, qr/nothing is counted for kind "idle_session"/, 'a kind that is not counted is refused');

$node->stop;
done_testing();
