# Shows that the helpers of doc/clients.md fail a test that leaks, with its statements,
# and no other, in node:test, pytest and JUnit 5.
use strict;
use warnings FATAL => 'all';

use FindBin;
use IPC::Run;
use LeakwatchTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $directory = "$FindBin::Bin/frameworks";
my $temp = PostgreSQL::Test::Utils::tempdir();
my $node = new_node('frameworks', "listen_addresses = '127.0.0.1'");
my $classpath = join ':', $temp, '/usr/share/java/postgresql.jar',
  grep { !/javadoc|sources/ } map { glob "/usr/share/java/$_.jar" }
  qw(junit-jupiter* junit-platform* opentest4j apiguardian-api univocity-parsers picocli);

$node->safe_psql('postgres', <<'EOC');
CREATE ROLE shop_test LOGIN;
ALTER ROLE shop_test SET leakwatch.idle_in_transaction_warn = '200ms';
ALTER ROLE shop_test SET leakwatch.aborted_transaction_warn = '200ms';
GRANT USAGE ON SCHEMA leakwatch TO shop_test;
GRANT EXECUTE ON FUNCTION leakwatch.assert_no_leaks TO shop_test;
EOC
command_ok([ 'javac', '-d', $temp, '-cp', $classpath, "$directory/NoLeaks.java", "$directory/ShopTest.java" ],
	'the extension of JUnit compiles');

my %frameworks = (
	node => [ [ '/usr/bin/node', '--test', '--test-reporter=tap', "$directory/shop.test.js" ],
		qr/^# pass 2$/m, qr/^# pass 1\n# fail 1\n/m ],
	python => [ [ '/usr/bin/python3', '-m', 'pytest', '-p', 'no:cacheprovider', $directory ],
		qr/\b2 passed in/, qr/\b2 passed, 1 error in/ ],
	java => [ [ 'java', '-cp', $classpath, 'org.junit.platform.console.ConsoleLauncher', '--disable-banner', '-c', 'ShopTest' ],
		qr/2 tests successful.*0 tests failed/s, qr/1 tests successful.*1 tests failed/s ]);

sub run_tests
{
	my ($name, $leak) = @_;
	my $out;
	local %ENV = (
		%ENV,
		PGHOST => '127.0.0.1',
		PGPORT => $node->port,
		PGDATABASE => 'postgres',
		PGUSER => 'shop_test',
		PYTHONDONTWRITEBYTECODE => 1,
		TEST_DATABASE => 'jdbc:postgresql://127.0.0.1:' . $node->port . '/postgres?user=shop_test');

	$ENV{LEAK} = 1 if $leak;
	IPC::Run::run($frameworks{$name}[0], '>' => \$out, '2>&1',
		IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	return ($? >> 8, $out);
}

foreach my $name (sort keys %frameworks)
{
	my ($command, $passes, $fails) = @{ $frameworks{$name} };
	my ($status, $out) = run_tests($name, 0);

	is($status, 0, "$name: tests that do not leak pass");
	like($out, $passes, '... all of them');
	($status, $out) = run_tests($name, 1);
	isnt($status, 0, "$name: one that does fails");
	like($out, $fails, '... and no other');
	like($out, qr/application "shop" has 1 leaked session.*SELECT 'from $name' \/\*action='pay'\*\//s, '... with its statements');
}

$node->stop;
done_testing();
