/*
 * innocent.c
 *	  Transactions that end just below, at and above a terminate limit, on many
 *	  connections, and a judge of what became of them that goes by nothing but the
 *	  client's clock.
 *
 *	  innocent CONNINFO CONNECTIONS SECONDS LIMIT_MS
 *
 *	  When time is up it says "NAME N" for each counter, "late MICROSECONDS" for
 *	  each termination that was due, "victim TEXT" for each that was not, and "ok".
 *
 *	  early			terminated before the limit had passed since BEGIN was sent,
 *					so that the server cannot have seen it open for so long
 *	  afterwards	terminated after COMMIT had been replied to: it was idle, and
 *					there is no limit for that
 *	  crossed		COMMIT was on its way when the end came: from here nobody can
 *					tell which was first
 *	  overtaken		the same, but COMMIT was sent when the limit had passed: the
 *					end was decided before COMMIT arrived, and came after it
 *	  due			terminated, and nothing is wrong with that
 *	  forgotten		meant to be terminated, and still there 5 s after the limit
 */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#include "driver.h"

#define MAX_CONNECTING	16
#define PATIENCE		INT64_C(5000000)

/* As long as a signal may take on a busy machine, in us. */
#define OVERTAKING		20000

typedef enum
{
	CONNECTING,
	RESTING,					/* idle, outside a transaction */
	BEGINNING,					/* BEGIN is sent */
	HOLDING,					/* and was replied to */
	COMMITTING,					/* COMMIT is sent */
	WAITING						/* to be connected anew */
} State;

typedef struct
{
	PGconn	   *conn;
	State		state;
	bool		leaks;
	bool		told;			/* of its end */
	bool		foreign;		/* the end was not leakwatch's doing */
	int64_t		due;			/* when to go on, when resting or holding */
	int64_t		hold;
	int64_t		begin_sent;
	int64_t		begun;
	int64_t		commit_sent;
	int64_t		committed;
	int64_t		ended;
} Client;

static struct
{
	int64_t		changes;		/* of state: into a transaction, and out */
	int64_t		below;			/* transactions meant to end below the limit */
	int64_t		above;			/* and above, where either may be first */
	int64_t		leaks;
	int64_t		due;
	int64_t		crossed;
	int64_t		overtaken;
	int64_t		early;
	int64_t		afterwards;
	int64_t		forgotten;
	int64_t		foreign;
	int64_t		terminated;
}			counted;

static Client *clients;
static int	nclients;
static int	nconnecting;
static int	epoll;
static const char *conninfo;
static int64_t limit;

/* One of "late" for each, printed at the end. */
static int64_t *late;
static int	nlate;
static int	late_size;

/* Random microseconds from ... to ... milliseconds. */
static int64_t
between(double from, double to)
{
	return (int64_t) ((from + drand48() * (to - from)) * 1000);
}

/* ---------- the judge ---------- */

static void
victim(const char *what, const Client *client)
{
	printf("victim %s: ended %.1f ms after BEGIN was sent", what,
		   (client->ended - client->begin_sent) / 1000.0);
	if (client->commit_sent != 0)
		printf(", COMMIT sent at %.1f ms", (client->commit_sent - client->begin_sent) / 1000.0);
	if (client->committed != 0)
		printf(", replied to at %.1f ms", (client->committed - client->begin_sent) / 1000.0);
	printf("\n");
}

static void
judge(const Client *client)
{
	if (client->foreign)
	{
		counted.foreign++;
		return;
	}
	counted.terminated++;
	if (client->begin_sent == 0)
	{
		counted.afterwards++;
		printf("victim before its first transaction\n");
	}
	else if (client->ended - client->begin_sent < limit)
	{
		counted.early++;
		victim("early", client);
	}
	else if (client->committed != 0 && client->ended - client->committed < OVERTAKING &&
			 client->commit_sent - client->begin_sent >= limit)
		counted.overtaken++;
	else if (client->committed != 0)
	{
		counted.afterwards++;
		victim("afterwards", client);
	}
	else if (client->commit_sent != 0)
		counted.crossed++;
	else
	{
		counted.due++;
		if (nlate == late_size)
		{
			late_size = late_size * 2 + 1024;
			late = realloc(late, late_size * sizeof(int64_t));
			if (late == NULL)
				fail("out of memory");
		}
		late[nlate++] = client->ended - client->begun - limit;
	}
}

/* ---------- connections ---------- */

static void
note_end(Client *client, const PGresult *result)
{
	const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
	const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);

	if (severity == NULL || strcmp(severity, "FATAL") != 0)
		return;
	client->told = true;
	client->ended = now_us();
	client->foreign = detail == NULL || strstr(detail, "leakwatch terminated") == NULL;
}

static void
receive_notice(void *arg, const PGresult *result)
{
	note_end(arg, result);
}

static void
watch(Client *client, int operation, uint32_t events)
{
	struct epoll_event event = {.events = events,.data.ptr = client};

	if (epoll_ctl(epoll, operation, PQsocket(client->conn), &event) != 0)
		fail("epoll_ctl: %s", strerror(errno));
}

static void
connect_client(Client *client)
{
	memset(client, 0, sizeof(*client));
	client->conn = PQconnectStart(conninfo);
	if (client->conn == NULL || PQstatus(client->conn) == CONNECTION_BAD)
		fail("%s", one_line(PQerrorMessage(client->conn)));
	PQsetNoticeReceiver(client->conn, receive_notice, client);
	client->state = CONNECTING;
	nconnecting++;
	watch(client, EPOLL_CTL_ADD, EPOLLOUT);
}

static void
rest(Client *client)
{
	/* some for longer than the limit, which is none for the idle */
	client->state = RESTING;
	client->due = now_us() + (drand48() < 0.1 ? between(limit / 1000.0, limit / 500.0) : between(0, 20));
}

static void
go_on_connecting(Client *client)
{
	PostgresPollingStatusType wanted = PQconnectPoll(client->conn);

	if (wanted == PGRES_POLLING_FAILED)
		fail("%s", one_line(PQerrorMessage(client->conn)));
	watch(client, EPOLL_CTL_MOD, wanted == PGRES_POLLING_WRITING ? EPOLLOUT : EPOLLIN);
	if (wanted == PGRES_POLLING_OK)
	{
		nconnecting--;
		rest(client);
	}
}

static void
ended(Client *client)
{
	if (!client->told)
	{
		client->ended = now_us();
		client->foreign = true;
	}
	judge(client);
	PQfinish(client->conn);
	client->conn = NULL;
	client->state = WAITING;
}

/* ---------- transactions ---------- */

static void
begin(Client *client)
{
	double		ms = limit / 1000.0;
	double		kind = drand48();

	client->leaks = false;
	if (kind < 0.70)
	{
		client->hold = between(ms - 30, ms - 1);
		counted.below++;
	}
	else if (kind < 0.93)
	{
		client->hold = between(0, ms - 1);
		counted.below++;
	}
	else if (kind < 0.98)
	{
		client->hold = between(ms - 1, ms + 5);
		counted.above++;
	}
	else
	{
		client->leaks = true;
		counted.leaks++;
	}
	client->begun = client->commit_sent = client->committed = 0;
	client->state = BEGINNING;
	client->begin_sent = now_us();
	if (!PQsendQuery(client->conn, "BEGIN"))
		ended(client);
}

static void
replied(Client *client)
{
	counted.changes++;
	if (client->state == BEGINNING)
	{
		client->begun = now_us();
		client->state = HOLDING;
		client->due = client->leaks ? client->begun + limit + PATIENCE : client->begun + client->hold;
	}
	else
	{
		client->committed = now_us();
		rest(client);
	}
}

static void
receive(Client *client)
{
	PGresult   *result;

	if (!PQconsumeInput(client->conn))
	{
		ended(client);
		return;
	}
	if (client->state == RESTING || client->state == HOLDING)
	{
		(void) PQisBusy(client->conn);
		if (client->told || PQstatus(client->conn) == CONNECTION_BAD)
			ended(client);
		return;
	}
	while (!PQisBusy(client->conn))
	{
		result = PQgetResult(client->conn);
		if (result == NULL)
		{
			replied(client);
			return;
		}
		if (PQresultStatus(result) == PGRES_FATAL_ERROR)
			note_end(client, result);
		PQclear(result);
		if (client->told || PQstatus(client->conn) == CONNECTION_BAD)
		{
			ended(client);
			return;
		}
	}
}

static void
go_on(Client *client)
{
	if (client->state == RESTING)
		begin(client);
	else if (client->leaks)
	{
		/* it is let go, so that it is counted once */
		counted.forgotten++;
		PQfinish(client->conn);
		client->conn = NULL;
		client->state = WAITING;
	}
	else
	{
		client->state = COMMITTING;
		client->commit_sent = now_us();
		if (!PQsendQuery(client->conn, "COMMIT"))
			ended(client);
	}
}

/* What the server has said comes before what is due: it was first. */
static void
serve(int64_t until)
{
	struct epoll_event events[256];
	int64_t		wait = until - now_us();
	int			n = epoll_wait(epoll, events, 256, wait <= 0 ? 0 : (int) (wait / 1000) + 1);

	for (int i = 0; i < n; i++)
	{
		Client	   *client = events[i].data.ptr;

		if (client->state == CONNECTING)
			go_on_connecting(client);
		else if (client->conn != NULL)
			receive(client);
	}
}

int
main(int argc, char **argv)
{
	struct rlimit files;
	int64_t		stop;
	int			open;

	buffer_output();
	if (argc != 5)
		fail("usage: innocent CONNINFO CONNECTIONS SECONDS LIMIT_MS");
	if (getrlimit(RLIMIT_NOFILE, &files) == 0)
	{
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	conninfo = argv[1];
	nclients = atoi(argv[2]);
	stop = now_us() + atoi(argv[3]) * INT64_C(1000000);
	limit = atoi(argv[4]) * INT64_C(1000);
	srand48(now_us());
	clients = calloc(nclients, sizeof(Client));
	epoll = epoll_create1(0);
	if (clients == NULL || epoll < 0)
		fail("%s", strerror(errno));
	for (int i = 0; i < nclients; i++)
		clients[i].state = WAITING;

	/* after the end, those in a transaction still come out of it */
	do
	{
		int64_t		now = now_us();
		int64_t		next = now + 10000;

		open = 0;
		for (int i = 0; i < nclients; i++)
		{
			Client	   *client = &clients[i];

			if (client->state == WAITING && now < stop && nconnecting < MAX_CONNECTING)
				connect_client(client);
			if ((client->state == RESTING && now < stop) || client->state == HOLDING)
			{
				if (client->due <= now)
					go_on(client);
				else if (client->due < next)
					next = client->due;
			}
			open += client->state != RESTING && client->state != WAITING;
		}
		serve(next);
	} while (now_us() < stop || open > 0);

	for (int i = 0; i < nclients; i++)
		PQfinish(clients[i].conn);
	for (int i = 0; i < nlate; i++)
		printf("late %" PRId64 "\n", late[i]);
	printf("changes %" PRId64 "\nbelow %" PRId64 "\nabove %" PRId64 "\nleaks %" PRId64
		   "\ndue %" PRId64 "\ncrossed %" PRId64 "\novertaken %" PRId64 "\nearly %" PRId64 "\nafterwards %" PRId64
		   "\nforgotten %" PRId64 "\nforeign %" PRId64 "\nterminated %" PRId64 "\nok\n",
		   counted.changes, counted.below, counted.above, counted.leaks, counted.due,
		   counted.crossed, counted.overtaken, counted.early, counted.afterwards, counted.forgotten,
		   counted.foreign, counted.terminated);
	return 0;
}
