# What must hold at each second of the soak, whatever happens to the server.
#
# Nothing here is read at one moment with anything else, so a rule is broken only
# when it is seen broken so many seconds on end.
package Invariants;

use strict;
use warnings FATAL => 'all';

use Exporter 'import';
use JSON::PP;
use List::Util qw(max min);
use PostgreSQL::Test::Utils qw(slurp_file);
use RawClient;
use Soak;
use Time::HiRes qw(time);

our @EXPORT = qw(watch_server look hear broken is_too_much leaks_left figures);

# How long a recorder that was kept from its work may take to try again, and
# what is found may take to be in the table, in s.
use constant { RETRY => 75, SETTLE => 4 };

# For so long after a disturbance things may still be on their way, in s.
use constant CALM => 3;

# Private memory may exceed what it was after the warm-up by so many kB.
use constant { GROWTH => 512, GROWTH_FACTOR => 1.1 };

# After so many broken rules the rest says nothing new; of one rule after so many.
use constant { MAX_BROKEN => 30, ENOUGH => 4 };

# What has happened just before is shown, so much of it.
use constant SHOWN => 12;

my ($node, $watch, $table, $started, $warm_up);

# What has been heard: what is going on, and since when.
my %now = (disturbed => 0, health => '', settled_at => 0, free => 0, free_since => 0,
	watcher_away => 0, jumps => 0);
my @outages;
my @leaks;
my %figures = (broken => [], seconds => 0);
my %strikes;
my @recent;

sub figures { return \%figures; }

# A session of the soak itself.
sub own_session
{
	my ($db) = @_;

	return RawClient->new($node, db => $db, app => 'soak', user => scalar getpwuid($<), set => { mode => 'off' });
}

sub watch_server
{
	($node, my $seconds) = @_;
	$started = time;
	$warm_up = $seconds < 720 ? $seconds / 12 : 60;
	$watch = own_session('watch');
	$table = own_session('postgres');
	$table->query("SET lock_timeout = '1s'");
	return;
}

# ---------- what is broken ----------

# The rule is broken, and this shows it; with what has happened just before.
sub broken
{
	my ($rule, $evidence) = @_;
	my $text = sprintf "BROKEN after %d s: %s\n    %s\n", time - $started, $rule, $evidence =~ tr/\0/ /r =~ s/\n/\n    /gr;

	$figures{broken_rules}{$rule}++;
	return if $figures{broken_rules}{$rule} > ENOUGH;
	push @{ $figures{broken} }, $text;
	show($text, map { "    before: $_\n" } @recent);
	return;
}

sub is_too_much { return @{ $figures{broken} } >= MAX_BROKEN; }

# The rule has to hold; it is broken when it has not, so many times on end.
sub must
{
	my ($rule, $holds, $patience, $evidence) = @_;

	if ($holds)
	{
		delete $strikes{$rule};
		return;
	}
	return if ++$strikes{$rule} != $patience;
	broken($rule =~ s/ #.*//r, ref $evidence ? JSON::PP->new->canonical->encode($evidence) : $evidence);
	return;
}

# ---------- what is heard ----------

my %hear = (
	broken => sub { broken("$_[0]{rule} ($_[0]{who})", $_[0]{evidence}) },
	disturbance => sub {
		@now{qw(disturbed health)} = (1, $_[0]{health});
		$figures{done}{ $_[0]{name} }++;
	},
	'disturbance over' => sub { $now{health} = '' },
	settled => sub { @now{qw(disturbed settled_at)} = (0, $_[0]{at}) },
	'watcher ended' => sub {
		$now{watcher_away} = 1;
		push @outages, [ $_[0]{at}, $_[0]{at} + 5 ];
		$figures{done}{"watcher ended by $_[0]{how}"}++;
	},
	'watcher back' => sub {
		$now{watcher_away} = 0;
		$outages[-1][1] = $_[0]{at};
	},
	policy => sub {
		@now{qw(free free_since)} = (@{ $_[0] }{qw(free at)});
		$figures{done}{'server policy changed'}++ if $_[0]{settings};
	},
	clock => sub {
		$now{jumps} += $_[0]{counted};
		$figures{done}{'clock step'}++;
	},
	done => sub { $figures{done}{ $_[0]{name} }++ },
	pool => sub { $figures{done}{"application $_[0]{name} started"}++ },
	slow => sub { $figures{done}{"slow: $_[0]{name}"}++ },
	innocents => sub { @figures{qw(innocent_times innocent_sessions)} = @{ $_[0] }{qw(times sessions)} },
	pgbench => sub { $figures{pgbench} += $_[0]{transactions} },
	leak => sub {
		push @leaks, $_[0];
		$figures{leaks}{ $_[0]{kind} }{ $_[0]{end} }++;
	},
	# who may be held back by the server's policy is not late
	overdue => sub {
		broken($_[0]{rule}, $_[0]{evidence})
		  if $_[0]{rule} !~ /terminate/ || ($now{free} && $now{free_since} < $_[0]{since});
	});

sub hear
{
	my ($event) = @_;
	my $what = delete $event->{what};

	push @recent, sprintf('%d s: %s %s', $event->{at} - $started, $what, JSON::PP->new->canonical->encode($event))
	  if $event->{who} eq 'weather' && $what !~ /^(?:leak|broken|overdue)$/;
	shift @recent if @recent > SHOWN;
	$hear{$what}->($event);
	return;
}

# ---------- what is seen ----------

my $status_sql = <<'EOS';
SELECT row_to_json(t) FROM (
	SELECT s.*, (SELECT count(*) FROM leakwatch.leaks) AS leaks,
		(SELECT coalesce(json_agg(l.pid || ' ' || l.kind || ' ' || l.since), '[]') FROM leakwatch.leaks AS l
			WHERE NOT EXISTS (SELECT FROM pg_stat_activity AS a WHERE a.pid = l.pid AND a.backend_start = l.backend_start)) AS gone,
		(SELECT coalesce(json_agg(u), '[]') FROM leakwatch.sessions AS u
			WHERE least(state_age, transaction_age, session_age) < '-1s' OR greatest(state_age, transaction_age, session_age) > '%d s') AS aged,
		(SELECT coalesce(json_agg(l), '[]') FROM leakwatch.leaks AS l WHERE duration < '-1s' OR duration > '%1$d s') AS stretched,
		(SELECT used FROM leakwatch.saturation WHERE scope = 'server') AS used,
		(SELECT sum(used) FROM leakwatch.saturation WHERE scope = 'database') AS used_by_databases,
		(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS connected
	FROM leakwatch.status AS s) AS t
EOS

my $table_sql = <<'EOS';
WITH history AS (
	SELECT pid, backend_start, kind, since, outcome, outcome_detail, action, application_name FROM leakwatch.incidents
	UNION ALL
	SELECT pid, backend_start, kind, since, outcome, outcome_detail, action, application_name FROM soak.kept AS k
	WHERE NOT EXISTS (SELECT FROM leakwatch.incidents AS i
		WHERE (i.pid, i.backend_start, i.kind, i.since) = (k.pid, k.backend_start, k.kind, k.since)))
SELECT json_build_object(
	'rows', count(*),
	'finished', count(*) FILTER (WHERE outcome = 'finished' AND outcome_detail IS NULL),
	'terminated', count(*) FILTER (WHERE action = 'terminated'),
	'wronged', coalesce(json_agg(to_json(history)) FILTER (WHERE action = 'terminated'
		AND application_name !~ '^(leaky|leaks\.js$|leaks\.py$|Leaks\.java$)'), '[]'),
	'open', (SELECT coalesce(json_agg(pid || ' ' || kind || ' ' || since), '[]') FROM leakwatch.incidents AS i
		WHERE outcome = 'open' AND NOT EXISTS (SELECT FROM pg_stat_activity AS a
			WHERE a.pid = i.pid AND a.backend_start = i.backend_start)))
FROM history
EOS

# What can't be read because the table is locked or missing is undef.
sub read_table
{
	my ($sql) = @_;
	my $value = eval { $table->value($sql) };

	return decode_json($value) if defined $value;
	die $@ unless $@ =~ /an error: /;
	return undef;
}

# kB that are not shared with others; undef of a process that is gone.
sub private_kb
{
	my ($pid) = @_;

	return undef unless defined $pid;
	my ($kb) = (eval { slurp_file("/proc/$pid/status") } // '') =~ /^RssAnon:\s+(\d+)/m;
	return $kb;
}

my %memory;

# A process is measured against what it had itself when it was warm.
sub check_memory
{
	my ($worker, $pid) = @_;
	my $kb = private_kb($pid) // return;
	my $life = $memory{"$worker $pid"} //= { since => time };
	my $all = $figures{memory}{$worker} //= { first => $kb, max => 0, lives => 0, longest => 0, warm => 0 };

	$all->{lives}++ unless $life->{counted}++;
	$all->{last} = $kb;
	$all->{max} = $kb if $kb > $all->{max};
	$all->{longest} = time - $life->{since} if time - $life->{since} > $all->{longest};
	$life->{warm} = $kb if !defined $life->{warm} && time - $life->{since} >= $warm_up;
	return unless defined $life->{warm};
	$all->{warm} ||= $life->{warm};
	$all->{growth} = $kb - $life->{warm} if $kb - $life->{warm} > ($all->{growth} // -1e9);
	must("the memory of the $worker stays flat # $pid", $kb <= GROWTH_FACTOR * $life->{warm} + GROWTH, 5,
		"PID $pid: $kb kB, $life->{warm} kB when it was warm");
	return;
}

my $log_read = 0;

# What the server's log has to say of it.
sub read_log
{
	open(my $log, '<', $node->logfile) or return;
	seek($log, $log_read, 0);
	while (my $line = <$log>)
	{
		last unless $line =~ /\n\z/;
		$log_read += length $line;
		broken('no process crashes', $line) if $line =~ /PANIC|TRAP:|terminated by signal|crash of another server process/;
		next unless $line =~ /^\S+ \S+ \S+ \[\d+\] (leakwatch \w+) \w{5} ([A-Z]+):  (.*)/;
		my ($worker, $level, $text) = ($1, $2, $3);
		next if $level =~ /^(DETAIL|HINT|CONTEXT|STATEMENT)$/;
		$text =~ s/churn\d+/churnN/g;
		$text =~ s/\d+(\.\d+)?( (ms|s|min|h|d))?( \d+ (ms|s|min))?/N/g;
		$figures{said}{"$worker $level: $text"}++;
	}
	close($log);
	return;
}

# Is there nothing that keeps incidents from being recorded?
sub is_quiet { return !$now{disturbed} && time - $now{settled_at} > CALM; }

sub watcher_is_expected
{
	return !$now{watcher_away} && !(@outages && time - $outages[-1][1] < CALM);
}

sub check_health
{
	my ($status) = @_;
	my ($health, $expected) = ($status->{health}, $now{health});
	my $watcher = $status->{watcher_pid} // 0;
	my $away = $health eq 'the watcher is not running';

	must('the watcher runs', !$away, 6, $status);
	must('the watcher is ended by nobody else',
		!watcher_is_expected() || ($figures{watcher_pid} // $watcher) == $watcher, 1, $status);
	$figures{watcher_pid} = $watcher if $watcher && !$now{watcher_away};
	must('the watcher scans', $status->{scans} > ($figures{scans} // -1), 6, $status);
	$figures{scans} = $status->{scans};

	must('health is ok when nothing is wrong', $health eq 'ok' || $away || !is_quiet(), 2, $status);
	must('health says what is wrong',
		$expected eq '' || $away || $health =~ /\Q$expected\E/ || ($health eq 'ok' && !$status->{pending}), 8, $status);
	must('what is pending is written', !$status->{pending} || !is_quiet(), 15, $status);
	must('a jump of the clock is counted once', $status->{clock_jumps} == $now{jumps}, 15,
		"$now{jumps} were made: $status->{clock_jumps} counted");
	return;
}

sub check_counters
{
	my ($before, $rows, $after) = @_;

	must('open incidents are the leaks', $before->{open} == $before->{leaks}, 8, $before);
	must('no incident is dropped', $before->{dropped} == 0, 1, $before);
	must('who is connected is counted', $before->{used} == $before->{connected}, 10, $before);
	must('databases have no more connections than the server',
		$before->{used_by_databases} <= $before->{used}, 10, $before);
	must('no age is of the clock', !@{ $before->{aged} }, 3, $before->{aged});
	must('no duration is of the clock', !@{ $before->{stretched} }, 3, $before->{stretched});
	check_keys('no leak is listed without a session', 12, $before->{gone});
	return unless $rows;

	must('each incident reported has a row or is pending',
		$rows->{rows} >= $before->{reported} - $before->{pending}, 6, [ $before, $rows ]);
	must('each row is an incident reported', $rows->{rows} <= $after->{reported}, 6, [ $rows, $after ]);
	must('nobody else is terminated', !@{ $rows->{wronged} }, 1, $rows->{wronged});
	check_keys('no row is open without a session', is_quiet() ? 15 : RETRY + 15, $rows->{open});
	return if $before->{pending} || $after->{pending};
	must('terminated counts the rows', $rows->{terminated} == $after->{terminated}, 10, [ $rows, $after ]);
	must('finished counts the rows', $rows->{finished} == $after->{finished}, 10, [ $rows, $after ]);
	return;
}

# Each of these is a fault if it stays.
sub check_keys
{
	my ($rule, $patience, $keys) = @_;
	my %there = map { ("$rule # $_" => $_) } @$keys;

	foreach my $gone (grep { /^\Q$rule\E #/ && !$there{$_} } keys %strikes)
	{
		delete $strikes{$gone};
	}
	must($_, 0, $patience, $there{$_}) foreach keys %there;
	return;
}

# ---------- each leak ----------

sub was_unwatched
{
	my ($at) = @_;

	return grep { $at > $_->[0] - 3 && $at < $_->[1] + 3 } @outages;
}

# Is the leak recorded as what it was?  Returns what is wrong; '' if nothing.
sub judge_leak
{
	my ($leak, @rows) = @_;
	my @outcomes = @{ $leak->{outcomes} };

	# on a busy machine a client can be slow to send what comes before its leak
	my $last = max(map { $_->{began} } @rows) // 0;
	my $begun = $leak->{many} ? 0 : min($last, $leak->{since});
	@rows = grep { $_->{kind} ne 'idle_session' || $_->{outcome} ne 'finished' || $_->{began} >= $begun } @rows;
	my @own = grep { $_->{kind} eq $leak->{kind} } @rows;

	push @outcomes, 'disconnected' if was_unwatched($leak->{at});
	return $leak->{maybe} ? '' : 'no row' unless @own;
	return 'more than one row' if @rows > 1 && !$leak->{many};
	return 'an open row' if grep { $_->{outcome} eq 'open' } @rows;
	foreach my $row ($leak->{many} ? () : @own)
	{
		return "outcome $row->{outcome}, not @outcomes" unless grep { $_ eq $row->{outcome} } @outcomes;
		return "action $row->{action}" if ($row->{outcome} eq 'terminated') != ($row->{action} eq 'terminated');
	}
	return 'no outcome as expected' unless grep { my $row = $_; grep { $_ eq $row->{outcome} } @outcomes } @own;
	return '';
}

my $leaks_sql = <<'EOS';
SELECT coalesce(json_agg(t), '[]') FROM (
	SELECT w.n, i.kind, i.since, extract(epoch FROM i.since) AS began, i.outcome, i.outcome_detail, i.action
	FROM (VALUES %s) AS w (n, pid, start),
		LATERAL (SELECT pid, backend_start, kind, since, outcome, outcome_detail, action FROM leakwatch.incidents
			WHERE pid = w.pid AND backend_start = w.start::timestamptz
		UNION ALL
		SELECT pid, backend_start, kind, since, outcome, outcome_detail, action FROM soak.kept AS k
			WHERE pid = w.pid AND backend_start = w.start::timestamptz
			AND NOT EXISTS (SELECT FROM leakwatch.incidents AS i
				WHERE (i.pid, i.backend_start, i.kind, i.since) = (k.pid, k.backend_start, k.kind, k.since))) AS i) AS t
EOS

# Has this one had its time, whatever is the matter with it?
sub is_late
{
	my ($leak, $now) = @_;

	return $leak->{at} < $now - 3 * RETRY unless is_quiet();
	return $leak->{at} < $now - 5 * SETTLE && ++$leak->{strikes} > 8;
}

# Those that are over have to be in the table before long.
sub check_leaks
{
	my $now = time;
	my @due = grep { $_->{at} < $now - SETTLE } @leaks;
	my %over;

	return unless @due;
	my $values = join ', ', map { "($_, $due[$_]{pid}, '$due[$_]{start}')" } 0 .. $#due;
	my $rows = read_table(sprintf $leaks_sql, $values) // return;
	foreach my $n (0 .. $#due)
	{
		my $leak = $due[$n];
		my @own = grep { $_->{n} == $n } @$rows;
		my $wrong = judge_leak($leak, @own);

		if ($wrong eq '')
		{
			$over{$leak} = 1;
			my ($row) = grep { $_->{kind} eq $leak->{kind} } @own;
			$figures{outcomes}{ $row ? $row->{outcome} : 'gone before it leaked' }++;
		}
		elsif (is_late($leak, $now))
		{
			$over{$leak} = 1;
			broken('each leak has one row, which says what it was',
				JSON::PP->new->canonical->encode({ wrong => $wrong, leak => $leak, rows => \@own }));
		}
	}
	@leaks = grep { !$over{$_} } @leaks;
	return;
}

# ---------- a look ----------

sub read_status
{
	return decode_json($watch->value(sprintf $status_sql, time - $started + 60));
}

# Look at everything once.
sub look
{
	my $before = read_status();
	my $rows = read_table($table_sql);
	my $after = read_status();

	$figures{seconds}++;
	$figures{unreadable}++ unless $rows;
	$figures{rows} = $rows->{rows} if $rows;
	$figures{status} = $after;
	check_health($before);
	check_counters($before, $rows, $after);
	check_leaks();
	check_memory(watcher => $before->{watcher_pid});
	check_memory(recorder => $before->{recorder_pid});
	read_log();
	return;
}

# All that is to be waited for at the end: leaks that are not in the table yet.
sub leaks_left { return scalar @leaks; }

1;
