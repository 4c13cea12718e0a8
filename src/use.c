/*-------------------------------------------------------------------------
 *
 * use.c
 *	  How sessions are used: when they come back from idleness, and to what.
 *
 * A statement that comes in after its session has been idle, outside a
 * transaction, for longer than a gap is an event, and so are the first work of
 * a session, its start and its end.  A shorter idleness is thinking within a
 * use.  So a session at work costs a few comparisons a statement, and the rest
 * is for those that come back.
 *
 * No clock is read for it: a statement has the time at which it came in.  When
 * a session became idle is what its status entry says, to who looks while it
 * is idle.  Later it is taken to be when its last statement came in, or the
 * last tick before the end of that; a statement that a tick has fallen into
 * takes the time of its end, once in a tick at the most.  A scan is a tick, and
 * where there has been none for USE_TICK, so is a statement that ends.
 *
 * Owns the "leakwatch uses" segment, a ring of a fixed size:
 *
 *	head		places that backends have taken; compare-and-swap
 *	tail		events that the watcher has taken out; written by it alone
 *	missed		set by a backend that has found the ring full, cleared by the
 *				watcher: events have been missed since
 *	ticked_at	a time that has passed, not long ago; written by each scan, and
 *				by a backend that finds it older than USE_TICK.  A later one
 *				that is lost thereby is of the same moment
 *	times		so many times a gap an idleness has to be to be told: more when
 *				the ring has run full, so that what is told is about all; written
 *				by the watcher alone
 *	event.turn	1 + the place, once the event there has been written
 *
 * What a session was last used for is in its slot, for as long as it is idle:
 * a word, written by its backend alone.
 *
 * Nothing here allocates, locks or throws.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "access/transam.h"
#include "access/xact.h"
#include "command.h"
#include "common/hashfn.h"
#include "nodes/parsenodes.h"
#include "nodes/primnodes.h"
#include "port/atomics.h"
#include "slot.h"
#include "storage/ipc.h"
#include "storage/shmem.h"
#include "use.h"
#include "utils/fmgroids.h"
#include "utils/timestamp.h"

/* So many times a gap, at most. */
#define MOST_TIMES	16

/* Looks without events that were missed, after which it may be shorter again. */
#define CALM_LOOKS	8

/* Idleness is kept in units of so many us, and not beyond the greatest. */
#define IDLE_UNIT	100

typedef struct RingEvent
{
	pg_atomic_uint32 turn;
	int32		pid;
	TimestampTz at;
	uint32		idle;			/* IDLE_UNITs before at */
	uint32		print_before;
	uint32		print_now;
	unsigned	slot:18;		/* MAX_BACKENDS has as many bits */
	unsigned	kind:2;
	unsigned	last_before:3;
	unsigned	last_now:3;
	unsigned	failed:1;
} RingEvent;

StaticAssertDecl(sizeof(RingEvent) == 32, "an event has grown");

typedef struct Uses
{
	pg_atomic_uint64 head;
	pg_atomic_uint64 tail;
	pg_atomic_uint64 ticked_at;
	pg_atomic_uint32 missed;
	pg_atomic_uint32 times;
	RingEvent	ring[USE_ROOM];
} Uses;

static Uses *uses = NULL;

#define WORD_WORK(word)		USE_WORD_WITHOUT_WORK(word, 0)
#define WORD_LAST(word)		((SuspectLast) ((word) >> 8 & 0xFF))
#define WORD_FAILED			UINT64CONST(1)

/* Of utility statements: their tags take the other half. */
#define SHAPE_OF_UTILITY	0x8000

UseNotes	use_notes = {.gap = PG_INT64_MAX};
pg_atomic_uint64 *use_ticked_at = NULL;

/* ---------- shared memory ---------- */

Size
use_shmem_size(void)
{
	return sizeof(Uses);
}

/* Called with AddinShmemInitLock held. */
void
use_shmem_init(void)
{
	bool		found;

	uses = ShmemInitStruct("leakwatch uses", use_shmem_size(), &found);
	use_ticked_at = &uses->ticked_at;
	if (found)
		return;
	memset(uses, 0, use_shmem_size());
	pg_atomic_init_u64(&uses->head, 0);
	pg_atomic_init_u64(&uses->tail, 0);
	pg_atomic_init_u64(&uses->ticked_at, 0);
	pg_atomic_init_u32(&uses->missed, 0);
	pg_atomic_init_u32(&uses->times, 1);
	for (int i = 0; i < USE_ROOM; i++)
		pg_atomic_init_u32(&uses->ring[i].turn, 0);
}

int64
use_gap(int64 pace)
{
	return POOL_TOLD(pace) * pg_atomic_read_u32(&uses->times);
}

/* ---------- words ---------- */

static UseWord
unpack(uint64 word)
{
	UseWord		use = {
		.print = WORD_WORK(word) == 0 ? 0 :
		murmurhash32((uint32) (word >> 32) ^ murmurhash32((uint32) word >> 16)) | 1,
		.last = WORD_LAST(word),
		.failed = (word & WORD_FAILED) != 0,
	};

	return use;
}

/* The last work stays as it is. */
static uint64
word_without_work(SuspectLast last)
{
	return USE_WORD_WITHOUT_WORK(use_notes.word, last);
}

/* What a function is called for, by the first thing that a query returns. */
static Oid
first_function(const PlannedStmt *statement)
{
	const List *targets = statement->planTree->targetlist;
	const Node *expression = targets != NIL ?
	(const Node *) ((const TargetEntry *) linitial(targets))->expr : NULL;

	return expression != NULL && IsA(expression, FuncExpr) ?
		((const FuncExpr *) expression)->funcid : InvalidOid;
}

static uint64
describe_utility(const Node *utility)
{
	SuspectLast last = SUSPECT_LAST_WORK;

	switch (nodeTag(utility))
	{
		case T_DiscardStmt:
		case T_UnlistenStmt:
			last = SUSPECT_LAST_RESET;
			break;
		case T_ClosePortalStmt:
			if (((const ClosePortalStmt *) utility)->portalname == NULL)
				last = SUSPECT_LAST_RESET;
			break;
		case T_DeallocateStmt:
			last = ((const DeallocateStmt *) utility)->name == NULL ?
				SUSPECT_LAST_RESET : SUSPECT_LAST_PROBE;
			break;
		case T_VariableSetStmt:
			last = ((const VariableSetStmt *) utility)->kind == VAR_RESET_ALL ||
				((const VariableSetStmt *) utility)->kind == VAR_RESET ?
				SUSPECT_LAST_RESET : SUSPECT_LAST_PROBE;
			break;
		case T_VariableShowStmt:
		case T_PrepareStmt:
		case T_ExecuteStmt:		/* what it executes comes next */
			last = SUSPECT_LAST_PROBE;
			break;
		default:
			break;
	}
	return last == SUSPECT_LAST_WORK ?
		USE_WORD(0, SHAPE_OF_UTILITY | nodeTag(utility), last) : word_without_work(last);
}

/* What does not read a table, which is rare among what comes often. */
static uint64
describe_other(const PlannedStmt *statement)
{
	Oid			function;

	if (statement->utilityStmt != NULL)
		return describe_utility(statement->utilityStmt);
	function = first_function(statement);
	if (function == F_PG_ADVISORY_UNLOCK_ALL)
		return word_without_work(SUSPECT_LAST_RESET);
	if (command_class(statement, command_changes(statement)) == COMMAND_FRAMEWORK)
		return word_without_work(SUSPECT_LAST_PROBE);
	return USE_WORD(function, statement->commandType | list_length(statement->planTree->targetlist) << 4,
					SUSPECT_LAST_WORK);
}

/* ---------- a backend ---------- */

/* Put an event into the ring; where there is no room, that is noted instead. */
static void
post(UseEventKind kind, TimestampTz at, TimestampTz free_since, uint64 word)
{
	uint64		head = pg_atomic_read_u64(&uses->head);
	UseWord		before = unpack(use_notes.word);
	UseWord		now = unpack(word);
	RingEvent  *event;

	if (slot_is_muted())
		return;
	do
	{
		/* the tail may have passed a head that has been read before it */
		if ((int64) (head - pg_atomic_read_u64(&uses->tail)) >= USE_ROOM)
		{
			if (pg_atomic_read_u32(&uses->missed) == 0)
				pg_atomic_write_u32(&uses->missed, 1);
			return;
		}
	} while (!pg_atomic_compare_exchange_u64(&uses->head, &head, head + 1));

	event = &uses->ring[head % USE_ROOM];
	event->pid = MyProcPid;
	event->at = at;
	event->idle = (uint32) Min(Max(at - free_since, 0) / IDLE_UNIT, PG_UINT32_MAX);
	event->print_before = before.print;
	event->print_now = now.print;
	event->slot = compat_my_slot();
	event->kind = kind;
	event->last_before = before.last;
	event->last_now = now.last;
	event->failed = before.failed;
	pg_write_barrier();
	pg_atomic_write_u32(&event->turn, (uint32) head + 1);
}

/* Since when this session has been idle, if it is so now. */
static TimestampTz
free_since(void)
{
	TimestampTz ended_at = use_notes.ended_at;

	return Max(use_notes.at, ended_at);
}

/*
 * A statement has come in at this time that is not soon after the one before, or
 * may be the first work.
 */
void
use_note_news(TimestampTz at, uint64 word)
{
	TimestampTz begun_at = GetCurrentTransactionStartTimestamp();
	TimestampTz since = free_since();
	int64		times = pg_atomic_read_u32(&uses->times);
	bool		first = WORD_LAST(word) == SUSPECT_LAST_WORK && !use_notes.worked;

	/* what goes on in a transaction was not free, however long it was idle */
	if (first || (begun_at > use_notes.at && (at - since) / times > use_notes.gap))
		post(USE_TAKEN, at, since, word);
	use_notes.worked |= first;
}

/* on_shmem_exit callback */
static void
leave(int code, Datum arg)
{
	TimestampTz now = GetCurrentTimestamp();

	if (use_notes.on)
		post(USE_DISCONNECT, now, free_since(), use_notes.word);
}

/*
 * This session is through with its start.  Called when the transaction of its
 * start is about to commit.
 */
void
use_connect(void)
{
	if (uses == NULL || !OidIsValid(MyDatabaseId))
		return;
	use_notes.published = slot_my_use();
	if (use_notes.published == NULL)
		return;
	pg_atomic_write_u64(use_notes.published, 0);
	use_notes.at = GetCurrentStatementStartTimestamp();
	use_notes.on = use_notes.gap != PG_INT64_MAX;
	if (use_notes.on)
		post(USE_CONNECT, MyStartTimestamp, MyStartTimestamp, 0);
	on_shmem_exit(leave, (Datum) 0);
}

/*
 * How soon it may be suspected, in ms; 0: never.  Called in processes of any
 * kind, and before there is a session.
 */
void
use_set_pace(int ms)
{
	bool		on = ms > 0 && use_notes.published != NULL;

	/* what has not been noted so far is not known to have been idleness */
	if (on && !use_notes.on)
		use_notes.at = GetCurrentTimestamp();
	use_notes.gap = ms > 0 ? POOL_TOLD(ms * INT64CONST(1000)) : PG_INT64_MAX;
	use_notes.on = on;
}

/* The same of a statement that reads no table, or is none that has a plan. */
void
use_note_other(const PlannedStmt *statement, TimestampTz at)
{
	uint64		word = describe_other(statement);

	use_note_word(at, word);
	use_notes.settled = WORD_LAST(word) == SUSPECT_LAST_WORK;
}

/*
 * A transaction has ended that failed, or that a tick has fallen into, or
 * for which no statement has been executed, because the message was empty or
 * not to be understood: that is noted only now.  Or it is time for a tick.
 */
void
use_end_otherwise(bool failed)
{
	TimestampTz at;
	TimestampTz ticked_at;

	if (!use_notes.on)
		return;
	at = GetCurrentStatementStartTimestamp();
	if (!use_notes.noted && at - use_notes.at > use_notes.gap)
		use_note_word(at, word_without_work(SUSPECT_LAST_PROBE));
	use_notes.noted = false;
	use_notes.at = at;
	ticked_at = (TimestampTz) pg_atomic_read_u64(use_ticked_at);
	if (ticked_at > at)
		use_notes.ended_at = GetCurrentTransactionStopTimestamp();
	else if (at - ticked_at >= USE_TICK)
		pg_atomic_write_u64(use_ticked_at, (uint64) at);
	if (failed && WORD_LAST(use_notes.word) != SUSPECT_LAST_CONTROL)
		use_publish(use_notes.word | WORD_FAILED);
}

/* ---------- the watcher ---------- */

/* When the scan began that is going on, private to the watcher. */
static TimestampTz scanned_at = 0;

void
use_tick(TimestampTz now)
{
	scanned_at = now;
	pg_atomic_write_u64(&uses->ticked_at, (uint64) now);
}

/*
 * Take the next event out of the ring; false when there is none.  One that has
 * been begun and is not there is waited for until the next scan, and no longer.
 */
bool
use_take(UseEvent *event)
{
	static uint64 awaited = PG_UINT64_MAX;
	static TimestampTz awaited_at = 0;
	uint64		tail = pg_atomic_read_u64(&uses->tail);
	RingEvent  *found = &uses->ring[tail % USE_ROOM];

	if (tail == pg_atomic_read_u64(&uses->head))
		return false;
	while (pg_atomic_read_u32(&found->turn) != (uint32) tail + 1)
	{
		if (awaited != tail || awaited_at == scanned_at)
		{
			awaited_at = awaited == tail ? awaited_at : scanned_at;
			awaited = tail;
			return false;
		}
		pg_atomic_write_u32(&uses->missed, 1);
		pg_atomic_write_u64(&uses->tail, ++tail);
		if (tail == pg_atomic_read_u64(&uses->head))
			return false;
		found = &uses->ring[tail % USE_ROOM];
	}
	pg_read_barrier();
	event->kind = found->kind;
	event->slot = found->slot;
	event->pid = found->pid;
	event->at = found->at;
	event->free_since = found->at - (int64) found->idle * IDLE_UNIT;
	event->before.print = found->print_before;
	event->before.last = found->last_before;
	event->before.failed = found->failed;
	event->now.print = found->print_now;
	event->now.last = found->last_now;
	event->now.failed = false;
	pg_memory_barrier();
	pg_atomic_write_u64(&uses->tail, tail + 1);
	return true;
}

/* Ask for a longer idleness where events have been missed, or for a shorter again. */
static void
adapt(bool missed)
{
	static int	calm = 0;
	uint32		times = pg_atomic_read_u32(&uses->times);

	calm = missed ? 0 : calm + 1;
	if (missed)
		times = Min(2 * times, MOST_TIMES);
	else if (calm == CALM_LOOKS)
	{
		times = Max(times / 2, 1);
		calm = 0;
	}
	pg_atomic_write_u32(&uses->times, times);
}

/* A look is taken: have events been missed since the one before? */
bool
use_take_missed(void)
{
	bool		missed = pg_atomic_read_u32(&uses->missed) != 0 &&
	pg_atomic_exchange_u32(&uses->missed, 0) != 0;

	adapt(missed);
	return missed;
}

/* What the session in a slot was last used for. */
UseWord
use_of(int slot)
{
	return unpack(slot_use(slot));
}
