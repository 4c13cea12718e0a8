# What the tests share: a server with leakwatch, sessions that really leak, and
# looks at what became of them.
package LeakwatchTest;

use strict;
use warnings FATAL => 'all';

use Exporter 'import';
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Time::HiRes qw(usleep);

our @EXPORT = qw(
  new_node configure scan settle wait_until wait_for wait_for_incident wait_for_leak
  wait_age wait_for_lock rows psql_as leaks leak_row incident status policy session
  leak leak_after terminate slot_of successor_in successors_in log_entries log_of warnings_about
  KINDS);

# A server that does not start is the failure of one test, and not of all.
{
	no warnings 'redefine';
	*PostgreSQL::Test::Cluster::BAIL_OUT = sub { die "@_\n" };
}

# Those by which a session leaks all alone.
use constant KINDS => qw(idle_in_transaction aborted_transaction transaction
  idle_session session);

# What a session does to leak by each kind.  Sent as one message each, so that
# a client that is held up on the way leaks in no other way.
my %leaking = (
	idle_in_transaction => 'BEGIN\; SELECT 1',
	aborted_transaction => 'BEGIN\; SELECT 1/0',
	transaction => 'BEGIN\; SELECT pg_sleep(600)');

# A running server with leakwatch and all its limits off, so that nobody leaks
# but who is meant to, and each is told of.  Role "app" is an ordinary one that
# may set its policy.
sub new_node
{
	my ($name, $conf) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	# not what the locale of whoever runs this gives
	$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
	$node->append_conf('postgresql.conf', <<'EOC');
shared_preload_libraries = 'leakwatch'
max_connections = 60
log_line_prefix = '%m [%p] %e '
log_statement = none
leakwatch.idle_in_transaction_warn = 0
leakwatch.aborted_transaction_warn = 0
leakwatch.transaction_warn = 0
leakwatch.waiting_for_client_warn = 0
leakwatch.idle_blocker_warn = 0
leakwatch.suspected_leak_warn = 0
leakwatch.log_burst = 0
EOC
	$node->append_conf('postgresql.conf', $conf) if defined $conf;
	$node->start;
	$node->safe_psql('postgres', <<'EOC');
CREATE EXTENSION leakwatch;
CREATE ROLE app LOGIN;
DO $$
DECLARE
	name text;
BEGIN
	FOR name IN SELECT s.name FROM pg_settings AS s
		WHERE s.name LIKE 'leakwatch.%' AND s.context = 'superuser'
	LOOP
		EXECUTE format('GRANT SET ON PARAMETER %s TO app', name);
	END LOOP;
END
$$;
EOC
	return $node;
}

# Change settings of the server (undef: back to the file's), and return when
# the watcher goes by them.  It publishes its own policy, so each time a limit
# changes along that nobody ever meets.
my $generation = 0;

sub configure
{
	my ($node, %settings) = @_;
	my $mark = 1_000_000_000 + ++$generation;
	my $sql = '';

	$settings{aborted_transaction_terminate} = $mark;
	foreach my $name (sort keys %settings)
	{
		$sql .= "ALTER SYSTEM "
		  . (defined $settings{$name}
			? "SET leakwatch.$name = '$settings{$name}';\n"
			: "RESET leakwatch.$name;\n");
	}
	$node->safe_psql('postgres', "$sql SELECT pg_reload_conf();");
	wait_until($node,
		"SELECT aborted_transaction_terminate = '$mark ms'"
		  . " FROM leakwatch.sessions WHERE pid = pg_backend_pid()");
	return;
}

sub scan
{
	my ($node) = @_;

	$node->safe_psql('postgres', 'SELECT leakwatch.scan()');
	return;
}

# Scan, and wait until the table has all that was found.
sub settle
{
	my ($node) = @_;

	scan($node);
	wait_until($node, 'SELECT pending = 0 FROM leakwatch.status');
	return;
}

# Wait until this query, in postgres or another database, returns true.
sub wait_until
{
	my ($node, $sql, $db) = @_;

	$node->poll_query_until($db // 'postgres', $sql)
	  or die "gave up waiting for: $sql";
	return;
}

# Wait until this function returns true.
sub wait_for
{
	my ($what, $function) = @_;
	my $attempts = 10 * $PostgreSQL::Test::Utils::timeout_default;

	foreach (1 .. $attempts)
	{
		return if $function->();
		usleep(100_000);
	}
	die "gave up waiting until $what";
}

sub wait_for_incident
{
	my ($node, $where) = @_;

	wait_until($node,
		"SELECT EXISTS (SELECT FROM leakwatch.incidents WHERE $where)");
	return;
}

# Wait until each of these sessions is listed with this kind, for what it does
# now: a session that is held up on a busy machine may have been listed for what
# it did before.
sub wait_for_leak
{
	my ($node, $kind, @sessions) = @_;

	wait_until($node,
		'SELECT count(DISTINCT pid) = ' . @sessions
		  . ' FROM leakwatch.leaks JOIN pg_stat_activity AS a USING (pid)'
		  . " WHERE kind = '$kind' AND since = CASE kind"
		  . " WHEN 'transaction' THEN xact_start"
		  . " WHEN 'session' THEN a.backend_start"
		  . " WHEN 'waiting_for_client' THEN since WHEN 'idle_blocker' THEN since"
		  . ' ELSE state_change END'
		  . ' AND pid IN ('
		  . join(', ', map { $_->{pid} } @sessions) . ')');
	return;
}

# Wait until an age of each of these sessions (state_age and so on, by the
# server's clock) is beyond a limit, and have them judged at that age.
sub wait_age
{
	my ($node, $age, $limit, @sessions) = @_;

	wait_until($node,
		"SELECT bool_and($age > '$limit') FROM leakwatch.sessions WHERE pid IN ("
		  . join(', ', map { $_->{pid} } @sessions) . ')');
	scan($node);
	return;
}

# Wait until each of these sessions waits for a lock.
sub wait_for_lock
{
	my ($node, @sessions) = @_;

	wait_until($node,
		"SELECT count(*) = ${\scalar @sessions} FROM pg_stat_activity"
		  . " WHERE wait_event_type = 'Lock' AND pid IN ("
		  . join(', ', map { $_->{pid} } @sessions) . ')');
	return;
}

# The output of a query that this role sends, and its errors.
sub psql_as
{
	my ($node, $role, $sql) = @_;
	my ($out, $err);

	$node->psql(
		'postgres', $sql,
		stdout => \$out,
		stderr => \$err,
		extra_params => [ '-U', $role ]);
	return ($out, $err);
}

# The rows of a query, each as a hash of strings.
sub rows
{
	my ($node, $sql) = @_;

	return @{
		decode_json(
			$node->safe_psql('postgres',
				"SELECT coalesce(json_agg(t), '[]') FROM ($sql) AS t"))
	};
}

# The kinds that a session is listed with, in alphabetical order.
sub leaks
{
	my ($node, $session) = @_;

	return join(
		' ',
		map { $_->{kind} } rows(
			$node,
			"SELECT kind FROM leakwatch.leaks WHERE pid = $session->{pid} ORDER BY kind"
		));
}

# These columns of the leaks that a session is listed with, as psql shows them.
sub leak_row
{
	my ($node, $session, $columns) = @_;

	return $node->safe_psql('postgres',
		"SELECT $columns FROM leakwatch.leaks WHERE pid = $session->{pid}");
}

# The newest recorded incident of a session, of one kind.
sub incident
{
	my ($node, $session, $kind) = @_;
	my @rows = rows($node,
		"SELECT * FROM leakwatch.incidents WHERE pid = $session->{pid}"
		  . " AND kind = '$kind' ORDER BY since DESC LIMIT 1");

	return $rows[0] // {};
}

sub status
{
	my ($node) = @_;

	return (rows($node, 'SELECT * FROM leakwatch.status'))[0];
}

# The row of a session in the sessions view.
sub policy
{
	my ($node, $session) = @_;

	return (
		rows(
			$node,
			"SELECT * FROM leakwatch.sessions WHERE pid = $session->{pid}"))[0];
}

sub session
{
	return LeakwatchTest::Session->new(@_);
}

# A session that leaks by this kind, with the limits warn and terminate.  Where
# it would meet them on its way there, held up while it connects, it sets them
# itself, as the last thing that it does.
sub leak
{
	my ($node, $kind, %args) = @_;
	my %set = %{ $args{set} // {} };
	my $statement = $leaking{$kind};

	foreach my $limit (qw(warn terminate))
	{
		$set{"${kind}_$limit"} = $args{$limit} if defined $args{$limit};
	}
	return leak_by_blocking($node, %args, set => \%set) if $kind eq 'idle_blocker';
	return leak_within_copy($node, %args, set => \%set) if $kind eq 'waiting_for_client';
	$statement //= 'SELECT '
	  . join(', ', 1,
		map { "set_config('leakwatch.$_', '" . delete($set{$_}) . "', false)" }
		  grep { /^${kind}_/ } sort keys %set);
	my $session = session($node, %args, set => \%set);
	$session->begin($statement);
	$session->wait unless $kind eq 'transaction';
	return $session;
}

# A session that waits for the data of a COPY.  What it is told from then on is
# that data.
sub leak_within_copy
{
	my ($node, %args) = @_;
	my $session = session($node, %args);

	$session->query('CREATE TEMP TABLE taken (line text)');
	$session->begin('COPY pg_temp.taken FROM STDIN');
	return $session;
}

# An idle session with a lock, and one that waits for it, which goes with it.
sub leak_by_blocking
{
	my ($node, %args) = @_;
	my $session = session($node, %args);

	$session->query("SELECT pg_advisory_lock($session->{pid})");
	$session->{waiter} = session($node, app => 'waiter',
		exists $args{user} ? (user => $args{user}) : ());
	$session->{waiter}->begin("SELECT pg_advisory_lock($session->{pid})");
	wait_for_lock($node, $session->{waiter});
	return $session;
}

# A session that leaks by this kind after these statements, and is listed.
sub leak_after
{
	my ($node, $kind, $statements, %args) = @_;
	my $session =
	  session($node, %args, set => { %{ $args{set} // {} }, "${kind}_warn" => '50ms' });

	$session->query($_) foreach @$statements;
	wait_for_leak($node, $kind, $session);
	return $session;
}

# End sessions, as an administrator does.
sub terminate
{
	my ($node, @sessions) = @_;

	$node->safe_psql('postgres',
		'SELECT pg_terminate_backend(pid, 60000) FROM unnest(ARRAY['
		  . join(', ', map { $_->{pid} } @sessions)
		  . ']) AS pid');
	$_->quit('SELECT 1;') foreach @sessions, map { $_->{waiter} // () } @sessions;
	return;
}

# The backend slot that a session has, which others had before.
sub slot_of
{
	my ($session) = @_;

	return $session->query(
		"SELECT split_part(virtualtransaction, '/', 1) FROM pg_locks"
		  . " WHERE pid = pg_backend_pid() AND locktype = 'virtualxid'");
}

# The next sessions in so many of these slots.  Up to 15 the slot that was left
# last is taken first, so that the others have to stay; from 16 on it comes last,
# and others have to go to let it come.
sub successors_in
{
	my ($node, $count, @slots) = @_;
	my %left = map { $_ => 1 } @slots;
	my (@successors, @others);

	foreach (1 .. 500)
	{
		my $session = session($node);

		push @{ $left{ slot_of($session) } ? \@successors : \@others }, $session;
		last if @successors == $count;
		(shift @others)->quit if @others > 20;
	}
	die "no $count sessions got slots @slots" unless @successors == $count;
	$_->quit foreach @others;
	return @successors;
}

sub successor_in
{
	my ($node, $slot) = @_;
	my ($successor) = successors_in($node, 1, $slot);

	return $successor;
}

# The server log, each message as a hash of pid, sqlstate, severity, message
# and what comes with it (detail, hint, statement ...).
sub log_entries
{
	my ($node) = @_;
	my (@entries, %newest, $part);

	foreach my $line (split /\n/, slurp_file($node->logfile))
	{
		if ($line =~ /^(\S+ \S+) \S+ \[(\d+)\] (\w{5}) ([A-Z]+[0-9]?):  (.*)/)
		{
			my ($at, $pid, $sqlstate, $what, $text) = ($1, $2, $3, $4, $5);

			if ($what =~ /^(DETAIL|HINT|CONTEXT|STATEMENT|QUERY|LOCATION)$/)
			{
				$part = \$newest{$pid}->{ lc $what };
				$$part = $text;
				next;
			}
			$newest{$pid} = {
				at => $at,
				pid => $pid,
				sqlstate => $sqlstate,
				severity => $what,
				message => $text
			};
			push @entries, $newest{$pid};
			$part = \$newest{$pid}->{message};
		}
		elsif ($line =~ /^\t(.*)/ && $part)
		{
			$$part .= "\n$1";
		}
	}
	return @entries;
}

# What leakwatch has said of a session.
sub log_of
{
	my ($node, $session) = @_;

	return
	  grep { $_->{message} =~ /session with PID $session->{pid}\b/ }
	  log_entries($node);
}

# How many times it has warned about these sessions.
sub warnings_about
{
	my ($node, @sessions) = @_;

	return scalar grep { $_->{severity} eq 'WARNING' }
	  map { log_of($node, $_) } @sessions;
}

# A client session: a psql that waits for what it is told.
package LeakwatchTest::Session;

use strict;
use warnings FATAL => 'all';

use IPC::Run;
use PostgreSQL::Test::Utils qw(pump_until);

# Arguments: app (its name), user (undef: the superuser), db, addr (connect by
# TCP), set (leakwatch settings, asked for when connecting).
sub new
{
	my ($class, $node, %args) = @_;
	my %set = %{ $args{set} // {} };
	local %ENV = (
		%ENV,
		PGAPPNAME => $args{app} // 'leaky',
		PGOPTIONS =>
		  join(' ', $ENV{PGOPTIONS} // (), map { "-c leakwatch.$_=$set{$_}" } sort keys %set));

	delete $ENV{PGUSER};
	$ENV{PGUSER} = $args{user} // 'app'
	  unless exists $args{user} && !defined $args{user};
	$ENV{PGHOSTADDR} = $args{addr} if defined $args{addr};

	my $self = bless { in => '', out => '', err => '', count => 0 }, $class;

	$self->{timer} =
	  IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default);
	$self->{run} = IPC::Run::start(
		[
			$node->installed_command('psql'),
			'-XAtq', '-d', $node->connstr($args{db} // 'postgres'),
			'-f', '-'
		],
		'<' => \$self->{in},
		'>' => \$self->{out},
		'2>' => \$self->{err},
		$self->{timer});
	$self->{pid} = $self->query('SELECT pg_backend_pid()');
	return $self;
}

# Send a statement without its semicolon, and don't wait for its end.
sub begin
{
	my ($self, $sql) = @_;

	$self->{mark} = 'done ' . ++$self->{count};
	$self->{out} = $self->{err} = '';
	$self->{in} .= "$sql;\n\\echo $self->{mark}\n\\warn $self->{mark}\n";
	$self->{timer}->start;
	$self->{run}->pump_nb;
	return;
}

# Wait for the end of what was begun; returns its output.
sub wait
{
	my ($self) = @_;

	foreach my $stream (\$self->{out}, \$self->{err})
	{
		pump_until($self->{run}, $self->{timer}, $stream,
			qr/^$self->{mark}\r?\n/m)
		  or die "session ended before its statement: $self->{err}";
		$$stream =~ s/^$self->{mark}\r?\n//m;
	}
	$self->{out} =~ s/\r?\n\z//;
	return $self->{out};
}

sub query
{
	my ($self, $sql) = @_;

	$self->begin($sql);
	return $self->wait;
}

# End the client, and return what it was told last.  One that the server has
# ended learns of it by its next statement.
sub quit
{
	my ($self, $last) = @_;

	$self->{in} .= ($last // '\q') . "\n";
	$self->{timer}->start;
	# what it does not read any more because it has ended is no error here
	eval { $self->{run}->finish; };
	return $self->{err};
}

# The client dies, without a word to the server.
sub die_now
{
	my ($self) = @_;

	$self->{run}->kill_kill;
	return;
}

1;
