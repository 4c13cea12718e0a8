# Shows what a client makes of its termination, as doc/clients.md tells it: which
# libraries hand on the reason, and what a pool of node-postgres has to do.
use strict;
use warnings FATAL => 'all';

use FindBin;
use IPC::Run;
use LeakwatchTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('enforce', "listen_addresses = '127.0.0.1'");
my $reason = qr/leakwatch terminated the session because it had been idle in transaction for /;

# Run one of the programs until it ends; returns how it did, and what it wrote.
sub application
{
	my (@command) = @_;
	my ($out, $err);
	local %ENV = (
		%ENV,
		PGHOST => '127.0.0.1',
		PGPORT => $node->port,
		PGDATABASE => 'postgres',
		PGUSER => 'app',
		PGAPPNAME => $command[-1],
		PGOPTIONS => "-c leakwatch.mode=enforce -c leakwatch.idle_in_transaction_terminate=100ms");

	$command[1] = "$FindBin::Bin/$command[1]";
	IPC::Run::run(\@command, '>' => \$out, '2>' => \$err,
		IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	return ($? >> 8, $out, $err);
}

sub of_node
{
	return application('/usr/bin/node', 'enforce.js', $_[0]);
}

sub of_python
{
	return application('/usr/bin/python3', 'enforce.py', $_[0]);
}

# What the server log has of the end of this application's session.
sub logged
{
	my ($name) = @_;
	my ($pid) = map { $_->{pid} } rows($node,
		"SELECT pid FROM leakwatch.incidents WHERE application_name = '$name' AND outcome = 'terminated'");

	return join "\n", map { $_->{detail} // '' }
	  grep { $_->{pid} == $pid && $_->{severity} eq 'FATAL' } log_entries($node);
}

my ($status, $out, $err) = of_python('psycopg2');

is($status, 0, 'psycopg2: the program goes on');
like($out, qr/^None server closed the connection unexpectedly/, 'psycopg2 says that the connection is closed');
unlike($out, qr/leakwatch/, 'and not why');
wait_for_incident($node, "application_name = 'psycopg2' AND outcome = 'terminated'");
like(logged('psycopg2'), $reason, 'which the server log does');

($status, $out) = of_python('psycopg2_wait');
like($out, $reason, 'psycopg2 with a wait callback says why');

($status, $out) = of_python('psycopg');
# 3.1 has no SQLSTATE
like($out, qr/^(?:57P01|None) .*$reason/s, 'psycopg says why in the text of its exception');

($status, $out, $err) = of_node('client_without_handler');
isnt($status, 0, 'node-postgres: without a handler of the client the program dies');
like($err, qr/Unhandled 'error' event.*$reason/s, 'and says why');

($status, $out, $err) = of_node('pool_without_handler');
isnt($status, 0, 'without one of the pool too, when a client that waits in it is terminated');
like($err, qr/Unhandled 'error' event.*leakwatch terminated the session because it had been idle for /s, 'and says why');

($status, $out, $err) = of_node('pool_with_handler');
like(
	$out,
	qr/^leakwatch terminated the session because it had been idle for .*\nthe pool works\n$/,
	'with one the pool goes on')
  or diag($err);

($status, $out, $err) = of_node('never_released');
like(
	$out,
	qr/^57P01 $reason.*\nwaiting for a client: 1\nthe pool works\n$/,
	'the pool has no room until the client that was terminated is released')
  or diag($err);

($status, $out, $err) = of_node('released_by_handler');
like(
	$out,
	qr/^the pool works\nClient .* is not queryable\nthe pool works\n$/,
	'a handler that releases it makes room, whatever became of the work')
  or diag($err);

$node->stop;
done_testing();
