# Shows three servers, a primary, its standby and another primary, under one
# Prometheus: the rules alert about what really happens and stop when it is over,
# each panel of the dashboard has data, and the console shows the numbers.
use strict;
use warnings FATAL => 'all';

use FindBin;
use JSON::PP;
use LeakwatchTest;
use Monitoring;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $kind = 'idle_in_transaction';

#
# Files that are right in themselves
#
command_ok([ qw(promtool check config), "$top/monitoring/prometheus.yml" ], 'the configuration is one');
command_ok([ qw(promtool test rules), "$top/monitoring/rules_test.yml" ], 'each alert fires, and clears');

my $rules = slurp_file("$top/monitoring/rules.yml");
my $tested = slurp_file("$top/monitoring/rules_test.yml");
my $runbook = slurp_file("$top/doc/alerts.md");
my %alerts = map { $_ => 1 } $rules =~ /- alert: (\w+)/g;
foreach my $alert (sort keys %alerts)
{
	my $pages = () = $rules =~ /^ +runbook: doc\/alerts\.md#\L$alert\E$/mg;
	my $times = () = $rules =~ /- alert: $alert$/mg;

	like($tested, qr/alertname: $alert\n +eval_time: .*\n +exp_alerts:\n.*alertname: $alert, eval_time: [^\n]* exp_alerts: \[\]/s, "$alert is tested both ways");
	is($pages, $times, '... and names its runbook');
	like($runbook, qr/^## $alert\n/m, '... which is there');
}
is_deeply([ sort $runbook =~ /^## (Leakwatch\w+)$/mg ], [ sort keys %alerts ], 'doc/alerts.md has those alerts, and no other');

my $dashboard = decode_json(slurp_file("$top/monitoring/grafana.json"));
command_ok(
	[ qw(/usr/bin/python3 -W ignore -m jsonschema -i), "$top/monitoring/grafana.json", "$FindBin::RealBin/dashboard.schema.json" ],
	'the dashboard is one');
my @panels = grep { $_->{type} ne 'row' } @{ $dashboard->{panels} };
my %ids = map { $_->{id} => 1 } @{ $dashboard->{panels} };
is(scalar keys %ids, scalar @{ $dashboard->{panels} }, 'whose panels have numbers of their own');
my %place;
foreach my $position (map { $_->{gridPos} } @{ $dashboard->{panels} })
{
	foreach my $x ($position->{x} .. $position->{x} + $position->{w} - 1)
	{
		$place{"$x $_"}++ foreach $position->{y} .. $position->{y} + $position->{h} - 1;
	}
}
is_deeply([ grep { $place{$_} > 1 || /^2[4-9] / } sort keys %place ], [], 'and places');

#
# The servers
#
my $conf = <<'EOC';
wal_level = replica
max_wal_senders = 4
leakwatch.scan_interval = 1s
EOC
my $primary = new_monitored('primary', $conf);
$primary->safe_psql('postgres', 'CREATE TABLE t AS SELECT 1 AS a; GRANT ALL ON t TO app; CREATE ROLE few LOGIN CONNECTION LIMIT 2');
$primary->stop;
$primary->backup_fs_cold('base');
$primary->start;
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;
my $other = new_monitored('other', $conf);
my %port = (primary => start_postgres_exporter($primary), standby => start_postgres_exporter($standby), other => start_postgres_exporter($other));
my %server = map { ("127.0.0.1:$port{$_}" => $_) } keys %port;
my $prometheus = start_prometheus(postgres => [ values %port ]);

# Wait until Prometheus has an answer to this.
sub wait_for_answer
{
	my ($expression) = @_;

	wait_for("there is $expression", sub { scalar prom_query($prometheus, $expression) });
	return;
}

# The values of an expression, by the servers' names.
sub by_server
{
	my ($expression) = @_;

	return { map { $server{ $_->{metric}{instance} } => $_->{value}[1] } prom_query($prometheus, $expression) };
}

# Wait until this alert, with these labels, fires for this server, or no more.
sub wait_for_alert
{
	my ($alert, $server, $labels, $gone) = @_;
	my $expression = qq(ALERTS{alertname="$alert",alertstate="firing",instance="127.0.0.1:$port{$server}"$labels});

	wait_for("$alert " . ($gone ? 'clears' : 'fires'), sub { !!prom_query($prometheus, $expression) == !$gone });
	pass("$alert " . ($gone ? 'clears' : 'fires'));
	return;
}

wait_for('all three are scraped', sub { prom_query($prometheus, 'leakwatch_up == 1') == 3 });
is_deeply(by_server('leakwatch_in_recovery'), { primary => 0, standby => 1, other => 0 }, 'it is known which is the standby');
is(scalar prom_query($prometheus, 'ALERTS{alertstate="firing"}'), 0, 'nothing alerts');
my $variable = decode_json(http_get($prometheus, '/api/v1/label/instance/values?match%5B%5D=leakwatch_up'));
is_deeply([ sort @{ $variable->{data} } ], [ sort keys %server ], 'the dashboard can choose among them');

#
# What goes wrong
#
my $leak = session($primary, app => 'shop', set => { "${kind}_warn" => '50ms' });
$leak->query('BEGIN');
$leak->query('UPDATE t SET a = a');
my $waiter = session($primary, app => 'cart');
$waiter->begin('UPDATE t SET a = a');
my $reading = leak($standby, $kind, app => 'shop', user => undef, warn => '50ms');
my $elsewhere = leak($other, $kind, app => 'shop', warn => '50ms');
my @few = map { session($primary, app => 'few', user => 'few') } 1 .. 2;

# Counters have to be seen before and after.
wait_for_answer('leakwatch_role_connections_rejected_total{role="few"} == 0');
like((psql_as($primary, 'few', 'SELECT 1'))[1], qr/too many connections/, 'a client is turned away');
wait_for_alert('LeakwatchConnectionsRejected', 'primary', ',role="few"');
wait_for_alert('LeakwatchConnectionsRejected', 'primary', '', 'gone');
wait_for_alert('LeakwatchLeakOpen', $_, qq(,kind="$kind",severity="warning")) foreach qw(primary standby other);
wait_for_alert('LeakwatchBlocking', 'primary', ',severity="critical"');
wait_for_alert('LeakwatchConnectionsHigh', 'primary', ',role="few"');
is_deeply(by_server(qq(sum by (instance) (leakwatch_application_open_incidents{application="shop"}))), { primary => 1, standby => 1, other => 1 }, 'leaks by server and application');
is((prom_query($prometheus, 'leakwatch:fleet_open_incidents:sum{application="shop"}'))[0]{value}[1], 3, 'and of all servers');
is(scalar prom_query($prometheus, 'count by (alertname) (ALERTS{alertname="LeakwatchLeakOpen",alertstate="firing"}) == 3'), 1, 'alerts can be grouped');

my $mode = sub { configure($other, mode => $_[0], max_terminations_per_minute => 1) };
$mode->('enforce');
my @doomed = map { leak($other, $kind, app => 'shop', warn => '50ms', terminate => '100ms') } 1 .. 2;
wait_for_alert('LeakwatchBrake', 'other', '');
$mode->('observe');
$_->quit('SELECT 1;') foreach @doomed;
wait_for_alert('LeakwatchBrake', 'other', '', 'gone');

configure($other, database => 'nowhere');
my $unwritten = leak($other, $kind, app => 'cart', warn => '50ms');
wait_for_alert('LeakwatchNotRecording', 'other', '');
configure($other, database => undef);
wait_for_alert('LeakwatchNotRecording', 'other', '', 'gone');

#
# What is seen of it
#
my %seen = map { $_ => scalar(http_get($prometheus, "/consoles/leakwatch.html$_")) }
  ('', "?instance=127.0.0.1:$port{standby}", '?instance=' . url_encoded('"} or vector(1) #<script>'));
my $page = $seen{''};
like($page, qr/<p>3 servers: <a class="bad"[^>]*>alerts firing: \d+/, 'the console counts servers and alerts');
foreach my $name (sort keys %port)
{
	like($page, qr/<tr><td>127\.0\.0\.1:$port{$name}<\/td>\n<td><span class="good">works<\/span>@{[ $name eq 'standby' ? ', standby' : '' ]}<\/td>\n<td class="n">[12]<\/td>/, "... it has the numbers of the $name");
}
like($page, qr/<td>shop<\/td><td>$kind<\/td><td class="n">1<\/td>/, '... and its leaks');
like($seen{"?instance=127.0.0.1:$port{standby}"}, qr/<p>1 server:/, '... or those of one');
like((grep { /no metrics/ } values %seen)[0], qr/There are no metrics of leakwatch/, '... and no more, whatever is asked for');
unlike($_, qr/<script>(?!\nconst)/, '... which is no markup') foreach values %seen;
picture("http://127.0.0.1:$prometheus/consoles/leakwatch.html?minutes=1", 'console.png', 1100, 960);

foreach my $panel (@panels)
{
	foreach my $target (@{ $panel->{targets} })
	{
		my $expression = $target->{expr} =~ s/\$instance/.*/gr =~ s/\$__rate_interval/30s/gr =~ s/\$__range/1m/gr;
		my @answers = $target->{instant} ? prom_query($prometheus, $expression) : prom_range($prometheus, $expression, 30);
		my @numbers = grep { $_ ne 'NaN' } map { $_->[1] } map { $target->{instant} ? $_->{value} : @{ $_->{values} } } @answers;

		cmp_ok(scalar @numbers, '>', 0, "the panel \"$panel->{title}\" has data ($target->{refId})");
	}
}

#
# What it costs
#
foreach my $name (sort keys %port)
{
	my $bytes = length join('', grep { /^(?:# \w+ )?leakwatch_/ } http_get($port{$name}, '/metrics') =~ /^(.*\n)/mg);
	my ($series, $connections);

	# a busy machine can be late with an answer, and then has none for a moment
	wait_for("the $name answers", sub {
		$series = by_server('count by (instance) ({__name__=~"leakwatch_.+"})')->{$name};
		$connections = by_server('leakwatch_connections_used')->{$name};
		return defined $series && defined $connections;
	});
	note "$name: $series series, $bytes bytes a scrape, $connections sessions";
	cmp_ok($series, '<', 200, "the $name has few series");
}

#
# When it is over
#
$leak->quit;
$_->quit foreach $waiter, @few, $reading, $elsewhere, $unwritten;
wait_for_alert('LeakwatchBlocking', 'primary', '', 'gone');
wait_for_alert('LeakwatchConnectionsHigh', 'primary', '', 'gone');
wait_for_alert('LeakwatchLeakOpen', $_, '', 'gone') foreach qw(primary standby other);
wait_for('nothing else alerts', sub { !prom_query($prometheus, 'ALERTS{alertstate="firing"}') });
pass('and nothing else alerts');

stop_process($prometheus);
stop_process($_) foreach values %port;
$_->stop foreach $other, $standby, $primary;
done_testing();
