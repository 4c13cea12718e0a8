# Shows that a row which the table does not take, whatever the reason, holds
# back nothing: others are recorded, it is named and tried again, and it gives
# way when room is needed.
use strict;
use warnings FATAL => 'all';

use LeakwatchTest;
use Test::More;

my $kind = 'idle_in_transaction';
my $node = new_node('refused', "leakwatch.max_incidents = 8\nleakwatch.trail_length = 8");

sub recorded
{
	my ($session, $outcome) = @_;

	wait_for_incident($node, "pid = $session->{pid} AND outcome = '$outcome'");
	return;
}

sub leaky
{
	my ($app) = @_;

	return leak($node, $kind, app => $app, warn => '100ms');
}

# A session whose trail cannot be compressed.
sub random_leak
{
	my @letters = ('a' .. 'z', 'A' .. 'Z', '0' .. '9');
	my $session = session($node, app => 'random', set => { "${kind}_warn" => '100ms' });

	$session->query('BEGIN');
	$session->query("SELECT '" . join('', map { $letters[ rand @letters ] } 1 .. 480) . "'") foreach (1 .. 8);
	return $session;
}

sub wait_for_refusal
{
	my ($count, $session, $error) = @_;
	my $health = sprintf 'table leakwatch.incidents in database "postgres" refused %d incident%s: %s of the session with PID %d: %s',
	  $count, $count == 1 ? '' : 's', $kind, $session->{pid}, $error;

	wait_until($node, "SELECT health LIKE '$health%' FROM leakwatch.status");
	return;
}

sub wait_until_well
{
	wait_until($node, q(SELECT health = 'ok' AND pending = 0 FROM leakwatch.status));
	return;
}

sub said
{
	my ($message) = @_;

	return scalar grep { $_->{severity} eq 'WARNING' && $_->{message} =~ $message } log_entries($node);
}

#
# An index that takes no row of more than 2.7 kB
#
$node->safe_psql('postgres', 'CREATE INDEX too_long ON leakwatch.incidents ((trail::text || query))');
my $before = leaky('before');
my $random = random_leak();
my $after = leaky('after');
recorded($_, 'open') foreach ($before, $after);
wait_for_refusal(1, $random, 'index row ');
pass('a row that an index does not take holds back no other, and is named');
is($node->safe_psql('postgres', 'SELECT pending FROM leakwatch.status'), 1, 'it waits');
my ($entry) = grep { $_->{message} =~ /refused 1 incident/ } log_entries($node);
is($entry->{sqlstate}, '54000', 'the log has the SQLSTATE of the error');

$before->query('COMMIT');
recorded($before, 'finished');
$random->query('COMMIT');
wait_until($node, 'SELECT open = 1 FROM leakwatch.status');
my $third = leaky('third');
recorded($third, 'open');
wait_for_refusal(1, $random, 'index row ');
pass('its end is refused as well');
is(said(qr/refused/), 1, 'which the log says once');

# one place is free when eight others are open: its
my @more = map { leaky("more $_") } (1 .. 6);
recorded($_, 'open') foreach @more;
is(status($node)->{dropped}, 1, 'it gives way when room is needed');
wait_until_well();
pass('and then all is well');
$node->safe_psql('postgres', 'DROP INDEX leakwatch.too_long');

#
# A trigger that raises an error of its own
#
$_->query('COMMIT') foreach ($third, @more);
recorded($_, 'finished') foreach ($third, @more);
scan($node);
$node->safe_psql('postgres', <<'EOC');
CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF TG_ARGV[0] IN (NEW.application_name, 'all') THEN
		RAISE EXCEPTION 'no rows of %', TG_ARGV[0];
	END IF;
	RETURN NEW;
END $$;
CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON leakwatch.incidents
	FOR EACH ROW EXECUTE FUNCTION public.refuse('raised');
ALTER TABLE leakwatch.incidents ENABLE ALWAYS TRIGGER refuse;
EOC
my $raised = leaky('raised');
my $other = leaky('other');
recorded($other, 'open');
wait_for_refusal(1, $raised, 'no rows of raised');
pass('a row that a trigger refuses holds back no other');
$node->safe_psql('postgres', 'DROP TRIGGER refuse ON leakwatch.incidents');
recorded($raised, 'open');
wait_until_well();
pass('it is recorded once it is taken, without anything new');

#
# One that takes no row at all
#
$node->safe_psql('postgres', <<'EOC');
CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON leakwatch.incidents
	FOR EACH ROW EXECUTE FUNCTION public.refuse('all');
ALTER TABLE leakwatch.incidents ENABLE ALWAYS TRIGGER refuse;
EOC
my @all = map { leaky("all $_") } (1 .. 3);
wait_until($node, q(SELECT health LIKE '%refused 3 incidents:%no rows of all' AND pending = 3 FROM leakwatch.status));
pass('all are refused, and all wait');
$node->safe_psql('postgres', 'DROP TRIGGER refuse ON leakwatch.incidents');
recorded($_, 'open') foreach @all;
wait_until_well();
pass('until they are taken');

#
# One that lets nothing be deleted
#
$node->safe_psql('postgres', <<'EOC');
CREATE FUNCTION public.keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'kept'; END $$;
CREATE TRIGGER keep BEFORE DELETE ON leakwatch.incidents FOR EACH ROW EXECUTE FUNCTION public.keep();
ALTER TABLE leakwatch.incidents ENABLE ALWAYS TRIGGER keep;
UPDATE leakwatch.incidents SET ended_at = ended_at - interval '1 year' WHERE outcome <> 'open';
EOC
# the next housekeeping comes with the extension
$node->safe_psql('postgres', 'ALTER EXTENSION leakwatch UPDATE');
$node->wait_for_log(qr/could not close or delete old incidents in database "postgres": kept/);
my $last = leaky('last');
recorded($last, 'open');
is(status($node)->{health}, 'ok', 'rows that cannot be deleted hold back no incident');

$_->quit foreach ($before, $random, $after, $third, @more, $raised, $other, @all, $last);
$node->stop;
done_testing();
