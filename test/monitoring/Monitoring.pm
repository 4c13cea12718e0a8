# What the tests of monitoring/ share: exporters and Prometheus as Debian has them,
# on ports of their own, and what they say.
package Monitoring;

use strict;
use warnings FATAL => 'all';

use Cwd qw(abs_path);
use Exporter 'import';
use File::Copy qw(copy);
use FindBin;
use HTTP::Tiny;
use IPC::Run;
use JSON::PP;
use LeakwatchTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;

our @EXPORT = qw(
  $top new_monitored start_postgres_exporter start_sql_exporter start_prometheus
  stop_process http_get samples of_leakwatch view_samples prom_query prom_range url_encoded
  picture);

our $top = abs_path("$FindBin::RealBin/../..");
my $http = HTTP::Tiny->new(timeout => 30);
my $directory = abs_path(PostgreSQL::Test::Utils::tempdir());
my %running;

# A server with leakwatch, and a role that may monitor it.
sub new_monitored
{
	my $node = new_node(@_);

	$node->safe_psql('postgres', 'CREATE ROLE monitor LOGIN IN ROLE pg_monitor');
	return $node;
}

# Start a program that serves HTTP, and return its port when it does.  "PORT" in its
# arguments stands for that.
sub start_server
{
	my ($path, @command) = @_;
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	my $log = "$directory/$port.log";

	s/\bPORT\b/$port/ foreach @command;
	$running{$port} = IPC::Run::start(\@command, '<', \undef, '>', $log, '2>', $log);
	wait_for("$command[0] answers", sub
		{
			$running{$port}->pumpable or die "$command[0] has ended: " . slurp_file($log);
			return $http->get("http://127.0.0.1:$port$path")->{success};
		});
	return $port;
}

sub stop_process
{
	my ($port) = @_;
	my $process = delete $running{$port} // return;

	$process->signal('TERM');
	eval { $process->finish; };
	return;
}

END
{
	my $status = $?;

	stop_process($_) foreach keys %running;
	$? = $status;
}

sub start_postgres_exporter
{
	my ($node) = @_;
	local $ENV{DATA_SOURCE_NAME} =
	  'host=' . $node->host . ' port=' . $node->port . ' user=monitor dbname=postgres sslmode=disable';

	return start_server('/', qw(prometheus-postgres-exporter --disable-default-metrics --disable-settings-metrics
		--no-collector.database --no-collector.bgwriter --web.listen-address=127.0.0.1:PORT),
		"--extend.query-path=$top/monitoring/postgres_exporter.yml");
}

# Debian's; it asks by itself, as often as its file says.
sub start_sql_exporter
{
	my ($node) = @_;
	my $config = slurp_file("$top/monitoring/prometheus-sql-exporter.yml");
	my $file = "$directory/sql-exporter.yml";

	$config =~ s/interval: 15s/interval: 1s/ or die 'no interval';
	$config =~ s{"postgres://.*"}{'"postgres://monitor@/postgres?host=' . $node->host . '&port=' . $node->port . '&sslmode=disable"'}e
	  or die 'no connection';
	unlink $file;
	append_to_file($file, $config);
	return start_server('/metrics', 'prometheus-sql-exporter', '-config.file', $file, '-web.listen-address', '127.0.0.1:PORT');
}

# Prometheus with the files of monitoring/, which asks every second and alerts at
# once.  %jobs: ports by the names of the jobs there; the other jobs go.
sub start_prometheus
{
	my (%jobs) = @_;
	my $config = slurp_file("$top/monitoring/prometheus.yml");
	my $rules = slurp_file("$top/monitoring/rules.yml");
	my $home = "$directory/prometheus";

	mkdir $home or die "could not make $home: $!";
	$config =~ s/interval: 15s/interval: 1s/g;
	$config =~ s{(- job_name: (\S+).*?targets: )\[.*?\]}{"$1" . encode_json([ map { "127.0.0.1:$_" } @{ $jobs{$2} // [] } ])}gmse;

	# A leak is long after a second here, and what is over is forgotten soon.
	$rules =~ s/^ +for: \w+\n//mg;
	$rules =~ s/\[\d+m\]/[5s]/g;
	$rules =~ s/(open_oldest_seconds\S*) > 600 /$1 > 1 / or die 'no limit';
	append_to_file("$home/prometheus.yml", $config);
	append_to_file("$home/rules.yml", $rules);
	return start_server('/-/ready', 'prometheus', "--config.file=$home/prometheus.yml", "--storage.tsdb.path=$home/data",
		'--web.listen-address=127.0.0.1:PORT', "--web.console.templates=$top/monitoring/consoles",
		"--web.console.libraries=$top/monitoring/consoles");
}

sub http_get
{
	my ($port, $path) = @_;
	my $answer = $http->get("http://127.0.0.1:$port$path");

	die "$path: $answer->{status} $answer->{content}" unless $answer->{success};
	return $answer->{content};
}

# The values of an exposition: hashes of name, labels and value.
sub samples
{
	my ($text) = @_;
	my @samples;

	foreach my $line (grep { !/^#|^$/ } split /\n/, $text)
	{
		my ($name, $labels, $value) = $line =~ /^(\w+)(?:\{(.*)\})? (\S+)$/ or die "not understood: $line";
		my %labels;

		while (($labels // '') =~ /(\w+)="((?:[^"\\]|\\.)*)"/g)
		{
			my ($label, $text) = ($1, $2);

			$labels{$label} = $text =~ s/\\(.)/$1 eq 'n' ? "\n" : $1/ger;
		}
		push @samples, { name => $name, labels => \%labels, value => $value };
	}
	return @samples;
}

# Those of leakwatch as "name{label=value,...}", without these labels, with their
# values.
sub of_leakwatch
{
	my ($samples, @without) = @_;
	my %values;

	foreach my $sample (grep { $_->{name} =~ /^leakwatch_/ } @$samples)
	{
		my %labels = %{ $sample->{labels} };

		delete @labels{@without};
		$values{ $sample->{name} . '{' . join(',', map { "$_=$labels{$_}" } sort keys %labels) . '}' } = $sample->{value};
	}
	return \%values;
}

# The same from the view.
sub view_samples
{
	my ($node) = @_;

	return of_leakwatch([ rows($node, 'SELECT name, labels, value FROM leakwatch.metrics') ]);
}

sub url_encoded
{
	return $_[0] =~ s/([^A-Za-z0-9_.-])/sprintf('%%%02X', ord $1)/ger;
}

# A picture of a page, for scripts/pictures; nothing where that does not ask for it.
sub picture
{
	my ($url, $name, $width, $height) = @_;
	my $where = $ENV{LEAKWATCH_PICTURES} // return;

	system_or_bail('chromium', qw(--headless --no-sandbox --disable-gpu --hide-scrollbars --force-device-scale-factor=1
		--virtual-time-budget=10000), "--user-data-dir=$directory/chromium", "--window-size=$width,$height",
		"--screenshot=$where/$name", $url);
	return;
}

# What Prometheus answers to a query: hashes of metric and value, or values.
sub prom_query
{
	my ($port, $expression) = @_;
	my $answer = decode_json(http_get($port, '/api/v1/query?query=' . url_encoded($expression)));

	return @{ $answer->{data}{result} };
}

sub prom_range
{
	my ($port, $expression, $seconds) = @_;
	my $now = time;
	my $answer = decode_json(
		http_get($port, '/api/v1/query_range?step=1&start=' . ($now - $seconds) . "&end=$now&query=" . url_encoded($expression)));

	return @{ $answer->{data}{result} };
}

1;
