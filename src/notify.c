/*-------------------------------------------------------------------------
 *
 * notify.c
 *	  Notifications of incidents that were opened and ended.
 *
 * Only the recorder calls this, about rows that it has committed.  They are
 * sent in a transaction of its own: a queue that is full, or a lock that others
 * hold on it, must keep no row from being written.
 *
 * So that the queue never fills because of us, there is a limit on how many are
 * sent within a second.  The rest of a second is told in one summary when it is
 * over, and so is what could not be sent.  While no session of the server
 * listens, nothing is: each NOTIFY takes a lock that all of them share.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "clock.h"
#include "commands/async.h"
#include "document.h"
#include "encoding.h"
#include "guc.h"
#include "kind.h"
#include "notify.h"
#include "slot.h"
#include "utils/timestamp.h"
#include "writing.h"

/* Notifications within a second, and applications in the summary of the rest. */
#define NOTIFY_BURST	20
#define SUMMARY_MAX		10

/*
 * How long a payload may be, by the server's rules, and the most that a name
 * takes in it: each byte as an escape of six.
 */
#define PAYLOAD_SIZE	8000
#define NAME_ESCAPED	(6 * NOTIFY_NAME_SIZE)

StaticAssertDecl(3 * NAME_ESCAPED + 500 < PAYLOAD_SIZE, "a notification must fit");
StaticAssertDecl(SUMMARY_MAX * (NAME_ESCAPED + 100) + 100 < PAYLOAD_SIZE, "a summary must fit");

/* How many of an application there were that are not told of one by one. */
typedef struct Tally
{
	char		application[NOTIFY_NAME_SIZE];
	int			opened;
	int			ended;
} Tally;

static struct
{
	int64		second;			/* when it began, monotonic us */
	int			sent;			/* in this second */
	bool		failing;		/* the last ones could not be sent */

	/* what is to be sent now */
	int			count;
	Notification queue[NOTIFY_BURST];

	/* what is to be sent when the second is over */
	Tally		all;
	int			napplications;
	Tally		applications[SUMMARY_MAX];	/* the others are in "all" alone */
}			state;

bool
notify_wanted(void)
{
	return guc_notify_channel[0] != '\0';
}

/* Begin another second if this one is over. */
static void
begin_second(void)
{
	int64		now = clock_monotonic();

	if (now - state.second < USECS_PER_SEC)
		return;
	state.second = now;
	state.sent = 0;
}

/* ---------- what there is to tell ---------- */

static void
forget(void)
{
	state.count = 0;
	state.napplications = 0;
	memset(&state.all, 0, sizeof(state.all));
}

static void
count_one(Tally *tally, const Notification *notification)
{
	if (notification->ended)
		tally->ended++;
	else
		tally->opened++;
}

/* Tell of it in the summary. */
static void
sum_up(const Notification *notification)
{
	int			n = 0;

	count_one(&state.all, notification);
	while (n < state.napplications &&
		   strcmp(state.applications[n].application, notification->application) != 0)
		n++;
	if (n == SUMMARY_MAX)
		return;
	if (n == state.napplications)
	{
		memset(&state.applications[n], 0, sizeof(Tally));
		strlcpy(state.applications[n].application, notification->application, NOTIFY_NAME_SIZE);
		state.napplications++;
	}
	count_one(&state.applications[n], notification);
}

/* Have it told with the next notify_send(), or in the summary. */
void
notify_add(const Notification *notification)
{
	if (!notify_wanted())
		return;
	begin_second();
	if (state.sent + state.count < NOTIFY_BURST)
		state.queue[state.count++] = *notification;
	else
		sum_up(notification);
}

/*
 * Have it told that an incident is in the table: that it was opened, if that
 * has not been told, and that it has ended if it has.
 */
void
notify_incident(int index, const Incident *incident)
{
	bool		ended = incident->outcome != OUTCOME_OPEN;
	uint32		told = incident_mark_told(index, incident);
	Notification notification = {
		.id = incident->id,
		.pid = incident->session.pid,
		.since = incident->since,
		.duration = incident_duration(incident, incident->last_seen_at),
		.blocked_sessions = incident->blocked_peak,
	};

	strlcpy(notification.kind, kind_info(incident->kind)->name, NOTIFY_NAME_SIZE);
	strlcpy(notification.application, incident->text.application_name, NOTIFY_NAME_SIZE);
	strlcpy(notification.user, incident->names.role, NOTIFY_NAME_SIZE);
	strlcpy(notification.database, incident->names.database, NOTIFY_NAME_SIZE);
	strlcpy(notification.action, outcome_action_name(incident->action), NOTIFY_NAME_SIZE);
	strlcpy(notification.outcome, outcome_name(incident->outcome), NOTIFY_NAME_SIZE);

	if (!(told & INCIDENT_TOLD_OPENED))
		notify_add(&notification);
	notification.ended = true;
	if (ended && !(told & INCIDENT_TOLD_ENDED))
		notify_add(&notification);
}

/* ---------- in JSON ---------- */

static void
add_name(CompatJsonb *json, const char *key, const char *name)
{
	document_text_or_null(json, key, encoding_to_database(name, -1));
}

static char *
finish(CompatJsonb *json)
{
	compat_push_jsonb(json, WJB_END_OBJECT, NULL);
	return document_ascii(JsonbToCString(NULL, &JsonbValueToJsonb(json->result)->root, 0));
}

static char *
notification_json(const Notification *notification)
{
	CompatJsonb json = {0};

	compat_push_jsonb(&json, WJB_BEGIN_OBJECT, NULL);
	document_text(&json, "event", notification->ended ? "ended" : "opened");
	document_number(&json, "id", notification->id);
	document_text(&json, "kind", notification->kind);
	document_number(&json, "pid", notification->pid);
	add_name(&json, "application", notification->application);
	add_name(&json, "user", notification->user);
	add_name(&json, "database", notification->database);
	document_time(&json, "since", notification->since);
	document_seconds(&json, "duration", notification->duration);
	document_text(&json, "action", notification->action);
	document_text(&json, "outcome", notification->outcome);
	document_number(&json, "blocked_sessions", notification->blocked_sessions);
	return finish(&json);
}

static char *
summary_json(void)
{
	CompatJsonb json = {0};

	compat_push_jsonb(&json, WJB_BEGIN_OBJECT, NULL);
	document_text(&json, "event", "summary");
	document_number(&json, "opened", state.all.opened);
	document_number(&json, "ended", state.all.ended);
	document_key(&json, "applications");
	compat_push_jsonb(&json, WJB_BEGIN_ARRAY, NULL);
	for (int n = 0; n < state.napplications; n++)
	{
		const Tally *tally = &state.applications[n];

		compat_push_jsonb(&json, WJB_BEGIN_OBJECT, NULL);
		add_name(&json, "application", tally->application);
		document_number(&json, "opened", tally->opened);
		document_number(&json, "ended", tally->ended);
		compat_push_jsonb(&json, WJB_END_OBJECT, NULL);
	}
	compat_push_jsonb(&json, WJB_END_ARRAY, NULL);
	return finish(&json);
}

/* ---------- sending ---------- */

static bool
is_summary_due(void)
{
	return state.sent == 0 && state.all.opened + state.all.ended > 0;
}

static void
send_all(bool summary)
{
	Writing		writing;

	writing_begin_without_table("notifying of incidents", &writing);
	for (int n = 0; n < state.count; n++)
		Async_Notify(guc_notify_channel, notification_json(&state.queue[n]));
	if (summary)
		Async_Notify(guc_notify_channel, summary_json());
	writing_end(&writing);
}

/* It could not be done: what is not told one by one is told in a summary. */
static void
note_failure(ErrorData *error)
{
	if (!state.failing)
		ereport(WARNING,
				(errcode(error->sqlerrcode),
				 errmsg("leakwatch could not notify channel \"%s\": %s",
						guc_notify_channel, error->message),
				 errdetail("Incidents are recorded all the same, and are counted in the next notification that can be sent.")));
	FreeErrorData(error);
	for (int n = 0; n < state.count; n++)
		sum_up(&state.queue[n]);
	state.count = 0;
	state.failing = true;

	/* it may have taken as long as a lock is waited for: not again at once */
	state.sent = NOTIFY_BURST;
}

/*
 * Send what there is to be told now; with everything, also what waits for the
 * end of the second.
 */
void
notify_send(bool everything)
{
	MemoryContext context = CurrentMemoryContext;
	bool		summary;

	if (state.count == 0 && state.all.opened + state.all.ended == 0)
		return;
	if (!notify_wanted() || !slot_anybody_listens())
	{
		forget();
		return;
	}
	begin_second();
	summary = is_summary_due() || (everything && state.all.opened + state.all.ended > 0);
	if (state.count == 0 && !summary)
		return;

	PG_TRY();
	{
		send_all(summary);
		state.failing = false;
	}
	PG_CATCH();
	{
		note_failure(writing_abort(context));
	}
	PG_END_TRY();

	if (state.failing)
		return;
	state.sent += state.count + summary;
	state.count = 0;
	if (summary)
		forget();
}

/*
 * In how many milliseconds a summary is to be sent, or -1.  After a failure it
 * goes along with what is told next.
 */
long
notify_due(void)
{
	int64		left = state.second + USECS_PER_SEC - clock_monotonic();

	if (state.failing || state.all.opened + state.all.ended == 0)
		return -1;
	return left > 0 ? left / 1000 + 1 : 0;
}
