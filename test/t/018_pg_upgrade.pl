# Shows that pg_upgrade takes the history along, whether or not the new cluster
# preloads leakwatch yet.
use strict;
use warnings FATAL => 'all';

use LeakwatchTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $kind = 'idle_in_transaction';

# pg_upgrade runs where it may leave files
my $old = new_node('old');
my $leaky = leak($old, $kind, warn => '100ms');
wait_for_leak($old, $kind, $leaky);
$leaky->query('COMMIT');
settle($old);
my $open = leak($old, $kind, warn => '100ms');
wait_for_leak($old, $kind, $open);
settle($old);
$old->safe_psql('postgres', q{ALTER ROLE app SET leakwatch.transaction_warn = '7min'});
my $history = 'SELECT pid, backend_start, kind, since, query FROM leakwatch.incidents ORDER BY since';
my $before = $old->safe_psql('postgres', $history);
$old->stop;
$open->quit;

foreach my $preload (1, 0)
{
	my $what = $preload ? 'preloaded' : 'not preloaded';
	my $new = PostgreSQL::Test::Cluster->new($preload ? 'preloaded' : 'plain');

	$new->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
	$new->append_conf('postgresql.conf', "shared_preload_libraries = 'leakwatch'\n")
	  if $preload;
	foreach my $check ([], ['--check'])
	{
		# the check first, and then in earnest
		my @check = $check->[0] ? () : ('--check');

		command_ok(
			[
				'pg_upgrade', '--no-sync',
				'-d', $old->data_dir, '-D', $new->data_dir,
				'-b', $old->config_data('--bindir'), '-B', $new->config_data('--bindir'),
				'-s', $new->host, '-p', $old->port, '-P', $new->port, @check
			],
			"$what: pg_upgrade @check");
	}

	$new->append_conf('postgresql.conf', "shared_preload_libraries = 'leakwatch'\n")
	  if !$preload;
	$new->start;
	is($new->safe_psql('postgres', $history), $before, "$what: the history is there");
	wait_until($new,
		"SELECT outcome = 'server_restart' FROM leakwatch.incidents WHERE pid = $open->{pid}");
	my $later = leak($new, $kind, warn => '100ms');
	wait_for_leak($new, $kind, $later);
	is(policy($new, $later)->{transaction_warn}, '00:07:00', "$what: settings of roles are kept");
	settle($new);
	is(incident($new, $later, $kind)->{outcome}, 'open', "$what: and it goes on");
	$later->quit;
	$new->stop;
}

done_testing();
