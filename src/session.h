/*-------------------------------------------------------------------------
 *
 * session.h
 *	  What the server knows of a client session.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_SESSION_H
#define LEAKWATCH_SESSION_H

#include "changes.h"
#include "libpq/pqcomm.h"
#include "policy.h"
#include "utils/backend_progress.h"

/* Bytes kept of a statement, with the closing NUL. */
#define SESSION_QUERY_SIZE	1024

/* Strings of a session, read only when somebody is to be told of it. */
typedef struct SessionText
{
	char		application_name[NAMEDATALEN];
	SockAddr	client;
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
extern Reading session_read(int slot, Session *session);
extern int	session_count(void);
extern bool session_read_text(const Session *session, SessionText *text);
extern bool session_progress(const Session *session, ProgressCommandType *command,
							 int64 *param);
extern bool session_is_same(const Session *a, const Session *b);
extern void session_names(const Session *session, SessionNames *names);
extern void session_oid_names(const Session *session, SessionNames *names);
extern bool session_client(const SockAddr *client, char *address, Size address_size,
						   int *port);
extern const char *session_state_name(SessionState state);
extern bool session_is_visible_to_user(Oid role);

#endif							/* LEAKWATCH_SESSION_H */
