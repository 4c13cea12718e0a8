# Shows that subscribers of a publication FOR ALL TABLES are not stopped by what
# is recorded, and that what the documents advise lets both go on.
use strict;
use warnings FATAL => 'all';

use File::Basename;
use LeakwatchTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $kind = 'idle_in_transaction';
my $publisher = new_node('publisher', "wal_level = logical\nmax_wal_senders = 4\n");
my $subscriber = PostgreSQL::Test::Cluster->new('subscriber');
my ($stand_ins) =
  slurp_file(dirname(__FILE__) . "/../../doc/limits.md") =~ /^```sql\n(SELECT format\('CREATE TABLE.*?)^```/ms;
my $value = 0;

$subscriber->init;
$subscriber->start;
$publisher->safe_psql('postgres',
	'DROP EXTENSION leakwatch; CREATE TABLE goods (i int PRIMARY KEY); CREATE PUBLICATION everything FOR ALL TABLES');
$subscriber->safe_psql('postgres', 'CREATE TABLE goods (i int PRIMARY KEY)');
$subscriber->safe_psql('postgres',
	"CREATE SUBSCRIPTION follower CONNECTION '" . $publisher->connstr . " dbname=postgres' PUBLICATION everything");
$subscriber->wait_for_subscription_sync($publisher, 'follower');

# What CREATE EXTENSION says beside doing it.
sub create_extension
{
	my ($node) = @_;
	my ($status, undef, $said) = $node->psql('postgres', 'CREATE EXTENSION leakwatch');

	is($status, 0, $node->name . ': the extension is created');
	return $said;
}

sub sell
{
	$publisher->safe_psql('postgres', 'INSERT INTO goods VALUES (' . ++$value . ')');
	return;
}

sub arrives
{
	my ($when) = @_;

	ok( $subscriber->poll_query_until(
			'postgres', "SELECT EXISTS (SELECT FROM goods WHERE i = $value)"),
		"$when: the subscriber goes on");
	return;
}

sub leaky
{
	my ($app) = @_;

	return leak($publisher, $kind, app => $app, warn => '100ms');
}

# Is this incident in the table?
sub recorded
{
	my ($session) = @_;

	return $publisher->safe_psql('postgres',
		"SELECT count(*) FROM leakwatch.incidents WHERE pid = $session->{pid}");
}

my $said = create_extension($publisher);

like(
	$said,
	qr/WARNING:  leakwatch records no incidents in this database while publication "everything" is FOR ALL TABLES/,
	'CREATE EXTENSION says that its tables would be published');
like($said, qr/^HINT: .*leakwatch\.database.*leakwatch\.record_published/m,
	'... and what to do about it');

# incidents wait, and the subscriber knows nothing of them
my $first = leaky('first');

wait_for_leak($publisher, $kind, $first);
wait_until($publisher,
	q{SELECT health LIKE 'incidents are not recorded in database "postgres": publication "everything" FOR ALL TABLES%'}
	  . ' AND pending > 0 FROM leakwatch.status');
is(recorded($first), 0, 'the incident waits');
sell();
arrives('an incident waits');

# with consent it is written, and a subscriber without the table stops
my $offset = -s $subscriber->logfile;

configure($publisher, record_published => 'on');
wait_for_incident($publisher, "pid = $first->{pid}");
pass('the incident is recorded after a reload');
sell();
$subscriber->wait_for_log(qr/target relation "leakwatch\.\w+" does not exist/, $offset);
is($subscriber->safe_psql('postgres', "SELECT count(*) FROM goods WHERE i = $value"),
	0, 'a subscriber without the tables is stopped');

# the cure, as the document has it, in a server that does not load leakwatch
$subscriber->safe_psql('postgres',
	"CREATE SCHEMA leakwatch;\n" . $publisher->safe_psql('postgres', $stand_ins));
arrives('with tables to stand in');

# the cure where leakwatch is loaded
$subscriber->safe_psql('postgres', 'ALTER SUBSCRIPTION follower DISABLE; DROP SCHEMA leakwatch CASCADE');
$subscriber->append_conf('postgresql.conf', "shared_preload_libraries = 'leakwatch'\n");
$subscriber->restart;
unlike(create_extension($subscriber), qr/publication/, 'the subscriber publishes nothing');
$subscriber->safe_psql('postgres', 'ALTER SUBSCRIPTION follower ENABLE; ALTER SUBSCRIPTION follower REFRESH PUBLICATION');
ok( $subscriber->poll_query_until(
		'postgres', "SELECT EXISTS (SELECT FROM leakwatch.incidents WHERE pid = $first->{pid})"),
	'the history is copied to the subscriber');
sell();
arrives('with the extension there');

# without consent again
configure($publisher, record_published => undef);
my $second = leaky('second');

wait_for_leak($publisher, $kind, $second);
wait_until($publisher, q{SELECT health LIKE '%publication%' FROM leakwatch.status});
is(recorded($second), 0, 'consent is withdrawn');
$publisher->safe_psql('postgres',
	'ALTER PUBLICATION everything RENAME TO "All"; CREATE PUBLICATION goods FOR TABLE goods');
wait_until($publisher, q{SELECT health LIKE '%publication "All"%' FROM leakwatch.status});
$subscriber->safe_psql('postgres', 'ALTER SUBSCRIPTION follower SET PUBLICATION goods');
$publisher->safe_psql('postgres', 'DROP PUBLICATION "All"');
wait_for_incident($publisher, "pid = $second->{pid}");
settle($publisher);
is($publisher->safe_psql('postgres', 'SELECT health FROM leakwatch.status'),
	'ok', 'a publication of chosen tables is not in the way');
sell();
arrives('chosen tables only');

# where nothing can be published
$subscriber->safe_psql('postgres',
	'DROP EXTENSION leakwatch; SET client_min_messages = error; CREATE PUBLICATION everything FOR ALL TABLES');
unlike(create_extension($subscriber),
	qr/publication/, 'wal_level below logical: no publication sends anything');

done_testing();
