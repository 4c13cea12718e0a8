# Shows that a browser shows leakwatch.report(): light, dark, on a narrow screen and
# printed, and that it asks for nothing, runs nothing and has nothing to complain about,
# though clients have tried.
use strict;
use warnings FATAL => 'all';

use FindBin;
use JSON::PP;
use LeakwatchTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('report_clients');
my $directory = PostgreSQL::Test::Utils::tempdir();
my $scripts = "$FindBin::RealBin/../../scripts";

# Leaks of all sorts, some of whose names would be markup, script or style.
my @hostile = (
	q{"><script>alert(1)</script>}, q{'><img src=http://127.0.0.1/x onerror=alert(2)>},
	q{</title></style><style>*{display:none}}, q{<a href="javascript:alert(3)">&#60;b&#62;});
my @sessions = map { session($node, app => $_, set => { idle_in_transaction_warn => '50ms' }) } 'shop', @hostile;
foreach my $session (@sessions)
{
	$session->query('BEGIN');
	$session->query("SELECT \$q\$]]></code><iframe src=http://127.0.0.1/y></iframe><svg onload=alert(4)>\$q\$ /*a='%3Cscript%3Ealert(5)%3C%2Fscript%3E'*/");
}
wait_for_leak($node, 'idle_in_transaction', @sessions);
settle($node);
$node->safe_psql('postgres', <<'EOC');
SET session_replication_role = replica;
INSERT INTO leakwatch.samples
SELECT m, 20, 20 + i % 7, 10, 2, i % 5, (i = 100)::int
FROM generate_series(3, 1400) AS i, LATERAL (SELECT date_trunc('minute', now()) - i * interval '1 min' AS m) AS m;
INSERT INTO leakwatch.incidents (id, kind, pid, backend_start, datname, usename, application_name, since,
	detected_at, last_seen_at, ended_at, duration, action, outcome, blocked_sessions, blocked_application, query)
SELECT n, (ARRAY['idle_session', 'transaction', 'session', 'idle_blocker'])[1 + n % 4], n, t, 'shop', 'web',
	'shop-' || sqrt(n % 100)::int, t, t, t, t + n % 70 * interval '1 min', n % 70 * interval '1 min',
	'warned', 'finished', n % 3, 'shop-cart', 'SELECT ' || n % 9
FROM (SELECT n, now() - n * interval '2 min' - interval '70 min' AS t FROM generate_series(1, 600) AS n) AS many;
EOC

my ($out, $err);
{
	local %ENV = (%ENV, PGHOST => $node->host, PGPORT => $node->port, PGDATABASE => 'postgres');

	command_ok([ "$scripts/report", "$directory/report.html" ], 'the report is written');
	IPC::Run::run([ '/usr/bin/node', "$scripts/browser.js", "$directory/report.html", $directory ],
		'>' => \$out, '2>' => \$err, IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default))
	  or die "the browser has failed: $err";
}
my $seen = decode_json($out);

like($seen->{title}, qr/^Leaked sessions, \d/, 'it has its own title');
is_deeply($seen->{requests}, [], 'the browser asks for nothing else');
is_deeply($seen->{console}, [], 'and has nothing to complain about');
is($seen->{active}, 0, 'there is nothing in it that could do anything');
foreach my $name (sort keys %{ $seen->{pictures} })
{
	my $picture = $seen->{pictures}{$name};

	cmp_ok($picture->{colours}, '>', 100, "$name: there is something to be seen");
	cmp_ok($picture->{foreground}, '>', 0.03, '... not only background');
	is_deeply($picture->{contrast}, [], '... and text can be told from it');
	cmp_ok($picture->{overflow}, '<=', 0, '... and nothing is beyond the edge');
}
is(scalar keys %{ $seen->{pictures} }, 5, 'light, dark, narrow and printed');
ok(-s "$directory/page.pdf", 'it can be printed');

$_->quit foreach @sessions;
$node->stop;
done_testing();
