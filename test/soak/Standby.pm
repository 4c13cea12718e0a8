# A standby from its backup to its end: attached, with leaks of its own, promoted,
# and looked at as the server that it has become.
package Standby;

use strict;
use warnings FATAL => 'all';

use File::Path qw(rmtree);
use JSON::PP;
use PostgreSQL::Test::Cluster;
use RawClient;
use Soak;
use Time::HiRes qw(sleep time);

my $number = 0;
my %policy = (mode => 'enforce', map { ("${_}_warn" => 0, "${_}_terminate" => 0) } kinds());

sub await
{
	my ($standby, $rule, $sql, $patience) = @_;
	my $until = time + ($patience // 120);

	while (time < $until)
	{
		my $answer;

		return 1 if $standby->psql('watch', $sql, stdout => \$answer) == 0 && $answer eq 't';
		sleep(0.3);
	}
	event('broken', rule => $rule, evidence => "not within " . ($patience // 120) . " s: $sql: "
	  . $standby->safe_psql('watch', 'SELECT to_json(s) FROM leakwatch.status AS s'));
	return 0;
}

sub leak
{
	my ($standby, $name, %limits) = @_;
	my $client = RawClient->new($standby, user => 'app', app => "leaky standby $name", set => { %policy, %limits });

	$client->query('BEGIN; SELECT 1');
	return $client;
}

# Each of these sessions has one row, and that says how it ended.
sub compare
{
	my ($standby, %outcomes) = @_;
	my %found = %{ decode_json($standby->safe_psql('postgres', <<'EOS')) };
SELECT coalesce(json_object_agg(name, outcomes), '{}') FROM (
	SELECT substr(application_name, 15) AS name, string_agg(outcome, ' ') AS outcomes
	FROM leakwatch.incidents WHERE application_name LIKE 'leaky standby %' GROUP BY 1) AS t
EOS

	foreach my $name (sort keys %outcomes)
	{
		my $found = $found{$name} // 'no row';

		event('broken', rule => 'what a standby found is recorded once after its promotion',
			evidence => "$name: $found, expected $outcomes{$name}") if $found ne $outcomes{$name};
	}
	return;
}

sub live_through
{
	my ($primary, $standby) = @_;
	my %limit = (idle_in_transaction_warn => '200ms');
	my %clients = (
		open => leak($standby, 'open', %limit),
		finished => leak($standby, 'finished', %limit),
		terminated => leak($standby, 'terminated', %limit, idle_in_transaction_terminate => '500ms'));

	await($standby, 'a standby finds leaks and ends them',
		q(SELECT (SELECT count(*) FROM leakwatch.leaks) = 2 AND terminated = 1 AND pending >= 3 AND health = 'ok' FROM leakwatch.status));
	$clients{finished}->query('COMMIT');
	event('broken', rule => 'a standby records nothing', evidence => 'there are rows of it')
	  if $standby->safe_psql('postgres',
		"SELECT to_regclass('leakwatch.incidents') IS NOT NULL") eq 't'
	  && $standby->safe_psql('postgres', "SELECT count(*) FROM leakwatch.incidents WHERE application_name LIKE 'leaky standby %'") > 0;
	rest(rand 3);
	$standby->promote;
	await($standby, 'a promoted standby records what it found',
		q(SELECT pending = 0 AND health = 'ok' AND NOT pg_is_in_recovery() FROM leakwatch.status), 150);
	compare($standby, open => 'open', finished => 'finished', terminated => 'terminated');
	$clients{open}->query('COMMIT');
	await($standby, 'a promoted standby goes on with what it began', 'SELECT open = 0 AND pending = 0 FROM leakwatch.status');
	compare($standby, open => 'finished', finished => 'finished', terminated => 'terminated');
	my $left = $standby->safe_psql('postgres', "SELECT count(*) FROM leakwatch.incidents WHERE outcome = 'open'");
	event('broken', rule => 'a promoted standby closes what the primary left open', evidence => "$left rows are open") if $left;
	$_->close foreach values %clients;
	return;
}

sub live
{
	my ($primary) = @_;
	my $name = 'standby' . ++$number;
	my $started = time;

	$primary->backup($name);
	my $standby = PostgreSQL::Test::Cluster->new($name);
	$standby->init_from_backup($primary, $name, has_streaming => 1);
	rmtree($primary->backup_dir . "/$name");
	# whatever the primary's policy was at the moment
	$standby->append_conf('postgresql.auto.conf', <<'EOC');
leakwatch.terminate_when = always
leakwatch.max_terminations_per_minute = 0
EOC
	{
		local %ENV = (%ENV, LD_PRELOAD => $ENV{SOAK_PRELOAD});

		$standby->start;
	}
	my $lived = eval { live_through($primary, $standby); 1 };
	my $error = $@;
	$standby->stop($lived ? 'fast' : 'immediate', fail_ok => 1);
	my @complaints = grep { /PANIC|TRAP|terminated by signal|(?:ERROR|FATAL): .*leakwatch/ }
	  split /\n/, PostgreSQL::Test::Utils::slurp_file($standby->logfile);
	event('broken', rule => 'a standby lives through it', evidence => substr("$error @complaints", 0, 3000))
	  if !$lived || grep { /PANIC|TRAP|terminated by signal/ } @complaints;
	rmtree($standby->basedir);
	event('done', name => 'standby attached and promoted', seconds => time - $started);
	return;
}

1;
