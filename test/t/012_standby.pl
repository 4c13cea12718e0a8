# Shows that a hot standby finds leaks and acts on them, and that what it
# found is written after its promotion.
use strict;
use warnings FATAL => 'all';

use LeakwatchTest;
use PostgreSQL::Test::Cluster;
use Test::More;

my $kind = 'idle_in_transaction';
my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
$primary->append_conf('postgresql.conf', <<'EOC');
shared_preload_libraries = 'leakwatch'
log_line_prefix = '%m [%p] %e '
max_prepared_transactions = 2
leakwatch.prepared_transaction_warn = 100ms
EOC
$primary->start;
$primary->safe_psql('postgres',
	'CREATE EXTENSION leakwatch; CREATE ROLE app LOGIN');

# This one is open on the primary when the primary is lost.
my $lost = leak($primary, $kind, user => undef, set => { "${kind}_warn" => '100ms' });
wait_for_incident($primary, "pid = $lost->{pid} AND outcome = 'open'");

# So is a transaction that is prepared there.
$primary->safe_psql('postgres', "BEGIN; SELECT pg_current_xact_id(); PREPARE TRANSACTION 'lost'");
wait_for_incident($primary, "gid = 'lost' AND outcome = 'open'");

$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;
$primary->wait_for_catchup($standby);

is($standby->safe_psql('postgres', q(SELECT used, "limit" FROM leakwatch.saturation WHERE scope = 'server')), '1|7',
	'a standby counts its connections');
scan($standby);
is($standby->safe_psql('postgres', 'SELECT count(*) FROM pg_prepared_xacts'), '0', 'a standby shows nothing prepared');
is($standby->safe_psql('postgres', 'SELECT count(*) FROM leakwatch.leaks'), '0', 'and leaves that to its primary');
my %policy = ("${kind}_warn" => '100ms');
my $warned = leak($standby, $kind, user => undef, set => \%policy);
$standby->safe_psql('postgres', 'SELECT leakwatch.scan()');
wait_for_leak($standby, $kind, $warned);
pass('a standby finds leaks');
is(warnings_about($standby, $warned), 1, 'and warns about them');

# Policy of the role comes from the primary.
$primary->safe_psql('postgres', <<"EOC");
ALTER ROLE app SET leakwatch.mode = 'enforce';
ALTER ROLE app SET leakwatch.${kind}_warn = '100ms';
ALTER ROLE app SET leakwatch.${kind}_terminate = '200ms';
EOC
$primary->wait_for_catchup($standby);
my $ended = leak($standby, $kind);
wait_until($standby, 'SELECT terminated = 1 FROM leakwatch.status');
like(
	$ended->quit('SELECT 1;'),
	qr/DETAIL:  leakwatch terminated the session because .*idle_in_transaction_terminate/,
	'and terminates, and tells the client why');

wait_until($standby,
	"SELECT NOT EXISTS (SELECT FROM leakwatch.leaks WHERE pid = $ended->{pid})");
my $status = status($standby);
is($status->{pending}, 2, 'what it found waits');
is($status->{recorder_pid}, undef, 'no recorder runs');
is( $standby->safe_psql('postgres',
		"SELECT count(*) FROM leakwatch.incidents WHERE pid IN ($warned->{pid}, $ended->{pid})"
	),
	0,
	'nothing is written');

$primary->stop('immediate');
$standby->promote;
settle($standby);
is(incident($standby, $warned, $kind)->{outcome},
	'open', 'after the promotion, the open one is written');
is(incident($standby, $ended, $kind)->{outcome},
	'terminated', 'and the ended one');
wait_for_incident($standby, "pid = $lost->{pid} AND outcome <> 'open'");
my $row = incident($standby, $lost, $kind);
isnt($row->{ended_at}, undef,
	'and the one that the old primary left open is closed');
note "$row->{outcome}: " . ($row->{outcome_detail} // '');

# What was prepared on the old primary is prepared on the new one.
wait_until($standby, "SELECT count(*) = 1 FROM leakwatch.leaks WHERE gid = 'lost'");
settle($standby);
is($standby->safe_psql('postgres', q(SELECT count(*), min(outcome), min(detected_at) < pg_postmaster_start_time()
	FROM leakwatch.incidents WHERE gid = 'lost')), '1|open|t', 'the incident of what was prepared goes on');
is(scalar(grep { $_->{message} =~ /^transaction "lost" / } log_entries($standby)), 0, 'and is not said again');
$standby->safe_psql('postgres', q(COMMIT PREPARED 'lost'));
settle($standby);
is($standby->safe_psql('postgres', q(SELECT outcome, outcome_detail FROM leakwatch.incidents WHERE gid = 'lost')),
	'finished|committed', 'until it is committed there');

$warned->query('COMMIT');
settle($standby);
is(incident($standby, $warned, $kind)->{outcome},
	'finished', 'the new primary goes on with what the standby began');

$_->quit foreach ($warned, $lost);
$standby->stop;
done_testing();
