/*
 * connects.c
 *	  Connects and disconnects, again and again, until standard input ends, and
 *	  says "connect TIME MICROSECONDS" for each connection: when it was begun and
 *	  how long it took until the server was ready.
 */
#include <poll.h>
#include <unistd.h>

#include "driver.h"

#define PAUSE_MS	5

int
main(int argc, char **argv)
{
	struct pollfd input = {.fd = STDIN_FILENO,.events = POLLIN};

	buffer_output();
	if (argc != 2)
		fail("usage: connects CONNINFO");
	printf("ok\n");
	fflush(stdout);
	while (poll(&input, 1, PAUSE_MS) == 0)
	{
		int64_t		begun = now_us();
		PGconn	   *conn = PQconnectdb(argv[1]);

		if (PQstatus(conn) != CONNECTION_OK)
			fail("%s", one_line(PQerrorMessage(conn)));
		printf("connect %" PRId64 " %" PRId64 "\n", begun, now_us() - begun);
		PQfinish(conn);
	}
	printf("ok\n");
	return 0;
}
