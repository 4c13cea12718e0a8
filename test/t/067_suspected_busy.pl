# Shows that of a pool which is used more than is needed to know it the watcher
# looks at an excerpt of the uses, and finds by it who was forgotten all the same.
use strict;
use warnings FATAL => 'all';

use ClientPool;
use LeakwatchTest;
use Test::More;

# Of more uses within that time no more is learnt.
use constant { PACE => 4, USES => 512 };

my $kind = 'suspected_leak';
my $node = new_node('busy', "leakwatch.${kind}_warn = " . PACE . "s\n");

stock_goods($node);

# So many that each of them rests for longer than a pause within a use.
my $pool = ClientPool->new($node, order => 'fifo', max => 40, pause => 3_000);
my @all = map { $pool->take } 1 .. 40;

foreach my $connection (@all)
{
	$connection->query(sprintf $_, 1) foreach ClientPool::WORK;
	$pool->give($connection);
}
# how much it is used is known only after a while
$pool->serve foreach 1 .. 1200;
my $lost = $pool->forget;
my $uses = $pool->{uses};
$pool->serve foreach 1 .. 2000;
serve_until($node, [$pool], "SELECT count(*) = 1 FROM leakwatch.leaks WHERE kind = '$kind' AND pid = $lost->{pid}");
settle($node);
is($node->safe_psql('postgres', 'SELECT count(*) FROM leakwatch.incidents'), '1', 'of a busy pool, the one is suspected that was not given back');

my $incident = incident($node, $lost, $kind);
my ($seen) = $incident->{reason} =~ / others (\d+) times /;
my $real = $pool->{uses} - $uses;
my $paces = 1 + $node->safe_psql('postgres', "SELECT extract(epoch FROM detected_at - since) FROM leakwatch.incidents") / PACE;

cmp_ok($seen, '<=', USES * $paces, "$seen of $real uses were looked at in $paces times " . PACE . ' s');
cmp_ok($seen, '>', 0, 'and these tell enough');
$node->stop;
done_testing();
