/*-------------------------------------------------------------------------
 *
 * listen.c
 *	  Whether this session listens for notifications.
 *
 * Owns nothing shared: it tells slot.c.  The server keeps its list of
 * channels to itself and changes it after the last hook of a commit, so
 * this follows the same statements by the same rules: LISTEN and UNLISTEN
 * take effect at commit, in order, without those that a subtransaction's
 * rollback took back.  A session that never listens pays one look at a node
 * tag for each utility statement.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "access/xact.h"
#include "listen.h"
#include "nodes/parsenodes.h"
#include "slot.h"
#include "utils/memutils.h"

typedef struct ListenAction
{
	bool		listen;			/* else unlisten */
	char	   *channel;		/* NULL: all */
} ListenAction;

/* Of this transaction, oldest first; lives in TopTransactionContext. */
static List *pending = NIL;

/*
 * Where the actions of each transaction nesting level begin that has some,
 * innermost first; lives there too.  Those of a level are the last ones as
 * long as it is the innermost.
 */
typedef struct ListenLevel
{
	int			level;
	int			first;			/* index in pending */
	struct ListenLevel *outer;
} ListenLevel;

static ListenLevel *innermost = NULL;

/* Channels listened to, as of the last commit and as of the coming one. */
static List *channels = NIL;
static MemoryContext channels_context = NULL;
static List *next_channels = NIL;
static MemoryContext next_context = NULL;

static void on_transaction(XactEvent event, void *arg);
static void on_subtransaction(SubXactEvent event, SubTransactionId mySubid,
							  SubTransactionId parentSubid, void *arg);

/* Only a session that listens has to be told of the end of each transaction. */
static void
register_callbacks(void)
{
	static bool registered = false;

	if (registered)
		return;
	registered = true;
	RegisterXactCallback(on_transaction, NULL);
	RegisterSubXactCallback(on_subtransaction, NULL);
}

/* From here on, actions are of the current level. */
static void
enter_level(void)
{
	int			level = GetCurrentTransactionNestLevel();
	ListenLevel *entered;

	if (innermost != NULL && innermost->level == level)
		return;
	entered = palloc(sizeof(ListenLevel));
	entered->level = level;
	entered->first = list_length(pending);
	entered->outer = innermost;
	innermost = entered;
}

/* Note a statement that has been executed, if it is one of ours. */
void
listen_note(const Node *statement)
{
	ListenAction *action;
	MemoryContext oldcontext;
	const char *channel = NULL;
	bool		listen = false;

	switch (nodeTag(statement))
	{
		case T_ListenStmt:
			channel = ((const ListenStmt *) statement)->conditionname;
			listen = true;
			break;
		case T_UnlistenStmt:
			channel = ((const UnlistenStmt *) statement)->conditionname;
			break;
		case T_DiscardStmt:
			if (((const DiscardStmt *) statement)->target != DISCARD_ALL)
				return;
			break;
		default:
			return;
	}

	/* nothing to take back */
	if (!listen && channels == NIL && pending == NIL)
		return;

	register_callbacks();
	oldcontext = MemoryContextSwitchTo(TopTransactionContext);
	enter_level();
	action = palloc(sizeof(ListenAction));
	action->listen = listen;
	action->channel = channel ? pstrdup(channel) : NULL;
	pending = lappend(pending, action);
	MemoryContextSwitchTo(oldcontext);
}

static List *
without_channel(List *list, const char *channel)
{
	ListCell   *lc;

	foreach(lc, list)
	{
		if (strcmp(lfirst(lc), channel) == 0)
			list = foreach_delete_current(list, lc);
	}
	return list;
}

/*
 * Work out the channels after this transaction.  Done before the commit,
 * because this can fail for want of memory and the commit must not.
 */
static void
prepare_channels(void)
{
	MemoryContext oldcontext;
	ListCell   *lc;

	next_context = AllocSetContextCreate(TopMemoryContext, "leakwatch channels",
										 ALLOCSET_SMALL_SIZES);
	oldcontext = MemoryContextSwitchTo(next_context);

	next_channels = NIL;
	foreach(lc, channels)
		next_channels = lappend(next_channels, pstrdup(lfirst(lc)));

	foreach(lc, pending)
	{
		ListenAction *action = lfirst(lc);

		if (action->channel == NULL)
			next_channels = NIL;
		else
			next_channels = without_channel(next_channels, action->channel);
		if (action->listen)
			next_channels = lappend(next_channels, pstrdup(action->channel));
	}
	MemoryContextSwitchTo(oldcontext);
}

static void
forget_pending(void)
{
	pending = NIL;
	innermost = NULL;
}

static void
forget_next_channels(void)
{
	if (next_context != NULL)
		MemoryContextDelete(next_context);
	next_context = NULL;
	next_channels = NIL;
}

static void
on_transaction(XactEvent event, void *arg)
{
	/* a retry after an error between the two events starts over */
	if (pending == NIL && next_context == NULL)
		return;

	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			forget_next_channels();
			prepare_channels();
			break;

		case XACT_EVENT_COMMIT:
			if (next_context != NULL)
			{
				if (channels_context != NULL)
					MemoryContextDelete(channels_context);
				channels_context = next_context;
				channels = next_channels;
				next_context = NULL;
				next_channels = NIL;
				slot_publish_listening(channels != NIL);
			}
			forget_pending();
			break;

		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			forget_next_channels();
			forget_pending();
			break;

		default:
			break;
	}
}

static void
on_subtransaction(SubXactEvent event, SubTransactionId mySubid,
				  SubTransactionId parentSubid, void *arg)
{
	int			level = GetCurrentTransactionNestLevel();

	if (innermost == NULL || innermost->level < level)
		return;

	if (event == SUBXACT_EVENT_COMMIT_SUB)
	{
		/* its actions become the outer level's, which may have some already */
		if (innermost->outer != NULL && innermost->outer->level == level - 1)
			innermost = innermost->outer;
		else
			innermost->level = level - 1;
	}
	else if (event == SUBXACT_EVENT_ABORT_SUB)
	{
		pending = list_truncate(pending, innermost->first);
		innermost = innermost->outer;
	}
}
