/*-------------------------------------------------------------------------
 *
 * slot.h
 *	  What each backend publishes of itself, and what the watcher tells it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_SLOT_H
#define LEAKWATCH_SLOT_H

#include "changes.h"
#include "local.h"
#include "miscadmin.h"
#include "policy.h"
#include "utils/guc.h"
#include "verdict.h"

/* Policy values that a session overrides; PGC_S_DEFAULT where it does not. */
typedef struct SlotOverrides
{
	int			value[NUM_POLICY_VALUES];
	uint8		source[NUM_POLICY_VALUES];	/* GucSource */
} SlotOverrides;

/* How a session ended, as far as it told. */
typedef struct SlotEnd
{
	int			pid;
	int			sqlerrcode;		/* of the FATAL; 0: none */
	int			fatal;			/* which one that is; see outcome_fatal() */
	bool		leaving;		/* it is about to, without a FATAL; noted only
								 * of marked sessions */
	TimestampTz backend_start;
	TimestampTz went_on_at;		/* when a statement that ended a transaction
								 * came in; noted only of marked sessions */
} SlotEnd;

/* What the watcher tells a session: which limit it is over. */
typedef struct SlotNotice
{
	TimestampTz backend_start;	/* whom it is for; 0: nobody */
	Excess		excess;
} SlotNotice;

/* What the watcher has for a session, as far as each statement asks for it. */
typedef struct SlotCall
{
	pg_atomic_uint64 watched;	/* backend_start of the marked session, or 0 */
	pg_atomic_uint32 report_changes;	/* counter over what is reported of it */
	pg_atomic_uint32 news;		/* raised after each mark and each report */
} SlotCall;

/*
 * This process's, once it has asked, and up to which of the news it has seen to
 * all.  Only slot.c changes them.
 */
extern LEAKWATCH_LOCAL SlotCall *slot_call;
extern LEAKWATCH_LOCAL uint32 slot_news_seen;

extern Size slot_shmem_size(void);
extern void slot_shmem_init(void);

/* Called by a backend, for itself. */
extern bool slot_publish_value(int index, int value, GucSource source);
extern void slot_publish_listening(bool listening);
extern void slot_publish_going_on(TimestampTz at);
extern void slot_publish_leaving(void);
extern bool slot_is_watched(void);
extern bool slot_find_call(void);
extern void slot_settle(void);
extern void slot_announce(void);
extern void slot_announce_exit(void);
extern bool slot_publish_end(int sqlerrcode, int fatal);
extern bool slot_my_reason(Excess *reason);
extern bool slot_take_report(TimestampTz at, Excess *report);
extern pg_atomic_uint64 *slot_my_use(void);
extern bool slot_is_muted(void);

/*
 * May there be something from the watcher that this session has not seen to: a
 * mark or a report?  Asked for each statement: one read of memory that is ours.
 */
static inline bool
slot_is_addressed(void)
{
	if (unlikely(slot_call == NULL) && !slot_find_call())
		return false;
	return pg_atomic_read_u32(&slot_call->news) != slot_news_seen;
}

/* Called by the watcher. */
extern void slot_watch(int slot, TimestampTz backend_start);
extern void slot_unwatch(int slot);
extern void slot_set_reason(int slot, TimestampTz backend_start, const Excess *reason);
extern void slot_set_report(int slot, TimestampTz backend_start, const Excess *report);
extern Reading slot_end(const Session *session, SlotEnd *end);
extern uint64 slot_use(int slot);
extern uint32 slot_changes(int slot);
extern void slot_mute(int slot, int pid);

/* Called by anybody. */
extern bool slot_owner(int slot, Session *owner);
extern bool slot_overrides(Session *session, SlotOverrides *overrides);
extern bool slot_anybody_listens(void);
extern void slot_effective_policy(const Policy *server, const SlotOverrides *overrides,
								  Policy *policy);

#endif							/* LEAKWATCH_SLOT_H */
