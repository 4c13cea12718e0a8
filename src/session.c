/*-------------------------------------------------------------------------
 *
 * session.c
 *	  What the server knows of a client session.
 *
 * Reads the backend status entries where they are in shared memory, under
 * their change counter; writes nothing.  BackendStatusArray is exported
 * nowhere, but every process knows its own entry and that entry's index.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "access/htup_details.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "common/ip.h"
#include "mb/pg_wchar.h"
#include "session.h"
#include "storage/s_lock.h"		/* SPIN_DELAY() */
#include "utils/acl.h"
#include "utils/backend_status.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

/*
 * A write takes far less than this many tries, unless its process has been
 * stopped in the middle of it; then there is no telling.
 */
#define READ_TRIES	1000

/* So many entries ahead they are fetched from memory. */
#define AHEAD		16

static volatile PgBackendStatus *
status_entry(int slot)
{
	static PgBackendStatus *base = NULL;

	if (unlikely(base == NULL))
		base = MyBEEntry - compat_my_slot();
	return base + slot;
}

static SessionState
session_state(BackendState state)
{
	switch (state)
	{
		case STATE_IDLE:
			return SESSION_IDLE;
		case STATE_RUNNING:
		case STATE_FASTPATH:
			return SESSION_ACTIVE;
		case STATE_IDLEINTRANSACTION:
			return SESSION_IDLE_IN_TRANSACTION;
		case STATE_IDLEINTRANSACTION_ABORTED:
			return SESSION_IDLE_IN_ABORTED_TRANSACTION;
		default:
			return SESSION_UNKNOWN;
	}
}

/* The pid of whatever process has the slot, 0 for none. */
int
session_pid(int slot)
{
	return status_entry(slot)->st_procpid;
}

/*
 * Changes whenever anything in the entry does, and is odd while it does.  As
 * long as it is the version of a session read before, so is the session.
 */
int
session_version(int slot)
{
	return status_entry(slot)->st_changecount;
}

/*
 * Have what a glance reads of an entry fetched from memory: entries are far
 * apart, and a walk through thousands would wait for each.
 */
void
session_prefetch(int slot)
{
	const PgBackendStatus *entry = unvolatize(PgBackendStatus *, status_entry(slot));

	compat_prefetch(&entry->st_changecount);
	compat_prefetch(&entry->st_state_start_timestamp);
}

/*
 * Read the numbers of the client session in a slot.  There is none when the
 * slot is free, or is another kind of process's, or the session is still
 * authenticating.  What the session publishes itself, and what the clock
 * gained, is left for others to fill in.
 *
 * Of a session that is busy nothing is known but that it is there: its pid,
 * and the rest as it may have been.
 */
Reading
session_read(int slot, Session *session)
{
	volatile PgBackendStatus *entry = status_entry(slot);
	bool		client = false;

	for (int i = 0; i < READ_TRIES; i++)
	{
		int			before;
		int			after;
		BackendType type;
		BackendState state;

		pgstat_begin_read_activity(entry, before);
		session->pid = entry->st_procpid;
		if (session->pid <= 0)
			return READ_NONE;
		type = entry->st_backendType;
		state = entry->st_state;
		session->database = entry->st_databaseid;
		session->role = entry->st_userid;
		session->since[SINCE_STATE] = entry->st_state_start_timestamp;
		session->since[SINCE_TRANSACTION] = entry->st_xact_start_timestamp;
		session->since[SINCE_BACKEND] = entry->st_proc_start_timestamp;
		pgstat_end_read_activity(entry, after);

		client = type == B_BACKEND && OidIsValid(session->role) &&
			OidIsValid(session->database);
		if (pgstat_read_activity_complete(before, after))
		{
			if (!client)
				return READ_NONE;
			session->slot = slot;
			session->version = before;
			session->state = session_state(state);
			session->listening = false;
			session->waiting = CLIENT_NOTHING;
			session->client_gone = false;
			session->client_unknown = false;
			session->vacuuming = false;
			session->suspicion = 0;
			for (int clock = NUM_SERVER_CLOCKS; clock < NUM_CLOCKS; clock++)
				session->since[clock] = 0;
			memset(session->gained, 0, sizeof(session->gained));
			return READ_DONE;
		}
		SPIN_DELAY();
	}
	/* what is becoming another process is no longer who was there before */
	return client ? READ_BUSY : READ_NONE;
}

/*
 * Since when a client session does what it does, and nothing else of it, at the
 * cost of one look into its entry.  Its state is filled in if that began before
 * "young", and is unknown otherwise.  False when it was just changing.
 */
bool
session_glance(int slot, TimestampTz young, Session *session)
{
	volatile PgBackendStatus *entry = status_entry(slot);
	int			before;
	int			after;
	bool		client;

	pgstat_begin_read_activity(entry, before);
	client = entry->st_procpid > 0 && entry->st_backendType == B_BACKEND;
	session->since[SINCE_STATE] = entry->st_state_start_timestamp;
	session->since[SINCE_TRANSACTION] = entry->st_xact_start_timestamp;
	session->since[SINCE_BACKEND] = entry->st_proc_start_timestamp;
	session->state = session->since[SINCE_STATE] < young ?
		session_state(entry->st_state) : SESSION_UNKNOWN;
	pgstat_end_read_activity(entry, after);
	session->version = before;
	return client && pgstat_read_activity_complete(before, after);
}

/*
 * How many client sessions are idle, and how many are so in a transaction.
 * Good for a statistic: each is read at a moment of its own, and whoever is
 * changing just then counts as what he was or will be.
 */
void
session_count_idle(int *idle, int *in_transaction)
{
	*idle = *in_transaction = 0;
	for (int slot = 0; slot < MaxBackends; slot++)
	{
		volatile PgBackendStatus *entry = status_entry(slot);

		if (slot + AHEAD < MaxBackends)
		{
			session_prefetch(slot + AHEAD);
			compat_prefetch(&unvolatize(PgBackendStatus *, status_entry(slot + AHEAD))->st_state);
		}
		if (entry->st_procpid <= 0 || entry->st_backendType != B_BACKEND)
			continue;
		switch (session_state(entry->st_state))
		{
			case SESSION_IDLE:
				(*idle)++;
				break;
			case SESSION_IDLE_IN_TRANSACTION:
			case SESSION_IDLE_IN_ABORTED_TRANSACTION:
				(*in_transaction)++;
				break;
			case SESSION_ACTIVE:
			case SESSION_UNKNOWN:
				break;
		}
	}
}

/* How many client sessions there are. */
int
session_count(void)
{
	int			count = 0;
	Session		session;

	for (int slot = 0; slot < MaxBackends; slot++)
		count += session_read(slot, &session) != READ_NONE;
	return count;
}

/* Is it the same backend, in the same state since the same times? */
bool
session_is_same(const Session *a, const Session *b)
{
	return a->pid == b->pid && a->state == b->state &&
		memcmp(a->since, b->since, NUM_SERVER_CLOCKS * sizeof(a->since[0])) == 0;
}

/* ---------- what it waits for ---------- */

/* The process in each slot as last found; only the watcher keeps that. */
static PGPROC **procs = NULL;

/* Called once by the watcher, who asks all the time. */
void
session_keep_processes(void)
{
	procs = MemoryContextAllocZero(TopMemoryContext, mul_size(sizeof(PGPROC *), MaxBackends));
}

static bool
is_process_of(PGPROC *proc, const Session *session)
{
	return proc != NULL && proc->pid == session->pid && compat_proc_slot(proc) == session->slot;
}

/*
 * The process of a session, or NULL.  Up to 16 it takes a lock to look that
 * up, and none to see that it still is the one that was found.
 */
static PGPROC *
process_of(const Session *session)
{
	PGPROC	   *proc = procs != NULL ? procs[session->slot] : NULL;

	if (is_process_of(proc, session))
		return proc;
	proc = compat_slot_proc(session->slot);
	if (!is_process_of(proc, session))
		return NULL;
	if (procs != NULL)
		procs[session->slot] = proc;
	return proc;
}

/* The wait event of a session; 0 if it waits for nothing. */
uint32
session_wait_event(const Session *session)
{
	volatile PGPROC *proc = process_of(session);

	return proc != NULL ? proc->wait_event_info : 0;
}

/*
 * What an active session waits for its client to do.  An idle one does so as
 * well, and that is no news.
 */
ClientWait
session_waiting(const Session *session)
{
	if (session->state != SESSION_ACTIVE)
		return CLIENT_NOTHING;
	switch (session_wait_event(session))
	{
		case WAIT_EVENT_CLIENT_READ:
			return CLIENT_READ;
		case WAIT_EVENT_CLIENT_WRITE:
			return CLIENT_WRITE;
		default:
			return CLIENT_NOTHING;
	}
}

/* As the views name it; NULL for nothing. */
const char *
session_waiting_name(ClientWait waiting)
{
	switch (waiting)
	{
		case CLIENT_READ:
			return "client read";
		case CLIENT_WRITE:
			return "client write";
		case CLIENT_NOTHING:
			break;
	}
	return NULL;
}

/* ---------- strings ---------- */

/*
 * Read the strings of a session.  False when the session is no longer as it
 * was read before, or is just changing, so that numbers and strings are always
 * of one moment.
 */
bool
session_read_text(const Session *session, SessionText *text)
{
	volatile PgBackendStatus *entry = status_entry(session->slot);
	Session		again;

	for (int i = 0; i < READ_TRIES; i++)
	{
		int			before;
		int			after;

		pgstat_begin_read_activity(entry, before);
		strlcpy(text->application_name, unvolatize(PgBackendStatus *, entry)->st_appname,
				NAMEDATALEN);
		memcpy(&text->client, unvolatize(SockAddr *, &entry->st_clientaddr),
			   sizeof(ClientAddress));
		text->query_id = (uint64) entry->st_query_id;
		text->query_start = entry->st_activity_start_timestamp;
		strlcpy(text->query, unvolatize(PgBackendStatus *, entry)->st_activity_raw,
				SESSION_QUERY_SIZE);
		pgstat_end_read_activity(entry, after);

		if (pgstat_read_activity_complete(before, after))
		{
			/* unchanged counter or not, this tells whether it still holds */
			if (session_read(session->slot, &again) != READ_DONE ||
				!session_is_same(session, &again))
				return false;
			pgstat_begin_read_activity(entry, after);
			if (before == after)
				return true;
		}
		SPIN_DELAY();
	}
	return false;
}

/*
 * Whose a session is: the name that its application gives itself, and its
 * client.  False when the session is no longer as it was read before.
 */
bool
session_read_application(const Session *session, char *name, ClientAddress *client)
{
	volatile PgBackendStatus *entry = status_entry(session->slot);
	int			before;
	int			after;

	pgstat_begin_read_activity(entry, before);
	strlcpy(name, unvolatize(PgBackendStatus *, entry)->st_appname, NAMEDATALEN);
	memcpy(client, unvolatize(SockAddr *, &entry->st_clientaddr), sizeof(ClientAddress));
	pgstat_end_read_activity(entry, after);
	return before == session->version && pgstat_read_activity_complete(before, after);
}

/*
 * What a session reports of a command's progress.  False when it is no longer
 * there, or no answer could be had.
 */
bool
session_progress(const Session *session, ProgressCommandType *command, int64 *param)
{
	volatile PgBackendStatus *entry = status_entry(session->slot);

	for (int i = 0; i < READ_TRIES; i++)
	{
		int			before;
		int			after;
		int			pid;

		pgstat_begin_read_activity(entry, before);
		pid = entry->st_procpid;
		*command = entry->st_progress_command;
		memcpy(param, unvolatize(PgBackendStatus *, entry)->st_progress_param,
			   PGSTAT_NUM_PROGRESS_PARAM * sizeof(int64));
		pgstat_end_read_activity(entry, after);
		if (pgstat_read_activity_complete(before, after))
			return pid == session->pid;
		SPIN_DELAY();
	}
	return false;
}

/* OIDs in place of names, for when the catalogs can't be read. */
void
session_oid_names(const Session *session, SessionNames *names)
{
	snprintf(names->database, NAMEDATALEN, "%u", session->database);
	snprintf(names->role, NAMEDATALEN, "%u", session->role);
	names->encoding = -1;
	names->superuser = false;
	names->role_unknown = true;
}

/*
 * Look up the names of a session's database and role, in a transaction of the
 * caller's.  Can throw, as every catalog access can; what has been dropped
 * keeps its OID for a name, and is no superuser.
 */
void
session_names(const Session *session, SessionNames *names)
{
	HeapTuple	tuple;

	session_oid_names(session, names);
	names->role_unknown = false;

	tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(session->database));
	if (HeapTupleIsValid(tuple))
	{
		Form_pg_database form = (Form_pg_database) GETSTRUCT(tuple);

		strlcpy(names->database, NameStr(form->datname), NAMEDATALEN);
		names->encoding = form->encoding;
		ReleaseSysCache(tuple);
	}

	tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(session->role));
	if (HeapTupleIsValid(tuple))
	{
		Form_pg_authid form = (Form_pg_authid) GETSTRUCT(tuple);

		strlcpy(names->role, NameStr(form->rolname), NAMEDATALEN);
		names->superuser = form->rolsuper;
		ReleaseSysCache(tuple);
	}
}

/*
 * The client's address in text and its port.  As in pg_stat_activity: no
 * address and port -1 for a Unix socket; false where neither is known.
 */
bool
session_client(const ClientAddress *client, char *address, Size address_size, int *port)
{
	struct sockaddr_storage storage = {0};
	socklen_t	length = sizeof(struct sockaddr_in);
	char		service[NI_MAXSERV];

	address[0] = '\0';
	*port = -1;

	switch (client->any.sa_family)
	{
		case AF_UNIX:
			return true;
		case AF_INET:
			break;
		case AF_INET6:
			length = sizeof(struct sockaddr_in6);
			break;
		default:
			return false;
	}

	memcpy(&storage, client, length);
	if (pg_getnameinfo_all(&storage, length, address, address_size,
						   service, sizeof(service),
						   NI_NUMERICHOST | NI_NUMERICSERV) != 0)
	{
		address[0] = '\0';
		return false;
	}
	/* the type inet has no place for a zone */
	if (strchr(address, '%') != NULL)
		*strchr(address, '%') = '\0';
	*port = atoi(service);
	return true;
}

/* As pg_stat_activity names it; NULL where it shows nothing. */
const char *
session_state_name(SessionState state)
{
	switch (state)
	{
		case SESSION_ACTIVE:
			return "active";
		case SESSION_IDLE:
			return "idle";
		case SESSION_IDLE_IN_TRANSACTION:
			return "idle in transaction";
		case SESSION_IDLE_IN_ABORTED_TRANSACTION:
			return "idle in transaction (aborted)";
		case SESSION_UNKNOWN:
			break;
	}
	return NULL;
}

/*
 * May the current user see what a session of this role does?  As for
 * pg_stat_activity.
 */
bool
session_is_visible_to_user(Oid role)
{
	return has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS) ||
		has_privs_of_role(GetUserId(), role);
}
