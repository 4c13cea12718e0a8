# Shows that everybody is judged by the policy meant for them, wherever it
# comes from, and that the sessions view tells which that is.
use strict;
use warnings FATAL => 'all';

use LeakwatchTest;
use PostgreSQL::Test::Utils;
use Test::More;

# few connections, so that the slots of ended sessions are soon taken again
my $node = new_node('policy', 'max_connections = 20');
my $kind = 'idle_in_transaction';
my $limit = "leakwatch.${kind}_warn";

$node->safe_psql('postgres', <<'EOC');
CREATE DATABASE shop;
CREATE ROLE clerk LOGIN;
CREATE ROLE other LOGIN;
CREATE FUNCTION patient() RETURNS void LANGUAGE plpgsql
	SET leakwatch.transaction_warn = '150ms'
	AS 'BEGIN PERFORM pg_sleep(600); END';
EOC

# A limit in force, as the sessions view has it: "value from source"
sub in_force
{
	my ($session, $name) = @_;
	my $row = policy($node, $session);

	return ($row->{$name} // 'off') . " from $row->{$name . '_source'}";
}

# As the view writes this many milliseconds
sub ms
{
	return sprintf('00:00:00.%03d', @_) =~ s/0+$//r;
}

#
# Each place that a setting can be made in, from the least to the most
# specific: seen in the view, and in what happens
#
my @places = (
	[ 'all roles', 'ALTER ROLE ALL SET %s', 'ALTER ROLE ALL RESET %s' ],
	[ 'database', 'ALTER DATABASE shop SET %s', 'ALTER DATABASE shop RESET %s' ],
	[ 'role', 'ALTER ROLE app SET %s', 'ALTER ROLE app RESET %s' ],
	[
		'role in database',
		'ALTER ROLE app IN DATABASE shop SET %s',
		'ALTER ROLE app IN DATABASE shop RESET %s'
	],
	[ 'client' ],
	[ 'session' ]);

# Open a session that has this limit from that place.
sub session_with
{
	my ($place, $value, %args) = @_;
	my ($source, $set) = @$place;

	$node->safe_psql('postgres', sprintf($set, "$limit = '$value'"))
	  if $set;
	my $session = session(
		$node,
		db => 'shop',
		%args,
		$source eq 'client' ? (set => { "${kind}_warn" => $value }) : ());
	$session->query("SET $limit = '$value'") if $source eq 'session';
	return $session;
}

my $value = 100;
foreach my $place (@places)
{
	my ($source, undef, $reset) = @$place;
	my $session = session_with($place, ++$value . 'ms');
	my $stranger = session($node, user => 'other');

	is(in_force($session, "${kind}_warn"),
		ms($value) . " from $source", "$source: seen in the view");
	is(in_force($stranger, "${kind}_warn"),
		$source eq 'all roles' ? ms($value) . ' from all roles' : 'off from server',
		"$source: not seen where it does not belong");
	$_->query('BEGIN') foreach $stranger, $session;
	wait_for_leak($node, $kind, $session);
	wait_age($node, 'state_age', '150ms', $stranger);
	settle($node);
	is(incident($node, $session, $kind)->{warn_limit},
		ms($value), "$source: what happens");
	is(leaks($node, $stranger), $source eq 'all roles' ? $kind : '',
		"$source: what does not");
	$node->safe_psql('postgres', sprintf($reset, $limit)) if $reset;
	$_->quit foreach $session, $stranger;
}

# all at once: the more specific one is in force
configure($node, "${kind}_warn" => '200ms');
foreach my $place (@places)
{
	my $session = session_with($place, ++$value . 'ms');

	is(in_force($session, "${kind}_warn"),
		ms($value) . " from $place->[0]", "$place->[0] over what is less specific");
	$session->quit;
}
$node->safe_psql('postgres', sprintf($_->[2], $limit))
  foreach grep { $_->[2] } @places;
configure($node, "${kind}_warn" => undef);

#
# Settings of a session, and their revert
#
my $session = session($node, set => { transaction_warn => '1h' });
my $client = '01:00:00 from client';

foreach (
	[ 'SET' => "SET leakwatch.transaction_warn = '2h'", '02:00:00 from session' ],
	[ 'RESET' => 'RESET leakwatch.transaction_warn', $client ],
	[ 'SET in a transaction', 'BEGIN', $client ],
	[ '', "SET leakwatch.transaction_warn = '3h'", '03:00:00 from session' ],
	[ 'ROLLBACK', 'ROLLBACK', $client ],
	[ 'SET LOCAL in a transaction', 'BEGIN', $client ],
	[ '', "SET LOCAL leakwatch.transaction_warn = '4h'", '04:00:00 from session' ],
	[ 'COMMIT after SET LOCAL', 'COMMIT', $client ],
	[ 'SET LOCAL in a transaction', 'BEGIN', $client ],
	[ '', "SET LOCAL leakwatch.transaction_warn = 0", 'off from session' ],
	[ 'ROLLBACK after SET LOCAL', 'ROLLBACK', $client ],
	[ 'SET LOCAL in a subtransaction', 'BEGIN; SAVEPOINT s', $client ],
	[ '', "SET LOCAL leakwatch.transaction_warn = '5h'", '05:00:00 from session' ],
	[ 'ROLLBACK TO SAVEPOINT', 'ROLLBACK TO s', $client ],
	[ '', "SET LOCAL leakwatch.transaction_warn = '6h'", '06:00:00 from session' ],
	[ 'RELEASE SAVEPOINT', 'RELEASE s', '06:00:00 from session' ],
	[ 'COMMIT', 'COMMIT', $client ],
	[ 'SET', "SET leakwatch.transaction_warn = '7h'", '07:00:00 from session' ],
	[ 'DISCARD ALL', 'DISCARD ALL', $client ])
{
	my ($what, $statement, $expected) = @$_;

	$session->query($statement);
	is(in_force($session, 'transaction_warn'),
		$expected, $what ? "$what: $expected" : "  $expected");
}

# what SET LOCAL allows ends with its transaction
$session->query(
	"SET $limit = '100ms'; BEGIN; SET LOCAL $limit = '1h'; SELECT 1");
wait_age($node, 'state_age', '100ms', $session);
is(leaks($node, $session), '', 'SET LOCAL allows a long wait');
$session->query('COMMIT; BEGIN');
wait_for_leak($node, $kind, $session);
pass('which ends with its transaction');
$session->quit;

$session = session($node);
$session->begin('SELECT patient()');
wait_for_leak($node, 'transaction', $session);
is(in_force($session, 'transaction_warn'),
	'00:00:00.15 from session', 'SET clause of a function while it runs');
$node->safe_psql('postgres', "SELECT pg_cancel_backend($session->{pid})");
$session->wait;
is(in_force($session, 'transaction_warn'),
	'off from server', 'SET clause of a function after it has failed');

#
# Who may set what
#
my $clerk = session($node, user => 'clerk');
$clerk->query("SET $limit = 0");
like($clerk->{err}, qr/permission denied to set parameter "\Q$limit\E"/,
	'an ordinary role cannot set its policy');
$node->safe_psql('postgres', "GRANT SET ON PARAMETER $limit TO clerk");
$clerk->query("SET $limit = '100ms'; BEGIN");
is($clerk->{err}, '', 'unless SET ON PARAMETER has been granted');
wait_for_leak($node, $kind, $clerk);
is(in_force($clerk, "${kind}_warn"),
	'00:00:00.1 from session', 'and then it is in force');
$clerk->query('ROLLBACK; SET leakwatch.mode = off');
like($clerk->{err}, qr/permission denied to set parameter "leakwatch.mode"/,
	'for that parameter alone');
$clerk->quit;

my $superuser =
  session($node, user => undef, set => { mode => 'off', session_warn => '1d' });
is(policy($node, $superuser)->{mode_source},
	'client', 'a superuser sets it when connecting');
$superuser->quit;

#
# The mode of each session
#
my %by_mode = map {
	$_ => leak(
		$node, $kind,
		warn => '100ms',
		terminate => '200ms',
		set => { mode => $_ })
} qw(off observe enforce);
wait_for_incident($node,
	"pid = $by_mode{enforce}{pid} AND outcome = 'terminated'");
wait_for_incident($node,
	"pid = $by_mode{observe}{pid} AND action = 'would_terminate'");
wait_age($node, 'state_age', '200ms', @by_mode{qw(off observe)});
is(leaks($node, $by_mode{off}), '', 'mode off: nothing happens');
is(scalar log_of($node, $by_mode{off}), 0, 'mode off: nothing is said');
is(leaks($node, $by_mode{observe}), $kind, 'mode observe: listed, and still there');
like($by_mode{enforce}->quit('SELECT 1;'),
	qr/terminating connection/, 'mode enforce: terminated');
$by_mode{off}->query('COMMIT; SET leakwatch.mode = observe; BEGIN');
wait_for_leak($node, $kind, $by_mode{off});
pass('a mode set later is in force');
$_->quit foreach @by_mode{qw(off observe)};

#
# Reload, while everybody sleeps
#
my $sleeper = session($node);
my $override = session($node, set => { "${kind}_warn" => '1h' });
$_->query('BEGIN; SELECT 1') foreach $sleeper, $override;

configure($node, "${kind}_warn" => '150ms');
wait_for_leak($node, $kind, $sleeper);
like((log_of($node, $sleeper))[0]{message},
	qr/over the limit of 150 ms \(\Q$limit\E\)$/,
	'reload: the message tells the new limit');
settle($node);
is(incident($node, $sleeper, $kind)->{warn_limit},
	'00:00:00.15', 'reload: so does the row');
is(in_force($sleeper, "${kind}_warn"),
	'00:00:00.15 from server', 'reload: and the view');
is(in_force($override, "${kind}_warn"),
	'01:00:00 from client', 'reload: an override keeps its precedence');
wait_age($node, 'state_age', '150ms', $override);
is(leaks($node, $override), '', 'reload: in what happens, too');

configure($node, "${kind}_warn" => '1h');
scan($node);
is(leaks($node, $sleeper), '', 'reload: a limit that is raised closes the incident');
settle($node);
is(incident($node, $sleeper, $kind)->{outcome_detail},
	'no longer over a limit: the settings have changed',
	'reload: and the row tells why');

configure($node, "${kind}_warn" => '160ms');
wait_for_leak($node, $kind, $sleeper);
configure($node, "${kind}_warn" => 0);
scan($node);
is(leaks($node, $sleeper), '', 'reload: so does one that is switched off');
settle($node);
is( scalar(
		rows($node,
			"SELECT FROM leakwatch.incidents WHERE pid = $sleeper->{pid}")),
	1,
	'reload: the same fact has one row, however often it is judged');

configure($node, "${kind}_terminate" => '100ms');
wait_for_incident($node,
	"pid = $sleeper->{pid} AND action = 'would_terminate'");
configure($node, mode => 'enforce');
wait_for_incident($node,
	"pid = $sleeper->{pid} AND outcome = 'terminated'");
pass('reload: from observe to enforce');
$sleeper->quit('SELECT 1;');
$override->quit;
configure($node, mode => undef, "${kind}_terminate" => undef, "${kind}_warn" => undef);

# bad values in the file while the server runs: refused, the old ones stay
$sleeper = session($node);
configure($node, transaction_warn => '3h');
my $logged = -s $node->logfile;
$node->append_conf('postgresql.auto.conf', <<'EOC');
leakwatch.transaction_warn = 'long'
leakwatch.mode = 'strict'
leakwatch.idle_session_warn = '4h'
EOC
$node->safe_psql('postgres', 'SELECT pg_reload_conf()');
$node->wait_for_log(
	qr/invalid value for parameter "leakwatch.transaction_warn": "long"/, $logged);
$node->wait_for_log(
	qr/invalid value for parameter "leakwatch.mode": "strict"/, $logged);
# settings next to them are taken, which tells that the watcher has been there
wait_until($node,
	"SELECT idle_session_warn = '4h' FROM leakwatch.sessions WHERE pid = $sleeper->{pid}"
);
is(in_force($sleeper, 'transaction_warn'),
	'03:00:00 from server', 'bad limit at a reload: the old one stays');
is(policy($node, $sleeper)->{mode},
	'observe', 'bad mode at a reload: the old one stays');

# and while it starts: as for any setting of an extension
$node->stop;
$logged = -s $node->logfile;
$node->start;
$sleeper = session($node);
foreach my $name ('transaction_warn": "long"', 'mode": "strict"')
{
	like(slurp_file($node->logfile, $logged),
		qr/WARNING:  invalid value for parameter "leakwatch.$name/,
		"bad value at the start is warned about: $name");
}
is(in_force($sleeper, 'transaction_warn'),
	'00:30:00 from server', 'bad limit at the start: the default is in force');
is(policy($node, $sleeper)->{mode},
	'observe', 'bad mode at the start: the default is in force');
is(in_force($sleeper, 'idle_session_warn'),
	'04:00:00 from server', 'bad values at the start: the good ones are in force');
$sleeper->quit;
$node->safe_psql('postgres', 'ALTER SYSTEM RESET ALL');
configure($node);

#
# A slot never applies to who has it next
#
my @before = map {
	session($node, set => { "${kind}_warn" => '100ms', mode => 'enforce' })
} 1 .. 5;
my %slots = map { slot_of($_) => 1 } @before;
$before[0]->query('LISTEN a');
terminate($node, @before);
my @after = grep { $slots{ slot_of($_) } } map { session($node) } 1 .. 16;
cmp_ok(scalar @after, '>', 0, 'slots of ended sessions are taken again');
foreach my $successor (@after)
{
	my $row = policy($node, $successor);

	is_deeply([ grep { /_source$/ && $row->{$_} ne 'server' } keys %$row ],
		[], 'a successor inherits no policy');
	ok(!$row->{listening}, 'nor does it listen');
	$successor->query('BEGIN');
}
wait_age($node, 'state_age', '100ms', @after);
is(leaks($node, $_), '', 'and nothing happens to it') foreach @after;
$_->quit foreach @after;

#
# What the view says will happen
#
sub next_is
{
	my ($session, $action, $kind, $at, $protected_by, $what) = @_;
	my $row = policy($node, $session);

	is($row->{next_action}, $action, "$what: " . ($action // 'nothing') . ' next');
	is($row->{next_action_kind}, $kind, "$what: by " . ($kind // 'nothing'));
	is( $row->{next_action_at},
		$at && (
			rows(
				$node,
				"SELECT $at AS at FROM pg_stat_activity WHERE pid = $session->{pid}"
			))[0]{at},
		"$what: at " . ($at // 'no time'));
	is_deeply($row->{protected_by}, $protected_by,
		"$what: protected by " . ($protected_by ? "@$protected_by" : 'nothing'));
	return;
}

my %limits = (
	"${kind}_warn" => '1h',
	"${kind}_terminate" => '2h',
	transaction_warn => '3h',
	transaction_terminate => '4h',
	mode => 'enforce');
my ($hour, $hours) = map { "state_change + interval '$_ h'" } 1, 2;

$session = session($node);
next_is($session, undef, undef, undef, undef, 'all limits off');
$session->quit;

$session = session($node, set => \%limits);
next_is($session, undef, undef, undef, undef, 'idle, no limit on that');
$session->query("SET leakwatch.session_warn = '1d'");
next_is($session, 'warn', 'session', "backend_start + interval '1 d'",
	undef, 'idle');
$session->query('BEGIN; SELECT 1');
next_is($session, 'warn', $kind, $hour, undef, 'idle in transaction');
$session->query("SET $limit = '100ms'");
wait_for_leak($node, $kind, $session);
next_is($session, 'terminate', $kind, $hours, undef, 'idle over the warn limit');
$session->query("SET $limit = '100ms'; SET leakwatch.mode = observe");
wait_age($node, 'state_age', '100ms', $session);
next_is($session, 'would_terminate', $kind, $hours, undef, 'mode observe');
$session->query("SET leakwatch.${kind}_terminate = '110ms'");
wait_until($node,
	"SELECT action = 'would_terminate' FROM leakwatch.leaks WHERE pid = $session->{pid}"
);
next_is($session, 'warn', 'transaction', "xact_start + interval '3 h'",
	undef, 'announced');
$session->query('SET leakwatch.mode = off');
next_is($session, undef, undef, undef, undef, 'mode off');
$session->quit;

$session = session($node, set => \%limits);
$session->begin('SELECT pg_sleep(600)');
wait_until($node,
	"SELECT state = 'active' FROM pg_stat_activity WHERE pid = $session->{pid}");
next_is($session, 'warn', 'transaction', "xact_start + interval '3 h'",
	['active'], 'running a statement');
configure($node, terminate_active => 'on');
next_is($session, 'warn', 'transaction', "xact_start + interval '3 h'",
	undef, 'terminate_active');
terminate($node, $session);

$session = session(
	$node,
	user => undef,
	app => 'pg_dumpall',
	set => { %limits, "${kind}_warn" => '100ms', transaction_warn => 0 });
$session->query('BEGIN');
wait_for_leak($node, $kind, $session);
next_is($session, undef, undef, undef, [ 'superuser', 'application' ],
	'protected, and warned about');
configure($node, terminate_superusers => 'on', terminate_when => 'blocking');
next_is($session, undef, undef, undef, [ 'application', 'not blocking' ],
	'blocking nobody');
configure($node, protected_applications => '');
next_is($session, undef, undef, undef, ['not blocking'], 'no protected applications');
configure($node, terminate_when => 'always');
next_is($session, 'terminate', $kind, $hours, undef, 'nothing protects it');
$session->quit;

$node->stop;
done_testing();
