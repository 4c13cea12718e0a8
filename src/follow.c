/*-------------------------------------------------------------------------
 *
 * follow.c
 *	  Open incidents go on and end.
 *
 * Owns the seats, private to the watcher: whom it knew in each slot, and which
 * incidents of theirs are open.  The incidents themselves are in shared
 * memory and survive the watcher, whose successor adopts them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "access/transam.h"
#include "agenda.h"
#include "capture.h"
#include "control.h"
#include "follow.h"
#include "guc.h"
#include "harm.h"
#include "kind.h"
#include "report.h"
#include "storage/fd.h"
#include "suspicion.h"
#include "utils/memutils.h"
#include "utils/pidfile.h"

/* The postmaster's, in the data directory, where every process is. */
#define DIRECTORY_LOCK_FILE	"postmaster.pid"

static Seat *seats = NULL;

/*
 * Incidents of a session are about to be opened: note when it has gone on last,
 * which was before them.  How it ends is told by whether that has changed, and
 * not by comparing times, because the clock may be set back in between.  False
 * when it is being written at this very moment.
 */
bool
follow_begin(Seat *seat)
{
	SlotEnd		end;

	seat->went_on_at = 0;
	switch (slot_end(&seat->session, &end))
	{
		case READ_NONE:
			break;
		case READ_BUSY:
			return false;
		case READ_DONE:
			seat->went_on_at = end.went_on_at;
			break;
	}
	return true;
}

/* Take over what our predecessor left open. */
void
follow_adopt(int index, const Incident *incident)
{
	Seat	   *seat = &seats[incident->session.slot];

	/* all open incidents of a slot are of one session */
	seat->session = incident->session;
	seat->incident[incident->kind] = index;
	seat->signalled |= incident->action == ACTION_TERMINATED;

	/* it may have gone on since, unless that was clearly before */
	if (kind_info(incident->kind)->clock != SINCE_BACKEND &&
		(!follow_begin(seat) || seat->went_on_at > incident->since))
		seat->went_on_at = 0;
}

/* Called once when a watcher starts. */
void
follow_init(void)
{
	seats = MemoryContextAllocZero(TopMemoryContext, mul_size(sizeof(Seat), MaxBackends));
	for (int slot = 0; slot < MaxBackends; slot++)
	{
		for (int kind = 0; kind < NUM_KINDS; kind++)
			seats[slot].incident[kind] = -1;
	}
}

Seat *
follow_seat(int slot)
{
	return &seats[slot];
}

bool
follow_has_incidents(const Seat *seat)
{
	for (int kind = 0; kind < NUM_KINDS; kind++)
	{
		if (seat->incident[kind] >= 0)
			return true;
	}
	return false;
}

/* ---------- closing ---------- */

/* Note the horizon that is held now, and what the one before came to. */
static void
set_horizon(Incident *incident, TransactionId horizon)
{
	if (TransactionIdIsNormal(incident->horizon))
		incident->xmin_age_peak = incident_xmin_age(incident, horizon_next_xid());
	incident->horizon = horizon;
}

/*
 * The trail of a session whose incident ends: it may have gone on in its
 * transaction since that opened, and COMMIT or ROLLBACK be the last of it.
 * NULL when it has none.
 */
static Trail *
last_trail(int index, const Incident *incident)
{
	const Trail *known = incident_trail(index);
	TimestampTz transaction = 0;
	Trail	   *trail;

	if (!guc_capture_query || guc_trail_length == 0)
		return NULL;
	if (incident->kind != KIND_SESSION)
	{
		transaction = incident->session.since[SINCE_TRANSACTION];
		if (transaction == 0 && known->total > 0)
			transaction = known->transaction;
		if (transaction == 0)
			return NULL;
	}
	trail = palloc(trail_size());
	if (trail_read(&incident->session, transaction, trail))
	{
		capture_trail(trail, incident->names.encoding);
		return trail;
	}
	pfree(trail);
	return NULL;
}

/* Close an incident; its trail is this in the end, or with NULL as it was kept. */
void
follow_close(int index, const Trail *trail, Outcome outcome, TimestampTz ended_at,
			 const char *detail)
{
	Incident   *incident;
	TimestampTz last_scan;
	int64		duration;

	control_last_scan(&last_scan, &duration);

	/* what an error kept from being said has its last chance */
	report_owed(index, NULL);

	incident = incident_edit(index);
	if (trail != NULL)
		memcpy(incident_trail(index), trail, trail_size());
	set_horizon(incident, InvalidTransactionId);
	incident->outcome = outcome;
	incident->ended_at = ended_at;
	incident->last_seen_at = last_scan;
	if (detail != NULL)
		strlcpy(incident->outcome_detail, detail, INCIDENT_DETAIL_SIZE);
	incident_edited(index, true);
}

static void
close_incident(Seat *seat, LeakKind kind, Outcome outcome, TimestampTz ended_at,
			   const char *detail)
{
	int			index = seat->incident[kind];
	Trail	   *trail = last_trail(index, incident_peek(index));

	follow_close(index, trail, outcome, ended_at, detail);
	if (trail != NULL)
		pfree(trail);
	seat->incident[kind] = -1;
	/* with a detail it was not the session that did it */
	if (outcome == OUTCOME_FINISHED && detail == NULL)
		control_count(COUNT_FINISHED, 1);
	if (kind == KIND_SUSPECTED_LEAK && (outcome != OUTCOME_FINISHED || detail == NULL))
		suspicion_ended(outcome);
}

/*
 * Is the server being shut down?  The postmaster says so in its lock file
 * before it signals anybody, and nowhere else.  Asked once in a scan.
 */
static bool
server_is_stopping(const Moment *moment)
{
	static int64 asked_at = 0;
	static bool stopping = false;
	FILE	   *file;
	char		line[MAXPGPATH];

	if (asked_at == moment->monotonic)
		return stopping;
	asked_at = moment->monotonic;
	stopping = false;
	file = AllocateFile(DIRECTORY_LOCK_FILE, "r");
	if (file == NULL)
		return false;
	for (int i = 1; fgets(line, sizeof(line), file) != NULL; i++)
	{
		if (i == LOCK_FILE_LINE_PM_STATUS)
			stopping = strncmp(line, PM_STATUS_STOPPING, strlen(PM_STATUS_STOPPING)) == 0;
	}
	FreeFile(file);
	return stopping;
}

/*
 * How a session that is gone has ended.  Writes what there is to say beyond
 * the outcome into detail, or an empty string.
 */
static Outcome
outcome_of(const Seat *seat, const SlotEnd *end, const Moment *moment,
		   char *detail, Size size)
{
	const char *words;
	bool		stopping = end->sqlerrcode == ERRCODE_ADMIN_SHUTDOWN &&
	!seat->signalled && server_is_stopping(moment);
	Outcome		outcome = outcome_of_end(end->sqlerrcode, end->fatal, seat->signalled, stopping,
										 &words);

	if (outcome == OUTCOME_ENDED_BY_SERVER)
		snprintf(detail, size, "%s, SQLSTATE %s", words, unpack_sql_state(end->sqlerrcode));
	else
		strlcpy(detail, words != NULL ? words : "", size);
	return outcome;
}

/*
 * The session of this seat is gone: close its incidents and free the seat.
 * False when how it ended is being written at this very moment: next time.
 */
bool
follow_end(Seat *seat, const Moment *moment)
{
	const Session *session = &seat->session;

	if (follow_has_incidents(seat))
	{
		char		detail[INCIDENT_DETAIL_SIZE];
		SlotEnd		end;
		Outcome		outcome;

		switch (slot_end(session, &end))
		{
			case READ_BUSY:
				return false;
			case READ_NONE:
				memset(&end, 0, sizeof(end));
				break;
			case READ_DONE:
				break;
		}
		outcome = outcome_of(seat, &end, moment, detail, sizeof(detail));

		for (int kind = 0; kind < NUM_KINDS; kind++)
		{
			SessionClock clock = kind_info(kind)->clock;

			if (seat->incident[kind] < 0)
				continue;

			/* what a scan would have seen, had one come before the end */
			if (!seat->signalled && clock != SINCE_BACKEND &&
				end.went_on_at != 0 && end.went_on_at != seat->went_on_at)
				close_incident(seat, kind, OUTCOME_FINISHED, end.went_on_at, NULL);
			else
				/* what we terminated says already which limit did it */
				close_incident(seat, kind, outcome, moment->now,
							   detail[0] != '\0' ? detail : NULL);
		}
		slot_unwatch(session->slot);
	}
	seat->session.pid = 0;
	seat->roomless = 0;
	seat->signalled = false;
	return true;
}

/* ---------- going on ---------- */

/*
 * When a session went on, as near as can be told: with its newest change of
 * state, unless that is older than what it went on from.
 */
static TimestampTz
went_on_at(const Incident *incident, const Session *session, TimestampTz now)
{
	TimestampTz changed = session->since[SINCE_STATE];

	return changed > incident->since ? Min(changed, now) : now;
}

/*
 * Is a session under its limits again only because the clock was set back by too
 * little for a jump?  From one end of what is tolerated to the other, at most.
 */
static bool
is_over_but_for_clock(const Session *session, const Policy *policy, LeakKind kind,
					  TimestampTz now)
{
	Verdict		verdict;

	verdict_judge(session, policy, now + 2 * CLOCK_TOLERANCE, &verdict);
	return (verdict.leaking & KIND_BIT(kind)) != 0;
}

/*
 * Is the session about to end?  Then it is no longer so for that, and how it ends
 * is told when it is gone.  The same if that is being written at this moment.
 */
static bool
is_leaving(const Session *session)
{
	SlotEnd		end;
	Reading		reading = slot_end(session, &end);

	return reading == READ_BUSY ||
		(reading == READ_DONE && (end.leaving || end.sqlerrcode != 0));
}

/*
 * Close the incident of this kind if the session is no longer so.  Returns
 * whether that was done.
 */
static bool
close_if_over(Seat *seat, LeakKind kind, const Session *session, const Judgement *judgement,
			  const Moment *moment)
{
	const Incident *incident = incident_peek(seat->incident[kind]);

	/* a signal on its way ends it, whatever the session does until then */
	if (seat->signalled)
		return false;

	if (incident->since != session->since[kind_info(kind)->clock] ||
		!(verdict_applies(session) & KIND_BIT(kind)))
	{
		if (is_leaving(session))
			return false;
		if (kind == KIND_IDLE_BLOCKER &&
			session->since[SINCE_STATE] == incident->session.since[SINCE_STATE])
			close_incident(seat, kind, OUTCOME_FINISHED, moment->now,
						   "nobody waits for its locks any more");
		else
			close_incident(seat, kind, OUTCOME_FINISHED,
						   went_on_at(incident, session, moment->now), NULL);
		return true;
	}
	if (!(judgement->verdict.leaking & KIND_BIT(kind)) &&
		!is_over_but_for_clock(session, &judgement->policy, kind, moment->now))
	{
		close_incident(seat, kind, OUTCOME_FINISHED, moment->now,
					   "no longer over a limit: the settings have changed");
		return true;
	}
	return false;
}

/* Leave out of an incident what is no longer let in of its statements. */
static void
let_in(int index)
{
	const Incident *incident = incident_peek(index);
	SessionText text;
	Trail	   *trail;

	if (guc_capture_query == CAPTURE_ON ||
		(capture_is_without_values() && incident->normalized) ||
		(incident->text.query[0] == '\0' && incident_trail(index)->total == 0))
		return;
	text = incident->text;
	trail = palloc(trail_size());
	memcpy(trail, incident_trail(index), trail_size());
	if (guc_capture_query == CAPTURE_OFF)
		trail->total = 0;
	capture_query(&incident->session, &text, trail, incident->names.encoding);
	capture_trail(trail, incident->names.encoding);

	incident_edit(index)->text = text;
	incident_edit(index)->normalized = capture_is_without_values();
	memcpy(incident_trail(index), trail, trail_size());
	incident_edited(index, true);
	pfree(trail);
}

/* Keep an incident that goes on up to date. */
static void
update_incident(int index, const Session *session, const Policy *policy,
				TransactionId horizon)
{
	const Incident *incident = incident_peek(index);
	LeakKind	kind = incident->kind;
	int64		gained = session->gained[kind_info(kind)->clock];
	bool		record = incident->session.client_gone != session->client_gone;
	Incident   *edit;

	if (incident->session.state != session->state || incident->horizon != horizon ||
		incident->gained != gained || incident->session.waiting != session->waiting || record ||
		incident->session.client_unknown != session->client_unknown)
	{
		edit = incident_edit(index);
		edit->session.state = session->state;
		memcpy(edit->session.gained, session->gained, sizeof(session->gained));
		edit->session.waiting = session->waiting;
		edit->session.client_gone = session->client_gone;
		edit->session.client_unknown = session->client_unknown;
		if (edit->horizon != horizon)
			set_horizon(edit, horizon);
		edit->gained = gained;
		incident_edited(index, record);
	}

	let_in(index);

	/* what has been decided keeps the limit that it was decided by */
	if (incident->action < ACTION_WOULD_TERMINATE &&
		(incident->warn_limit != policy->value[POLICY_WARN(kind)] ||
		 incident->terminate_limit != policy->value[POLICY_TERMINATE(kind)]))
	{
		edit = incident_edit(index);
		edit->warn_limit = policy->value[POLICY_WARN(kind)];
		edit->terminate_limit = policy->value[POLICY_TERMINATE(kind)];
		incident_edited(index, true);
	}
}

/*
 * A session with open incidents has been judged: close those that are no
 * longer so, and keep the rest up to date.
 */
void
follow_session(Seat *seat, const Session *session, const Judgement *judgement,
			   const Moment *moment)
{
	TransactionId horizon = horizon_of(session);

	for (int kind = 0; kind < NUM_KINDS; kind++)
	{
		if (seat->incident[kind] >= 0 &&
			!close_if_over(seat, kind, session, judgement, moment))
			update_incident(seat->incident[kind], session, &judgement->policy, horizon);
	}
	if (!follow_has_incidents(seat))
		slot_unwatch(session->slot);
}

/* ---------- harm ---------- */

/*
 * After a survey: keep up with the harm of all open incidents while anybody
 * waits, and once more when nobody does.
 */
void
follow_harm(void)
{
	static bool any_blocked = true;
	bool		any = false;

	if (!any_blocked && !harm_anybody_waits())
		return;

	/* until all have been seen */
	any_blocked = true;
	for (int slot = 0; slot < MaxBackends; slot++)
	{
		Seat	   *seat = &seats[slot];
		int			blocked;

		if (!agenda_is_followed(slot))
			continue;
		CHECK_FOR_INTERRUPTS();
		blocked = locks_blocked(&seat->session);
		any |= blocked > 0;
		for (int kind = 0; kind < NUM_KINDS; kind++)
		{
			if (seat->incident[kind] >= 0)
				harm_update(seat->incident[kind], &seat->session, blocked);
		}
	}
	any_blocked = any;
}

/*
 * The wall clock has jumped by so many microseconds: the next reminder of an
 * open incident is due as long after the last as it was.
 */
void
follow_shift(int index, int64 jump)
{
	Incident   *edit = incident_edit(index);

	edit->warned_at += jump;
	if (edit->told_at != 0)
		edit->told_at += jump;
	incident_edited(index, false);
}

/* The same for all open incidents of sessions. */
void
follow_jump(int64 jump)
{
	for (int slot = 0; slot < MaxBackends; slot++)
	{
		for (int kind = 0; kind < NUM_KINDS; kind++)
		{
			if (seats[slot].incident[kind] >= 0)
				follow_shift(seats[slot].incident[kind], jump);
		}
	}
}
