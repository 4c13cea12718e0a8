# Shows that the files for exporters give the metrics of leakwatch.metrics under
# the same names, labels and types, in the exporters that Debian has; and that the
# text of leakwatch.openmetrics() is one, to promtool, to the strict parser of
# Prometheus' Python client, and to Prometheus itself.
use strict;
use warnings FATAL => 'all';

use FindBin;
use IPC::Run;
use LeakwatchTest;
use Monitoring;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use YAML::XS qw(LoadFile Load);

my $kind = 'idle_in_transaction';
my $node = new_monitored('exporters', "max_connections = 30\nmax_prepared_transactions = 2");

command_ok([ $^X, "$top/scripts/exporters", '--check' ], 'the files are those that scripts/exporters makes');

# Something of everything: a leak that blocks, one that has ended, limits, an error,
# a prepared transaction.
$node->safe_psql('postgres', <<'EOC');
CREATE DATABASE shop CONNECTION LIMIT 10;
ALTER ROLE app CONNECTION LIMIT 20;
CREATE TABLE t AS SELECT 1 AS a;
GRANT ALL ON t TO app;
EOC
my $ended = leak($node, $kind, app => 'gone', warn => '50ms');
wait_for_leak($node, $kind, $ended);
$ended->quit;
my $name = 'evil"\\{},a="b"';
my $leak = session($node, app => $name, set => { "${kind}_warn" => '50ms' });
$leak->query('BEGIN');
$leak->query('UPDATE t SET a = a');
my $waiter = session($node, app => 'cart');
$waiter->begin('UPDATE t SET a = a');
my $shop = session($node, app => 'shop', db => 'shop');
wait_until($node, 'SELECT count(*) = 1 FROM leakwatch.leaks WHERE blocked_sessions = 1');
configure($node, database => 'nowhere');
wait_for('the error is seen', sub
	{
		my $other = leak($node, $kind, app => 'gone', warn => '50ms');

		wait_for_leak($node, $kind, $other);
		$other->quit;
		return $node->safe_psql('postgres', 'SELECT last_error_at IS NOT NULL FROM leakwatch.status') eq 't';
	});
configure($node, database => undef);
$node->safe_psql('postgres', q(BEGIN; SELECT pg_current_xact_id(); PREPARE TRANSACTION 'order'));
wait_until($node, q(SELECT leakwatch.scan() IS NOT NULL AND count(*) = 1 FROM leakwatch.metrics WHERE name = 'leakwatch_prepared_oldest_seconds'));
settle($node);

my @families = rows($node, 'SELECT DISTINCT name, type, help FROM leakwatch.metrics ORDER BY name');
my %type = map { $_->{name} => $_->{type} } @families;
my %help = map { $_->{name} => $_->{help} } @families;

# Only the session that asks differs between who asks how.
sub comparable
{
	my ($values) = @_;

	return [ sort grep { !/^leakwatch_application_sessions\{application=[^,]*,state=active\}$/ } keys %$values ];
}

# What each exporter makes of it
sub heads_of
{
	my ($text) = @_;

	return (
		{ map { split / / } $text =~ /^# TYPE (leakwatch_.+)$/mg },
		{ map { split / /, $_, 2 } $text =~ /^# HELP (leakwatch_.+)$/mg });
}

# Who has never been there is not listed.
psql_as($node, 'monitor', 'SELECT 1');

# That nothing is in sight has no value.
my @expected = @{ comparable(view_samples($node)) };
cmp_ok(scalar @expected, '>', 60, 'there is something to compare');
is_deeply([ grep { /exhausted/ } @expected ], [], 'without what is not in sight');

my $port = start_postgres_exporter($node);
my $text = http_get($port, '/metrics');
my @samples = samples($text);
my ($types, $helps) = heads_of($text);
is_deeply(comparable(of_leakwatch(\@samples, 'server')), \@expected, 'postgres_exporter gives what the view has');
is_deeply($types, \%type, 'with the same types');
is_deeply($helps, \%help, 'and what they mean');
is_deeply([ grep { $_->{value} eq 'NaN' } @samples ], [], 'and no number that is none');
my ($open) = grep { $_->{name} eq 'leakwatch_application_open_incidents' } @samples;
is("$open->{labels}{application} $open->{value}", "$name 1", 'whatever an application is called');
stop_process($port);

$port = start_sql_exporter($node);
my $relabelled;
{
	my $prometheus = start_prometheus('prometheus-sql-exporter' => [$port]);
	my $expected = join("\n", @expected);

	wait_for('Prometheus has all', sub
		{
			my @found = map { { name => $_->{metric}{__name__}, labels => $_->{metric}, value => $_->{value}[1] } }
			  prom_query($prometheus, '{__name__=~"leakwatch_.+"}');

			$relabelled = comparable(of_leakwatch(\@found, qw(__name__ instance job host)));

			return join("\n", @$relabelled) eq $expected;
		});
	pass('and Debian\'s prometheus-sql-exporter, after the relabelling of prometheus.yml');
	stop_process($prometheus);
}
stop_process($port);

#
# The others are not in Debian: their queries are sent, and give the same.
#
sub values_of
{
	my ($sql, $labels, $columns) = @_;
	my %found;

	foreach my $row (rows($node, $sql))
	{
		foreach my $metric (keys %$columns)
		{
			my %labels = map { $_ => $row->{$_} } @$labels;

			$found{"$metric\{" . join(',', map { "$_=$labels{$_}" } sort keys %labels) . '}'} = $row->{ $columns->{$metric} };
		}
	}
	return %found;
}

my $collector = LoadFile("$top/monitoring/sql_exporter.collector.yml");
my %query = map { $_->{query_name} => $_->{query} } @{ $collector->{queries} };
my %found;
foreach my $metric (@{ $collector->{metrics} })
{
	%found = (%found, values_of($query{ $metric->{query_ref} }, $metric->{key_labels} // [], { $metric->{metric_name} => $metric->{values}[0] }));
}
is_deeply(comparable(\%found), \@expected, 'sql_exporter gets what the view has');
is_deeply({ map { $_->{metric_name} => $_->{type} } grep { $_->{metric_name} !~ /exhausted/ } @{ $collector->{metrics} } }, \%type, 'with the same types');

my ($monitor, $map) = map { Load($_) } split /^---\n/m, slurp_file("$top/monitoring/cloudnativepg.yml") =~ s/\A.*?^---\n//msr;
my $relabel = $monitor->{spec}{podMetricsEndpoints}[0]{metricRelabelings}[0];
my $queries = Load($map->{data}{queries});
my %types;
%found = ();
foreach my $prefix (keys %$queries)
{
	my (@labels, %columns);

	foreach my $column (@{ $queries->{$prefix}{metrics} })
	{
		my ($key) = keys %$column;
		my $exported = "cnpg_${prefix}_$key";

		if ($column->{$key}{usage} eq 'LABEL')
		{
			push @labels, $key;
			next;
		}
		$exported =~ s/^$relabel->{regex}$/$1/ or die "$exported is not renamed";
		$columns{$exported} = $key;
		$types{$exported} = lc $column->{$key}{usage} unless $exported =~ /exhausted/;
	}
	%found = (%found, values_of($queries->{$prefix}{query}, \@labels, \%columns));
}
is_deeply(comparable(\%found), \@expected, 'CloudNativePG gets what the view has');
is_deeply(\%types, \%type, 'with the same types');

#
# The text
#
sub checked_by
{
	my ($input, @command) = @_;
	my ($out, $err) = ('', '');
	my $ok = IPC::Run::run(\@command, '<', \$input, '>', \$out, '2>', \$err);

	return ($ok ? 'valid' : 'not valid') . " $out$err";
}

my $exposition = $node->safe_psql('postgres', 'SELECT leakwatch.openmetrics()');
my $strict = $node->safe_psql('postgres', 'SELECT leakwatch.openmetrics(true)');
is(checked_by("$exposition\n", qw(promtool check metrics)), 'valid ', 'promtool has nothing to say about the text');
is_deeply(comparable(of_leakwatch([ samples($exposition) ])), \@expected, 'which has what the view has');
like(checked_by('# TYPE a counter' . "\na 1\n", qw(promtool check metrics)), qr/^not valid /, 'and is not always silent');
like(checked_by("$strict\n", '/usr/bin/python3', "$FindBin::RealBin/openmetrics.py"), qr/^valid \d\d+ metrics\n/, 'the strict form is OpenMetrics by the letter');
like(checked_by("$exposition\n", '/usr/bin/python3', "$FindBin::RealBin/openmetrics.py"), qr/^not valid /, 'which the other, for promtool, can\'t be');

$_->quit foreach $leak, $waiter, $shop;
$node->stop;
done_testing();
