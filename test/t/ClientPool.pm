# A pool of connections as applications have them, and requests that use it.
package ClientPool;

use strict;
use warnings FATAL => 'all';

use Exporter 'import';
use LeakwatchTest;
use RawClient;
use Time::HiRes qw(usleep);

our @EXPORT = qw(stock_goods become_known serve_until);

# What requests do; two kinds, so that each connection sees both.
use constant WORK => ('SELECT count(*) FROM goods WHERE id > %d', 'UPDATE goods SET price = price + 1 WHERE id = %d');

# What they do it with.
sub stock_goods
{
	my ($node) = @_;

	$node->safe_psql('postgres', <<'EOC');
CREATE TABLE goods (id int PRIMARY KEY, price int);
INSERT INTO goods SELECT i, i FROM generate_series(0, 99) AS i;
GRANT SELECT, UPDATE ON goods TO app;
EOC
	return;
}

# Arguments: order (lifo: the connection given back last is taken first; fifo:
# that given back first), app, addr, user, max (connections), pause (after each
# step, in us), set, work, begin and end (statements at the beginning of a use and
# at its end).
sub new
{
	my ($class, $node, %args) = @_;

	return bless {
		node => $node,
		order => 'lifo',
		app => 'shop',
		max => 8,
		pause => 8_000,
		work => [WORK],
		%args,
		free => [],
		open => 0,
		uses => 0,
		step => 0 }, $class;
}

# A connection that is free, or a new one; undef when all are out.
sub find
{
	my ($self) = @_;
	my $free = $self->{free};

	return $self->{order} eq 'lifo' ? pop @$free : shift @$free if @$free;
	return undef if $self->{open} == $self->{max};
	$self->{open}++;
	return RawClient->new($self->{node}, map { $_ => $self->{$_} } grep { defined $self->{$_} } qw(app addr user set));
}

# The same, and its use begins.
sub take
{
	my ($self) = @_;
	my $connection = $self->find;

	$self->{uses}++;
	$connection->query($self->{begin}) if defined $connection && $self->{begin};
	return $connection;
}

sub give
{
	my ($self, $connection) = @_;

	$connection->query($self->{end}) if $self->{end};
	push @{ $self->{free} }, $connection;
	return;
}

# As many requests at once as there are now and then, and a pause.  The numbers
# are the same in each run.
sub serve
{
	my ($self) = @_;
	my $step = $self->{step}++;
	my $busy = (1, 1, 2, 1, 3, 1, 2, 4)[ $step * 5 % 8 ];
	my @taken = grep { defined } map { $self->take } 1 .. $busy;

	$_->query(sprintf $self->{work}[ $step % @{ $self->{work} } ], $step % 100) foreach @taken;
	$self->give($_) foreach $step % 3 ? @taken : reverse @taken;
	usleep($self->{pause});
	return;
}

# A connection that is taken, used and not given back.
sub forget
{
	my ($self) = @_;
	my $connection;

	$self->serve until defined($connection = $self->take);
	$connection->query(sprintf "$self->{work}[-1] /*controller='cart',action='add'*/", 7);
	return $connection;
}

# Have pools serve until leakwatch knows them, at a pace of a second: until then
# it learns, and what they do is held against nobody.
sub become_known
{
	my (@pools) = @_;
	my $known = time + 6;

	while (time < $known)
	{
		$_->serve foreach @pools;
	}
	return;
}

# Have pools serve until this query says so on a server; asked now and then.
sub serve_until
{
	my ($node, $pools, $sql) = @_;

	wait_for(
		"true is: $sql",
		sub {
			foreach (1 .. 20)
			{
				$_->serve foreach @$pools;
			}
			scan($node);
			return $node->safe_psql('postgres', $sql) eq 't';
		});
	return;
}

1;
