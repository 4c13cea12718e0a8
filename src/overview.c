/*-------------------------------------------------------------------------
 *
 * overview.c
 *	  What sessions and open incidents there are now, by application.
 *
 * Keeps nothing.  There are as many applications as clients like to name, so
 * those with most sessions are told apart and the rest is put together.  So are
 * those of sessions whose application the user could not see in
 * pg_stat_activity.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "access/transam.h"
#include "overview.h"
#include "patience.h"
#include "utils/hsearch.h"

typedef struct Survey
{
	HTAB	   *applications;
	Application *all;
	bool	   *blocks;			/* by slot: its blocked sessions are counted */
	Patience	patience;
	TimestampTz now;
	TransactionId next_xid;
} Survey;

static Application *
application_of(HTAB *table, const char *name)
{
	char		key[NAMEDATALEN] = {0};
	bool		found;
	Application *application;

	strlcpy(key, name, NAMEDATALEN);
	application = hash_search(table, key, HASH_ENTER, &found);
	if (!found)
	{
		memset(application, 0, sizeof(Application));
		memcpy(application->name, key, NAMEDATALEN);
	}
	return application;
}

/* What it is called by: a name that only some may see, or the common one. */
static const char *
visible_name(Oid role, const char *name)
{
	return session_is_visible_to_user(role) ? name : OVERVIEW_OTHER;
}

/* ---------- sessions ---------- */

/*
 * Read the session in a slot with its strings.  Between the readings it may
 * have gone, or gone on: then both are taken again.
 */
static Reading
read_session(Patience *patience, int slot, Session *session, SessionText *text)
{
	Reading		reading;

	do
	{
		CHECK_FOR_INTERRUPTS();
		reading = patience_read_session(patience, slot, session);
	} while (reading == READ_DONE && !session_read_text(session, text));
	return reading;
}

static void
add_session(Application *application, SessionState state)
{
	application->count++;
	application->sessions[state]++;
}

static void
count_sessions(Survey *survey)
{
	for (int slot = 0; slot < MaxBackends; slot++)
	{
		Session		session;
		SessionText text;
		Reading		reading = read_session(&survey->patience, slot, &session, &text);
		const char *name = OVERVIEW_OTHER;

		if (reading == READ_NONE)
			continue;
		/* of one that can't be read it is known that it is there */
		if (reading == READ_BUSY)
			session.state = SESSION_UNKNOWN;
		else
			name = visible_name(session.role, text.application_name);
		add_session(application_of(survey->applications, name), session.state);
		add_session(survey->all, session.state);
	}
}

/* ---------- incidents ---------- */

/* For how many transactions it holds back VACUUM now. */
static int64
xmin_age_now(const Incident *incident, TransactionId next_xid)
{
	if (!TransactionIdIsNormal(incident->horizon))
		return 0;
	return Max((int32) (next_xid - incident->horizon), 0);
}

/* blocked is 0 for all incidents of a session but one. */
static void
add_incident(Application *application, const Incident *incident, int blocked,
			 const Survey *survey)
{
	LeakKind	kind = incident->kind;
	int64		age = incident_duration(incident, survey->now);
	int64		xmin_age = xmin_age_now(incident, survey->next_xid);
	int64		alone = horizon_alone(&incident->session);

	application->leaks++;
	application->open[kind]++;
	application->oldest[kind] = Max(application->oldest[kind], age);
	application->blocked += blocked;
	application->xmin_age = Max(application->xmin_age, xmin_age);
	application->xmin_age_alone = Max(application->xmin_age_alone, alone);
}

static void
count_incidents(Survey *survey)
{
	Incident   *incident = palloc(sizeof(Incident));

	for (int i = 0; i < incident_max(); i++)
	{
		int			blocked = 0;
		bool		alone = false;
		bool	   *blocks;
		const char *name;

		CHECK_FOR_INTERRUPTS();
		if (!incident_is_open(i) ||
			!patience_copy_incident(&survey->patience, i, incident) ||
			incident->outcome != OUTCOME_OPEN)
			continue;

		/* what is prepared has no session, and one incident */
		blocks = incident->session.slot < 0 ? &alone : &survey->blocks[incident->session.slot];
		if (!*blocks)
			blocked = incident->blocked_sessions;
		*blocks |= blocked > 0;
		name = visible_name(incident->session.role, incident->text.application_name);
		add_incident(application_of(survey->applications, name), incident, blocked, survey);
		add_incident(survey->all, incident, blocked, survey);
	}
	pfree(incident);
}

/* ---------- the rest is one ---------- */

static int
most_first(const void *a, const void *b)
{
	const Application *aa = *(const Application *const *) a;
	const Application *ab = *(const Application *const *) b;

	if (aa->count != ab->count)
		return ab->count - aa->count;
	if (aa->leaks != ab->leaks)
		return ab->leaks - aa->leaks;
	return strcmp(aa->name, ab->name);
}

static void
add_application(Application *to, const Application *from)
{
	to->count += from->count;
	for (int state = 0; state < NUM_SESSION_STATES; state++)
		to->sessions[state] += from->sessions[state];
	to->leaks += from->leaks;
	for (int kind = 0; kind < NUM_ALL_KINDS; kind++)
	{
		to->open[kind] += from->open[kind];
		to->oldest[kind] = Max(to->oldest[kind], from->oldest[kind]);
	}
	to->blocked += from->blocked;
	to->xmin_age = Max(to->xmin_age, from->xmin_age);
	to->xmin_age_alone = Max(to->xmin_age_alone, from->xmin_age_alone);
}

/* The applications that are told apart, in order, and then the others. */
static void
arrange(HTAB *table, Overview *overview)
{
	Application *other = palloc0(sizeof(Application));
	HASH_SEQ_STATUS seq;
	Application *application;
	int			count = 0;

	strlcpy(other->name, OVERVIEW_OTHER, NAMEDATALEN);
	overview->application = palloc(sizeof(Application *) * (hash_get_num_entries(table) + 1));
	hash_seq_init(&seq, table);
	while ((application = hash_seq_search(&seq)) != NULL)
	{
		if (strcmp(application->name, OVERVIEW_OTHER) == 0)
			add_application(other, application);
		else
			overview->application[count++] = application;
	}

	qsort(overview->application, count, sizeof(Application *), most_first);
	for (int i = OVERVIEW_APPLICATIONS; i < count; i++)
		add_application(other, overview->application[i]);
	overview->count = Min(count, OVERVIEW_APPLICATIONS);
	if (other->count > 0 || other->leaks > 0)
		overview->application[overview->count++] = other;
}

/* Look at all sessions and incidents.  Allocates in the current context. */
void
overview_take(TimestampTz now, Overview *overview)
{
	HASHCTL		info = {
		.keysize = NAMEDATALEN,
		.entrysize = sizeof(Application),
		.hcxt = CurrentMemoryContext,
	};
	Survey		survey = {
		.applications = hash_create("leakwatch applications", 64, &info,
									HASH_ELEM | HASH_STRINGS | HASH_CONTEXT),
		.all = &overview->all,
		.blocks = palloc0(MaxBackends * sizeof(bool)),
		.now = now,
		.next_xid = horizon_next_xid(),
	};

	memset(overview, 0, sizeof(Overview));
	horizon_survey();
	count_sessions(&survey);
	count_incidents(&survey);
	arrange(survey.applications, overview);
}
