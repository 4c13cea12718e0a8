/*
 * load.c
 *	  What a transaction costs its backend: executes the statement of pgbench -S,
 *	  prepared, a number of times on one connection, and says how much CPU time
 *	  the backend took for that.  The start of the backend is not in the figure,
 *	  and the figure is exact: the scheduler's, read while the backend waits.
 *	  Each has a core to itself, so that neither is moved while it is measured.
 *
 *	  load CONNINFO		says "ok PID" with the PID of the backend
 *
 *	  select N			N times the statement alone: "ok NANOSECONDS"
 *	  transaction N		N times BEGIN, the statement, COMMIT
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

/* The reply has come before the backend waits: give it time to fall asleep. */
static void
let_it_settle(void)
{
	struct timespec ts = {0, 5000000};

	nanosleep(&ts, NULL);
}

static void
run(int times, bool transaction)
{
	int64_t		before;

	let_it_settle();
	before = backend_cpu();
	for (int i = 0; i < times; i++)
	{
		char		aid[16];
		const char *values[1] = {aid};

		snprintf(aid, sizeof(aid), "%d", (int) (lrand48() % ACCOUNTS) + 1);
		if (transaction)
			check(PQexec(conn, "BEGIN"), PGRES_COMMAND_OK);
		check(PQexecPrepared(conn, "account", 1, values, NULL, NULL, 0), PGRES_TUPLES_OK);
		if (transaction)
			check(PQexec(conn, "COMMIT"), PGRES_COMMAND_OK);
	}
	let_it_settle();
	printf("ok %" PRId64 "\n", backend_cpu() - before);
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
		if (sscanf(line, "select %d", &times) == 1)
			run(times, false);
		else if (sscanf(line, "transaction %d", &times) == 1)
			run(times, true);
		else
			fail("unknown command: %s", one_line(line));
		fflush(stdout);
	}
	PQfinish(conn);
	return 0;
}
