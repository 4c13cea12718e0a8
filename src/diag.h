/*-------------------------------------------------------------------------
 *
 * diag.h
 *	  What the operating system knows of a socket.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_DIAG_H
#define LEAKWATCH_DIAG_H

/* One end of a connection.  Numbers are in network order. */
typedef struct DiagSocket
{
	uint32		inode;			/* 0: no socket */
	uint16		family;			/* AF_UNIX, AF_INET or AF_INET6 */
	uint16		local_port;
	uint16		remote_port;
	uint32		scope;			/* of a link-local address */
	uint8		local[16];
	uint8		remote[16];
} DiagSocket;

/* How it is. */
typedef struct DiagState
{
	bool		found;			/* with this inode */
	bool		closed;			/* the other end has closed its own */
	uint64		moved;			/* bytes that the other end has sent and
								 * taken; to be compared, no more */
} DiagState;

extern bool diag_read(const DiagSocket *sock, DiagState *state);

#endif							/* LEAKWATCH_DIAG_H */
