# Shows that the classic mistakes with a pool of node-postgres are found, with the code
# that made them, and that its proper use is not complained about.
use strict;
use warnings FATAL => 'all';

use Clients;
use Test::More;

my $application = application('leaks.js', '/usr/bin/node');

make_mistakes($application);
undo_mistakes($application);
behave($application);
stop($application);
$application->{node}->stop;
done_testing();
