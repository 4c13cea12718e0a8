# Shows that pgBadger reads leakwatch's messages in each form of the log, with the
# detail and the hint of each.
use strict;
use warnings FATAL => 'all';

use Cwd qw(abs_path);
use JSON::PP;
use LeakwatchTest;
use Monitoring;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $kind = 'idle_in_transaction';
my $prefix = '%t [%p]: user=%u,db=%d,app=%a,client=%h,code=%e ';
my $node = new_monitored('pgbadger', <<"EOC");
logging_collector = on
log_destination = 'stderr,csvlog,jsonlog'
log_line_prefix = '$prefix'
log_directory = 'log'
log_filename = 'server.log'
log_rotation_age = 0
log_rotation_size = 0
EOC
my $directory = abs_path($node->data_dir) . '/log';

my @leaks = map { leak($node, $kind, app => 'shop-checkout', warn => '50ms') } 1 .. 2;
push @leaks, leak($node, 'aborted_transaction', app => 'shop-import', warn => '50ms');
wait_for_leak($node, $kind, @leaks[ 0, 1 ]);
wait_for_leak($node, 'aborted_transaction', $leaks[2]);
my $told = leak($node, $kind, app => 'shop-cart', set => { mode => 'enforce' }, terminate => '100ms');
wait_until($node, 'SELECT terminated = 1 FROM leakwatch.status');
like($told->quit('SELECT 1;'), qr/leakwatch terminated the session/, 'a session is ended');
$_->quit foreach @leaks;
# of what is said more than once pgBadger shows one, so nobody else may be ended
$node->stop('smart');

my %format = ('server.log' => [ '-f', 'stderr', '-p', $prefix ], 'server.csv' => [ '-f', 'csv' ], 'server.json' => [ '-f', 'jsonlog' ]);
foreach my $file (sort keys %format)
{
	my ($out, $err) = run_command([ 'pgbadger', '-q', @{ $format{$file} }, '-x', 'json', '-o', '-', "$directory/$file" ]);
	my $report = decode_json($out);
	my $events = $report->{error_info}{postgres};
	my @warned = grep { /^WARNING:  session .* has been idle in transaction/ } keys %$events;
	my ($aborted) = grep { /^WARNING:  session .* has been idle in an aborted transaction/ } keys %$events;
	my ($ended) = grep { /^WARNING:  session .* has been told to end/ } keys %$events;
	my ($fatal) = grep { /^FATAL:  terminating connection/ } keys %$events;
	my $count = 0;

	$count += $events->{$_}{count} foreach @warned;
	is($count, 2, "$file: two leaks");
	like($events->{ $warned[0] }{detail}[0], qr/application "shop-checkout"/, '... with the detail');
	like($events->{$aborted}{hint}[0], qr/^A statement failed and the transaction was not rolled back/, '... and the hint');
	is($events->{$ended}{count}, 1, '... one was told to end');
	ok(scalar(grep { ($_ // '') =~ /^leakwatch terminated the session because it had been idle/ } @{ $events->{$fatal}{detail} }), '... which its own message explains');
	cmp_ok($report->{logs_type}{postgres}{WARNING}, '>=', 4, '... all as warnings');
}

my $page = "$directory/report.html";
command_ok([ 'pgbadger', '-q', '-w', '-f', 'csv', '-o', $page, "$directory/server.csv" ], 'there is a page to look at');
like(slurp_file($page), qr/application &quot;shop-checkout&quot;|application "shop-checkout"/, 'which has it too');

# as after a scroll and a click on each "Examples"
append_to_file($page, '<style>#log-levels, #minutes-errors-levels, .navbar { display: none } [id*=events-examples] { display: block }</style>');
picture("file://$page", 'pgbadger.png', 1300, 1450);

done_testing();
