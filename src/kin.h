/*-------------------------------------------------------------------------
 *
 * kin.h
 *	  Which sessions of one name are of one pool.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_KIN_H
#define LEAKWATCH_KIN_H

#include "pool.h"

extern void kin_init(SuspectGroup *group);
extern void kin_seat(SuspectGroup *group, SuspectMember *member);
extern void kin_begin_spell(SuspectGroup *group, const SuspectMember *member);
extern void kin_note_taken(SuspectGroup *group, const SuspectMember *taken, int64 since, const SuspectMember *passed);
extern void kin_note_opened(SuspectGroup *group, const SuspectMember *opened, const SuspectMember *passed);
extern bool kin_saw_opened(const SuspectGroup *group, const SuspectMember *member, int seat);
extern void kin_settle(SuspectGroup *group, const SuspectMember *member);
extern void kin_tell_apart(SuspectGroup *group);

extern double kin_likely(const SuspectGroup *group, const SuspectMember *a, const SuspectMember *b);
extern double kin_likely_busy(const SuspectGroup *group, const SuspectMember *member);
extern double kin_none_free(const SuspectGroup *group, const SuspectMember *member, const double *free);
extern bool kin_goes_on(const SuspectGroup *group, const SuspectMember *member, int64 since);
extern int64 kin_last_taken(const SuspectGroup *group, const SuspectMember *member);

#endif							/* LEAKWATCH_KIN_H */
