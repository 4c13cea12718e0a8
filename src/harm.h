/*-------------------------------------------------------------------------
 *
 * harm.h
 *	  What harm leaked sessions do, and when to look for it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_HARM_H
#define LEAKWATCH_HARM_H

#include "clock.h"
#include "incident.h"

/* What harm a session does, by the last survey. */
typedef struct Harm
{
	int			blocked;		/* sessions that wait for its locks */
	HeldLock	lock;			/* its strongest, while it blocks anybody */
	uint32		holdings;
	int64		alone;			/* transactions whose dead rows it alone keeps */
} Harm;

/* How a survey is taken. */
typedef enum SurveyFor
{
	SURVEY_TO_DECIDE,			/* now: an old picture decides nothing */
	SURVEY_TO_SHOW,				/* somebody asked what there is */
	SURVEY_TO_FOLLOW			/* now and then */
} SurveyFor;

extern bool harm_survey(const Moment *moment, SurveyFor purpose);
extern TimestampTz harm_due(const Moment *moment);
extern bool harm_is_surveyed(const Moment *moment);
extern bool harm_anybody_waits(void);
extern void harm_measure(const Session *session, Harm *harm);
extern void harm_update(int index, const Session *session, int blocked);
extern void harm_note(Incident *incident, const Harm *harm);

#endif							/* LEAKWATCH_HARM_H */
