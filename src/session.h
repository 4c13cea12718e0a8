/*-------------------------------------------------------------------------
 *
 * session.h
 *	  What the server knows of a client session.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_SESSION_H
#define LEAKWATCH_SESSION_H

#include <netdb.h>
#include <netinet/in.h>

#include "changes.h"
#include "policy.h"
#include "utils/backend_progress.h"

/* Bytes kept of a statement, with the closing NUL. */
#define SESSION_QUERY_SIZE	1024

/*
 * An address of a client: as much of the server's SockAddr as any takes, which
 * is a fifth.
 */
typedef union ClientAddress
{
	struct sockaddr any;
	struct sockaddr_in ipv4;
	struct sockaddr_in6 ipv6;
} ClientAddress;

/* Strings of a session, read only when somebody is to be told of it. */
typedef struct SessionText
{
	char		application_name[NAMEDATALEN];
	ClientAddress client;
	uint64		query_id;
	TimestampTz query_start;	/* when the statement below came in */
	char		query[SESSION_QUERY_SIZE];	/* in its database's encoding, may
											 * end within a character */
} SessionText;

/* Names from the shared catalogs. */
typedef struct SessionNames
{
	char		database[NAMEDATALEN];
	char		role[NAMEDATALEN];
	int			encoding;		/* of the database; -1: unknown */
	bool		superuser;
	bool		role_unknown;	/* the catalogs could not be read: it may be
								 * one */
} SessionNames;

extern int	session_pid(int slot);
extern int	session_version(int slot);
extern void session_prefetch(int slot);
extern Reading session_read(int slot, Session *session);
extern bool session_glance(int slot, TimestampTz young, Session *session);
extern void session_count_idle(int *idle, int *in_transaction);
extern int	session_count(void);
extern bool session_read_text(const Session *session, SessionText *text);
extern bool session_read_application(const Session *session, char *name, ClientAddress *client);
extern bool session_progress(const Session *session, ProgressCommandType *command,
							 int64 *param);
extern void session_keep_processes(void);
extern uint32 session_wait_event(const Session *session);
extern ClientWait session_waiting(const Session *session);
extern const char *session_waiting_name(ClientWait waiting);
extern bool session_is_same(const Session *a, const Session *b);
extern void session_names(const Session *session, SessionNames *names);
extern void session_oid_names(const Session *session, SessionNames *names);
extern bool session_client(const ClientAddress *client, char *address, Size address_size,
						   int *port);
extern const char *session_state_name(SessionState state);
extern bool session_is_visible_to_user(Oid role);

#endif							/* LEAKWATCH_SESSION_H */
