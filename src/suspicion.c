/*-------------------------------------------------------------------------
 *
 * suspicion.c
 *	  Whom the watcher suspects of having been forgotten by its application.
 *
 * What backends have noted of their use (use.c) is sorted by pool and handed in
 * order of time to suspect.c, which knows what it means.  Who is idle and has
 * not come back yet is seen by its status entry: of the pools in which anything
 * has happened, whoever has changed is looked at first, so that each event
 * finds its pool as it was.
 *
 * Owns the news of a scan.  What is suspected is among the observations, and
 * holds for as long as the session stays idle.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "agenda.h"
#include "control.h"
#include "guc.h"
#include "judge.h"
#include "observe.h"
#include "places.h"
#include "suspicion.h"
#include "use.h"
#include "utils/memutils.h"

/* Pools are followed no more often than this, in us. */
#define LEAST_REST	(MIN_LIMIT_MS * INT64CONST(1000))

typedef enum NewsKind
{
	NEWS_EVENT,
	NEWS_IDLE,					/* its status says so, since at */
	NEWS_BUSY,
	NEWS_GONE
} NewsKind;

/* Something that a scan has learnt. */
typedef struct News
{
	SuspectEvent event;
	NewsKind	kind;
	int			slot;
	int			pid;
} News;

/* The place of a piece of news, to bring all into the order of time. */
typedef struct NewsRef
{
	TimestampTz at;
	int			index;			/* in the order in which it was learnt */
} NewsRef;

static News *news = NULL;
static NewsRef *by_age = NULL;
static int	nnews = 0;
static int	max_news = 0;

static bool all_known = false;	/* nobody is to be looked for */
static TimestampTz looked_at = 0;	/* when everybody was */
static int64 known_pace = 0;	/* of the server, as of then */
static int64 shortest_pace = 0; /* of anybody who shares a pool; 0: nobody */
static TimestampTz last_tended = 0;

/* Called once when a watcher starts. */
void
suspicion_init(void)
{
	max_news = 4 * USE_ROOM + 2 * MaxBackends;
	news = MemoryContextAllocHuge(TopMemoryContext, mul_size(sizeof(News), max_news));
	by_age = MemoryContextAllocHuge(TopMemoryContext, mul_size(sizeof(NewsRef), max_news));
	places_init();
}

/* ---------- what a scan learns ---------- */

static News *
add_news(NewsKind kind, int slot, int pid, TimestampTz at)
{
	News	   *item = &news[nnews];

	memset(item, 0, sizeof(News));
	item->kind = kind;
	item->slot = slot;
	item->pid = pid;
	by_age[nnews].at = at;
	by_age[nnews].index = nnews;
	nnews++;
	item->event.at = at;
	return item;
}

static void
add_event(SuspectEventKind kind, const UseEvent *use, TimestampTz at, const UseWord *word)
{
	SuspectEvent *event = &add_news(NEWS_EVENT, use->slot, use->pid, at)->event;

	event->kind = kind;
	event->print = word->print;
	event->last = word->last;
	event->failed = word->failed;
	event->work = word->last == SUSPECT_LAST_WORK;
}

/*
 * Is this use of a busy pool one that is not looked at?  Then it is only noted
 * that its session is not idle any more, unless it is not known to whom that
 * happened meanwhile too.
 */
static bool
is_overlooked(const UseEvent *use)
{
	Place	   *place = places_get(use->slot);
	int			pool = places_pool[use->slot];

	if (use->kind != USE_TAKEN || place->pid != use->pid || pool == NO_POOL)
		return false;
	/* the first work of a session is seldom, and tells why it was opened */
	if ((use->now.last == SUSPECT_LAST_WORK && !place->member.worked) ||
		excerpt_takes(&pools_get(pool)->excerpt, use->at))
		return false;
	if (use->at < pools_get(pool)->excerpt.from && place->free_since != 0)
	{
		suspect_came_back(places_group(use->slot), &place->member, use->at, places_pace(place));
		place->free_since = 0;
	}
	return true;
}

/* Take what backends have noted. */
static void
collect(TimestampTz now)
{
	UseEvent	use;

	/* for each there may be two news, and those of statuses come besides */
	while (nnews + 2 + MaxBackends < max_news && use_take(&use))
	{
		const Place *place = places_get(use.slot);
		int64		pace = place->pid == use.pid ? places_pace(place) : places_server_pace();

		pools_touch(places_pool_of(use.slot, use.pid, now));
		if (is_overlooked(&use))
			continue;
		if (use.kind != USE_CONNECT && use.at - use.free_since > POOL_TOLD(pace))
			add_event(SUSPECT_FREED, &use, use.free_since, &use.before);
		switch (use.kind)
		{
			case USE_CONNECT:
				add_event(SUSPECT_CONNECT, &use, use.at, &use.before);
				break;
			case USE_TAKEN:
				add_event(SUSPECT_TAKEN, &use, use.at, &use.now);
				break;
			case USE_DISCONNECT:
				add_event(SUSPECT_DISCONNECT, &use, use.at, &use.before);
				break;
		}
	}
}

/*
 * May it be of another pool than so far?  An application may give its sessions
 * names once they are connected, but who works under another name is of the
 * same pool: one that is shared has its borrowers' names, until it is reset.
 */
static bool
may_move(int slot)
{
	return !places_get(slot)->member.worked || use_of(slot).last == SUSPECT_LAST_RESET;
}

/*
 * Look at a session of a pool in which something has happened.  One that has
 * changed just now is looked at again: what it goes on with makes an event only
 * after a gap.
 */
static void
look(int slot, TimestampTz now)
{
	Place	   *place = places_get(slot);
	Session		session;
	PoolKey		key;
	Reading		reading = session_read(slot, &session);

	if (reading == READ_BUSY)
		return;
	if (reading == READ_NONE || session.pid != place->pid ||
		session.since[SINCE_BACKEND] != place->backend_start)
	{
		add_news(NEWS_GONE, slot, place->pid, now);
		return;
	}
	if (!pools_key(&session, &key))
		return;
	if (!pools_is(places_pool[slot], &key) && may_move(slot) && !places_enter(&session, &key, false, now))
		return;
	places_tell_pace(&session);
	if (session.since[SINCE_STATE] > now - use_gap(places_pace(place)))
		return;
	places_version[slot] = session.version;
	add_news(session.state == SESSION_IDLE ? NEWS_IDLE : NEWS_BUSY, slot, place->pid,
			 session.state == SESSION_IDLE ? session.since[SINCE_STATE] : now);
}

static void
look_at_touched(TimestampTz now)
{
	for (int slot = 0; slot < MaxBackends; slot++)
	{
		if (places_pool[slot] != NO_POOL && pools_get(places_pool[slot])->touched &&
			places_version[slot] != session_version(slot))
			look(slot, now);
	}
}

/* Look who is there, whatever has been noted. */
static void
look_at_all(TimestampTz now)
{
	for (int slot = 0; slot < MaxBackends; slot++)
	{
		int			pid = session_pid(slot);

		places_version[slot] = AGENDA_NO_VERSION;
		if (pid > 0 && places_server_pace() > 0)
			(void) places_know(slot, pid, false, now);
		pools_touch(places_pool[slot]);
	}
}

/* ---------- what it means ---------- */

static int
by_time(const void *a, const void *b)
{
	const NewsRef *ra = a;
	const NewsRef *rb = b;

	if (ra->at != rb->at)
		return ra->at < rb->at ? -1 : 1;
	return ra->index - rb->index;
}

static void
tell(int slot, const SuspectEvent *event)
{
	Place	   *place = places_get(slot);

	suspect_event(places_group(slot), &place->member, event, places_pace(place));
}

/* An event of a session that is known. */
static void
apply_event(int slot, const SuspectEvent *event)
{
	Place	   *place = places_get(slot);

	switch (event->kind)
	{
		case SUSPECT_CONNECT:
			break;
		case SUSPECT_FREED:
			if (place->free_since != 0)
				break;
			tell(slot, event);
			place->free_since = event->at;
			place->estimated = true;
			break;
		case SUSPECT_TAKEN:
			tell(slot, event);
			place->free_since = 0;
			break;
		case SUSPECT_DISCONNECT:
			tell(slot, event);
			places_vacate(slot);
			break;
	}
}

/* The status of a session that has not come back, or in an unseen way. */
static void
apply_status(int slot, bool idle, TimestampTz since)
{
	Place	   *place = places_get(slot);

	if (idle && place->free_since == 0)
	{
		UseWord		word = use_of(slot);
		SuspectEvent event = {
			.kind = SUSPECT_FREED,
			.at = since,
			.print = word.print,
			.last = word.last,
			.failed = word.failed,
		};

		tell(slot, &event);
	}
	else if (idle ? place->free_since != since && !place->estimated : place->free_since != 0)
		suspect_resync(places_group(slot), &place->member, idle, since, places_pace(place));
	place->free_since = idle ? since : 0;
	place->estimated = false;
}

static void
apply(const News *item, TimestampTz now)
{
	int			slot = item->slot;
	bool		connected = item->kind == NEWS_EVENT && item->event.kind == SUSPECT_CONNECT;

	/* who has ended meanwhile is not got to know any more */
	if (item->kind != NEWS_EVENT ?
		places_get(slot)->pid != item->pid || places_pool[slot] == NO_POOL :
		!places_know(slot, item->pid, connected, now))
		return;
	switch (item->kind)
	{
		case NEWS_EVENT:
			apply_event(slot, &item->event);
			break;
		case NEWS_IDLE:
			apply_status(slot, true, item->event.at);
			break;
		case NEWS_BUSY:
			apply_status(slot, false, 0);
			break;
		case NEWS_GONE:
			places_leave(slot);
			break;
	}
}

/* ---------- judging ---------- */

/* Is somebody who is idle to be suspected? */
static void
judge(int slot, TimestampTz now)
{
	Place	   *place = places_get(slot);
	Session		session;
	Judgement	judgement;
	int			limit;

	if (session_read(slot, &session) != READ_DONE || session.pid != place->pid ||
		session.state != SESSION_IDLE || session.since[SINCE_STATE] != place->free_since)
	{
		places_version[slot] = AGENDA_NO_VERSION;
		return;
	}
	if (!judge_session(&session, &guc_policy, now, &judgement))
		return;
	limit = judgement.policy.value[POLICY_WARN(KIND_SUSPECTED_LEAK)];
	place->pace = limit * INT64CONST(1000);
	if (judgement.policy.value[POLICY_MODE] == MODE_OFF || limit == 0 || session.listening ||
		session.suspicion > 0 || verdict_age(&session, SINCE_STATE, now) < place->pace ||
		!suspect_judge(places_group(slot), &place->member, now, place->pace, &place->suspicion))
		return;
	place->suspected = place->free_since;
	observe_suspect(&session, place->suspicion.confidence);
	control_count(COUNT_SUSPECTED, 1);
	agenda_expect(slot);
}

/* Is it time to judge the members of a pool that have this pace? */
static bool
is_due(const Pool *pool, int64 pace, TimestampTz now)
{
	return pool->touched || now - pool->judged_at >= clock_soonest(POOL_LOOK(pace));
}

/* Judge those that have been idle for long in pools where that is due. */
static void
judge_all(TimestampTz now)
{
	shortest_pace = 0;
	for (int slot = 0; slot < MaxBackends; slot++)
	{
		const Place *place = places_get(slot);
		Pool	   *pool;

		if (places_pool[slot] == NO_POOL || place->pace == 0)
			continue;
		pool = pools_get(places_pool[slot]);
		if (pool->members > 1 && (shortest_pace == 0 || place->pace < shortest_pace))
			shortest_pace = place->pace;
		if (!is_due(pool, place->pace, now))
			continue;
		pool->judged = true;
		if (place->free_since != 0 && place->suspected != place->free_since &&
			now - place->free_since >= place->pace)
			judge(slot, now);
	}
	pools_rest(now);
}

/* The pace at which all pools are followed, in us; 0: nobody is suspected. */
static int64
pace_of_all(void)
{
	return shortest_pace > 0 ? shortest_pace : places_server_pace();
}

/* Settle which of the uses since the last look are looked at. */
static void
begin_excerpts(TimestampTz now, bool missed)
{
	int64		pace = pace_of_all();

	for (int i = 0; i < pools_count() && pace > 0; i++)
	{
		Pool	   *pool = pools_get(i);

		excerpt_begin(&pool->excerpt, &pool->group, last_tended, now, pace, missed);
	}
}

/*
 * Events since the last scan have been missed.  Statuses tell what became of
 * those that are known; who is not is looked for now and then.
 */
static void
bridge_gap(TimestampTz now)
{
	for (int i = 0; i < pools_count(); i++)
		suspect_gap(&pools_get(i)->group, last_tended, now);
	all_known = false;
}

/* For how long it may be left alone, in us; 0: it is followed in each scan. */
static int64
rest(void)
{
	int64		pace = pace_of_all();

	return pace > 0 ? Max(POOL_LOOK(pace), LEAST_REST) : 0;
}

/* When to follow it next.  Nobody wakes the watcher for who comes meanwhile. */
TimestampTz
suspicion_due(void)
{
	return rest() > 0 ? last_tended + rest() : DT_NOEND;
}

/*
 * Follow how sessions are used, and suspect whom that tells of.  Done as often
 * as it has to be, or asked for, however often the watcher scans.
 */
void
suspicion_tend(const Moment *moment, bool asked)
{
	TimestampTz now = moment->now;
	bool		missed;

	use_tick(now);
	if (moment->jump != 0)
	{
		places_forget();
		all_known = false;
		looked_at = 0;
	}
	else if (!asked && rest() > 0 && now < last_tended + clock_soonest(rest()))
		return;
	missed = use_take_missed();
	if (missed)
		bridge_gap(now);
	begin_excerpts(now, missed);

	nnews = 0;
	collect(now);
	if (known_pace != places_server_pace() || (!all_known && now - looked_at >= known_pace))
	{
		known_pace = places_server_pace();
		look_at_all(now);
		all_known = true;
		looked_at = now;
	}
	if (pools_any_touched())
	{
		look_at_touched(now);
		collect(now);
		qsort(by_age, nnews, sizeof(NewsRef), by_time);
		for (int i = 0; i < nnews; i++)
			apply(&news[by_age[i].index], now);
	}
	judge_all(now);
	places_reseat(now);
	last_tended = now;
}

/* Why a session is suspected; all 0: another watcher has known. */
Suspicion
suspicion_of(const Session *session)
{
	const Place *place = places_get(session->slot);
	Suspicion	unknown = {0};

	return place->pid == session->pid && place->suspected == session->since[SINCE_STATE] ?
		place->suspicion : unknown;
}

/* An incident of a suspected one has ended: was it a leak? */
void
suspicion_ended(Outcome outcome)
{
	control_count(outcome == OUTCOME_FINISHED ? COUNT_REFUTED : COUNT_CONFIRMED, 1);
}
