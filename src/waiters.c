/*-------------------------------------------------------------------------
 *
 * waiters.c
 *	  Who waits for the locks of a leaked session, by name.
 *
 * Few sessions block others at a time, and what is kept of those that wait is
 * large: so there are far fewer places than sessions, and who blocked others
 * longest ago makes way.
 *
 * Owns the "leakwatch waiters" segment.  The watcher writes a place under its
 * change counter, from the picture of the last survey; anybody reads.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "capture.h"
#include "changes.h"
#include "guc.h"
#include "incident.h"
#include "storage/shmem.h"
#include "waiters.h"

/* One place for so many incidents, but never fewer than this. */
#define INCIDENTS_PER_PLACE	16
#define MIN_PLACES			16

/* Who blocks, and whom. */
typedef struct Blocking
{
	int			holder;			/* as session_holder(); 0: nobody has been
								 * here */
	TimestampTz backend_start;
	uint64		noted;			/* the higher, the later */
	Waiters		waiters;
} Blocking;

typedef struct Place
{
	pg_atomic_uint32 changes;
	Blocking	blocking;
} Place;

static Place *places = NULL;

static int
place_count(void)
{
	return Max(MIN_PLACES, incident_max() / INCIDENTS_PER_PLACE);
}

Size
waiters_shmem_size(void)
{
	return mul_size(sizeof(Place), place_count());
}

/* Called with AddinShmemInitLock held. */
void
waiters_shmem_init(void)
{
	bool		found;

	places = ShmemInitStruct("leakwatch waiters", waiters_shmem_size(), &found);
	if (found)
		return;
	memset(places, 0, waiters_shmem_size());
	for (int i = 0; i < place_count(); i++)
		pg_atomic_init_u32(&places[i].changes, 0);
}

static bool
is_of(const Blocking *blocking, const Session *session)
{
	return blocking->holder == session_holder(session) &&
		blocking->backend_start == session->since[SINCE_BACKEND];
}

/* The place of a session; of whoever blocked longest ago if it has none. */
static Place *
place_for(const Session *session)
{
	Place	   *oldest = &places[0];

	for (int i = 0; i < place_count(); i++)
	{
		if (is_of(&places[i].blocking, session))
			return &places[i];
		if (places[i].blocking.noted < oldest->blocking.noted)
			oldest = &places[i];
	}
	return oldest;
}

/* What it wants to execute, without what its trail hides. */
static void
read_query(const Session *session, SessionText *text, char *query)
{
	Trail	   *trail = palloc(trail_size());

	if (!trail_read(session, session->since[SINCE_TRANSACTION], trail))
		memset(trail, 0, trail_size());
	trail_redact(trail, text->query_start, text->query, SESSION_QUERY_SIZE);
	capture_query(session, text, trail, -1);
	statement_copy(query, text->query, strlen(text->query), -1);
	pfree(trail);
}

/* Who that is and what it wants, if it is a client session that still waits. */
static void
read_longest(const Waiter *longest, Waiters *waiters)
{
	Session		session;
	SessionText text;

	if (session_read(longest->slot, &session) != READ_DONE || session.pid != longest->pid ||
		!session_read_text(&session, &text))
		return;
	waiters->since = longest->since;
	waiters->role = session.role;
	waiters->database = session.database;
	strlcpy(waiters->application_name, text.application_name, NAMEDATALEN);
	if (guc_capture_query)
		read_query(&session, &text, waiters->query);
	waiters->normalized = capture_is_without_values();
}

/* Note whom a session blocks by the last survey, if it blocks anybody. */
void
waiters_note(const Session *session)
{
	static uint64 noted = 0;
	Waiters		waiters = {0};
	Waiter		longest;
	Place	   *place;

	waiters.npids = locks_waiters(session, waiters.pids, &longest);
	if (waiters.npids == 0)
		return;
	read_longest(&longest, &waiters);

	/* a watcher before this one has counted too */
	for (int i = 0; noted == 0 && i < place_count(); i++)
		noted = Max(noted, places[i].blocking.noted);

	place = place_for(session);
	change_begin(&place->changes);
	place->blocking.holder = session_holder(session);
	place->blocking.backend_start = session->since[SINCE_BACKEND];
	place->blocking.noted = ++noted;
	place->blocking.waiters = waiters;
	change_end(&place->changes);
}

/*
 * Whom a session blocked when it last blocked anybody.  False when it never
 * did, or so many others have since that it is forgotten.
 */
bool
waiters_read(const Session *session, Waiters *waiters)
{
	for (int i = 0; i < place_count(); i++)
	{
		Blocking	blocking;

		/* that alone tells of almost all that they are somebody else's */
		if (places[i].blocking.holder != session_holder(session) ||
			!change_copy(&places[i].changes, &blocking, &places[i].blocking, sizeof(Blocking)) ||
			!is_of(&blocking, session))
			continue;
		*waiters = blocking.waiters;
		if (!guc_capture_query || (capture_is_without_values() && !waiters->normalized))
			waiters->query[0] = '\0';
		return true;
	}
	return false;
}
