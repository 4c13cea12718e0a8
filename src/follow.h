/*-------------------------------------------------------------------------
 *
 * follow.h
 *	  Open incidents go on and end.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_FOLLOW_H
#define LEAKWATCH_FOLLOW_H

#include "clock.h"
#include "incident.h"
#include "judge.h"

/* What the watcher knew of a slot when it last looked. */
typedef struct Seat
{
	Session		session;		/* pid 0: nobody was there */
	int			incident[NUM_KINDS];	/* index of the open one, or -1 */
	uint32		roomless;		/* kinds reported that there was no room for */
	bool		signalled;		/* we have told it to end */
	TimestampTz went_on_at;		/* what its slot said of that before the
								 * newest incident */
} Seat;

extern void follow_init(void);
extern void follow_adopt(int index, const Incident *incident);
extern Seat *follow_seat(int slot);
extern bool follow_has_incidents(const Seat *seat);
extern bool follow_begin(Seat *seat);
extern void follow_session(Seat *seat, const Session *session, const Judgement *judgement,
						   const Moment *moment);
extern bool follow_end(Seat *seat, const Moment *moment);
extern void follow_harm(void);
extern void follow_jump(int64 jump);
extern void follow_shift(int index, int64 jump);
extern void follow_close(int index, const Trail *trail, Outcome outcome, TimestampTz ended_at,
						 const char *detail);

#endif							/* LEAKWATCH_FOLLOW_H */
