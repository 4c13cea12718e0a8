/*-------------------------------------------------------------------------
 *
 * notify.h
 *	  Notifications of incidents that were opened and ended.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_NOTIFY_H
#define LEAKWATCH_NOTIFY_H

#include "incident.h"

/* Bytes kept of a name, with the closing NUL. */
#define NOTIFY_NAME_SIZE	64

/* What is told of one. */
typedef struct Notification
{
	bool		ended;			/* else opened */
	int64		id;
	char		kind[NOTIFY_NAME_SIZE];
	int			pid;
	char		application[NOTIFY_NAME_SIZE];
	char		user[NOTIFY_NAME_SIZE];
	char		database[NOTIFY_NAME_SIZE];
	TimestampTz since;
	int64		duration;		/* us */
	char		action[NOTIFY_NAME_SIZE];
	char		outcome[NOTIFY_NAME_SIZE];
	int			blocked_sessions;
} Notification;

extern bool notify_wanted(void);
extern void notify_add(const Notification *notification);
extern void notify_incident(int index, const Incident *incident);
extern void notify_send(bool everything);
extern long notify_due(void);

#endif							/* LEAKWATCH_NOTIFY_H */
