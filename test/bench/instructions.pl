# What leakwatch costs the workload, in instructions: each backend runs within
# valgrind's callgrind, which counts what it executes from PostgresMain() on.
# The same transactions are executed some times and twice as often, and the
# difference is theirs: neither the start of the backend nor the speed of the
# machine is in it.
use strict;
use warnings FATAL => 'all';

use Bench;
use LeakwatchTest;
use PostgreSQL::Test::Utils;
use Time::HiRes qw(sleep);

# What depends on time would not be the same again.
use constant QUIET => <<'EOC';
autovacuum = off
bgwriter_lru_maxpages = 0
checkpoint_timeout = 1d
fsync = off
jit = off
max_wal_size = 10GB
track_counts = off
wal_writer_delay = 10s
EOC

# A program to start in place of postgres: all of its children are counted.
sub callgrind_program
{
	my ($directory) = @_;
	my $program = "$directory/postgres";
	my ($bindir) = run_command([ 'pg_config', '--bindir' ]);

	append_to_file($program, <<"EOS");
#!/bin/sh
exec valgrind --quiet --tool=callgrind --toggle-collect=PostgresMain \\
	--callgrind-out-file=$directory/%p.out --log-file=$directory/%p.log \\
	$bindir/postgres "\$@"
EOS
	chmod 0755, $program or die "could not chmod $program: $!";
	return $program;
}

# Instructions that the backend of a new connection takes for so many transactions.
sub instructions
{
	my ($node, $directory, $workload, $n) = @_;
	my $load = driver($node, 'load');
	my $file = "$directory/$load->{backend_pid}.out";

	$load->tell("$workload $n");
	$load->finish;

	# it is written when the backend ends, and the total is the last line
	foreach (1 .. 3000)
	{
		return $1 if -e $file && slurp_file($file) =~ /^totals: (\d+)/m;
		sleep 0.01;
	}
	die "callgrind wrote no $file\n";
}

sub per_transaction
{
	my ($node, $directory, $workload, $n) = @_;
	my @total = map { instructions($node, $directory, $workload, $_ * $n) } 1, 2;

	return ($total[1] - $total[0]) / $n;
}

# What each workload costs on a server with these settings.
sub costs
{
	my ($name, $conf, $workloads, $n) = @_;
	my $node = plain_node("instructions_$name", QUIET . $conf);
	my $directory = $node->basedir;
	my %cost;

	say_step("$name server");
	system_or_bail('pgbench', '-i', '-q', '-h', $node->host, '-p', $node->port, 'postgres');
	$node->safe_psql('postgres', 'VACUUM FREEZE ANALYZE');
	$node->stop;

	my @pg_ctl = ('pg_ctl', '--silent', '--wait', '--pgdata', $node->data_dir);
	system_or_bail(@pg_ctl, '--log', $node->logfile, '-p', callgrind_program($directory), 'start');
	eval {
		# a page that is read from disk, or the first time, costs more
		instructions($node, $directory, $_, 2 * $n) foreach @$workloads;
		$cost{$_} = per_transaction($node, $directory, $_, $n) foreach @$workloads;
	};
	my $error = $@;
	system_or_bail(@pg_ctl, '--mode', 'immediate', 'stop');
	die $error if $error;
	return \%cost;
}

sub part_instructions
{
	my ($mode) = @_;
	my $n = $mode eq 'quick' ? 20 : $mode eq 'full' ? 5000 : 1000;
	my @workloads = (
		[ select => 'pgbench -S prepared' ],
		[ tpcb => 'TPC-B' ],
		[ four => 'BEGIN, two SELECTs, COMMIT' ],
		[ one => 'the same as one message' ]);
	my $leakwatch = "shared_preload_libraries = 'leakwatch'\n";
	my @servers = (
		[ plain => '', 'no leakwatch' ],
		[ alike => '', 'no leakwatch, again' ],
		[ leakwatch => $leakwatch . "leakwatch.trail_length = 0\n", 'leakwatch without the trail' ],
		[ trail => $leakwatch, 'leakwatch with the trail' ]);
	my (%figures, @rows);

	foreach my $server (@servers)
	{
		my ($name, $conf) = @$server;

		$figures{$name} = costs($name, $conf, [ map { $_->[0] } @workloads ], $n);
	}
	foreach my $server (@servers[ 1 .. 3 ])
	{
		my ($name, undef, $words) = @$server;

		foreach my $workload (@workloads)
		{
			my ($key, $what) = @$workload;
			my ($base, $cost) = map { $figures{$_}{$key} } 'plain', $name;
			my $ratio = $cost / $base - 1;

			push @rows,
			  row("instructions a transaction, $words, $what",
				sprintf('%s (%.0f more than %.0f; %d transactions)', percent($ratio), $cost - $base, $base, $n),
				$name eq 'alike' ? () : ('under 1 %', $ratio < 0.01));
		}
	}
	return (\@rows, \%figures);
}

1;
