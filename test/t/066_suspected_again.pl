# Shows that suspicion outlives the watcher, and events that there was no room
# for, and that it works on a hot standby.
use strict;
use warnings FATAL => 'all';

use ClientPool;
use LeakwatchTest;
use PostgreSQL::Test::Cluster;
use Test::More;

my $kind = 'suspected_leak';
my $primary = new_node('primary', <<"EOC");
wal_level = replica
max_wal_senders = 4
hot_standby = on
leakwatch.${kind}_warn = 1s
EOC

stock_goods($primary);

# Serve with a pool, forget a connection, and wait until that is suspected.
sub suspected_of
{
	my ($node, $pool) = @_;
	my $lost;

	$pool->serve foreach 1 .. 50;
	$lost = $pool->forget;
	serve_until($node, [$pool], "SELECT count(*) = 1 FROM leakwatch.leaks WHERE kind = '$kind' AND pid = $lost->{pid}");
	return $lost;
}

sub count_of
{
	my ($node, $where) = @_;

	return $node->safe_psql('postgres', "SELECT count(*) FROM leakwatch.leaks WHERE kind = '$kind' AND $where");
}

#
# Another watcher
#
my $pool = ClientPool->new($primary, app => 'shop', order => 'fifo');
my $lost = suspected_of($primary, $pool);
my $reason = leak_row($primary, $lost, 'reason');
my $watcher = status($primary)->{watcher_pid};

kill('TERM', $watcher) == 1 or die "could not stop the watcher: $!";
wait_until($primary, "SELECT watcher_pid <> $watcher FROM leakwatch.status");
scan($primary);
is(leak_row($primary, $lost, 'reason'), $reason, 'a suspicion outlives the watcher, with its reason');

my $later = suspected_of($primary, $pool);

is(count_of($primary, 'true'), '2', 'the next watcher finds the next, and the first not twice');

#
# More events than there is room for, while the watcher does not look
#
$watcher = status($primary)->{watcher_pid};
my @crowd = map { ClientPool->new($primary, app => "crowd-$_", order => 'fifo', pause => $_ == 1 ? 8_000 : 2_000) } 1 .. 4;

kill('STOP', $watcher) == 1 or die "could not stop the watcher: $!";
foreach (1 .. 400)
{
	$_->serve foreach $pool, @crowd;
}
kill('CONT', $watcher) == 1 or die "could not have the watcher go on: $!";
scan($primary);
is(count_of($primary, 'true'), '2', 'what was missed accuses nobody');
$later = suspected_of($primary, $crowd[0]);
is(count_of($primary, "application_name LIKE 'crowd%'"), '1', 'and keeps nobody from being found afterwards');

#
# A standby
#
$primary->backup('base');

my $standby = PostgreSQL::Test::Cluster->new('standby');

$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;
$primary->wait_for_catchup($standby);

my $readers = ClientPool->new($standby, app => 'readers', order => 'fifo', work => [ map { "SELECT $_ FROM goods WHERE id = %d" } 'price', 'id, price' ]);

$lost = suspected_of($standby, $readers);
is(count_of($standby, "pid <> $lost->{pid}"), '0', 'on a standby too, the one that was forgotten is suspected');

$standby->stop('immediate');
$primary->stop('immediate');
done_testing();
