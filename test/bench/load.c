/*
 * load.c
 *	  What a transaction costs its backend: executes one a number of times on
 *	  one connection, and says how much CPU time the backend took for that.  The
 *	  start of the backend is not in the figure, and the figure is exact: the
 *	  scheduler's, read while the backend waits.  Each has a core to itself, so
 *	  that neither is moved while it is measured.
 *
 *	  load CONNINFO		says "ok PID" with the PID of the backend
 *
 *	  select N			N times the statement of pgbench -S, prepared: "ok NANOSECONDS"
 *	  transaction N		N times BEGIN, that statement, COMMIT
 *	  tpcb N			N times the transaction of pgbench, in messages of one statement
 *	  four N			N times BEGIN, two SELECTs, COMMIT, as four messages
 *	  one N				N times the same as one message
 *
 *	  message WORD SIZE	makes a message of SIZE INSERTs, which has the word in it: "ok"
 *	  message N			N times that message
 */
#include <sched.h>
#include <unistd.h>

#include "driver.h"

/* pgbench_accounts at scale 1 */
#define ACCOUNTS 100000

static PGconn *conn;

static void
check(PGresult *result, ExecStatusType expected)
{
	if (PQresultStatus(result) != expected)
		fail("%s", one_line(PQerrorMessage(conn)));
	PQclear(result);
}

static int64_t
backend_cpu(void)
{
	char		name[64];
	int64_t		ns;
	FILE	   *file;

	snprintf(name, sizeof(name), "/proc/%d/schedstat", PQbackendPID(conn));
	file = fopen(name, "r");
	if (file == NULL || fscanf(file, "%" SCNd64, &ns) != 1)
		fail("could not read %s", name);
	fclose(file);
	return ns;
}

static void
execute(const char *sql, ExecStatusType expected)
{
	check(PQexec(conn, sql), expected);
}

static int
random_account(void)
{
	return (int) (lrand48() % ACCOUNTS) + 1;
}

static void
select_prepared(void)
{
	char		aid[16];
	const char *values[1] = {aid};

	snprintf(aid, sizeof(aid), "%d", random_account());
	check(PQexecPrepared(conn, "account", 1, values, NULL, NULL, 0), PGRES_TUPLES_OK);
}

static void
transaction_prepared(void)
{
	execute("BEGIN", PGRES_COMMAND_OK);
	select_prepared();
	execute("COMMIT", PGRES_COMMAND_OK);
}

/* As pgbench sends it: a scale of 1 has one branch and ten tellers. */
static void
tpcb(void)
{
	int			aid = random_account();
	int			tid = (int) (lrand48() % 10) + 1;
	int			delta = (int) (lrand48() % 10001) - 5000;
	char		sql[256];

	execute("BEGIN;", PGRES_COMMAND_OK);
	snprintf(sql, sizeof(sql), "UPDATE pgbench_accounts SET abalance = abalance + %d WHERE aid = %d;", delta, aid);
	execute(sql, PGRES_COMMAND_OK);
	snprintf(sql, sizeof(sql), "SELECT abalance FROM pgbench_accounts WHERE aid = %d;", aid);
	execute(sql, PGRES_TUPLES_OK);
	snprintf(sql, sizeof(sql), "UPDATE pgbench_tellers SET tbalance = tbalance + %d WHERE tid = %d;", delta, tid);
	execute(sql, PGRES_COMMAND_OK);
	snprintf(sql, sizeof(sql), "UPDATE pgbench_branches SET bbalance = bbalance + %d WHERE bid = 1;", delta);
	execute(sql, PGRES_COMMAND_OK);
	snprintf(sql, sizeof(sql), "INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (%d, 1, %d, %d, CURRENT_TIMESTAMP);", tid, aid, delta);
	execute(sql, PGRES_COMMAND_OK);
	execute("END;", PGRES_COMMAND_OK);
}

static void
four_messages(void)
{
	char		sql[128];

	execute("BEGIN", PGRES_COMMAND_OK);
	for (int i = 0; i < 2; i++)
	{
		snprintf(sql, sizeof(sql), "SELECT abalance FROM pgbench_accounts WHERE aid = %d", random_account());
		execute(sql, PGRES_TUPLES_OK);
	}
	execute("COMMIT", PGRES_COMMAND_OK);
}

static void
one_message(void)
{
	char		sql[256];
	int			first = random_account();

	snprintf(sql, sizeof(sql), "BEGIN; SELECT abalance FROM pgbench_accounts WHERE aid = %d;"
			 " SELECT abalance FROM pgbench_accounts WHERE aid = %d; COMMIT", first, random_account());
	execute(sql, PGRES_COMMAND_OK);
}

/* Of many statements; made before what is measured. */
static char *message = NULL;

static void
make_message(const char *word, int size)
{
	static const char insert[] = "INSERT INTO pg_temp.message VALUES (1, 'a row of some length, as dumps and migrations have it');\n";
	size_t		used;

	free(message);
	message = malloc(strlen(word) + sizeof(insert) * size + 16);
	if (message == NULL)
		fail("out of memory");
	used = 0;
	for (int i = 0; i < size; i++)
	{
		memcpy(message + used, insert, sizeof(insert));
		used += sizeof(insert) - 1;
	}
	sprintf(message + used, "/* %s */", word);
	execute("CREATE TEMP TABLE IF NOT EXISTS message (i int, t text)", PGRES_COMMAND_OK);
	execute("TRUNCATE pg_temp.message", PGRES_COMMAND_OK);
	printf("ok\n");
}

static void
send_message(void)
{
	execute(message, PGRES_COMMAND_OK);
}

static const struct
{
	const char *name;
	void		(*run) (void);
}			workloads[] = {
	{"select", select_prepared},
	{"transaction", transaction_prepared},
	{"tpcb", tpcb},
	{"four", four_messages},
	{"one", one_message},
	{"message", send_message},
};

/* The reply has come before the backend waits: give it time to fall asleep. */
static void
let_it_settle(void)
{
	struct timespec ts = {0, 5000000};

	nanosleep(&ts, NULL);
}

static void
run(const char *workload, int times)
{
	int64_t		before;

	for (size_t i = 0; i < sizeof(workloads) / sizeof(workloads[0]); i++)
	{
		if (strcmp(workloads[i].name, workload) != 0)
			continue;
		let_it_settle();
		before = backend_cpu();
		for (int n = 0; n < times; n++)
			workloads[i].run();
		let_it_settle();
		printf("ok %" PRId64 "\n", backend_cpu() - before);
		return;
	}
	fail("unknown workload: %s", workload);
}

/* The backend on the last core, and we on the one before. */
static void
take_cores(void)
{
	int			cores = sysconf(_SC_NPROCESSORS_ONLN);
	cpu_set_t	set;

	if (cores < 2)
		return;
	CPU_ZERO(&set);
	CPU_SET(cores - 2, &set);
	if (sched_setaffinity(0, sizeof(set), &set) != 0)
		fail("could not take a core");
	CPU_ZERO(&set);
	CPU_SET(cores - 1, &set);
	if (sched_setaffinity(PQbackendPID(conn), sizeof(set), &set) != 0)
		fail("could not give the backend a core");
}

int
main(int argc, char **argv)
{
	char		line[256];
	char		workload[32];
	int			times;

	buffer_output();
	if (argc != 2)
		fail("usage: load CONNINFO");
	conn = PQconnectdb(argv[1]);
	if (PQstatus(conn) != CONNECTION_OK)
		fail("%s", one_line(PQerrorMessage(conn)));
	check(PQprepare(conn, "account", "SELECT abalance FROM pgbench_accounts WHERE aid = $1", 0, NULL),
		  PGRES_COMMAND_OK);
	take_cores();
	printf("ok %d\n", PQbackendPID(conn));
	fflush(stdout);

	while (fgets(line, sizeof(line), stdin) != NULL)
	{
		/* the same accounts in each run */
		srand48(1);
		if (sscanf(line, "message %31s %d", workload, &times) == 2)
			make_message(workload, times);
		else if (sscanf(line, "%31s %d", workload, &times) == 2)
			run(workload, times);
		else
			fail("unknown command: %s", one_line(line));
		fflush(stdout);
	}
	PQfinish(conn);
	return 0;
}
