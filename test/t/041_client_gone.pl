# Shows that a session whose client is gone is found while its statement runs, if
# it does harm, and told from one that has a client.
use strict;
use warnings FATAL => 'all';

use LeakwatchTest;
use RawClient;
use Test::More;

plan skip_all => 'only Linux tells' unless $^O eq 'linux';

my $node = new_node('gone', "listen_addresses = '127.0.0.1, ::1'");
my $kind = 'waiting_for_client';
my $ipv6 = $node->psql('postgres', 'SELECT 1', connstr => $node->connstr('postgres') . ' host=::1', stdout => \my $out) == 0;

# A session that has changed this row, and now runs a statement for long.
sub working
{
	my ($row, %args) = @_;
	my $client = RawClient->new($node, %args);

	$client->query('BEGIN');
	$client->query("UPDATE stock SET pieces = 1 WHERE item = $row");
	$client->messages(Q => ($args{notice} ? 'DO $$ BEGIN RAISE NOTICE \'unread\'; END $$; ' : '') . "SELECT pg_sleep(600)\0");
	# what the client has not read when it goes resets the connection
	IO::Select->new($client->{socket})->can_read(180) if $args{notice};
	wait_until($node, "SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = $client->{pid}");
	return $client;
}

sub client_gone
{
	my ($client) = @_;

	return $node->safe_psql('postgres', "SELECT client_gone FROM leakwatch.sessions WHERE pid = $client->{pid}");
}

$node->safe_psql('postgres', <<'EOC');
CREATE TABLE stock (item int PRIMARY KEY, pieces int);
INSERT INTO stock SELECT i, 10 FROM generate_series(1, 20) AS i;
GRANT ALL ON stock TO app;
EOC
# as shipped, but for the transaction's
configure($node, "${kind}_warn" => '60s', idle_in_transaction_warn => '1s');

#
# In the way of others
#
my @ways = (
	[ 'local', sub { $_[0]->close }, ],
	[ 'by TCP', sub { $_[0]->close }, addr => '127.0.0.1' ],
	[ 'by TCP, with something unread', sub { $_[0]->close }, addr => '127.0.0.1', notice => 1 ],
	($ipv6 ? [ 'by IPv6', sub { $_[0]->close }, addr => '::1' ] : ()));
my @stays = (
	[ 'a client that waits, local', sub { } ],
	[ 'a client that waits, by TCP', sub { }, addr => '127.0.0.1' ],
	[ 'a client that sends nothing more, local', sub { shutdown($_[0]->{socket}, 1) } ],
	[ 'a client that sends nothing more, by TCP', sub { shutdown($_[0]->{socket}, 1) }, addr => '127.0.0.1' ]);
my $row = 0;
my (@gone, @there, @waiting);
foreach my $case (@ways, @stays)
{
	my ($name, $end, %args) = @$case;
	my $client = working(++$row, %args);
	my $waiting = session($node);

	$waiting->begin("UPDATE stock SET pieces = 2 WHERE item = $row");
	push @waiting, $waiting;
	push @{ $row <= @ways ? \@gone : \@there }, { name => $name, client => $client };
	$end->($client);
}
wait_for_lock($node, @waiting);
foreach my $case (@gone)
{
	my $client = $case->{client};

	wait_until($node, "SELECT EXISTS (SELECT FROM leakwatch.leaks WHERE pid = $client->{pid} AND kind = '$kind' AND client_gone)");
	is(client_gone($client), 't', "$case->{name}: found, and in leakwatch.sessions");
	my ($message) = log_of($node, $client);
	like($message->{message}, qr/^session with PID $client->{pid} has been running a statement whose client is gone for \d+ m?s$/,
		"$case->{name}: said at once");
	like($message->{detail}, qr/ Its client is gone\. .*Statement: .*SELECT pg_sleep\(600\)/s, "$case->{name}: with what it runs");
	like($message->{hint}, qr/Set client_connection_check_interval/, "$case->{name}: and what to do");
	settle($node);
	is(incident($node, $client, $kind)->{client_gone}, JSON::PP::true, "$case->{name}: recorded");
}
# they have been looked at as long as the others
foreach my $case (@there)
{
	is(client_gone($case->{client}), 'f', "$case->{name}: is there");
	is(leaks($node, $case->{client}), '', "$case->{name}: and no leak");
}

#
# Ended as one that waits for its client
#
my $pids = join(', ', map { $_->{client}{pid} } @gone);
configure($node, "${kind}_terminate" => '1s', mode => 'enforce');
wait_until($node, "SELECT count(*) = ${\scalar @gone} FROM leakwatch.incidents WHERE pid IN ($pids) AND outcome = 'terminated'");
pass('all that are without a client are ended');
$_->wait foreach @waiting[ 0 .. $#gone ];
pass('and let go on who has waited');
ok( $node->safe_psql('postgres', "SELECT count(*) = ${\scalar @there} FROM pg_stat_activity WHERE pid IN ("
		  . join(', ', map { $_->{client}{pid} } @there) . ')') eq 't', 'the others are still there');
$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'");
$_->quit('SELECT 1;') foreach @waiting;
configure($node, "${kind}_terminate" => undef, mode => undef);

#
# Over a limit, and in nobody's way
#
my $over = working(20, set => { transaction_warn => '100ms' });
my $young = working(19);
wait_until($node, "SELECT EXISTS (SELECT FROM leakwatch.leaks WHERE pid = $over->{pid} AND kind = 'transaction')");
$over->close;
$young->close;
wait_until($node, "SELECT EXISTS (SELECT FROM leakwatch.leaks WHERE pid = $over->{pid} AND kind = '$kind')");
is($node->safe_psql('postgres', "SELECT bool_and(client_gone) FROM leakwatch.leaks WHERE pid = $over->{pid}"),
	't', 'over the limit of its transaction: both incidents say so');
is(client_gone($young), 'f', 'who does no harm is not looked at');

# The server notices by itself where it is told to look.
my $checked = RawClient->new($node, addr => '127.0.0.1', set => { transaction_warn => '100ms' });
$checked->query("SET client_connection_check_interval = '2s'");
$checked->query('BEGIN');
$checked->messages(Q => "SELECT pg_sleep(600)\0");
wait_until($node, "SELECT EXISTS (SELECT FROM leakwatch.leaks WHERE pid = $checked->{pid} AND kind = 'transaction')");
$checked->close;
wait_for_incident($node, "pid = $checked->{pid} AND kind = 'transaction' AND outcome = 'ended_by_server' AND outcome_detail = 'connection to client lost, SQLSTATE 08006'");
pass('with client_connection_check_interval the server ends it');

$node->stop('immediate');
done_testing();
