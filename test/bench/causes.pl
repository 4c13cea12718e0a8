# Whether incidents of the same code have the same cause, and those of another
# code another: 10,000 of 40 code paths with other values each time.  And what the
# view of causes takes with 1,000,000 rows in the table.
use strict;
use warnings FATAL => 'all';

use Bench;
use CodePaths;
use LeakwatchTest;
use Time::HiRes qw(time);

# In ms, once the table has been vacuumed, as autovacuum does.
my $most = 2000;

sub mixture
{
	my ($mode) = @_;
	my $rounds = $mode eq 'quick' ? 2 : 250;
	my $node = watched_node('mixture', 60, "leakwatch.idle_in_transaction_warn = 0\nleakwatch.aborted_transaction_warn = 0\n");

	code_paths_set_up($node);
	my @sessions = code_paths_start($node);
	say_step("$rounds times " . @sessions . ' code paths');
	code_paths_run($node, @sessions) foreach 1 .. $rounds;
	my ($incidents, $causes, $merged, $split) = split /\|/, code_paths_verdict($node);
	$_->quit foreach @sessions;
	$node->stop('immediate');
	return row(
		"$incidents incidents of " . @sessions . ' code paths with other values each time',
		"$causes causes, $merged merged, $split split",
		'one cause each', $causes == @sessions && !$merged && !$split);
}

# Rows as they come from 400 causes, the newest first.
sub view
{
	my ($mode) = @_;
	my @sizes = $mode eq 'quick' ? (1000) : (100_000, 1_000_000);
	my $node = watched_node('view', 60, "leakwatch.retention = 0\n");
	my $from = 1;
	my @rows;

	foreach my $size (@sizes)
	{
		say_step("$size rows");
		$node->safe_psql('postgres', <<"EOC");
SET session_replication_role = replica;
INSERT INTO leakwatch.incidents (id, kind, pid, backend_start, since, detected_at, last_seen_at, ended_at,
	duration, action, outcome, blocked_sessions, datname, application_name, query, trail, cause)
SELECT n, 'idle_in_transaction', n, t, t, t, t, t, '1 min', 'warned', 'finished', 0, 'shop', 'app',
	'COMMIT', jsonb_build_array(
		jsonb_build_object('at', t, 'query', 'BEGIN'),
		jsonb_build_object('at', t, 'query', 'UPDATE stock SET pieces = pieces - ' || n || ' WHERE item = ''lamp ' || n || ''''),
		jsonb_build_object('at', t, 'query', 'SELECT pieces FROM stock WHERE item = ''lamp ' || n || '''')),
	1 + n % 400
FROM (SELECT n, now() - n * interval '2 s' AS t FROM generate_series($from, $size) AS n) AS s;
EOC
		$node->safe_psql('postgres', 'VACUUM ANALYZE leakwatch.incidents');
		my @took;
		foreach (1 .. 5)
		{
			my $start = time;

			$node->safe_psql('postgres', 'SELECT * FROM leakwatch.causes');
			push @took, 1000 * (time - $start);
		}
		push @rows,
		  row("leakwatch.causes, with $size rows in the table", ms(median(@took)),
			$size == 1_000_000 ? ("at most $most ms", median(@took) <= $most) : ());
		$from = $size + 1;
	}
	$node->stop('immediate');
	return @rows;
}

sub part_causes
{
	my ($mode) = @_;

	return ([ mixture($mode), view($mode) ], {});
}

1;
