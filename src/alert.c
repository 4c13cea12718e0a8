/*-------------------------------------------------------------------------
 *
 * alert.c
 *	  The watcher's messages about connections that run out.
 *
 * One looks at every session, so it is written only when alarm.c says that
 * there is something to say.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "alert.h"
#include "guc.h"
#include "holders.h"
#include "lib/stringinfo.h"
#include "names.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "words.h"

/* Applications that the DETAIL names. */
#define NAMED_HOLDERS	5

/* "10 of 14 connections of role "web"" */
static char *
use_text(const ScopeUse *use, const char *name)
{
	static const char *const of[] = {
		[SCOPE_SERVER] = "",
		[SCOPE_DATABASE] = " of database \"%s\"",
		[SCOPE_ROLE] = " of role \"%s\"",
	};
	StringInfoData out;

	initStringInfo(&out);
	if (use->limit >= 0)
		appendStringInfo(&out, "%d of %d connections", use->used, use->limit);
	else
		appendStringInfo(&out, "%d connections", use->used);
	if (use->kind != SCOPE_SERVER)
		appendStringInfo(&out, of[use->kind], name);
	return out.data;
}

/* The primary message. */
static char *
message_text(const Alert *alert, const char *name)
{
	char		minutes[WORDS_DURATION_SIZE];
	char	   *use = use_text(&alert->use, name);

	switch (alert->verb)
	{
		case ALARM_REFUSED:
			return psprintf("clients are turned away: %s are in use", use);
		case ALARM_STILL_HIGH:
			return psprintf("%s are still in use", use);
		case ALARM_IN_SIGHT:
			return psprintf("connections will be used up in about %s: %s are in use",
							words_duration(alert->forecast.minutes * USECS_PER_MINUTE,
										   minutes, sizeof(minutes)), use);
		case ALARM_OVER:
			return psprintf("%s are in use, which is well below the threshold again", use);
		default:
			return psprintf("%s are in use", use);
	}
}

/* One who holds connections: "7 of role ..., application "x": 7 idle, ..." */
static void
add_holder(StringInfo out, const Holder *holder, const Moment *moment)
{
	SessionNames names = {0};
	char		duration[WORDS_DURATION_SIZE];

	names_look_up(&holder->example, moment->monotonic, &names);
	if (out->len > 0)
		appendStringInfoChar(out, '\n');
	appendStringInfo(out, "%d by application \"%s\" of user \"%s\", database \"%s\": %d idle, %d idle in transaction, %d over a limit",
					 holder->sessions, holder->key.application, names.role, names.database,
					 holder->idle, holder->in_transaction, holder->leaking);
	if (holder->unused_since != 0)
		appendStringInfo(out, ", not used for up to %s",
						 words_duration(Max(moment->now - holder->unused_since, 0),
										duration, sizeof(duration)));
	appendStringInfoChar(out, '.');
}

/* The DETAIL: who holds most, who was turned away, how it goes on. */
static char *
message_detail(const Alert *alert, const Holders *holders, const Moment *moment)
{
	StringInfoData out;
	int			others = holders->all.sessions;

	initStringInfo(&out);
	for (int i = 0; i < holders->count && i < NAMED_HOLDERS; i++)
	{
		add_holder(&out, holders->holder[i], moment);
		others -= holders->holder[i]->sessions;
	}
	if (others > 0)
		appendStringInfo(&out, "\n%d by others.", others);
	if (alert->fresh > 0)
		appendStringInfo(&out, "%sClients turned away since the last message: " UINT64_FORMAT ".",
						 out.len > 0 ? "\n" : "", alert->fresh);
	if (alert->use.kind == SCOPE_SERVER && alert->forecast.growth > 0)
		appendStringInfo(&out, "\nThey grow by %.1f in ten minutes.", alert->forecast.growth * 10);
	if (out.len == 0)
		appendStringInfoString(&out, "No session holds any of them.");
	return out.data;
}

/* Who has most of something: 0 leaking, 1 idle sessions. */
static const Holder *
holder_with_most(const Holders *holders, bool leaking)
{
	const Holder *most = holders->holder[0];

	for (int i = 1; i < holders->count; i++)
	{
		const Holder *holder = holders->holder[i];

		if (leaking ? holder->leaking > most->leaking : holder->idle > most->idle)
			most = holder;
	}
	return most;
}

/* The HINT: is it a leak, a pool that is too big, or a limit that is too low? */
static char *
message_hint(const Alert *alert, const Holders *holders)
{
	const ScopeUse *use = &alert->use;
	int			excess = use->threshold > 0 ? use->used - use->threshold + 1 : 1;
	const Holder *all = &holders->all;

	if (all->leaking > 0 && all->leaking >= excess)
		return psprintf("Application \"%s\" has forgotten connections: the view leakwatch.leaks lists them. Have it commit or roll back, and give them back to its pool, on every path.",
						holder_with_most(holders, true)->key.application);
	if (all->idle > 0 && all->idle * 2 >= all->sessions)
		return psprintf("Application \"%s\" keeps more connections than it uses: make its pool smaller. If it has forgotten them, leakwatch.idle_session_warn finds which.",
						holder_with_most(holders, false)->key.application);
	if (use->kind == SCOPE_SERVER)
		return pstrdup("Most connections are at work: put a pooler between, or raise max_connections.");
	return pstrdup("Most connections are at work: put a pooler between, or raise the CONNECTION LIMIT.");
}

static void
say(const Alert *alert, const Moment *moment)
{
	ScopeNames	names = {.name = ""};
	Holders		holders;
	char	   *text;
	char	   *detail;

	if (alert->use.kind != SCOPE_SERVER)
		names_look_up_scope(alert->use.kind, alert->use.oid, moment->monotonic, &names);
	text = message_text(alert, names.name);
	if (alert->verb == ALARM_OVER)
	{
		names_end_look_ups();
		ereport(LOG, (errmsg_internal("%s", text)));
		return;
	}

	holders_survey(alert->use.kind, alert->use.oid, &holders);
	detail = message_detail(alert, &holders, moment);
	names_end_look_ups();
	ereport(guc_log_level,
			(errcode(ERRCODE_TOO_MANY_CONNECTIONS),
			 errmsg_internal("%s", text),
			 errdetail_internal("%s", detail),
			 errhint("%s", message_hint(alert, &holders))));
}

/* Say it in the server log. */
void
alert_say(const Alert *alert, const Moment *moment)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "leakwatch alert",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext before = MemoryContextSwitchTo(context);

	say(alert, moment);
	MemoryContextSwitchTo(before);
	MemoryContextDelete(context);
}
