# Shows that what other modules put on the server's stack of error context
# callbacks is left as it is, even what was left there by mistake.
use strict;
use warnings FATAL => 'all';

use LeakwatchTest;
use PostgreSQL::Test::Utils;
use Test::More;

# A module that leaves its callback behind, and can tell what became of it.
my $directory = PostgreSQL::Test::Utils::tempdir_short;
append_to_file("$directory/careless.c", <<'EOC');
#include "postgres.h"

#include "access/xact.h"
#include "fmgr.h"
#include "utils/elog.h"

PG_MODULE_MAGIC;

PGDLLEXPORT Datum leave_callback(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum is_untouched(PG_FUNCTION_ARGS);

PG_FUNCTION_INFO_V1(leave_callback);
PG_FUNCTION_INFO_V1(is_untouched);

static void
no_context(void *arg)
{
}

static ErrorContextCallback bottom = {.callback = no_context};

static void
on_transaction(XactEvent event, void *arg)
{
	static bool left = false;

	if (event == XACT_EVENT_PRE_COMMIT && !left)
	{
		left = true;
		error_context_stack = &bottom;
	}
}

/* At the end of this transaction: at the end of the function, the server would take it off. */
Datum
leave_callback(PG_FUNCTION_ARGS)
{
	RegisterXactCallback(on_transaction, NULL);
	PG_RETURN_VOID();
}

Datum
is_untouched(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(bottom.previous == NULL);
}
EOC

my ($include) = run_command([ 'pg_config', '--includedir-server' ]);
my ($compiler) = run_command([ 'pg_config', '--cc' ]);
system_or_bail(split(' ', $compiler), '-fPIC', '-shared', "-I$include", '-o',
	"$directory/careless.so", "$directory/careless.c");

my $node = new_node('errors');
$node->safe_psql('postgres', <<"EOC");
CREATE FUNCTION leave_callback() RETURNS void LANGUAGE c AS '$directory/careless.so';
CREATE FUNCTION is_untouched() RETURNS bool LANGUAGE c AS '$directory/careless.so';
EOC

my $session = session($node, user => undef, set => { aborted_transaction_warn => '50ms' });
$session->query($_)
  foreach 'SET log_min_messages = panic', 'SELECT leave_callback()', 'BEGIN', 'SELECT 1', 'COMMIT';
is($session->query('SELECT is_untouched()'), 't', 'what was left behind stays as it is');

# An error empties the stack, and the next one is seen again.
$session->query($_) foreach 'SELECT 1/0', 'BEGIN', 'SELECT nothing';
wait_for_leak($node, 'aborted_transaction', $session);
like(
	$node->safe_psql('postgres', "SELECT trail FROM leakwatch.leaks WHERE pid = $session->{pid}"),
	qr/"query": "SELECT nothing;", "sqlstate": "42703"/,
	'an error that is not logged is seen after it');
terminate($node, $session);

$node->stop;
done_testing();
