/*
 * clients.c
 *	  Many connections in one process, each of which does what it is told, and
 *	  whose clocks are written down.
 *
 *	  clients CONNINFO
 *
 *	  open N				open connections until there are N (those that were
 *							lost are opened anew)
 *	  send WHO SQL			each executes SQL
 *	  spread MS WHO SQL		the same, each at a random moment within MS
 *	  cycle HOLD REST N		all of them BEGIN, wait HOLD ms, COMMIT, wait up to
 *							twice REST ms, until there were N transactions
 *	  gone N MS				wait until at least N have been lost, at most MS
 *	  times					"time SENT REPLIED ENDED SQLSTATE" for each, 0 where
 *							there is none
 *	  close					all of them
 *
 *	  WHO is all, even or odd.  Each command is answered by "ok N", N being the
 *	  connections that it went well for, when all is done.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "driver.h"

#define MAX_CLIENTS		20000

/* More at a time would overflow the listen queue of a server. */
#define MAX_CONNECTING	32

#define NEVER			INT64_MAX

typedef enum
{
	LOST,						/* or never opened */
	CONNECTING,
	READY,
	BUSY						/* until the server has replied */
} State;

typedef struct
{
	PGconn	   *conn;
	State		state;
	PostgresPollingStatusType wanted;
	bool		in_transaction; /* cycle: between BEGIN and COMMIT */
	int64_t		due;			/* when to send the next */
	int64_t		sent;
	int64_t		replied;
	int64_t		ended;
	char		sqlstate[6];	/* that it was ended with */
} Client;

static Client clients[MAX_CLIENTS];
static int	nclients;			/* there are, lost ones included */
static int	count[BUSY + 1];	/* of clients in each state */
static int	epoll;
static const char *conninfo;

static void
set_state(Client *client, State state)
{
	count[client->state]--;
	count[state]++;
	client->state = state;
}

/* ---------- connections ---------- */

/* A FATAL that comes while the client waits for nothing is a notice to libpq. */
static void
note_end(void *arg, const PGresult *result)
{
	Client	   *client = arg;
	const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
	const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	if (severity == NULL || strcmp(severity, "FATAL") != 0)
		return;
	client->ended = now_us();
	snprintf(client->sqlstate, sizeof(client->sqlstate), "%s", sqlstate != NULL ? sqlstate : "");
}

static void
lose(Client *client)
{
	if (client->ended == 0)
		client->ended = now_us();
	PQfinish(client->conn);
	client->conn = NULL;
	client->due = NEVER;
	set_state(client, LOST);
}

static void
listen_to(Client *client, int operation, uint32_t events)
{
	struct epoll_event event = {.events = events,.data.ptr = client};

	if (epoll_ctl(epoll, operation, PQsocket(client->conn), &event) != 0)
		fail("epoll_ctl: %s", strerror(errno));
}

static void
start_connecting(Client *client)
{
	client->conn = PQconnectStart(conninfo);
	if (client->conn == NULL || PQstatus(client->conn) == CONNECTION_BAD)
		fail("%s", one_line(PQerrorMessage(client->conn)));
	client->wanted = PGRES_POLLING_WRITING;
	client->in_transaction = false;
	client->due = NEVER;
	client->sent = client->replied = client->ended = 0;
	client->sqlstate[0] = '\0';
	PQsetNoticeReceiver(client->conn, note_end, client);
	set_state(client, CONNECTING);
	listen_to(client, EPOLL_CTL_ADD, EPOLLOUT);
}

static void
go_on_connecting(Client *client)
{
	int			former = PQsocket(client->conn);

	client->wanted = PQconnectPoll(client->conn);
	if (client->wanted == PGRES_POLLING_FAILED)
		fail("%s", one_line(PQerrorMessage(client->conn)));
	if (PQsocket(client->conn) != former)
		listen_to(client, EPOLL_CTL_ADD, EPOLLIN);
	if (client->wanted == PGRES_POLLING_OK)
		set_state(client, READY);
	listen_to(client, EPOLL_CTL_MOD,
			  client->wanted == PGRES_POLLING_WRITING ? EPOLLOUT : EPOLLIN);
}

/* ---------- statements ---------- */

static void
send_sql(Client *client, const char *sql)
{
	client->due = NEVER;
	client->sent = now_us();
	client->replied = 0;
	if (!PQsendQuery(client->conn, sql))
	{
		lose(client);
		return;
	}
	set_state(client, BUSY);
}

static void
receive(Client *client)
{
	PGresult   *result;

	if (!PQconsumeInput(client->conn))
	{
		lose(client);
		return;
	}
	if (client->state == READY)
	{
		/* what comes unasked is the end, or a parameter that changed */
		(void) PQisBusy(client->conn);
		if (client->ended != 0 || PQstatus(client->conn) == CONNECTION_BAD)
			lose(client);
		return;
	}
	while (!PQisBusy(client->conn))
	{
		result = PQgetResult(client->conn);
		if (result == NULL)
		{
			client->replied = now_us();
			set_state(client, READY);
			return;
		}
		if (PQresultStatus(result) == PGRES_FATAL_ERROR)
		{
			note_end(client, result);
			if (client->ended == 0)
				fail("%s", one_line(PQerrorMessage(client->conn)));
		}
		PQclear(result);
		if (PQstatus(client->conn) == CONNECTION_BAD)
		{
			lose(client);
			return;
		}
	}
}

/* Deal with what comes until then, or until something has come. */
static void
serve(int64_t until)
{
	struct epoll_event events[256];
	int64_t		wait = until == NEVER ? NEVER : until - now_us();
	int			n;

	n = epoll_wait(epoll, events, 256,
				   wait == NEVER ? -1 : wait <= 0 ? 0 : (int) ((wait + 999) / 1000));
	for (int i = 0; i < n; i++)
	{
		Client	   *client = events[i].data.ptr;

		if (client == NULL)		/* standard input: nobody waits any more */
			exit(1);
		if (client->state == CONNECTING)
			go_on_connecting(client);
		else if (client->state != LOST)
			receive(client);
	}
}

/* ---------- commands ---------- */

static bool
is_meant(const char *who, int i)
{
	if (strcmp(who, "all") == 0)
		return true;
	if (strcmp(who, "even") == 0)
		return i % 2 == 0;
	if (strcmp(who, "odd") == 0)
		return i % 2 == 1;
	fail("neither all, even nor odd: %s", who);
}

static void
open_clients(int n)
{
	if (n > MAX_CLIENTS)
		fail("at most %d connections", MAX_CLIENTS);
	for (int i = 0; i < n; i++)
	{
		while (count[CONNECTING] >= MAX_CONNECTING)
			serve(NEVER);
		if (i >= nclients)
		{
			nclients++;
			count[LOST]++;
		}
		if (clients[i].state == LOST)
			start_connecting(&clients[i]);
	}
	while (count[CONNECTING] > 0)
		serve(NEVER);
	printf("ok %d\n", count[READY]);
}

/* Send what is due; returns when the next is. */
static int64_t
send_due(const char *sql)
{
	int64_t		now = now_us();
	int64_t		next = NEVER;

	for (int i = 0; i < nclients; i++)
	{
		if (clients[i].state == READY && clients[i].due <= now)
			send_sql(&clients[i], sql);
		if (clients[i].due < next)
			next = clients[i].due;
	}
	return next;
}

static void
spread(int ms, const char *who, const char *sql)
{
	int64_t		now = now_us();
	int64_t		next;
	int			n = 0;

	for (int i = 0; i < nclients; i++)
	{
		if (clients[i].state == READY && is_meant(who, i))
			clients[i].due = now + (int64_t) (drand48() * ms * 1000);
	}
	while ((next = send_due(sql)) != NEVER || count[BUSY] > 0)
		serve(next);
	for (int i = 0; i < nclients; i++)
		n += clients[i].state == READY && clients[i].replied >= now;
	printf("ok %d\n", n);
}

static void
cycle(int hold, int rest, int transactions)
{
	int			begun = 0;
	int			done = 0;

	for (int i = 0; i < nclients; i++)
		clients[i].due = now_us() + (int64_t) (drand48() * 2 * rest * 1000);
	while (done < transactions)
	{
		int64_t		now = now_us();
		int64_t		next = NEVER;

		if (count[READY] + count[BUSY] == 0)
			fail("no connection is left");
		for (int i = 0; i < nclients; i++)
		{
			Client	   *client = &clients[i];

			if (client->state != READY)
				continue;
			if (client->due == NEVER)	/* it was busy, and is not any more */
			{
				client->in_transaction = !client->in_transaction;
				client->due = client->replied +
					(client->in_transaction ? hold * INT64_C(1000) :
					 (int64_t) (drand48() * 2 * rest * 1000));
				done += !client->in_transaction;
			}
			if (client->due <= now && (client->in_transaction || begun < transactions))
			{
				begun += !client->in_transaction;
				send_sql(client, client->in_transaction ? "COMMIT" : "BEGIN");
			}
			else if (client->due > now && client->due < next)
				next = client->due;
		}
		if (done < transactions)
			serve(next);
	}
	for (int i = 0; i < nclients; i++)
		clients[i].due = NEVER;
	printf("ok %d\n", done);
}

static void
wait_gone(int n, int ms)
{
	int64_t		until = now_us() + ms * INT64_C(1000);

	while (count[LOST] < n && now_us() < until)
		serve(until);
	printf("ok %d\n", count[LOST]);
}

static void
print_times(void)
{
	for (int i = 0; i < nclients; i++)
		printf("time %" PRId64 " %" PRId64 " %" PRId64 " %s\n", clients[i].sent,
			   clients[i].replied, clients[i].ended, clients[i].sqlstate);
	printf("ok %d\n", nclients);
}

static void
close_all(void)
{
	int			n = count[READY] + count[BUSY];

	for (int i = 0; i < nclients; i++)
	{
		if (clients[i].state != LOST)
			lose(&clients[i]);
	}
	nclients = count[LOST] = 0;
	printf("ok %d\n", n);
}

static void
obey(char *line)
{
	char		who[8];
	int			sql = 0;
	int			a;
	int			b;
	int			c;

	line[strcspn(line, "\n")] = '\0';
	if (sscanf(line, "open %d", &a) == 1)
		open_clients(a);
	else if (sscanf(line, "send %7s %n", who, &sql) == 1 && sql > 0)
		spread(0, who, line + sql);
	else if (sscanf(line, "spread %d %7s %n", &a, who, &sql) == 2 && sql > 0)
		spread(a, who, line + sql);
	else if (sscanf(line, "cycle %d %d %d", &a, &b, &c) == 3)
		cycle(a, b, c);
	else if (sscanf(line, "gone %d %d", &a, &b) == 2)
		wait_gone(a, b);
	else if (strcmp(line, "times") == 0)
		print_times();
	else if (strcmp(line, "close") == 0)
		close_all();
	else
		fail("unknown command: %s", line);
	fflush(stdout);
}

int
main(int argc, char **argv)
{
	struct epoll_event input = {.events = EPOLLIN};
	struct rlimit files;
	char		line[1024];
	size_t		length = 0;

	buffer_output();
	if (argc != 2)
		fail("usage: clients CONNINFO");
	conninfo = argv[1];
	srand48(now_us());
	if (getrlimit(RLIMIT_NOFILE, &files) == 0)
	{
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	epoll = epoll_create1(0);
	if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &input) != 0)
		fail("epoll: %s", strerror(errno));
	printf("ok\n");
	fflush(stdout);

	/* commands come one at a time, but ends of connections at any */
	for (;;)
	{
		struct epoll_event event;
		ssize_t		n;

		if (epoll_wait(epoll, &event, 1, -1) == 1 && event.data.ptr != NULL)
		{
			serve(0);
			continue;
		}
		n = read(STDIN_FILENO, line + length, sizeof(line) - 1 - length);
		if (n <= 0)
			return 0;
		length += n;
		line[length] = '\0';
		if (line[length - 1] == '\n')
		{
			obey(line);
			length = 0;
		}
		else if (length == sizeof(line) - 1)
			fail("a line is too long");
	}
}
