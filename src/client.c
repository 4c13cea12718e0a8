/*-------------------------------------------------------------------------
 *
 * client.c
 *	  Whether a session still has a client, and whether that does anything.
 *
 * A backend that is at work, or waits for its client, learns of neither; the
 * operating system knows.  Only of sessions that are suspected is it asked.
 *
 * Owns the "leakwatch clients" segment: for each entry of the backend status
 * array, the socket of its session.  The backend writes it once, when its
 * client has been authenticated, under a change counter; the watcher reads.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include <sys/socket.h>
#include <sys/stat.h>

/*
 * What a connection has of these comes last in its struct, and their headers
 * need not be there where leakwatch is built.
 */
#undef ENABLE_GSS
#undef ENABLE_SSPI
#undef USE_OPENSSL
#undef USE_SSL

#include "changes.h"
#include "client.h"
#include "diag.h"
#include "libpq/auth.h"
#include "session.h"
#include "storage/shmem.h"

/* Sessions at most that are asked whether addresses find anything at all. */
#define WITNESSES	10

typedef struct Client
{
	TimestampTz backend_start;	/* whose it is; 0: nobody's */
	DiagSocket	sock;
} Client;

typedef struct ClientSlot
{
	pg_atomic_uint32 changes;
	Client		client;
} ClientSlot;

static ClientSlot *slots = NULL;
static ClientAuthentication_hook_type prev_authentication = NULL;

Size
client_shmem_size(void)
{
	return mul_size(sizeof(ClientSlot), MaxBackends);
}

/* Called with AddinShmemInitLock held. */
void
client_shmem_init(void)
{
	bool		found;

	slots = ShmemInitStruct("leakwatch clients", client_shmem_size(), &found);
	if (found)
		return;
	memset(slots, 0, client_shmem_size());
	for (int i = 0; i < MaxBackends; i++)
		pg_atomic_init_u32(&slots[i].changes, 0);
}

/* ---------- the backend ---------- */

/* Addresses and ports of both ends; false for what is no TCP. */
static bool
name_ends(const Port *port, DiagSocket *sock)
{
	const struct sockaddr *local = (const struct sockaddr *) &port->laddr.addr;
	const struct sockaddr *remote = (const struct sockaddr *) &port->raddr.addr;

	if (local->sa_family != remote->sa_family)
		return false;
	if (local->sa_family == AF_INET)
	{
		const struct sockaddr_in *l = (const struct sockaddr_in *) local;
		const struct sockaddr_in *r = (const struct sockaddr_in *) remote;

		memcpy(sock->local, &l->sin_addr, sizeof(l->sin_addr));
		memcpy(sock->remote, &r->sin_addr, sizeof(r->sin_addr));
		sock->local_port = l->sin_port;
		sock->remote_port = r->sin_port;
		return true;
	}
	if (local->sa_family == AF_INET6)
	{
		const struct sockaddr_in6 *l = (const struct sockaddr_in6 *) local;
		const struct sockaddr_in6 *r = (const struct sockaddr_in6 *) remote;

		memcpy(sock->local, &l->sin6_addr, sizeof(l->sin6_addr));
		memcpy(sock->remote, &r->sin6_addr, sizeof(r->sin6_addr));
		sock->local_port = l->sin6_port;
		sock->remote_port = r->sin6_port;
		sock->scope = r->sin6_scope_id;
		return true;
	}
	return false;
}

/* A connection over several paths (MPTCP) is not to be judged by one of them. */
static bool
is_plain_tcp(pgsocket sock)
{
#ifdef SO_PROTOCOL
	int			protocol;
	socklen_t	size = sizeof(protocol);

	return getsockopt(sock, SOL_SOCKET, SO_PROTOCOL, &protocol, &size) == 0 &&
		protocol == IPPROTO_TCP;
#else
	return true;
#endif
}

/* Publish which socket is that of this session's client. */
static void
publish(const Port *port)
{
	int			index = compat_my_slot();
	DiagSocket	sock = {.family = port->raddr.addr.ss_family};
	struct stat status;
	ClientSlot *slot;

	if (slots == NULL || index < 0 || fstat(port->sock, &status) != 0)
		return;
	if (sock.family != AF_UNIX && !(is_plain_tcp(port->sock) && name_ends(port, &sock)))
		return;
	/* the system's questions and answers know 32 bits of it */
	sock.inode = (uint32) status.st_ino;

	slot = &slots[index];
	change_begin(&slot->changes);
	slot->client.backend_start = MyStartTimestamp;
	slot->client.sock = sock;
	change_end(&slot->changes);
}

static void
on_authentication(Port *port, int status)
{
	if (prev_authentication)
		prev_authentication(port, status);
	if (status == STATUS_OK)
		publish(port);
}

void
client_install(void)
{
	prev_authentication = ClientAuthentication_hook;
	ClientAuthentication_hook = on_authentication;
}

/* ---------- the watcher ---------- */

/* The connection of this session; false if it has published none. */
static bool
copy_client(const Session *session, Client *client)
{
	ClientSlot *slot = &slots[session->slot];

	return change_copy(&slot->changes, client, &slot->client, sizeof(Client)) &&
		client->backend_start == session->since[SINCE_BACKEND];
}

static bool
is_neighbour(const DiagSocket *a, const DiagSocket *b)
{
	return a->family == b->family && a->scope == b->scope && a->inode != b->inode &&
		memcmp(a->local, b->local, sizeof(a->local)) == 0;
}

/*
 * Are connections to this address found by their addresses?  Where network
 * devices are set apart they may not be, and that one is not found tells
 * nothing then.
 */
static bool
addresses_tell(const DiagSocket *sock)
{
	int			asked = 0;

	for (int slot = 0; slot < MaxBackends && asked < WITNESSES; slot++)
	{
		Session		other;
		Client		client;
		DiagState	state;

		if (session_read(slot, &other) != READ_DONE || !copy_client(&other, &client) ||
			!is_neighbour(&client.sock, sock))
			continue;
		asked++;
		if (diag_read(&client.sock, &state) && state.found)
			return true;
	}
	return false;
}

/* What the client's connection tells; false when the system does not. */
bool
client_read(const Session *session, ClientReading *reading)
{
	Client		client;
	DiagState	state;

	if (!copy_client(session, &client) || !diag_read(&client.sock, &state))
		return false;
	if (!state.found && (!state.closed || client.sock.family == AF_UNIX ||
						 !addresses_tell(&client.sock)))
		return false;
	reading->gone = state.closed;
	reading->moved = state.moved;
	return true;
}
