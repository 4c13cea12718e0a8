# What happens to a server in its life, one thing after the other: reloads,
# roles and databases that come and go, workers that are ended, tables that are
# locked, an extension that is dropped, clocks that are set, standbys that are
# promoted.
package Weather;

use strict;
use warnings FATAL => 'all';

use LeakwatchTest;
use List::Util qw(shuffle);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RawClient;
use Soak;
use Standby;
use Time::HiRes qw(sleep time);

my ($node, $clock, $churned);

sub in_watch
{
	my ($sql) = @_;

	return $node->safe_psql('watch', $sql);
}

# Wait until this is so; a rule of the soak is broken if it is not.
sub await
{
	my ($rule, $sql, $patience) = @_;
	my $until = time + ($patience // 120);

	while (time < $until)
	{
		return 1 if in_watch($sql) eq 't';
		sleep(0.2);
	}
	event('broken', rule => $rule, evidence => "not within " . ($patience // 120) . " s: $sql: "
	  . in_watch('SELECT to_json(s) FROM leakwatch.status AS s'));
	return 0;
}

# Do this while incidents can't be recorded, with what health is to say of it.
sub disturb
{
	my ($name, $health, $run) = @_;

	event('disturbance', name => $name, health => $health);
	$run->();
	event('disturbance over', name => $name);
	await("all is well after $name", q(SELECT pending = 0 AND health = 'ok' FROM leakwatch.status));
	event('settled');
	return;
}

# ---------- the server's policy ----------

# The limits to warn by stay for those who are in a transaction: who is over one
# that goes and comes would be counted as two incidents, which the table has as one.
my @policies = (
	{ mode => 'observe' },
	{ mode => 'enforce' },
	{ mode => 'enforce', idle_in_transaction_terminate => '8s', transaction_terminate => 0 },
	{ mode => 'enforce', idle_session_warn => 0, idle_session_terminate => 0, waiting_for_client_terminate => 0 },
	{ mode => 'enforce', terminate_when => 'blocking' },
	{ mode => 'enforce', terminate_when => 'saturated', saturation_warn => 10 },
	{ mode => 'enforce', terminate_when => 'blocking_or_saturated', log_level => 'log' },
	{ mode => 'enforce', max_terminations_per_minute => 3 },
	{ mode => 'enforce', terminate_active => 'on' },
	{ mode => 'enforce', log_burst => 1, log_repeat => '1s' },
	{ mode => 'observe', capture_query => 'off', warn_client => 'off' });
my %changing = map { ($_ => undef) } map { keys %$_ } @policies;
my @deck;

sub change_policy
{
	@deck = shuffle(@policies) unless @deck;
	my %policy = (%changing, max_terminations_per_minute => 0, scan_interval => any_of('50ms', '500ms', '1s', '2s'),
		%{ pop @deck });

	event('policy', free => 0);
	configure($node, %policy);
	event('policy', free => $policy{terminate_when} || $policy{max_terminations_per_minute} ? 0 : 1,
		settings => { map { ($_ => $policy{$_}) } grep { defined $policy{$_} } keys %policy });
	return;
}

# What makes no sense is refused, and nothing changes.
sub refuse_policy
{
	my ($setting, $value) = @{ any_of([ protected_addresses => '10.0.0.0/33' ], [ mode => 'perhaps' ],
			[ idle_session_warn => '1ms' ], [ protected_applications => 'a,,b' ]) };
	my $before = in_watch("SHOW leakwatch.$setting");
	my $refused = $node->psql('watch', "ALTER SYSTEM SET leakwatch.$setting = '$value'");

	in_watch('SELECT pg_reload_conf()');
	event('broken', rule => 'bad settings are refused', evidence => "$setting = $value")
	  if !$refused || in_watch("SHOW leakwatch.$setting") ne $before;
	event('done', name => 'bad setting refused');
	return;
}

# ---------- workers ----------

sub end_watcher
{
	my $pid = in_watch('SELECT watcher_pid FROM leakwatch.status');
	my $how = any_of(qw(pg_terminate_backend SIGTERM pg_cancel_backend));

	if ($how eq 'pg_cancel_backend')
	{
		in_watch("SELECT pg_cancel_backend($pid)");
		event('done', name => 'watcher cancelled');
		return;
	}
	event('watcher ended', how => $how, pid => $pid);
	$how eq 'SIGTERM' ? kill('TERM', $pid) : in_watch("SELECT pg_terminate_backend($pid)");
	await('the watcher comes back', "SELECT watcher_pid <> $pid FROM leakwatch.status", 60);
	event('watcher back');
	return;
}

sub end_recorder
{
	my $pid = in_watch('SELECT recorder_pid FROM leakwatch.status');

	return if $pid eq '';
	disturb('end of the recorder', '', sub {
		rand() < 0.5 ? kill('TERM', $pid) : in_watch("SELECT pg_terminate_backend($pid)");
	});
	return;
}

# ---------- what incidents are recorded in ----------

sub lock_table
{
	my $locker = RawClient->new($node, user => getpwuid($<), app => 'soak locker', set => { mode => 'off' });

	disturb('a locked table', 'lock timeout', sub {
		$locker->query('BEGIN; LOCK TABLE leakwatch.incidents');
		rest(3 + rand 15);
		$locker->query('COMMIT');
		$locker->close;
	});
	return;
}

sub grant_check
{
	return 'GRANT USAGE ON SCHEMA leakwatch TO app;'
	  . 'GRANT EXECUTE ON FUNCTION leakwatch.assert_no_leaks(text, interval) TO app;';
}

# What the table had stays known: see Invariants.pm.
sub drop_extension
{
	my $old = rand() < 0.3;

	disturb('a dropped extension', 'has not been created', sub {
		$node->safe_psql('postgres', 'BEGIN; LOCK TABLE leakwatch.incidents; CALL soak.keep();'
			  . ' DROP EXTENSION leakwatch; COMMIT;');
		rest(3 + rand 15);
		$node->safe_psql('postgres', 'CREATE EXTENSION leakwatch' . ($old ? " VERSION '0.1.0'" : ''));
		return unless $old;
		event('disturbance', name => 'an old extension', health => 'ALTER EXTENSION leakwatch UPDATE is due');
		rest(3 + rand 10);
		$node->safe_psql('postgres', 'ALTER EXTENSION leakwatch UPDATE');
	});
	$node->safe_psql('postgres', grant_check());
	event('done', name => 'extension dropped and created');
	return;
}

sub lose_database
{
	disturb('a database that does not exist', 'does not exist', sub {
		in_watch("ALTER SYSTEM SET leakwatch.database = 'nowhere'");
		in_watch('SELECT pg_reload_conf()');
		rest(3 + rand 15);
		in_watch('ALTER SYSTEM RESET leakwatch.database');
		in_watch('SELECT pg_reload_conf()');
	});
	event('done', name => 'leakwatch.database pointed nowhere');
	return;
}

# ---------- roles and databases ----------

# A role and a database with policies of their own and a leak, until none of
# them is left.
sub churn
{
	my $name = 'churn' . ++$churned;

	in_watch("CREATE ROLE $name LOGIN CONNECTION LIMIT 2");
	in_watch("ALTER ROLE $name SET leakwatch.mode = 'enforce'");
	in_watch("ALTER ROLE $name SET leakwatch.idle_session_terminate = '1s'");
	in_watch("CREATE DATABASE $name");
	in_watch("ALTER DATABASE $name SET leakwatch.idle_session_warn = '300ms'");
	my @clients = map { RawClient->new($node, user => $name, db => $name, app => 'leaky churn') } 1, 2;
	event('broken', rule => 'a role has no more connections than its limit', evidence => $name)
	  if quietly(sub { RawClient->new($node, user => $name, db => $name) });
	my @leaks = map { { kind => 'idle_session', pid => $_->{pid}, since => time,
		start => in_watch("SELECT backend_start FROM pg_stat_get_activity($_->{pid})") } } @clients;
	my $until = time + 60;
	foreach my $i (0, 1)
	{
		sleep(0.2) until time > $until || in_watch("SELECT count(*) FROM pg_stat_activity WHERE pid = $leaks[$i]{pid}") == 0;
		if (time > $until)
		{
			event('overdue', rule => 'who is over a terminate limit is ended', since => $leaks[$i]{since} + 1,
				evidence => "PID $leaks[$i]{pid}, of $name");
		}
		event('leak', %{ $leaks[$i] }, end => 'terminate', outcomes => [ 'terminated', 'disconnected' ]);
		$clients[$i]->close;
	}
	in_watch("DROP DATABASE $name WITH (FORCE)");
	in_watch("DROP ROLE $name");
	event('done', name => 'role and database created and dropped');
	return;
}

# ---------- the clock ----------

sub set_clock
{
	my ($seconds) = @_;

	open(my $file, '+<', $clock) or die "could not open $clock: $!";
	print $file pack('q', $seconds * 1_000_000);
	close($file) or die "could not write $clock: $!";
	return;
}

# Ahead and back.  Backward from the truth the server's own timers would stop.
sub step_clock
{
	my $ahead = any_of(0.4, 5, 600, 3600, 86400);

	foreach my $offset ($ahead, 0)
	{
		my $jumps = in_watch('SELECT clock_jumps FROM leakwatch.status');

		event('clock', by => $offset - $ahead || $ahead, counted => $ahead > 1 ? 1 : 0);
		set_clock($offset);
		await('a jump of the clock is noticed', "SELECT clock_jumps = $jumps + 1 FROM leakwatch.status", 60)
		  if $ahead > 1;
		rest(3);
	}
	return;
}

# ---------- all of it ----------

my %happenings = (
	policy => [ \&change_policy, 3 ],
	refuse => [ \&refuse_policy, 1 ],
	watcher => [ \&end_watcher, 1, 'unsettling' ],
	recorder => [ \&end_recorder, 2, 'unsettling' ],
	table => [ \&lock_table, 1, 'unsettling' ],
	extension => [ \&drop_extension, 1, 'unsettling' ],
	database => [ \&lose_database, 1, 'unsettling' ],
	churn => [ \&churn, 2 ],
	clock => [ \&step_clock, 2 ],
	standby => [ sub { Standby::live($node) }, 1 ]);

# Whatever unsettles the workers comes in the first two thirds; then they are
# left in peace, so that it can be seen whether they grow.
sub run
{
	my (%args) = @_;
	my $calm_from = time + $args{seconds} * 2 / 3;
	my $is_short = $args{seconds} < 300;
	my $pause = $is_short ? 1 : 6;

	($node, $clock) = @args{qw(node clock)};
	until (is_over())
	{
		my @names = shuffle(map { ($_) x ($is_short ? 1 : $happenings{$_}[1]) } keys %happenings);

		foreach my $name ((grep { $happenings{$_}[2] } @names), (grep { !$happenings{$_}[2] } @names))
		{
			return if is_over();
			next if $happenings{$name}[2] && time > $calm_from;
			$happenings{$name}[0]->();
			rest($pause * (0.5 + rand));
		}
	}
	return;
}

1;
