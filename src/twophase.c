/*-------------------------------------------------------------------------
 *
 * twophase.c
 *	  Prepared transactions that nobody finishes.
 *
 * A prepared transaction has no session.  What shared memory has of it is
 * looked at twice within the limit; the recorder is asked for the rest, once in
 * READ_INTERVAL at the most, when one may be over the limit that it has not
 * read.  Whose end the watcher has seen before that costs nobody a connection.
 *
 * Its incident outlives the server, as the transaction does: what the recorder
 * has read comes with what the table has of it, and an incident that is open
 * there goes on.  Nothing here signals anybody.
 *
 * Owns the places, private to the watcher: what it knows of each of the
 * server's places for prepared transactions.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "access/twophase.h"
#include "access/xlog.h"
#include "control.h"
#include "follow.h"
#include "guc.h"
#include "harm.h"
#include "kind.h"
#include "names.h"
#include "prepared.h"
#include "reminder.h"
#include "report.h"
#include "presence.h"
#include "twophase.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/xid8.h"

/* How often to look at those that have been reported, and to read at the most. */
#define LOOK_INTERVAL	(10 * USECS_PER_SEC)
#define READ_INTERVAL	(10 * USECS_PER_SEC)

typedef struct Place
{
	Presence	presence;
	TransactionId reported;		/* that the incident is of */
	int			incident;		/* index of the open one, or -1 */
	bool		roomless;		/* reported without room for an incident */
	bool		continued;		/* what the table has of it has been taken up */
} Place;

static Place *places = NULL;
static int	nopen = 0;

/* What the recorder has read last, its version, and room for the next. */
static PreparedList *list = NULL;
static PreparedList *spare = NULL;
static uint32 list_version = 0;

static int64 looked_at = 0;		/* monotonic us; 0: never */
static TimestampTz last_look = 0;	/* the same by the wall clock */
static int64 wanted_at = 0;		/* monotonic us, of the last request */
static TimestampTz due = DT_NOEND;	/* when one meets the limit */
static int	limit = 0;			/* ms, as of the last look; 0: none */

/* Called once when a watcher starts. */
void
twophase_init(void)
{
	MemoryContext oldcontext = MemoryContextSwitchTo(TopMemoryContext);

	places = palloc0(sizeof(Place) * Max(max_prepared_xacts, 1));
	list = prepared_new_list();
	spare = prepared_new_list();
	for (int place = 0; place < max_prepared_xacts; place++)
		places[place].incident = -1;
	MemoryContextSwitchTo(oldcontext);
}

/* Take over what our predecessor left open. */
void
twophase_adopt(int index, const Incident *incident)
{
	Place	   *place = &places[PREPARED_PLACE(incident->session.slot)];

	/* no horizon is held but by its number */
	place->reported = incident->horizon;
	place->incident = index;
	place->continued = true;
	place->presence.xid = incident->horizon;
	place->presence.seen_at = incident->detected_at;
	place->presence.not_before = DT_NOBEGIN;
	place->presence.gained = incident->gained;
	nopen++;
}

/* The wall clock has jumped, which counts for no age. */
void
twophase_jump(int64 jump)
{
	for (int place = 0; place < max_prepared_xacts; place++)
	{
		presence_jump(&places[place].presence, jump);
		if (places[place].incident >= 0)
			follow_shift(places[place].incident, jump);
	}
	if (last_look != 0)
		last_look += jump;
	if (list->read_at != 0)
		list->read_at += jump;
	due = DT_NOBEGIN;
}

int
twophase_open_count(void)
{
	return nopen;
}

/* ---------- opening ---------- */

/* It as something that is judged. */
static Session
session_of(int place, const PreparedTransaction *transaction)
{
	Session		session = {
		.slot = PREPARED_SLOT(place),
		.database = transaction->database,
		.role = transaction->owner,
	};

	session.since[SINCE_BACKEND] = transaction->prepared_at;
	session.gained[SINCE_BACKEND] = places[place].presence.gained;
	return session;
}

static Incident *
new_incident(int place, const PreparedTransaction *transaction, const Moment *moment)
{
	Incident   *incident = palloc0(sizeof(Incident));
	Harm		harm;

	incident->kind = KIND_PREPARED_TRANSACTION;
	incident->since = transaction->prepared_at;
	incident->session = session_of(place, transaction);
	names_look_up(&incident->session, moment->monotonic, &incident->names);
	strlcpy(incident->text.query, transaction->gid, SESSION_QUERY_SIZE);
	incident->gained = places[place].presence.gained;
	incident->detected_at = moment->now;
	incident->last_seen_at = moment->now;
	incident->warned_at = moment->now;
	incident->warn_limit = limit;
	incident->action = ACTION_WARNED;
	harm_survey(moment, SURVEY_TO_DECIDE);
	harm_measure(&incident->session, &harm);
	harm_note(incident, &harm);
	incident->horizon = transaction->xid;
	incident->xmin_age_peak = -1;
	incident->outcome = OUTCOME_OPEN;
	return incident;
}

/* The incident that the table has of it goes on: it has been warned about. */
static void
continue_incident(Incident *incident, const PreparedTransaction *transaction)
{
	incident->detected_at = transaction->detected_at;
	incident->last_seen_at = transaction->warned_at;
	incident->warned_at = transaction->warned_at;
	incident->reminders = reminder_count(transaction->detected_at, transaction->warned_at,
										 guc_log_repeat);
}

/* There is no room for an incident: say it, once. */
static void
report_roomless(Place *place, const Incident *incident, const Trail *trail,
				const Excess *excess)
{
	if (place->roomless)
		return;
	HOLD_INTERRUPTS();
	report_incident(MESSAGE_OPENED, incident, trail, excess);
	place->roomless = true;
	control_count(COUNT_REPORTED, 1);
	control_count(COUNT_DROPPED, 1);
	RESUME_INTERRUPTS();
}

/* Open its incident, or take up the one that the table has. */
static void
open_incident(int number, const PreparedTransaction *transaction, const Moment *moment)
{
	Place	   *place = &places[number];
	Incident   *incident = new_incident(number, transaction, moment);
	Trail	   *trail = palloc0(trail_size());
	Excess		excess = incident_excess(incident, moment->now);
	bool		continues = transaction->detected_at != 0 && !place->continued;

	if (continues)
		continue_incident(incident, transaction);
	else if (!place->roomless)
		incident_owe(incident, MESSAGE_OPENED, &excess);

	place->incident = incident_open(incident, trail);
	if (place->incident < 0)
	{
		if (!continues)
			report_roomless(place, incident, trail, &excess);
		return;
	}
	place->reported = transaction->xid;
	place->continued = true;
	nopen++;
	if (!continues && !place->roomless)
		control_count(COUNT_REPORTED, 1);
	place->roomless = false;
}

/* ---------- going on ---------- */

/* It is to be warned about again. */
static void
remind(int index, const Moment *moment)
{
	const Session *session = &incident_peek(index)->session;
	Incident   *edit;
	Excess		excess;
	Harm		harm;

	harm_survey(moment, SURVEY_TO_DECIDE);
	harm_measure(session, &harm);
	edit = incident_edit(index);
	harm_note(edit, &harm);
	edit->reminders++;
	edit->warned_at = moment->now;
	edit->last_seen_at = moment->now;
	excess = incident_excess(edit, moment->now);
	incident_owe(edit, MESSAGE_REMINDER, &excess);
	incident_edited(index, true);
}

/* Keep an incident up to date.  Returns when it is to be warned about again. */
static TimestampTz
go_on(int number, const Moment *moment)
{
	int			index = places[number].incident;
	int64		gained = places[number].presence.gained;
	const Incident *incident = incident_peek(index);
	TimestampTz at;

	if (incident->warn_limit != limit || incident->gained != gained)
	{
		Incident   *edit = incident_edit(index);

		edit->warn_limit = limit;
		edit->gained = gained;
		edit->session.gained[SINCE_BACKEND] = gained;
		incident_edited(index, true);
	}
	at = reminder_at(incident->warned_at, guc_log_repeat, incident->reminders);
	if (at > moment->now)
		return at;
	if (incident->owed == MESSAGE_NONE)
		remind(index, moment);
	return reminder_at(incident->warned_at, guc_log_repeat, incident->reminders);
}

/* ---------- closing ---------- */

/*
 * What became of a transaction, in the server's words: "in progress" as long as
 * it is prepared.  NULL: the server does not know any more.
 */
static char *
fate_of(TransactionId xid)
{
	LOCAL_FCINFO(fcinfo, 1);
	FullTransactionId next = ReadNextFullTransactionId();
	uint32		epoch = EpochFromFullTransactionId(next);
	Datum		status;

	if (xid > XidFromFullTransactionId(next))
		epoch--;
	InitFunctionCallInfoData(*fcinfo, NULL, 1, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = FullTransactionIdGetDatum(FullTransactionIdFromEpochAndXid(epoch, xid));
	fcinfo->args[0].isnull = false;
	status = pg_xact_status(fcinfo);
	return fcinfo->isnull ? NULL : TextDatumGetCString(status);
}

static void
close_incident(int number, const Moment *moment, const char *detail)
{
	Place	   *place = &places[number];

	follow_close(place->incident, NULL, OUTCOME_FINISHED, moment->now, detail);
	place->incident = -1;
	nopen--;
}

/* The transaction of this incident is not where it was: close it, if it has ended. */
static void
close_if_ended(int number, const Moment *moment)
{
	const char *fate = fate_of(places[number].reported);

	/* what is moved within the server's array is not seen for a moment */
	if (fate != NULL && strcmp(fate, "in progress") == 0)
		return;
	if (fate == NULL)
		fate = "committed or rolled back";
	else if (strcmp(fate, "aborted") == 0)
		fate = "rolled back";
	close_incident(number, moment, fate);
	control_count(COUNT_FINISHED, 1);
}

static void
close_all(const Moment *moment)
{
	for (int number = 0; number < max_prepared_xacts; number++)
	{
		if (places[number].incident >= 0)
			close_incident(number, moment, "no longer over a limit: the settings have changed");
	}
	prepared_set_oldest(0);
}

/* ---------- looking ---------- */

/* Take what the recorder has read.  False when that is known already. */
static bool
take_list(void)
{
	uint32		version = prepared_version();
	PreparedList *fresh = spare;

	if (version == list_version || !prepared_copy(fresh))
		return false;
	spare = list;
	list = fresh;
	list_version = version;
	return true;
}

static TimestampTz
deadline_of(TimestampTz since)
{
	return since == DT_NOBEGIN ? DT_NOBEGIN : since + limit * INT64CONST(1000);
}

/*
 * Judge a transaction whose name and time are known.  Returns when there is
 * something to do about it.
 */
static TimestampTz
judge(int number, const PreparedTransaction *transaction, const Moment *moment)
{
	Place	   *place = &places[number];
	TimestampTz deadline = deadline_of(transaction->prepared_at + place->presence.gained);
	bool		is_over = moment->now >= deadline;

	if (place->incident < 0 &&
		(is_over || (transaction->detected_at != 0 && !place->continued)))
		open_incident(number, transaction, moment);
	if (place->incident >= 0 && !is_over)
		close_incident(number, moment, "no longer over a limit: the settings have changed");
	if (place->incident >= 0)
		return go_on(number, moment);
	return is_over ? DT_NOEND : deadline;
}

/*
 * Look at a place.  Returns when there is something to do about the transaction
 * there; *unread: it may be over the limit, and has to be read.
 */
static TimestampTz
look_at(int number, const Moment *moment, TimestampTz *oldest, bool *unread)
{
	Place	   *place = &places[number];
	TransactionId xid = prepared_xid(number);
	const PreparedTransaction *transaction;
	TimestampTz deadline;

	if (presence_note(&place->presence, xid, last_look, moment->now))
		place->roomless = place->continued = false;
	if (place->incident >= 0 && place->reported != xid)
		close_if_ended(number, moment);
	if (!TransactionIdIsValid(xid) || (place->incident >= 0 && place->reported != xid))
		return DT_NOEND;

	transaction = prepared_find(list, xid);
	if (transaction != NULL)
	{
		*oldest = Min(*oldest, transaction->prepared_at + place->presence.gained);
		return judge(number, transaction, moment);
	}
	*oldest = Min(*oldest, place->presence.seen_at);
	deadline = deadline_of(presence_earliest(&place->presence, list->read_at));
	*unread |= moment->now >= deadline;
	return moment->now >= deadline ? DT_NOEND : deadline;
}

/* Say what is owed, once all has been done. */
static void
say_what_is_owed(void)
{
	for (int number = 0; number < max_prepared_xacts; number++)
	{
		if (places[number].incident >= 0)
			report_owed(places[number].incident, NULL);
	}
}

static void
look(const Moment *moment, bool asked)
{
	TimestampTz oldest = DT_NOEND;
	bool		unread = false;

	/* if anything throws, all is looked at again */
	looked_at = 0;
	due = DT_NOEND;
	for (int number = 0; number < max_prepared_xacts; number++)
	{
		TimestampTz next;

		CHECK_FOR_INTERRUPTS();
		next = look_at(number, moment, &oldest, &unread);
		due = Min(due, next);
	}
	names_end_look_ups();
	prepared_set_oldest(oldest == DT_NOEND ? 0 : oldest);
	say_what_is_owed();

	if (unread && (asked || wanted_at == 0 || moment->monotonic - wanted_at >= READ_INTERVAL))
	{
		prepared_want();
		wanted_at = moment->monotonic;
	}
	looked_at = moment->monotonic;
	last_look = moment->now;
}

/*
 * For how long a look is good.  Who comes after it has half of the limit left
 * when it is first seen, and is mostly gone before anybody has to ask about it.
 */
static int64
look_interval(void)
{
	return nopen > 0 ? LOOK_INTERVAL : Max(LOOK_INTERVAL, limit * INT64CONST(500));
}

/* The limit in force: that of the server, whose mode counts too. */
static int
limit_in_force(void)
{
	return guc_policy.value[POLICY_MODE] == MODE_OFF ? 0 : guc_prepared_transaction_warn;
}

/* Do what there is to do.  asked: somebody wants to see how it is now */
void
twophase_tend(const Moment *moment, bool asked)
{
	bool		changed = limit != limit_in_force();

	/* on a standby they are nobody's to finish, and not to be seen */
	if (max_prepared_xacts == 0 || RecoveryInProgress())
		return;

	limit = limit_in_force();
	if (limit == 0)
	{
		if (changed || nopen > 0)
			close_all(moment);
		return;
	}
	if (take_list() || asked || changed || looked_at == 0 || moment->now >= due ||
		moment->monotonic >= looked_at + look_interval())
		look(moment, asked);
}

/* When to call this again at the latest. */
TimestampTz
twophase_due(const Moment *moment)
{
	TimestampTz next;

	if (max_prepared_xacts == 0 || limit == 0 || RecoveryInProgress())
		return DT_NOEND;
	next = moment->now + looked_at + look_interval() - moment->monotonic;
	return Min(due, next);
}

/* After a survey: keep up with the harm of all open incidents. */
void
twophase_harm(void)
{
	for (int number = 0; nopen > 0 && number < max_prepared_xacts; number++)
	{
		int			index = places[number].incident;

		CHECK_FOR_INTERRUPTS();
		if (index >= 0)
			harm_update(index, &incident_peek(index)->session,
						locks_blocked(&incident_peek(index)->session));
	}
}
