/*-------------------------------------------------------------------------
 *
 * evidence.h
 *	  What the uses of a pool say of its free sessions.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_EVIDENCE_H
#define LEAKWATCH_EVIDENCE_H

#include "pool.h"

/* Evidence, as the log of odds, from which on a session is suspected. */
#define EVIDENCE_STRONG	7.0

extern double evidence_of(const SuspectMember *member);
extern double evidence_passed(const SuspectGroup *group, const SuspectMember *member);
extern double evidence_to_judge(const SuspectGroup *group, const SuspectMember *member);
extern double evidence_chance_free(const SuspectMember *member);
extern void evidence_clear(SuspectMember *member);

extern void evidence_of_use(SuspectGroup *group, const SuspectMember *taken, int64 since, int64 at, int64 pace);
extern void evidence_of_time(SuspectGroup *group, int64 at, int64 pace);
extern void evidence_of_opening(SuspectGroup *group, const SuspectMember *opened, int64 at, int64 pace);
extern void evidence_of_closing(SuspectGroup *group, const SuspectMember *closed, int64 at, int64 pace);
extern void evidence_of_last(const SuspectGroup *group, SuspectMember *member);
extern void evidence_of_age(const SuspectGroup *group, SuspectMember *member, int64 now, int64 pace);

#endif							/* LEAKWATCH_EVIDENCE_H */
