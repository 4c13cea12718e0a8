# Shows that a connection which was taken from its pool and never given back is
# suspected, with the reason, and that those which are free in their pools, or
# have none, are not; what becomes of it, and that the policy is its role's.
use strict;
use warnings FATAL => 'all';

use ClientPool;
use LeakwatchTest;
use RawClient;
use Test::More;

# At the pace of a second, what takes a minute as shipped takes a second.
my $node = new_node('suspected', "leakwatch.suspected_leak_warn = 1s\n");
my $kind = 'suspected_leak';

stock_goods($node);
$node->safe_psql('postgres', <<"EOC");
CREATE ROLE exempt LOGIN IN ROLE app;
ALTER ROLE exempt SET leakwatch.${kind}_warn = 0;
CREATE ROLE doomed LOGIN IN ROLE app;
ALTER ROLE doomed SET leakwatch.mode = 'enforce';
ALTER ROLE doomed SET leakwatch.${kind}_terminate = '2s';
CREATE ROLE lame LOGIN IN ROLE app;
ALTER ROLE lame SET leakwatch.${kind}_warn = '2s';
EOC

sub is_suspected
{
	my ($session) = @_;

	return "(SELECT count(*) = 1 FROM leakwatch.leaks WHERE kind = '$kind' AND pid = $session->{pid})";
}

sub suspects
{
	return $node->safe_psql('postgres',
		"SELECT coalesce(string_agg(DISTINCT application_name, ' '), '') FROM leakwatch.incidents WHERE kind = '$kind'");
}

#
# Who is no leak: the connections of two pools in good order, and of no pool
#
my %tidy = map { $_ => ClientPool->new($node, order => $_, app => "tidy-$_") } qw(lifo fifo);
my $single = RawClient->new($node, app => 'single');
my $listener = RawClient->new($node, app => 'leaky-lifo');

$single->query('SELECT count(*) FROM goods');
$listener->query('LISTEN jobs');

#
# And who is: one of those of two more pools
#
my %leaky = map { $_ => ClientPool->new($node, order => $_, app => "leaky-$_") } qw(lifo fifo);
my $exempt = ClientPool->new($node, app => 'exempt', user => 'exempt');
my @pools = (values %tidy, values %leaky, $exempt);
my %lost;

become_known(@pools);
$lost{$_} = $leaky{$_}->forget foreach qw(lifo fifo);
$exempt->forget;
serve_until($node, \@pools, 'SELECT ' . join(' AND ', map { is_suspected($_) } values %lost));
settle($node);
is(suspects(), 'leaky-fifo leaky-lifo', 'of all, those two are suspected that were not given back');
foreach my $order (qw(lifo fifo))
{
	my $pid = $lost{$order}{pid};
	my ($leak) = rows($node, "SELECT * FROM leakwatch.leaks WHERE pid = $pid");
	my $incident = incident($node, $lost{$order}, $kind);
	my ($warning) = log_of($node, $lost{$order});

	cmp_ok($leak->{confidence}, '>', 0.5, "$order: with a confidence");
	cmp_ok($leak->{confidence}, '<', 1, 'below that of a fact');
	like($leak->{reason}, qr/^its application .*\d/, 'a reason in words');
	unlike($leak->{reason}, qr/goods/, 'without statements');
	is($leak->{tags}{action}, 'add', 'and the code that took it');
	is_deeply([ @$incident{qw(reason confidence)} ], [ @$leak{qw(reason confidence)} ], 'in the table too');
	like($warning->{message},
		qr/^session with PID $pid has been idle and, as it seems, not in its pool for .*, over the limit of 1 s \(leakwatch\.${kind}_warn\)$/,
		'and in the log');
	like($warning->{detail}, qr/ Suspected with a confidence of \d+ %: \Q$leak->{reason}\E\. /, 'with the reason');
	like($warning->{hint}, qr/^Give the connection back/, 'and what to do');
	is($warning->{sqlstate}, '57P05', 'and an SQLSTATE');
}
is($node->safe_psql('postgres', "SELECT sum(suspected) FROM leakwatch.applications WHERE application_name LIKE 'leaky%'"),
	'2', 'applications counts them');
is($node->safe_psql('postgres', "SELECT suspected FROM leakwatch.saturation WHERE scope = 'role' AND name = 'app'"),
	'2', 'and saturation');

my ($out, $err) = psql_as($node, 'app', 'SELECT 1');
$node->psql('postgres', "SELECT leakwatch.assert_no_leaks('leaky-fifo')", stderr => \$err);
like($err, qr/1 leaked session\n.*idle and, as it seems, not in its pool/s, 'assert_no_leaks tells of it');

$node->safe_psql('postgres', <<'EOC');
CREATE ROLE nosy LOGIN;
GRANT USAGE ON SCHEMA leakwatch TO nosy;
GRANT SELECT ON leakwatch.leaks TO nosy;
GRANT EXECUTE ON FUNCTION leakwatch.leaks() TO nosy;
EOC
is((psql_as($node, 'nosy', "SELECT DISTINCT reason IS NULL, query FROM leakwatch.leaks"))[0],
	't|<insufficient privilege>', 'who may not see the session does not see the reason');

#
# It comes back after all
#
$lost{lifo}->query('SELECT 1');
serve_until($node, [ values %leaky ], 'SELECT NOT ' . is_suspected($lost{lifo}));
settle($node);
is(incident($node, $lost{lifo}, $kind)->{outcome}, 'finished', 'one that is used again has not been a leak');
# on a busy machine, at such a pace, others may have been suspected for a moment
wait_until($node, "SELECT refuted > 0 AND refuted = (SELECT count(*) FROM leakwatch.incidents WHERE kind = '$kind' AND outcome = 'finished') FROM leakwatch.status");
pass('which status counts');
is(status($node)->{confirmed}, 0, 'apart from the others');

#
# It ends
#
$node->safe_psql('postgres', "SELECT pg_terminate_backend($lost{fifo}{pid}, 60000)");
wait_for_incident($node, "pid = $lost{fifo}{pid} AND kind = '$kind' AND outcome = 'terminated_by_admin'");
is(status($node)->{confirmed}, 1, 'one that ends unused is confirmed');
wait_until($node, "SELECT suspected > 1 AND suspected = (SELECT count(*) FROM leakwatch.incidents WHERE kind = '$kind') FROM leakwatch.status");
pass('of those that were suspected');
is($node->safe_psql('postgres', q(SELECT string_agg(substr(name, 11) || ' ' || value, ', ' ORDER BY name) FROM leakwatch.metrics WHERE name LIKE 'leakwatch_suspected%')),
	$node->safe_psql('postgres', q(SELECT format('suspected_confirmed_total %s, suspected_refuted_total %s, suspected_total %s', confirmed, refuted, suspected) FROM leakwatch.status)),
	'metrics have the same');

#
# It is ended, where that is wanted
#
my $doomed = ClientPool->new($node, app => 'doomed', user => 'doomed', order => 'fifo');

become_known($doomed);
$lost{doomed} = $doomed->forget;
serve_until($node, [$doomed], "SELECT terminated = 1 FROM leakwatch.status");
ok($lost{doomed}->is_ended, 'one that was forgotten is terminated, if its role has it so');
wait_for_incident($node, "pid = $lost{doomed}{pid} AND outcome = 'terminated'");
is(incident($node, $lost{doomed}, $kind)->{outcome_detail}, "leakwatch.${kind}_terminate = 2 s", 'by that limit');

#
# All of a pool are lost, and nothing is heard of it any more.  It has a pace of
# its own, slower than that of others who are at work; what is free for less than
# a hundredth of that counts as in use, even where only two are left.
#
my $lame = ClientPool->new($node, app => 'lame', user => 'lame', order => 'fifo', max => 5, pause => 16_000);

$lame->serve foreach 1 .. 500;
my @lame = map { $lame->forget } 1 .. 3;
serve_until($node, [$lame], "SELECT count(*) = 3 FROM leakwatch.leaks WHERE application_name = 'lame'");
push @lame, map { $lame->forget } 1 .. 2;
serve_until($node, [ $tidy{fifo} ], "SELECT count(*) = 5 FROM leakwatch.leaks WHERE application_name = 'lame'");
is($node->safe_psql('postgres', "SELECT count(*) FROM leakwatch.leaks WHERE application_name = 'lame' AND reason LIKE '%none is used any more'"),
	'2', 'where most are suspected and none is used any more, so are the last');

#
# It is switched off
#
configure($node, "${kind}_warn" => 0);
is($node->safe_psql('postgres', "SELECT count(*) FROM leakwatch.leaks WHERE kind = '$kind' AND usename <> 'lame'"),
	'0', 'off, nobody is suspected but where a role has it on');

done_testing();
