/*-------------------------------------------------------------------------
 *
 * worklist.c
 *	  What a scan has to do, and doing it.
 *
 * Sessions of which something is to be opened, repeated or decided are put on
 * the worklist while the scan walks.  They are acted on after the walk: names
 * and texts read, incidents opened, sessions terminated.  Only after all that
 * the messages are written, because the log may be slow.
 *
 * Owns the worklist, in the memory of the scan.  A session on it counts as not
 * looked at until all has been done and said, so that an error in between
 * loses nothing: the next scan finds it again, with what its incidents owe.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "capture.h"
#include "control.h"
#include "guc.h"
#include "harm.h"
#include "kind.h"
#include "names.h"
#include "observe.h"
#include "quota.h"
#include "reminder.h"
#include "report.h"
#include "snapshots.h"
#include "suspicion.h"
#include "terminate.h"
#include "utils/timestamp.h"
#include "words.h"
#include "worklist.h"

/* How long a session that has been told to end may take for it. */
#define LINGER_TIME	(5 * USECS_PER_SEC)

/* A session that this scan has something to do about. */
typedef struct Work
{
	Seat	   *seat;
	Policy		policy;
	Verdict		verdict;
	Look		look;			/* as it is once this has been acted on */
	uint32		opens;			/* kinds */
	uint32		reminds;		/* kinds */

	/* filled in while acting */
	SessionText text;
	SessionNames names;
	Trail	   *trail;			/* NULL: that of the incident */
	Incident   *stray;			/* stands in for one there was no room for */
	bool		acted;			/* the session was still as it was judged */
	bool		opened;			/* an incident, which has the trail */
	bool		told;			/* the session may tell its client */
	int			decided_on;		/* index of the incident, or -1 */
} Work;

static List *worklist = NIL;

void
worklist_clear(void)
{
	worklist = NIL;
}

bool
worklist_is_empty(void)
{
	return worklist == NIL;
}

/* ---------- what there is to do ---------- */

/*
 * When an incident is to be warned about again.  A session that has been told
 * to end has a moment for that, and then this is what it is warned about.
 */
static TimestampTz
remind_at(const Incident *incident)
{
	int			repeats = incident->reminders;

	if (incident->told_at != 0 && repeats-- == 0)
		return incident->told_at + LINGER_TIME;
	return reminder_at(incident->warned_at, guc_log_repeat, repeats);
}

/*
 * The incident that a decision by this kind's terminate limit is noted on:
 * that of the kind, or the more specific one that stands for it.  -1: none.
 */
static int
decision_incident(const Seat *seat, LeakKind kind)
{
	if (seat->incident[kind] >= 0)
		return seat->incident[kind];
	for (int other = 0; other < NUM_KINDS; other++)
	{
		if ((kind_info(kind)->shadowed_by & KIND_BIT(other)) && seat->incident[other] >= 0)
			return seat->incident[other];
	}
	return -1;
}

/* Is there still something to decide about terminating this session? */
static bool
needs_decision(const Seat *seat, const Judgement *judgement)
{
	const Verdict *verdict = &judgement->verdict;
	int			index;

	if (verdict->terminate == 0 || seat->signalled)
		return false;
	index = decision_incident(seat, verdict_first_kind(verdict->terminate));
	return index < 0 || judgement->policy.value[POLICY_MODE] == MODE_ENFORCE ||
		incident_peek(index)->action < ACTION_WOULD_TERMINATE;
}

/* Is there something that an error kept from being said? */
static bool
owes_message(const Seat *seat)
{
	for (int kind = 0; kind < NUM_KINDS; kind++)
	{
		if (seat->incident[kind] >= 0 &&
			incident_peek(seat->incident[kind])->owed != MESSAGE_NONE)
			return true;
	}
	return false;
}

/*
 * Which kinds have an open incident; of those, in *reminds which are to be
 * warned about again.  What is to be reminded of later brings the look forward.
 */
static uint32
open_kinds(const Seat *seat, TimestampTz now, uint32 *reminds, Look *look)
{
	uint32		open = 0;

	*reminds = 0;
	for (int kind = 0; kind < NUM_KINDS; kind++)
	{
		TimestampTz remind;

		if (seat->incident[kind] < 0)
			continue;
		open |= KIND_BIT(kind);
		/* there is one thing to say of who has been told to end */
		if (seat->signalled && incident_peek(seat->incident[kind])->told_at == 0)
			continue;
		remind = remind_at(incident_peek(seat->incident[kind]));
		if (remind <= now)
			*reminds |= KIND_BIT(kind);
		else
			look->due = Min(look->due, remind);
	}
	return open;
}

/*
 * A session has been judged, and its incidents followed: put it on the
 * worklist if there is something to do about it, and then let the look at it
 * count only once that has been done.
 */
void
worklist_add(Seat *seat, const Judgement *judgement, Look *look, const Moment *moment)
{
	uint32		reminds;
	uint32		present = open_kinds(seat, moment->now, &reminds, look);
	uint32		opens;
	bool		decide = needs_decision(seat, judgement);
	Work	   *work;

	if (seat->roomless != 0 && !incident_has_room())
		present |= seat->roomless;
	opens = verdict_opens(judgement->verdict.leaking, present);

	/*
	 * What is still to be decided or recorded is visited in every scan, and
	 * what changes without a trace in the status entry: the horizon of a
	 * session that is running a statement.
	 */
	if (decide || seat->roomless != 0 ||
		(seat->session.state == SESSION_ACTIVE && present != 0))
		look->version = AGENDA_NO_VERSION;

	if (opens == 0 && reminds == 0 && !decide && !owes_message(seat))
		return;

	work = palloc0(sizeof(Work));
	work->seat = seat;
	work->policy = judgement->policy;
	work->verdict = judgement->verdict;
	work->look = *look;
	work->opens = opens;
	work->reminds = reminds;
	work->decided_on = -1;
	worklist = lappend(worklist, work);
	look->version = AGENDA_NO_VERSION;
}

/* ---------- opening incidents ---------- */

/* An incident of this kind, as it is when it is found. */
static Incident *
new_incident(const Work *work, LeakKind kind, TimestampTz now)
{
	const Session *session = &work->seat->session;
	SessionClock clock = kind_info(kind)->clock;
	Incident   *incident = palloc0(sizeof(Incident));
	Harm		harm;

	incident->kind = kind;
	if (kind == KIND_SUSPECTED_LEAK)
		incident->suspicion = suspicion_of(session);
	incident->since = session->since[clock];
	incident->session = *session;
	incident->names = work->names;
	incident->text = work->text;
	incident->normalized = capture_is_without_values();
	incident->gained = session->gained[clock];
	incident->detected_at = now;
	incident->last_seen_at = now;
	incident->warned_at = now;
	incident->warn_limit = work->policy.value[POLICY_WARN(kind)];
	incident->terminate_limit = work->policy.value[POLICY_TERMINATE(kind)];
	incident->action = ACTION_WARNED;
	harm_measure(session, &harm);
	harm_note(incident, &harm);
	incident->horizon = horizon_of(session);
	incident->xmin_age_peak = -1;
	incident->outcome = OUTCOME_OPEN;
	return incident;
}

/*
 * Say of a stray what there is to say.  It has no place to owe that in, so this
 * does not wait for the others, and only then it counts as reported.
 */
static void
say_stray(const Work *work)
{
	const Incident *stray = work->stray;
	Seat	   *seat = work->seat;

	if (stray == NULL || stray->owed == MESSAGE_NONE)
		return;
	HOLD_INTERRUPTS();
	report_incident(stray->owed, stray, work->trail, &stray->owed_excess);
	if (!(seat->roomless & KIND_BIT(stray->kind)))
	{
		seat->roomless |= KIND_BIT(stray->kind);
		control_count(COUNT_REPORTED, 1);
		control_count(COUNT_DROPPED, 1);
	}
	RESUME_INTERRUPTS();
}

/* Open an incident of this kind, or keep it as a stray if there is no room. */
static void
open_incident(Work *work, LeakKind kind, TimestampTz now)
{
	Seat	   *seat = work->seat;
	Incident   *incident = new_incident(work, kind, now);
	Excess		excess = incident_excess(incident, now);
	bool		reported = (seat->roomless & KIND_BIT(kind)) != 0;
	int			index;

	if (!reported)
	{
		incident_owe(incident, MESSAGE_OPENED, &excess);
		/* of what is said most precisely */
		if (!work->told)
			slot_set_report(seat->session.slot, seat->session.since[SINCE_BACKEND], &excess);
		work->told = true;
	}

	index = incident_open(incident, work->trail);
	seat->incident[kind] = index;
	if (index < 0)
	{
		say_stray(work);
		work->stray = incident;
		work->look.version = AGENDA_NO_VERSION;
		return;
	}
	seat->roomless &= ~KIND_BIT(kind);
	if (!reported)
		control_count(COUNT_REPORTED, 1);
	work->opened = true;
	work->look.due = Min(work->look.due, remind_at(incident));
	pfree(incident);
}

/* ---------- terminating ---------- */

/* Note in an incident that it led to this, and that it is to be said. */
static void
note_decision(const Work *work, IncidentAction action, Message message, const Excess *excess,
			  TimestampTz now)
{
	Incident   *incident;

	if (work->decided_on < 0)
	{
		incident_owe(work->stray, message, excess);
		return;
	}
	incident = incident_edit(work->decided_on);
	incident->action = action;
	incident->terminate_limit = excess->limit;
	if (action == ACTION_TERMINATED)
	{
		words_limit(excess, incident->outcome_detail, INCIDENT_DETAIL_SIZE);
		incident->told_at = now;
		incident->reminders = 0;
	}
	incident_owe(incident, message, excess);
	incident_edited(work->decided_on, true);
}

/* What the rules say about this session now. */
static Decision
decide(const Work *work, bool is_blocker, const Moment *moment)
{
	const Session *session = &work->seat->session;
	int			blocked = -1;
	bool		saturated = enforce_asks_saturated(guc_terminate_when) &&
	quota_needs(session, work->policy.value[POLICY_MODE]);
	EnforceFacts facts;

	if (is_blocker || enforce_asks_blocking(guc_terminate_when))
		blocked = locks_blocked(session);
	/* the survey is of before anybody was ended in this scan */
	if (locks_waits(session))
		observe_wait(session, moment->now);
	terminate_facts(session, &work->text, &work->names, &work->policy, &work->verdict,
					moment->now, blocked, saturated, &facts);
	facts.is_blocker = is_blocker;
	facts.brake_allows = terminate_brake_allows(moment->monotonic);
	return enforce_decide(&facts);
}

/* Announce that a session would be terminated, once. */
static void
announce(const Work *work, const Excess *excess, TimestampTz now)
{
	int			index = work->decided_on;

	/* without a record there is no telling whether it has been said */
	if (index < 0 || incident_peek(index)->action >= ACTION_WOULD_TERMINATE)
		return;
	note_decision(work, ACTION_WOULD_TERMINATE, MESSAGE_WOULD_TERMINATE, excess, now);
	quota_spend(&work->seat->session, MODE_OBSERVE);
	control_count(COUNT_ANNOUNCED, 1);
}

static void
terminate(Work *work, const Excess *excess, const Moment *moment)
{
	Seat	   *seat = work->seat;
	bool		waits = verdict_waits(&seat->session, &work->verdict, moment->now);

	switch (terminate_session(&seat->session, waits, excess, moment->monotonic))
	{
		case TERMINATE_SIGNALLED:
			seat->signalled = true;
			quota_spend(&seat->session, MODE_ENFORCE);
			note_decision(work, ACTION_TERMINATED, MESSAGE_TERMINATED, excess, moment->now);
			work->look.due = Min(work->look.due, moment->now + LINGER_TIME);
			control_count(COUNT_TERMINATED, 1);
			break;
		case TERMINATE_SPARED:
			control_count(COUNT_TERMINATE_SPARED, 1);
			break;
		case TERMINATE_FAILED:
			control_count(COUNT_TERMINATE_FAILED, 1);
			ereport(LOG,
					(errcode(ERRCODE_SYSTEM_ERROR),
					 errmsg("could not send signal to process %d: %m", seat->session.pid)));
			break;
	}
}

/* A session is over a terminate limit: decide and act. */
static void
decide_termination(Work *work, const Moment *moment)
{
	Seat	   *seat = work->seat;
	LeakKind	kind = verdict_first_kind(work->verdict.terminate);
	bool		is_blocker = kind == KIND_IDLE_BLOCKER;
	Decision	decision;
	Excess		excess;

	/* an old picture decides nothing: next time */
	if ((is_blocker || guc_terminate_when == TERMINATE_BLOCKING) &&
		!harm_survey(moment, SURVEY_TO_DECIDE))
		return;

	work->decided_on = decision_incident(seat, kind);
	/* one that there is no room for is told of all the same */
	if (work->decided_on < 0 && work->stray == NULL)
		work->stray = new_incident(work, kind, moment->now);
	excess = verdict_terminate_excess(&seat->session, &work->policy, kind, moment->now);

	decision = decide(work, is_blocker, moment);
	terminate_note_held(work->decided_on, decision.held);
	if (decision.held & RULE_BIT(RULE_BRAKE))
		terminate_brake_held();

	switch (decision.verb)
	{
		case ENFORCE_HOLD:
			break;
		case ENFORCE_ANNOUNCE:
			announce(work, &excess, moment->now);
			break;
		case ENFORCE_TERMINATE:
			terminate(work, &excess, moment);
			break;
	}
}

/* ---------- acting ---------- */

/* The trail of the session as it is now; an empty one if there is none. */
static Trail *
read_trail(const Session *session)
{
	Trail	   *trail = palloc0(trail_size());

	if (!guc_capture_query || !trail_read(session, session->since[SINCE_TRANSACTION], trail))
		memset(trail, 0, trail_size());
	return trail;
}

/* An incident is to be warned about again, unless more is to be said of it. */
static void
remind(Work *work, LeakKind kind, TimestampTz now)
{
	int			index = work->seat->incident[kind];
	Incident   *edit;
	Harm		harm;
	Excess		excess;

	if (index < 0 || incident_peek(index)->owed != MESSAGE_NONE)
		return;
	harm_measure(&work->seat->session, &harm);
	edit = incident_edit(index);
	harm_note(edit, &harm);
	edit->reminders++;
	edit->warned_at = now;
	edit->last_seen_at = now;
	excess = incident_excess(edit, now);
	incident_owe(edit, edit->told_at != 0 ? MESSAGE_LINGERING : MESSAGE_REMINDER, &excess);
	incident_edited(index, true);
	work->look.due = Min(work->look.due, remind_at(incident_peek(index)));
}

static void
act(Work *work, const Moment *moment)
{
	Seat	   *seat = work->seat;
	Session    *session = &seat->session;

	/*
	 * Mark the slot first and then make sure that the session is still there
	 * as it was judged: slot.c says why in this order.
	 */
	if (work->opens != 0)
	{
		if (!follow_begin(seat))
			return;
		slot_watch(session->slot, session->since[SINCE_BACKEND]);
	}
	if (!session_read_text(session, &work->text))
	{
		if (!follow_has_incidents(seat))
			slot_unwatch(session->slot);
		return;
	}

	work->trail = read_trail(session);
	trail_redact(work->trail, work->text.query_start, work->text.query, SESSION_QUERY_SIZE);
	names_look_up(session, moment->monotonic, &work->names);
	capture_query(session, &work->text, work->trail, work->names.encoding);
	capture_trail(work->trail, work->names.encoding);
	for (int kind = 0; kind < NUM_KINDS; kind++)
	{
		if (work->opens & KIND_BIT(kind))
			open_incident(work, kind, moment->now);
	}
	if (work->verdict.terminate != 0 && !seat->signalled)
		decide_termination(work, moment);
	for (int kind = 0; kind < NUM_KINDS; kind++)
	{
		if (work->reminds & KIND_BIT(kind))
			remind(work, kind, moment->now);
	}
	say_stray(work);
	work->acted = true;

	/* in a storm this would be half of what there is to remember */
	if (work->opened)
	{
		pfree(work->trail);
		work->trail = NULL;
	}
}

/* Say what is owed, after which nothing is left to do. */
static void
finish(Work *work)
{
	const Seat *seat = work->seat;

	for (int kind = 0; kind < NUM_KINDS; kind++)
	{
		if (seat->incident[kind] >= 0)
			report_owed(seat->incident[kind], work->trail);
	}
	if (work->acted)
	{
		work->look.followed = follow_has_incidents(seat);
		agenda_looked(seat->session.slot, &work->look);
	}
}

/* For how long a session has been what it may be terminated for; 0: it may not. */
static int64
overdue(const Work *work)
{
	LeakKind	kind;

	if (work->verdict.terminate == 0)
		return 0;
	kind = verdict_first_kind(work->verdict.terminate);
	return verdict_age(&work->seat->session, kind_info(kind)->clock, work->look.at);
}

static int
longest_first(const ListCell *a, const ListCell *b)
{
	int64		oa = overdue(lfirst(a));
	int64		ob = overdue(lfirst(b));

	return oa > ob ? -1 : oa < ob;
}

/*
 * Do all that is on the worklist.  Returns when the first of its sessions is
 * to be judged again, DT_NOEND for any time.
 */
TimestampTz
worklist_carry_out(const Moment *moment)
{
	TimestampTz next = DT_NOEND;
	ListCell   *lc;

	harm_survey(moment, SURVEY_TO_DECIDE);
	snapshots_survey();
	if (enforce_asks_saturated(guc_terminate_when))
	{
		quota_begin();
		list_sort(worklist, longest_first);
	}
	foreach(lc, worklist)
	{
		CHECK_FOR_INTERRUPTS();
		act(lfirst(lc), moment);
	}
	names_end_look_ups();

	foreach(lc, worklist)
	{
		Work	   *work = lfirst(lc);
		TimestampTz due;

		CHECK_FOR_INTERRUPTS();
		finish(work);
		due = agenda_due(work->seat->session.slot);
		if (due > moment->now)
			next = Min(next, due);
	}
	return next;
}
