/*-------------------------------------------------------------------------
 *
 * quota.c
 *	  How many sessions have to go before connections run out no more.
 *
 * For leakwatch.terminate_when = saturated: no more sessions are terminated
 * than bring the server, the database or the role below its threshold.  Those
 * that have been told to end count as gone.  Those whose termination has only
 * been announced do so for further announcements.
 *
 * Owns the reckoning, private to the watcher, which begins anew in each scan.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "follow.h"
#include "quota.h"
#include "saturation.h"

/* The sessions of each scope that are as good as gone. */
static int	ending[NUM_SCOPES];
static int	announced[NUM_SCOPES];

/* The scopes that a session counts in; -1 for one that has no room. */
static void
scopes_of(const Session *session, int scopes[3])
{
	scopes[0] = SERVER_SCOPE;
	scopes[1] = saturation_find(SCOPE_DATABASE, session->database);
	scopes[2] = saturation_find(SCOPE_ROLE, session->role);
}

static void
count(int *tally, const Session *session)
{
	int			scopes[3];

	scopes_of(session, scopes);
	for (int i = 0; i < lengthof(scopes); i++)
	{
		if (scopes[i] >= 0)
			tally[scopes[i]]++;
	}
}

/* Has an announcement been made about this session? */
static bool
is_announced(const Seat *seat)
{
	for (int kind = 0; kind < NUM_KINDS; kind++)
	{
		if (seat->incident[kind] >= 0 &&
			incident_peek(seat->incident[kind])->action == ACTION_WOULD_TERMINATE)
			return true;
	}
	return false;
}

/* Reckon anew, before this scan decides about anybody. */
void
quota_begin(void)
{
	memset(ending, 0, sizeof(ending));
	memset(announced, 0, sizeof(announced));
	for (int slot = 0; slot < MaxBackends; slot++)
	{
		const Seat *seat = follow_seat(slot);

		if (seat->session.pid == 0)
			continue;
		if (seat->signalled)
			count(ending, &seat->session);
		else if (is_announced(seat))
			count(announced, &seat->session);
	}
}

/* Do connections of this session's run out, so that it has to go? */
bool
quota_needs(const Session *session, PolicyMode mode)
{
	int			scopes[3];

	scopes_of(session, scopes);
	for (int i = 0; i < lengthof(scopes); i++)
	{
		ScopeUse	use;
		int			left;

		if (scopes[i] < 0 || !saturation_read(scopes[i], &use) || use.threshold == 0)
			continue;
		left = use.used - ending[scopes[i]];
		if (mode != MODE_ENFORCE)
			left -= announced[scopes[i]];
		if (left >= use.threshold)
			return true;
	}
	return false;
}

/* It has been told to end, or that has been announced. */
void
quota_spend(const Session *session, PolicyMode mode)
{
	count(mode == MODE_ENFORCE ? ending : announced, session);
}
