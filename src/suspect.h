/*-------------------------------------------------------------------------
 *
 * suspect.h
 *	  Which idle sessions are held by their application, and not pooled.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_SUSPECT_H
#define LEAKWATCH_SUSPECT_H

#include "pool.h"

typedef enum SuspectEventKind
{
	SUSPECT_CONNECT,
	SUSPECT_FREED,				/* became idle outside a transaction, for more
								 * than a gap */
	SUSPECT_TAKEN,				/* a statement came in after that; or the
								 * first work of a session */
	SUSPECT_DISCONNECT,
} SuspectEventKind;

typedef struct SuspectEvent
{
	SuspectEventKind kind;
	int64		at;				/* us */
	uint32		print;			/* shape of the last work statement; 0: none */
	uint8		last;			/* FREED: a SuspectLast */
	bool		failed;			/* FREED: the last statement failed */
	bool		work;			/* TAKEN: by a work statement */
} SuspectEvent;

/* What is suspected, by value: what the words are made of.  12 bytes. */
typedef struct Suspicion
{
	uint8		confidence;		/* percent, 1 to 99 */
	uint8		sign;			/* the strongest SuspectSign, or EXHAUSTED */
	uint8		others;			/* sessions of its group used since, and still
								 * there */
	uint8		opened;			/* connections opened for need since */
	uint32		uses;			/* of others since it was last used */
	uint32		ms;				/* age at which others are closed, if that is
								 * a sign */
} Suspicion;

#define SUSPECT_REASON_SIZE	256

extern void suspect_group_init(SuspectGroup *group);
extern void suspect_join(SuspectGroup *group, SuspectMember *member, int64 born, int64 now);
extern void suspect_leave(SuspectGroup *group, SuspectMember *member);
extern void suspect_event(SuspectGroup *group, SuspectMember *member, const SuspectEvent *event, int64 pace);
extern void suspect_gap(SuspectGroup *group, int64 from, int64 to);
extern void suspect_resync(SuspectGroup *group, SuspectMember *member, bool idle, int64 since, int64 pace);
extern void suspect_came_back(SuspectGroup *group, SuspectMember *member, int64 at, int64 pace);
extern bool suspect_judge(SuspectGroup *group, SuspectMember *member, int64 now, int64 pace, Suspicion *suspicion);
extern const char *suspect_reason(const Suspicion *suspicion, char *buffer, Size size);
extern double suspect_worth(const SuspectGroup *group, int64 now);

#endif							/* LEAKWATCH_SUSPECT_H */
