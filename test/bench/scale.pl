# What it costs on a large server: the slots of 10,000 connections, of which 5,000
# are there, and a table of a million incidents.
use strict;
use warnings FATAL => 'all';

use Bench;
use LeakwatchTest;
use Time::HiRes qw(time);

my $back_to_back = 500;

# ---------- connections ----------

# Seconds until a server of so many connections is there.
sub start_time
{
	my ($name, $connections, $conf) = @_;
	my $node = plain_node($name, "max_connections = $connections\n" . ($conf // ''));
	my @seconds;

	foreach (1 .. 5)
	{
		$node->stop('fast');
		my $begun = time;
		$node->start;
		push @seconds, time - $begun;
	}
	$node->stop('immediate');
	return median(@seconds);
}

# ns of CPU of the watcher for a scan, without a pause between them.
sub scan_of
{
	my ($watcher, $scan) = @_;
	my ($cpu) = schedstat($watcher);

	$scan->tell('run 1 0');
	return ((schedstat($watcher))[0] - $cpu) / $back_to_back;
}

sub connections
{
	my ($mode) = @_;
	my ($slots, $real) = $mode eq 'quick' ? (200, 50) : (10_000, 5_000);
	my %result = (slots => $slots);

	# a backend takes up to 3 MB
	if (available_mb() < $real * 3)
	{
		$real = 100;
		say_step('only 100 connections, for there is no memory for more');
	}
	$result{real} = $real;
	say_step("start of a server for $slots connections");
	$result{start_plain} = start_time('scale_plain', $slots);
	$result{start} = start_time('scale_start', $slots, "shared_preload_libraries = 'leakwatch'\n");

	my $node = watched_node('scale', $slots);
	$result{shared} = $node->safe_psql('postgres',
		"SELECT sum(allocated_size) FROM pg_shmem_allocations WHERE name LIKE 'leakwatch%'");
	my $watcher = watcher_pid($node);
	my $scan = driver($node, 'query');
	$scan->tell("prepare SELECT count(leakwatch.scan()) FROM generate_series(1, $back_to_back)");
	say_step('a scan of empty slots');
	$result{scan_empty} = median(map { scan_of($watcher, $scan) } 1 .. 5);
	say_step("$real connections");
	my $clients = driver($node, 'clients');
	$clients->tell("open $real");
	scan($node);
	$result{scan} = median(map { scan_of($watcher, $scan) } 1 .. 5);
	$clients->finish;
	$node->stop('immediate');
	return \%result;
}

# ---------- a million incidents ----------

# As wide as rows are that have a statement and a trail.
my $fill = <<'SQL';
SET session_replication_role = replica;
INSERT INTO leakwatch.incidents (id, kind, pid, backend_start, datname, usename, application_name, client_addr, state, since,
	detected_at, last_seen_at, ended_at, duration, warn_limit, action, outcome, blocked_sessions, query, trail)
SELECT i, 'idle_in_transaction', 1000 + i % 20000, begun - interval '1 h', 'db ' || i % 5, 'role ' || i % 20,
	'application ' || i % 100, '10.0.0.1'::inet + i % 10, 'idle in transaction', begun, begun + interval '1 min', begun + interval '90 s',
	begun + interval '90 s', interval '90 s', '1 min', 'warned', CASE i % 4 WHEN 0 THEN 'disconnected' ELSE 'finished' END, 0, 'SELECT ' || i || repeat(' FROM a_table_of_the_application', 10),
	jsonb_build_array(jsonb_build_object('at', begun, 'query', 'UPDATE stock SET pieces = ' || i || repeat(' WHERE item = 1', 10)))
FROM (SELECT i, now() - i * interval '2 s' AS begun FROM generate_series(1, ROWS) AS i) AS s;
VACUUM ANALYZE leakwatch.incidents;
INSERT INTO leakwatch.spells
SELECT date_trunc('hour', now()) - h * interval '1 h', 'db ' || a % 5, 'role ' || a % 20, 'application ' || a, false, kind,
	ARRAY(SELECT (1000000 / (b + 1) ^ 4)::bigint FROM generate_series(1, 28) AS b), interval '1 min'
FROM generate_series(0, 167) AS h, generate_series(1, 100) AS a, unnest('{idle_in_transaction,transaction}'::text[]) AS kind;
VACUUM ANALYZE leakwatch.spells;
SQL

# What is asked of it: SQL, the longest that it may take in ms, and words.
my @asked = (
	[ q(UPDATE leakwatch.incidents SET outcome = 'server_restart' WHERE outcome = 'open'), 100,
		'incidents of a stopped server are looked for and closed' ],
	[ q(DELETE FROM leakwatch.incidents WHERE ctid = ANY (ARRAY(SELECT ctid FROM leakwatch.incidents
		WHERE ended_at < now() - interval '10 y' ORDER BY ended_at LIMIT 1000))), 100, 'old ones are looked for' ],
	[ q(DELETE FROM leakwatch.incidents WHERE ctid = ANY (ARRAY(SELECT ctid FROM leakwatch.incidents
		WHERE ended_at < now() - interval '1 d' ORDER BY ended_at LIMIT 1000))), 500, 'a thousand old ones are deleted' ],
	[ q(SELECT count(*) FROM leakwatch.incidents WHERE pid = 4711), 100, 'those of one process' ],
	[ q(SELECT count(*) FROM leakwatch.incidents WHERE ended_at > now() - interval '1 d'), 500, 'those that ended in the last day' ],
	[ q(SELECT count(*) FROM leakwatch.applications), 5000, 'leakwatch.applications' ],
	[ q(SELECT count(suggested) FROM leakwatch.advice), 5000, 'leakwatch.advice of 100 applications in a week' ],
	[ q(SELECT * FROM leakwatch.what_if('idle_in_transaction', '30 s')), 5000, 'leakwatch.what_if() of the same' ]);

# ms of the fastest of some times, which is what it costs and not what disturbs
# it; and whether all of the table is read for it.
sub ask
{
	my ($node, $sql) = @_;
	my $plan = $node->safe_psql('postgres', "EXPLAIN (COSTS off) $sql");
	my $out = $node->safe_psql('postgres', "\\timing on\n" . "$sql;\n" x 5);

	return (quantile(0, $out =~ /^Time: ([\d.]+) ms/mg), $plan =~ /Seq Scan on incidents/ ? 'by all of it' : 'by an index');
}

sub history
{
	my ($mode) = @_;
	my $rows = $mode eq 'quick' ? 1000 : 1_000_000;
	my $node = watched_node('history', 100, "leakwatch.retention = 0\nfsync = off\n");
	my %result = (rows => $rows);

	say_step("a table of $rows incidents");
	$node->safe_psql('postgres', $fill =~ s{ROWS}{$rows}r);
	$result{mb} = $node->safe_psql('postgres', q{SELECT pg_total_relation_size('leakwatch.incidents') / 1048576});

	say_step('50 incidents are written, and closed');
	configure($node, idle_in_transaction_warn => '50ms');
	my $clients = driver($node, 'clients');
	$clients->tell('open 50');
	foreach my $step ([ written => 'BEGIN', "= 'open'" ], [ closed => 'COMMIT', "<> 'open'" ])
	{
		my ($name, $sql, $outcome) = @$step;
		my $begun = time;

		$clients->tell("send all $sql");
		wait_until($node, "SELECT count(*) = 50 FROM leakwatch.incidents WHERE application_name = 'clients' AND outcome $outcome");
		$result{$name} = (time - $begun) * 1000;
	}
	$clients->finish;

	say_step('what is asked of the table');
	foreach my $case (@asked)
	{
		my ($sql, $bound, $what) = @$case;
		my ($ms, $how) = ask($node, $sql);

		push @{ $result{asked} }, { what => $what, ms => $ms, how => $how, bound => $bound };
	}
	$node->stop('immediate');
	return \%result;
}

sub part_scale
{
	my ($mode) = @_;
	my $c = connections($mode);
	my $h = history($mode);
	my $table = "in a table of $h->{rows} ($h->{mb} MB)";
	my @rows = (
		row("start of a server for $c->{slots} connections, without and with leakwatch",
			sprintf('%.2f s and %.2f s', $c->{start_plain}, $c->{start}), 'at most 1 s more', $c->{start} <= $c->{start_plain} + 1),
		row("shared memory for $c->{slots} connections, with the trail", sprintf('%.0f MB', $c->{shared} / 1048576),
			'under 15 kB a connection', $c->{shared} < 15 * 1024 * $c->{slots}),
		row("a scan of $c->{slots} empty slots, back to back", us($c->{scan_empty}), 'under 1 ms', $c->{scan_empty} < 1e6),
		row("a scan of them with $c->{real} connections, back to back", us($c->{scan}), 'under 1 ms', $c->{scan} < 1e6),
		row("50 incidents after a limit of 50 ms: all are $table after", ms($h->{written}), 'within 2 s', $h->{written} < 2000),
		row("and closed there after they went on", ms($h->{closed}), 'within 2 s', $h->{closed} < 2000),
		map {
			row("$_->{what}, $table", ms($_->{ms}) . ", $_->{how}", "within $_->{bound} ms", $_->{ms} <= $_->{bound})
		} @{ $h->{asked} });

	return (\@rows, { connections => $c, history => $h });
}

1;
