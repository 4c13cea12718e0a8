# Shows what leakwatch.report() says of real sessions, that what clients have sent is
# data in it, who gets to see what, and that it stays small.
use strict;
use warnings FATAL => 'all';

use FindBin;
use LeakwatchTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('report', "autovacuum = off\nleakwatch.scan_interval = '500ms'");
my $hostile = q{"><script>alert('1')</script>&amp;};
$node->safe_psql('postgres', <<'EOC');
CREATE ROLE monitor LOGIN IN ROLE pg_monitor;
CREATE ROLE reader LOGIN;
GRANT USAGE ON SCHEMA leakwatch TO reader;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA leakwatch TO reader;
GRANT SELECT ON ALL TABLES IN SCHEMA leakwatch TO reader;
ALTER ROLE app SET leakwatch.session_warn = '90min';
EOC

sub report
{
	my ($interval, $role) = @_;
	my ($page, $err) = psql_as($node, $role // 'monitor', "SELECT leakwatch.report('$interval')");

	die $err if $err;
	return $page;
}

# Its text, as a reader sees it.
sub text_of
{
	my ($page) = @_;

	return $page =~ s/.*<\/style>//sr =~ s/<[^>]*>/ /gr =~ s/&#(\d+);/chr $1/ger =~ s/&nbsp;/ /gr =~ s/\s+/ /gr;
}

# The elements and attributes that it has.
sub markup_of
{
	my ($page) = @_;
	my %found;

	foreach my $tag ($page =~ s/.*<\/style>//sr =~ /<(\w[^>]*)>/g)
	{
		my ($name) = $tag =~ /^(\w+)/;

		$found{$name} = 1;
		$found{"$name $_"} = 1 foreach $tag =~ / ([\w-]+)=/g;
	}
	return %found;
}

#
# Nothing yet
#
like(text_of(report('1 day')), qr/Nobody leaked a session/, 'a server on which nothing has happened has a report');
my ($out, $err);
like(text_of(report('100 years')), qr/Nobody leaked a session/, 'also about a hundred years');
foreach my $bad ('0', '-1 day', '-1 month', '101 years')
{
	($out, $err) = psql_as($node, 'monitor', "\\set VERBOSITY verbose\nSELECT leakwatch.report('$bad')");
	like($err, qr/ERROR:  22023: a report cannot be about the last .*\nDETAIL:  .*\nHINT:  /, "a time of $bad is refused");
}

#
# Leaks of applications that mean well, and of one that does not
#
$node->safe_psql('postgres', 'CREATE TABLE stock (item text); CREATE TABLE taken (item text); GRANT ALL ON stock, taken TO app');
my $shop = session($node, app => 'shop-checkout', set => { idle_in_transaction_warn => '50ms' });
$shop->query('BEGIN');
$shop->query(q{LOCK TABLE stock /*action='pay',controller='checkout'*/});
my $cart = session($node, app => 'shop-cart');
$cart->begin('SELECT * FROM stock');
wait_for_lock($node, $cart);
wait_until($node, "SELECT blocked_sessions = 1 FROM leakwatch.leaks WHERE pid = $shop->{pid}");
my $nasty = session($node, app => $hostile, set => { idle_in_transaction_warn => '50ms' });
$nasty->query("BEGIN");
$nasty->query(qq{SELECT '</code></td><img src=x onerror=alert(2)>' /* \x{1b}[2J &lt; \xe2\x80\xae *//*a='%3Ci%3E',b='%22%3E'*/});
wait_for_leak($node, 'idle_in_transaction', $shop, $nasty);
my $ended = session($node, app => 'shop-import', set => { mode => 'enforce', idle_in_transaction_warn => '50ms', idle_in_transaction_terminate => '100ms' });
$ended->query('BEGIN');
wait_for_incident($node, "pid = $ended->{pid} AND outcome = 'terminated'");
settle($node);

my $page = report('1 hour');
my $text = text_of($page);
my %markup = markup_of($page);

like($text, qr/3 applications leaked 3 connections ; 1 was terminated; connections peaked at \d+ % of the limit/, 'the headline says what it comes to');
like($page, qr/^<!DOCTYPE html>\n<html lang="en">.*<\/html>\n?\z/s, 'it is a page');
my @order = $page =~ /<h2>(.*?)<\/h2>/g;
is_deeply(
	\@order,
	[ 'Connections', 'When', 'What leaked most', 'Open now', 'Who was harmed', 'Terminations', 'Settings that differ from the defaults', 'leakwatch itself' ],
	'with what there is to know, in this order');
like($text, qr/1&times; shop-checkout idle in transaction/, 'a cause has its application');
like($text, qr/LOCK TABLE stock \/\*action='pay',controller='checkout'\*\/; action=pay controller=checkout/, '... its statements and tags');
like($text, qr/shop-cart shop-checkout 1 1 .* SELECT \* FROM stock/, 'who was harmed is there with what it waited');
like($text, qr/shop-import idle in transaction 1 1 /, 'and who was terminated');
like($text, qr/leakwatch\.idle_in_transaction_warn off 1 min/, 'and a setting of the server with its default');
like($text, qr/app all leakwatch\.session_warn 90min/, 'and one of a role');
like($text, qr/Health ok/, 'and how leakwatch is');

#
# What a client has sent is data
#
like($text, qr/\Q$hostile\E/, 'a hostile name is there to be read');
like($text, qr/\Q<\/code><\/td><img src=x onerror=alert(2)>\E/, 'and a hostile statement');
like($text, qr/a=<i> b=">/, 'and hostile tags');
is_deeply([ grep { /^(?:script|img|iframe|object|a|link|base|form|input)\b| (?:on\w+|style|src|href)$/ } sort keys %markup ],
	[], 'but no markup comes from them');
like($page, qr/\A[\n\x20-\x7e]*\z/, 'the page is printable ASCII');
unlike($page, qr/&#(?:[0-8]|1[0-9]|2[0-9]|3[01]|127);/, 'without control characters');
my ($policy) = $page =~ /<meta http-equiv="Content-Security-Policy" content="([^"]*)">/;
like($policy, qr/^default-src 'none'; style-src 'sha256-[A-Za-z0-9+\/]{43}='; base-uri 'none'; form-action 'none'$/, 'its policy forbids all but its style sheet');

#
# Who sees what
#
my $masked = text_of(report('1 hour', 'reader'));
like($masked, qr/shop-checkout/, 'a role without pg_read_all_stats sees who');
unlike($masked, qr/LOCK TABLE|action=pay|SELECT \*/, '... without statements and tags');
like($masked, qr/Statements are shown to members of pg_read_all_stats/, '... and is told why');
$node->safe_psql('postgres', 'CREATE ROLE outsider LOGIN');
($out, $err) = psql_as($node, 'outsider', "SELECT leakwatch.report('1 hour')");
like($err, qr/permission denied/, 'who was granted nothing sees nothing');
$node->safe_psql('postgres', <<'EOC');
GRANT USAGE, CREATE ON SCHEMA public TO monitor;
EOC
($out, $err) = psql_as($node, 'monitor', <<'EOC');
CREATE FUNCTION public.count() RETURNS bigint LANGUAGE sql AS 'SELECT 1/0';
CREATE FUNCTION public.lower(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT (1/0)::boolean';
CREATE OPERATOR public.= (LEFTARG = text, RIGHTARG = text, PROCEDURE = public.lower);
SET search_path = public, pg_catalog;
SELECT length(leakwatch.report('1 hour')) > 1000;
EOC
is("$out$err", 't', 'whatever the search_path is');

#
# It stays small, however much there was and whatever clients have sent
#
$node->safe_psql('postgres', <<'EOC');
SET session_replication_role = replica;
INSERT INTO leakwatch.samples SELECT date_trunc('minute', now()) - n * interval '1 min', n % 50, n % 50, n % 40, 3, n % 30, n % 7
FROM generate_series(61, 1439) AS n;
INSERT INTO leakwatch.incidents (id, kind, pid, backend_start, datname, usename, application_name, since,
	detected_at, last_seen_at, ended_at, duration, action, outcome, blocked_sessions, blocked_application, blocked_query,
	strongest_lock, query, trail, tags)
SELECT n, kinds[1 + n % 9], n, t, 'shop', repeat('<', 63), repeat('<', 60) || n % 40, t, t, t, t + n % 400 * interval '1 s', n % 400 * interval '1 s',
	'terminated', 'terminated', n % 300, repeat('<', 60) || n % 7, repeat('&', 1000), repeat('"', 200), repeat(U&'\20AC<', 400) || n,
	CASE WHEN n % 400 = 399 THEN (SELECT jsonb_agg(jsonb_build_object('query', repeat('<' || chr(1 + (i % 2)::int), 255))) FROM generate_series(1, 40) AS i) END,
	CASE WHEN n % 400 = 399 THEN (SELECT jsonb_object_agg(i || repeat('"', 100), repeat('<', 1000)) FROM generate_series(1, 40) AS i) END
FROM (SELECT n, now() - interval '400 s' - n * interval '800 ms' AS t,
	ARRAY['idle_in_transaction', 'aborted_transaction', 'waiting_for_client', 'idle_blocker', 'suspected_leak', 'idle_session', 'transaction', 'session', 'prepared_transaction'] AS kinds
	FROM generate_series(1, 100000) AS n) AS many;
ANALYZE leakwatch.incidents;
EOC
$page = report('1 day');
note 'a page of ' . length($page) . ' bytes';
cmp_ok(length $page, '<', 1_000_000, 'a page of 100,000 different leaks is smaller than 1 MB');
$text = text_of($page);
like($text, qr/These are the applications with most leaks, of 43\./, 'and says of how many it shows some');
like($text, qr/There were more leaks than this report can take/, '... and that there were too many');
like($text, qr/ 28 more statements /, '... and how many statements of a long transaction it leaves out');
my $plan = $node->safe_psql('postgres', <<'EOC');
EXPLAIN SELECT * FROM leakwatch.incidents WHERE ended_at >= now() - interval '1 min' ORDER BY ended_at DESC LIMIT 100000;
EOC
like($plan, qr/incidents_ended_at_idx/, 'what it looks at is found by index');

#
# The same page in whatever encoding, and who is asked elsewhere says so
#
my %bytes_in = (LATIN1 => "'caf\xc3\xa9'", SQL_ASCII => q{E'caf\xc3\xa9 \xe9 here'});
my %text_in = (LATIN1 => "caf\x{e9}", SQL_ASCII => "caf\x{e9} ? here");
foreach my $encoding (qw(LATIN1 SQL_ASCII))
{
	my $database = lc "in_$encoding";

	$node->safe_psql('postgres', "CREATE DATABASE $database ENCODING '$encoding' LOCALE 'C' TEMPLATE template0");
	$page = $node->safe_psql($database, <<"EOC");
SET client_min_messages = error;
CREATE EXTENSION leakwatch;
SET client_encoding = @{[ $encoding eq 'LATIN1' ? 'UTF8' : 'SQL_ASCII' ]};
INSERT INTO leakwatch.incidents (kind, pid, backend_start, application_name, since, detected_at, last_seen_at, ended_at,
	duration, action, outcome, blocked_sessions, query)
VALUES ('idle_session', 1, now(), $bytes_in{$encoding}, now(), now(), now(), now(), '1 s', 'warned', 'finished', 0, E'SELECT\\r\\n2');
SELECT leakwatch.report();
EOC
	like($page, qr/\A[\n\x20-\x7e]*<meta charset="utf-8">[\n\x20-\x7e]*\z/, "in $encoding too, the page is ASCII");
	$text = text_of($page);
	like($text, qr/1&times; \Q$text_in{$encoding}\E idle session .* SELECT 2 /, '... with what was meant');
	like($text, qr/Leaks are recorded in database postgres , not in $database ,/, '... and says where the history is');
}

# scripts/report
my $file = PostgreSQL::Test::Utils::tempdir() . '/leaks.html';
my $script = "$FindBin::RealBin/../../scripts/report";
{
	local %ENV = (%ENV, PGHOST => $node->host, PGPORT => $node->port, PGDATABASE => 'postgres');

	my $umask = umask 0077;
	command_ok([ $script, $file, '1 hour', '-U', 'monitor' ], 'scripts/report writes it');
	umask $umask;
	is((stat $file)[2] & 0777, 0600, '... for whom the umask says');
	like(slurp_file($file), qr/^<!DOCTYPE html>.*<\/html>\n\z/s, '... whole');
	command_fails_like([ $script, "$file.2", '0' ], qr/cannot be about/, '... or says why not');
	ok(!glob("$file.2*"), '... and leaves no half of it');
}

$_->quit foreach $shop, $cart, $nasty;
$ended->quit('SELECT 1;');
$node->stop;
done_testing();
