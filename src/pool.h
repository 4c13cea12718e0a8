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
#define SUSPECT_PAIRS	(SUSPECT_SEATS * (SUSPECT_SEATS - 1) / 2)

/*
 * All times derive from suspected_leak_warn, the pace.  What a client takes
 * within a use, or to give back, does not grow with it, and so has a bound, us:
 * a shorter idleness than GAP is a pause within a use, and when one is RIPE, its
 * pool has it again.  What is TOLD of is from a shorter one on.
 */
#define POOL_GAP(pace)		Min((pace) / 100, INT64CONST(50000))
#define POOL_TOLD(pace)		(POOL_GAP(pace) / 2)
#define POOL_TIE(pace)		(2 * POOL_GAP(pace))	/* closer is no order */
#define POOL_RIPE(pace)		(10 * POOL_GAP(pace))
#define POOL_TOGETHER(pace) ((pace) / 10)	/* sessions fall silent so */
#define POOL_LEFT(pace)		((pace) * 2)	/* longer than honest uses are
											 * idle */
#define POOL_LOOK(pace)		((pace) / 2)	/* how often it is looked at */
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

/* How much others were taken in its place, by when it was given back. */
typedef struct PassedOver
{
	float		at_once;
	float		ripe;			/* at the last when it was ripe */
} PassedOver;

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
	int16		seat;			/* in its group; -1: none */
	uint8		last;			/* a SuspectLast */
	uint8		pool;			/* which of its group's; POOL_UNKNOWN */
	uint8		certain;		/* log odds that it is of that, in eighths */
	bool		failed:1;		/* its last statement */
	bool		worked:1;
	bool		shared:1;		/* mostly does what others of its group do */
	bool		outlived:1;		/* has been free for longer than others are
								 * left */
	bool		suspected:1;
	bool		among_several:1;	/* what others do tells only if they are
									 * of its pool */
	float		sign[NUM_SUSPECT_SIGNS];	/* log of how much likelier each
											 * is if it is not in its pool */
	PassedOver	passed_mixed;	/* by the orders that its pool was seen to
								 * keep */
	PassedOver	passed_newest;	/* if its pool always takes the newest */
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

/* Two sessions of a group, of which one was taken while the other was free. */
typedef struct PoolPair
{
	uint8		met;			/* spells in which that happened */
	uint8		against[2];		/* of these against newest first, and against
								 * oldest first */
} PoolPair;

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
	double		always_newest;	/* log odds that it always takes the newest,
								 * at most even */
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
	double		queue_taken;	/* uses that took the only free one while
								 * others were in use */
	double		queue_missed;	/* how often that was to be expected, if uses
								 * come independently */
	double		longest;		/* us with strong evidence before one came
								 * back */
	int64		longest_at;
	int64		lull;			/* longest time between two uses */

	/* kin.c: by pair, what happened while one of the two was free */
	PoolPair	pairs[SUSPECT_PAIRS];
	uint64		met[SUSPECT_SEATS]; /* by who is free: others taken since, a
									 * bit each */
	uint64		against[SUSPECT_SEATS][2];	/* of them against newest first,
											 * and against oldest first */
	uint64		opened[SUSPECT_SEATS];	/* and opened for need since */
	bool		structured;		/* there are several, and it is known who is
								 * of which */
	int			pools;			/* so many, if structured */
	float		of_pool[SUSPECT_SEATS]; /* how likely each is of the one that
										 * it is taken to be of */
	double		kin_against;	/* how often two of one pool are against its
								 * order */
	double		foreign_against;	/* and two of different ones */

	double		rate;			/* uses in the last two paces, forgetting */
	int64		rate_at;
	uint32		uses;
	uint32		refuted;		/* suspected ones that came back */
	int64		first_use;
	int64		last_use;
	int64		last_event;
} SuspectGroup;

#define POOL_UNKNOWN	255
#define POOL_CERTAIN	127		/* as certain as is remembered */

extern void pool_init(SuspectGroup *group);
extern void pool_seat(SuspectGroup *group, SuspectMember *member);
extern void pool_unseat(SuspectGroup *group, SuspectMember *member);
extern void pool_note_work(SuspectGroup *group, SuspectMember *member, uint32 print);
extern void pool_settle(SuspectGroup *group, const SuspectMember *member, int64 pace);
extern void pool_note_demand(SuspectGroup *group, int64 at);
extern void pool_note_end(SuspectGroup *group, const SuspectMember *member, int64 at);

extern double pool_orders(const SuspectGroup *group);
extern bool pool_is_ordered(const SuspectGroup *group, double share);
extern bool pool_is_several(const SuspectGroup *group);
extern bool pool_is_left(const SuspectMember *member, int64 at, int64 pace);
extern double pool_slip(const SuspectGroup *group);
extern double pool_contrary(const SuspectGroup *group);
extern double pool_longest(const SuspectGroup *group, int64 at, int64 pace);
extern int64 pool_closing_age(const SuspectGroup *group, int64 pace);
extern int64 pool_closing_life(const SuspectGroup *group, int64 pace);

#endif							/* LEAKWATCH_POOL_H */
