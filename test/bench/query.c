/*
 * query.c
 *	  One connection that executes one prepared query at an even pace, or without
 *	  a pause: a poll of the server by a client.
 *
 *	  query CONNINFO		says "ok PID" with the PID of the backend
 *
 *	  prepare SQL			"ok"
 *	  run N MS				executes it N times, one every MS milliseconds, and says
 *							"row TIME COLUMN..." for each row, then "ok N" when the
 *							last interval has passed as well
 */
#include "driver.h"

static PGconn *conn;

static void
sleep_until(int64_t us)
{
	struct timespec ts = {us / 1000000, us % 1000000 * 1000};

	clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &ts, NULL);
}

static void
prepare(const char *sql)
{
	PGresult   *result = PQexec(conn, "DEALLOCATE ALL");

	PQclear(result);
	result = PQprepare(conn, "query", sql, 0, NULL);
	if (PQresultStatus(result) != PGRES_COMMAND_OK)
		fail("%s", one_line(PQerrorMessage(conn)));
	PQclear(result);
	printf("ok\n");
}

static void
execute(void)
{
	PGresult   *result = PQexecPrepared(conn, "query", 0, NULL, NULL, NULL, 0);
	int64_t		now = now_us();

	if (PQresultStatus(result) != PGRES_TUPLES_OK)
		fail("%s", one_line(PQerrorMessage(conn)));
	for (int row = 0; row < PQntuples(result); row++)
	{
		printf("row %" PRId64, now);
		for (int column = 0; column < PQnfields(result); column++)
			printf(" %s", PQgetvalue(result, row, column));
		printf("\n");
	}
	PQclear(result);
}

static void
run(int times, int ms)
{
	int64_t		due = now_us();

	for (int i = 0; i < times; i++)
	{
		execute();
		due += ms * INT64_C(1000);
		if (ms > 0)
			sleep_until(due);
	}
	printf("ok %d\n", times);
}

int
main(int argc, char **argv)
{
	static char line[8192];
	int			times;
	int			ms;

	buffer_output();
	if (argc != 2)
		fail("usage: query CONNINFO");
	conn = PQconnectdb(argv[1]);
	if (PQstatus(conn) != CONNECTION_OK)
		fail("%s", one_line(PQerrorMessage(conn)));
	printf("ok %d\n", PQbackendPID(conn));
	fflush(stdout);

	while (fgets(line, sizeof(line), stdin) != NULL)
	{
		if (strncmp(line, "prepare ", 8) == 0)
			prepare(line + 8);
		else if (sscanf(line, "run %d %d", &times, &ms) == 2)
			run(times, ms);
		else
			fail("unknown command: %s", one_line(line));
		fflush(stdout);
	}
	PQfinish(conn);
	return 0;
}
