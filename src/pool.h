/*-------------------------------------------------------------------------
 *
 * pool.h
 *	  What is known of an application's sessions, and of how it pools them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_POOL_H
#define LEAKWATCH_POOL_H

#define SUSPECT_SEATS	64		/* sessions of a group that are looked at */
#define SUSPECT_PRINTS	64		/* shapes of statements that are remembered */
#define SUSPECT_ENDS	16		/* sessions that ended, remembered */
#define SUSPECT_DEMANDS 32		/* connections opened for need, remembered */

/* All times derive from suspected_leak_warn, the pace. */
#define POOL_GAP(pace)		((pace) / 100)	/* shorter is a pause within a use */
#define POOL_TIE(pace)		((pace) / 50)	/* closer is no order */
#define POOL_RIPE(pace)		((pace) / 10)	/* by then its pool has it again */
#define POOL_LONG(pace)		((pace) / 5)	/* longer than a pool stalls */

/* What the very last statement of a use was. */
typedef enum SuspectLast
{
	SUSPECT_LAST_NONE,
	SUSPECT_LAST_WORK,
	SUSPECT_LAST_CONTROL,		/* COMMIT, ROLLBACK */
	SUSPECT_LAST_RESET,			/* DISCARD, RESET, UNLISTEN and the like */
	SUSPECT_LAST_PROBE,			/* reads nothing: constants, SHOW, SET, empty */
} SuspectLast;

/* What speaks for it that a session is not in its pool. */
typedef enum SuspectSign
{
	SUSPECT_PASSED,				/* others were taken in its place */
	SUSPECT_OPENED,				/* connections were opened in its place */
	SUSPECT_SPARED,				/* others, free for less, were closed */
	SUSPECT_OUTLIVED,			/* free for longer than free ones are left */
	SUSPECT_AGED,				/* older than any is left */
	SUSPECT_UNMARKED,			/* its last use has no mark of giving back */
	SUSPECT_FAILED,				/* its last use ended with a failed statement */
	SUSPECT_QUEUED,				/* uses came when no other was free, and none
								 * took it */
	NUM_SUSPECT_SIGNS,
	SUSPECT_EXHAUSTED = NUM_SUSPECT_SIGNS,	/* all of its pool are suspected,
											 * and nothing moves */
} SuspectSign;

/* One session. */
typedef struct SuspectMember
{
	int64		born;
	int64		ready;			/* end of what it did before its first work */
	int64		free_since;		/* 0: in use */
	int64		last_taken;
	int64		strong_at;		/* since when the evidence is strong; 0: it
								 * isn't */
	uint32		passed;			/* uses of others since it is free */
	uint16		work_shared;	/* uses with work that others of its group do */
	uint16		work_own;		/* and with work that they don't */
	uint16		opened;			/* connections opened for need since it is
								 * free */
	uint16		spared;			/* others closed since that were free for less */
	int			seat;			/* in its group; -1: none */
	uint8		last;			/* a SuspectLast */
	bool		failed;			/* its last statement */
	bool		worked;
	bool		shared;			/* mostly does what others of its group do */
	bool		outlived;		/* has been free for longer than others are
								 * left */
	bool		suspected;
	float		sign[NUM_SUSPECT_SIGNS];	/* log of how much likelier each
											 * is if it is not in its pool */
	float		early;			/* part of PASSED from before it was ripe */
	float		alone;			/* how likely no other was free, as of now */
	float		full;			/* us since the last use in which that was so */
	float		queued;			/* uses that should have taken it therefore */
} SuspectMember;

typedef struct SuspectPrint
{
	uint32		print;
	int8		seat;			/* whose it is; -1: several */
} SuspectPrint;

/* A connection that was opened because one was needed at once. */
typedef struct SuspectDemand
{
	int64		at;
	bool		contrary;		/* there was a free one in the group, as is
								 * known now */
} SuspectDemand;

/* A session that ended. */
typedef struct SuspectEnd
{
	int64		at;
	int64		idle;			/* how long it had been free */
	int64		age;
} SuspectEnd;

/* In which order free sessions are taken. */
typedef enum PoolOrder
{
	POOL_ANY,
	POOL_NEWEST,				/* freed last */
	POOL_OLDEST,				/* freed first */
	POOL_FIRST,					/* connected first */
	NUM_POOL_ORDERS,
} PoolOrder;

/* Sessions of one application, of one pool or of several. */
typedef struct SuspectGroup
{
	SuspectMember *seats[SUSPECT_SEATS];
	int			nseats;			/* the highest seat ever taken + 1 */
	SuspectPrint prints[SUSPECT_PRINTS];
	int			next_print;
	SuspectEnd	ends[SUSPECT_ENDS];
	int			nends;
	int			next_end;
	SuspectDemand demands[SUSPECT_DEMANDS];
	int			ndemands;
	int			next_demand;

	/* habits, learned from sessions that came back or were closed as free */
	double		orders[NUM_POOL_ORDERS];
	double		slips;			/* of uses by an order: how many it passed
								 * over */
	double		ordered;		/* uses by an order */
	double		returns;		/* sessions that came back */
	double		resets;			/* of them had a reset as the last statement */
	double		failures;		/* of them had a failed one as the last */
	double		mean_idle;		/* of them, us */
	double		closings;		/* of free sessions */
	double		contrary_closings;	/* while one free for longer came back */
	double		closings_by_age;
	double		outlived_back;	/* came back after that age */
	double		queue_taken;	/* the only free one was taken */
	double		queue_missed;	/* how often that was expected */
	double		longest;		/* us with strong evidence before one came
								 * back */
	int64		longest_at;
	int64		lull;			/* longest time between two uses */

	/* one pool or several: who was taken while whom was free */
	uint8		wins[SUSPECT_SEATS][SUSPECT_SEATS][2];	/* row taken, column
														 * free: for longer than
														 * the row, or for less */
	uint8		pending[SUSPECT_SEATS][SUSPECT_SEATS];	/* the same by column
														 * since it is free, 4
														 * bits each */
	uint8		kin_of[SUSPECT_SEATS][SUSPECT_SEATS];	/* percent, or
														 * POOL_UNKNOWN */
	bool		structured;		/* pairs differ: there are several */
	double		kin;			/* share of pairs that are of one pool */
	double		foreign;		/* how often others are against the order */
	double		contrary_rate;	/* how often all are */

	double		rate;			/* uses in the last two paces, forgetting */
	int64		rate_at;
	uint32		uses;
	uint32		refuted;		/* suspected ones that came back */
	int64		first_use;
	int64		last_use;
	int64		last_event;
} SuspectGroup;

#define POOL_UNKNOWN	255

extern void pool_init(SuspectGroup *group);
extern void pool_seat(SuspectGroup *group, SuspectMember *member);
extern void pool_unseat(SuspectGroup *group, SuspectMember *member);
extern void pool_note_work(SuspectGroup *group, SuspectMember *member, uint32 print);
extern void pool_note_race(SuspectGroup *group, const SuspectMember *taken, int64 since, const SuspectMember *passed);
extern void pool_settle(SuspectGroup *group, const SuspectMember *member, int64 pace);
extern void pool_note_demand(SuspectGroup *group, int64 at);
extern void pool_note_end(SuspectGroup *group, const SuspectMember *member, int64 at);
extern void pool_find_kin(SuspectGroup *group);

extern double pool_orders(const SuspectGroup *group);
extern bool pool_is_ordered(const SuspectGroup *group, double share);
extern bool pool_is_several(const SuspectGroup *group);
extern double pool_kinship(const SuspectGroup *group, const SuspectMember *a, const SuspectMember *b);
extern double pool_kinship_at_most(const SuspectGroup *group, const SuspectMember *a, const SuspectMember *b);
extern double pool_slip(const SuspectGroup *group);
extern double pool_contrary(const SuspectGroup *group);
extern double pool_longest(const SuspectGroup *group, int64 at, int64 pace);
extern int64 pool_closing_age(const SuspectGroup *group, int64 pace);
extern int64 pool_closing_life(const SuspectGroup *group, int64 pace);

#endif							/* LEAKWATCH_POOL_H */
