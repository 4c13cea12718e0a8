# Shows that a connection is known to be of its pool, whatever name a borrower has
# given to it: a pooler between applications and server lends connections that
# have a name while they are lent, and are reset when they are given back.
use strict;
use warnings FATAL => 'all';

use ClientPool;
use LeakwatchTest;
use Test::More;

my $kind = 'suspected_leak';
my $node = new_node('borrowed', "leakwatch.${kind}_warn = 1s\n");

stock_goods($node);

my $pool = ClientPool->new($node,
	app => 'pooler',
	order => 'fifo',
	begin => "SET application_name = 'borrower'",
	end => 'DISCARD ALL');

become_known($pool);
my $lost = $pool->forget;

serve_until($node, [$pool], "SELECT count(*) = 1 FROM leakwatch.leaks WHERE kind = '$kind' AND pid = $lost->{pid}");
settle($node);
is($node->safe_psql('postgres', "SELECT string_agg(application_name, ' ') FROM leakwatch.incidents WHERE kind = '$kind'"),
	'borrower', 'who was lent and not given back is suspected, under the name of who has it');
like(leak_row($node, $lost, 'reason'), qr/ used \d others? \d+ times /, 'for what the others did');

$node->stop;
done_testing();
