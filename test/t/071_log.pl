# Shows that leakwatch's messages are one record each to programs that read the log
# as CSV or JSON, with SQLSTATE, detail and hint in fields of their own.
use strict;
use warnings FATAL => 'all';

use Cwd qw(abs_path);
use JSON::PP;
use LeakwatchTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $kind = 'idle_in_transaction';
my $node = new_node('log', <<'EOC');
logging_collector = on
log_destination = 'stderr,csvlog,jsonlog'
log_directory = 'log'
log_filename = 'server.log'
log_rotation_age = 0
log_rotation_size = 0
EOC
my $directory = abs_path($node->data_dir) . '/log';

# The columns of file_fdw's example in the server's documentation, in order.
my @columns = qw(log_time user_name database_name process_id connection_from session_id
  session_line_num command_tag session_start_time virtual_transaction_id transaction_id
  error_severity sql_state_code message detail hint internal_query internal_query_pos
  context query query_pos location application_name backend_type leader_pid query_id);

# The records of the CSV log, by name, as PostgreSQL itself reads them; none while a
# line is being written.
sub csv_records
{
	my $definition = join(', ', map { "$_ text" } @columns);
	my ($status, $out, $err) = $node->psql('postgres', "CREATE TEMP TABLE csvlog ($definition);"
		  . " COPY csvlog FROM '$directory/server.csv' CSV; SELECT json_agg(csvlog) FROM csvlog");

	return $status == 0 ? @{ decode_json($out) } : ();
}

# Those of the JSON log, under the same names.
sub json_records
{
	my %name = (timestamp => 'log_time', user => 'user_name', dbname => 'database_name', pid => 'process_id',
		state_code => 'sql_state_code');

	return map
	{
		my $record = decode_json($_);

		+{ map { ($name{$_} // $_) => $record->{$_} } keys %$record }
	} split /\n/, slurp_file("$directory/server.json");
}

# A leak whose statement is of several lines and has what CSV and JSON quote.
my $statement = qq(SELECT 'a "b", c' AS "d""e",\n\t'\\' /* controller:checkout */);
my $leak = session($node, app => 'shop "web", 1', set => { mode => 'enforce', "${kind}_warn" => '50ms', "${kind}_terminate" => '200ms' });
$leak->begin("BEGIN\\; $statement");
$leak->wait;
wait_until($node, 'SELECT terminated = 1 FROM leakwatch.status');
wait_until($node, "SELECT NOT EXISTS (SELECT FROM leakwatch.leaks WHERE pid = $leak->{pid})");

# Three messages: it leaks, is told to end, and says so itself.
my %expected = (
	qr/^session with PID $leak->{pid} has been idle in transaction for .*leakwatch\.${kind}_warn/ => [ '25P03', 'leakwatch watcher', undef ],
	qr/^session with PID $leak->{pid} has been told to end/ => [ '25P03', 'leakwatch watcher', undef ],
	qr/^terminating connection due to administrator command$/ => [ '57P01', 'client backend', 'shop "web", 1' ]);

foreach my $format (qw(CSV JSON))
{
	my @records;

	wait_for("the $format log has all", sub
		{
			@records = $format eq 'CSV' ? csv_records() : json_records();
			return 3 == grep { my $message = $_->{message} // ''; grep { $message =~ $_ } keys %expected } @records;
		});
	foreach my $pattern (sort keys %expected)
	{
		my ($sqlstate, $process, $application) = @{ $expected{$pattern} };
		my @found = grep { ($_->{message} // '') =~ $pattern } @records;
		my $record = $found[0];

		is(scalar @found, 1, "$format: one record of $pattern");
		is($record->{sql_state_code}, $sqlstate, '... with its SQLSTATE');
		is($record->{backend_type}, $process, '... by the process that says so');
		ok(length($record->{detail} // ''), '... a detail');
		ok(length($record->{hint} // ''), '... and a hint');
		is($record->{application_name} // '', $application // '', '... of the application whose message it is');
	}
	my ($warning) = grep { ($_->{message} // '') =~ /has been idle in transaction/ } @records;

	is($warning->{error_severity}, 'WARNING', '... the level is a field');
	like($warning->{detail}, qr/application "shop "web", 1", .*\Q$statement\E/s, '... and what is quoted stays as it is');
}

$leak->quit('SELECT 1;');
$node->stop;
done_testing();
