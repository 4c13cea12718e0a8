# Shows that an error, at whatever moment, neither ends a worker for good nor
# loses or doubles an incident or its message.
use strict;
use warnings FATAL => 'all';

use File::Spec;
use LeakwatchTest;
use PostgreSQL::Test::Utils;
use Test::More;
use TestLibrary;

use constant { FAIL => 0, CANCEL => 1 };

my $kind = 'idle_in_transaction';

# Which allocation of which process fails.  See test/lib/scarce.c.
my $setting = PostgreSQL::Test::Utils::tempdir() . '/scarce';
append_to_file($setting, pack('q3', 0, 0, 0));

sub arm
{
	my ($pid, $countdown, $what) = @_;

	open(my $file, '+<', $setting) or die "could not open: $!";
	print $file pack('q3', $pid, $countdown, $what);
	close($file) or die "could not write: $!";
	return;
}

# How many allocations are left until that one.
sub left
{
	return (unpack('q3', slurp_file($setting)))[1];
}

my $node;
{
	local %ENV = (
		%ENV,
		LD_PRELOAD => join(' ', library('scarce'), $ENV{LD_PRELOAD} // ()),
		SCARCE => File::Spec->rel2abs($setting));

	$node = new_node('once', "leakwatch.scan_interval = 100ms\nleakwatch.log_repeat = 0\n"
	  . "log_min_messages = error\nleakwatch.log_level = log");
}
$node->safe_psql('postgres', 'CREATE TABLE held (); GRANT ALL ON held TO app');

my @leaky = map { session($node, set => { "${kind}_warn" => '10ms' }) } (1 .. 3);
my @waiting = map { session($node) } (1 .. 3);
my $watcher = status($node)->{watcher_pid};
my $leaks = 0;

# Each leaks, with a lock that others wait for.
sub leak_all
{
	foreach (@leaky)
	{
		$_->query("BEGIN\\; LOCK TABLE held IN ROW SHARE MODE\\; SELECT $leaks");
		$leaks++;
	}
	$_->begin('BEGIN\; LOCK TABLE held\; COMMIT') foreach @waiting;
	$_->{run}->pump_nb foreach @waiting;
	return;
}

sub are_listed
{
	return $node->safe_psql('postgres',
		"SELECT count(DISTINCT pid) FROM leakwatch.leaks WHERE kind = '$kind'") == @leaky;
}

sub go_on
{
	$_->query('COMMIT') foreach @leaky;
	$_->wait foreach @waiting;
	return;
}

# All that have leaked so far are recorded once and told of once.
sub all_is_told_once
{
	my ($what) = @_;
	my ($row) = rows($node,
		"SELECT count(*) AS incidents, count(DISTINCT (pid, since)) AS leaks FROM leakwatch.incidents WHERE kind = '$kind'");
	# wherever in a line: who runs out of memory writes between the others' words
	my @messages = slurp_file($node->logfile) =~ /session with PID \d+ has been idle in transaction/g;

	is($row->{incidents}, $leaks, "$what: each has one row");
	is(scalar(@messages), $leaks, "$what: and one message");
	is(status($node)->{reported}, $leaks, "$what: and is counted once");
	is(status($node)->{watcher_pid}, $watcher, "$what: by the same watcher");
	unlike(slurp_file($node->logfile), qr/terminated by signal|PANIC/, "$what: no process crashed");
	return;
}

# Have each allocation of the watcher fail once, in scans that find leaks, whom
# they block, and their end.
foreach my $what (FAIL, CANCEL)
{
	my $times = 0;

	for (my $n = 1;; $n++)
	{
		arm($watcher, $n, $what);
		leak_all();
		wait_for('the leaks are listed', \&are_listed);
		go_on();
		wait_until($node, "SELECT open = 0 FROM leakwatch.status");
		last if left() > 0;
		$times++;
	}
	arm(0, 0, 0);
	settle($node);
	cmp_ok($times, '>', 0, "$times allocations of the watcher " . ($what == FAIL ? 'failed' : 'were cancelled'));
	all_is_told_once($what == FAIL ? 'out of memory' : 'cancelled');
}

# The recorder, in a round of its own.
my $times = 0;
for (my $n = 1;; $n++)
{
	wait_until($node, 'SELECT recorder_pid IS NOT NULL FROM leakwatch.status');
	arm(status($node)->{recorder_pid}, $n, FAIL);
	leak_all();
	wait_for('the leaks are listed', \&are_listed);
	go_on();
	settle($node);
	last if left() > 0;
	$times++;
}
arm(0, 0, 0);
cmp_ok($times, '>', 0, "$times allocations of the recorder failed");
all_is_told_once('a recorder out of memory');

# Sessions that look.
my $looking = session($node, user => undef);
foreach my $sql ('SELECT count(*) FROM leakwatch.leaks', 'SELECT count(*) FROM leakwatch.sessions',
	'SELECT count(*) FROM leakwatch.status', 'SELECT leakwatch.assert_no_leaks($$nobody$$)')
{
	leak_all();
	wait_for('the leaks are listed', \&are_listed);
	$times = 0;
	for (my $n = 1;; $n++)
	{
		arm($looking->{pid}, $n, FAIL);
		$looking->query($sql);
		last if left() > 0;
		$times++;
	}
	arm(0, 0, 0);
	is($looking->{err}, '', "$sql survives $times failures");
	go_on();
	settle($node);
}
all_is_told_once('sessions out of memory');

# Cancellations at any time, while leaks come and go.
my $canceller = session($node, user => undef);
$canceller->begin('DO $$ BEGIN FOR i IN 1 .. 1000 LOOP'
	  . " PERFORM pg_cancel_backend($watcher), pg_sleep(random() * 0.02);"
	  . ' END LOOP; END $$');
$canceller->{run}->pump_nb;
my $rounds = 0;
until ($canceller->{out} =~ /done/)
{
	leak_all();
	wait_for('the leaks are listed', \&are_listed);
	go_on();
	$rounds++;
	$canceller->{run}->pump_nb;
}
$canceller->wait;
settle($node);
my $cancelled = grep { $_->{pid} == $watcher && $_->{message} =~ /canceling statement/ } log_entries($node);
cmp_ok($cancelled, '>', 0, "$cancelled of 1000 cancellations hit a scan, in $rounds rounds");
all_is_told_once('cancelled at random');

$_->quit foreach (@leaky, @waiting, $looking, $canceller);
$node->stop;
done_testing();
