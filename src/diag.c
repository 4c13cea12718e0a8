/*-------------------------------------------------------------------------
 *
 * diag.c
 *	  What the operating system knows of a socket.
 *
 * Linux tells of one socket by its addresses or by its inode, over a netlink
 * socket and to everybody: that takes microseconds, however many there are.
 * The answer is there when the question has been sent, so nothing waits.
 * Other systems tell nothing.
 *
 * Owns that netlink socket, which is kept open.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "diag.h"

#ifdef __linux__

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <linux/unix_diag.h>

#include "storage/fd.h"

/* States of a TCP socket; headers that name them do not go with those above. */
#define STATE_ESTABLISHED	1
#define STATE_CLOSE_WAIT	8

/* The other end of a Unix socket has closed both its directions. */
#define BOTH_SHUT	3

/* An answer has some hundred bytes. */
typedef union Answer
{
	struct nlmsghdr header;
	char		bytes[4096];
} Answer;

static int	netlink = -1;
static uint32 sequence = 0;

static void
forget_netlink(void)
{
	close(netlink);
	netlink = -1;
	ReleaseExternalFD();
}

static bool
open_netlink(void)
{
	if (netlink >= 0)
		return true;
	if (!AcquireExternalFD())
		return false;
	netlink = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	if (netlink < 0)
		ReleaseExternalFD();
	return netlink >= 0;
}

/* The answer to the last question, and its length; -1: none. */
static ssize_t
receive(Answer *answer)
{
	ssize_t		length;

	/* what may be left of a question before is passed over */
	do
	{
		length = recv(netlink, answer, sizeof(Answer), MSG_DONTWAIT);
	} while (length >= (ssize_t) sizeof(struct nlmsghdr) &&
			 answer->header.nlmsg_seq != sequence);
	return length;
}

/*
 * Ask a question, the header of which is filled in here.  False when the
 * system does not answer.  "No such socket" is an answer too, of no length.
 */
static bool
ask(struct nlmsghdr *question, Size size, Answer *answer, Size *length)
{
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	ssize_t		got = -1;

	if (!open_netlink())
		return false;
	question->nlmsg_len = size;
	question->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	question->nlmsg_flags = NLM_F_REQUEST;
	question->nlmsg_seq = ++sequence;
	if (sendto(netlink, question, size, 0, (struct sockaddr *) &kernel, sizeof(kernel)) == (ssize_t) size)
		got = receive(answer);
	if (got < (ssize_t) NLMSG_HDRLEN || answer->header.nlmsg_len > (size_t) got)
	{
		forget_netlink();
		return false;
	}

	*length = answer->header.nlmsg_len;
	if (answer->header.nlmsg_type == SOCK_DIAG_BY_FAMILY)
		return true;
	if (answer->header.nlmsg_type != NLMSG_ERROR ||
		*length < NLMSG_LENGTH(sizeof(struct nlmsgerr)) ||
		((struct nlmsgerr *) NLMSG_DATA(&answer->header))->error != -ENOENT)
		return false;
	*length = 0;
	return true;
}

/*
 * The attribute of this type in an answer, behind a message of this size, or
 * NULL.  In *length is how long it is.
 */
static const void *
attribute(Answer *answer, Size length, Size message, int type, Size *attribute_length)
{
	Size		offset = NLMSG_HDRLEN + NLMSG_ALIGN(message);

	while (offset + sizeof(struct rtattr) <= length)
	{
		const struct rtattr *attr = (const struct rtattr *) (answer->bytes + offset);

		if (attr->rta_len < sizeof(struct rtattr) || offset + attr->rta_len > length)
			break;
		if (attr->rta_type == type)
		{
			*attribute_length = attr->rta_len - RTA_LENGTH(0);
			return RTA_DATA(attr);
		}
		offset += RTA_ALIGN(attr->rta_len);
	}
	return NULL;
}

/* ---------- TCP ---------- */

/* What there is of a TCP socket. */
typedef struct TcpRow
{
	bool		found;
	int			state;
	uint32		inode;
	uint32		unread;			/* bytes that have come and not been taken */
	uint64		exchanged;		/* bytes that have come or been acknowledged */
} TcpRow;

/* Look for a socket by its addresses; with peer, for the other end of it. */
static bool
read_tcp(const DiagSocket *sock, bool peer, TcpRow *row)
{
	struct
	{
		struct nlmsghdr header;
		struct inet_diag_req_v2 body;
	}			question = {
		.body = {
			.sdiag_family = sock->family,
			.sdiag_protocol = IPPROTO_TCP,
			.idiag_ext = 1 << (INET_DIAG_INFO - 1),
			.idiag_states = ~0U,
			.id = {
				.idiag_sport = peer ? sock->remote_port : sock->local_port,
				.idiag_dport = peer ? sock->local_port : sock->remote_port,
				.idiag_if = sock->scope,
				.idiag_cookie = {INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE},
			},
		},
	};
	Answer		answer;
	Size		length;
	Size		info_length;
	const struct inet_diag_msg *message = NLMSG_DATA(&answer.header);
	const char *info;

	memcpy(question.body.id.idiag_src, peer ? sock->remote : sock->local, sizeof(sock->local));
	memcpy(question.body.id.idiag_dst, peer ? sock->local : sock->remote, sizeof(sock->remote));
	if (!ask(&question.header, sizeof(question), &answer, &length))
		return false;

	memset(row, 0, sizeof(TcpRow));
	/* where the connection is gone, the kernel finds who listens for others */
	row->found = length >= NLMSG_LENGTH(sizeof(struct inet_diag_msg)) &&
		message->id.idiag_dport == question.body.id.idiag_dport;
	if (!row->found)
		return true;
	row->state = message->idiag_state;
	row->inode = message->idiag_inode;
	row->unread = message->idiag_rqueue;

	info = attribute(&answer, length, sizeof(struct inet_diag_msg), INET_DIAG_INFO, &info_length);
	if (info != NULL && info_length >= offsetof(struct tcp_info, tcpi_bytes_received) + sizeof(uint64))
	{
		struct tcp_info tcp;

		memcpy(&tcp, info, Min(info_length, sizeof(tcp)));
		row->exchanged = tcp.tcpi_bytes_acked + tcp.tcpi_bytes_received;
	}
	return true;
}

/*
 * A client on this machine has an end that tells more: what it has not read
 * yet, and whether it has only said that it will send nothing more.
 */
static bool
diag_tcp(const DiagSocket *sock, DiagState *state)
{
	TcpRow		row;
	TcpRow		peer;

	if (!read_tcp(sock, false, &row) || !read_tcp(sock, true, &peer))
		return false;
	state->found = row.found && row.inode == sock->inode;
	state->moved = row.exchanged - peer.unread;
	switch (row.state)
	{
		case STATE_ESTABLISHED:
			state->closed = false;
			break;
		case STATE_CLOSE_WAIT:
			state->closed = !peer.found || peer.inode == 0;
			break;
		default:
			state->closed = true;
			break;
	}
	/* the addresses are another connection's: it has no say here */
	if (row.found && row.inode != sock->inode)
		state->closed = false;
	return true;
}

/* ---------- Unix sockets ---------- */

/* What there is of a Unix socket. */
typedef struct UnixRow
{
	bool		found;
	bool		both_shut;		/* by the other end */
	uint32		peer;			/* inode of the other end; 0: none */
	struct unix_diag_rqlen queues;
} UnixRow;

static bool
read_unix(uint32 inode, UnixRow *row)
{
	struct
	{
		struct nlmsghdr header;
		struct unix_diag_req body;
	}			question = {
		.body = {
			.sdiag_family = AF_UNIX,
			.udiag_states = ~0U,
			.udiag_ino = inode,
			.udiag_show = UDIAG_SHOW_PEER | UDIAG_SHOW_RQLEN,
			.udiag_cookie = {INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE},
		},
	};
	Answer		answer;
	Size		length;
	Size		size;
	const void *value;

	if (!ask(&question.header, sizeof(question), &answer, &length))
		return false;

	memset(row, 0, sizeof(UnixRow));
	row->found = length >= NLMSG_LENGTH(sizeof(struct unix_diag_msg));
	if (!row->found)
		return true;
	value = attribute(&answer, length, sizeof(struct unix_diag_msg), UNIX_DIAG_SHUTDOWN, &size);
	if (value != NULL && size >= 1)
		row->both_shut = (*(const uint8 *) value & BOTH_SHUT) == BOTH_SHUT;
	value = attribute(&answer, length, sizeof(struct unix_diag_msg), UNIX_DIAG_PEER, &size);
	if (value != NULL && size >= sizeof(row->peer))
		memcpy(&row->peer, value, sizeof(row->peer));
	value = attribute(&answer, length, sizeof(struct unix_diag_msg), UNIX_DIAG_RQLEN, &size);
	if (value != NULL && size >= sizeof(row->queues))
		memcpy(&row->queues, value, sizeof(row->queues));
	return true;
}

/*
 * Nothing is counted here.  What has been written and not been read is, and
 * while the writer waits, that falls as the reader reads.
 */
static bool
diag_unix(const DiagSocket *sock, DiagState *state)
{
	UnixRow		row;
	UnixRow		peer = {0};

	if (!read_unix(sock->inode, &row) ||
		(row.peer != 0 && !read_unix(row.peer, &peer)))
		return false;
	state->found = row.found;
	state->closed = row.both_shut;
	state->moved = ((uint64) peer.queues.udiag_rqueue << 32) |
		(row.queues.udiag_wqueue ^ row.queues.udiag_rqueue);
	return true;
}

/*
 * How is this socket?  False when the system does not tell.  One that is not
 * found counts as closed, which the caller has to take with care.
 */
bool
diag_read(const DiagSocket *sock, DiagState *state)
{
	if (sock->inode == 0)
		return false;
	return sock->family == AF_UNIX ? diag_unix(sock, state) : diag_tcp(sock, state);
}

#else							/* !__linux__ */

bool
diag_read(const DiagSocket *sock, DiagState *state)
{
	return false;
}

#endif							/* __linux__ */
