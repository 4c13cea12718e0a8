/*-------------------------------------------------------------------------
 *
 * excerpt.c
 *	  Which of the uses of a busy pool are looked at.
 *
 * A pool that is used thousands of times a minute tells no more than one that
 * is used hundreds of times, but costs the watcher more.  So it looks at those
 * that came last before each of its looks, when it knows of each session what
 * it does, and lets what was before go by unseen, as a gap.  As long as none of
 * the sessions has been idle for long, nobody is in question, and few uses are
 * enough to keep what is known of the pool up to date, once that is much.
 *
 * Pure: nothing here calls the server.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "excerpt.h"

/* Uses a pace that are looked at. */
#define MOST_USES		512
#define MOST_IF_QUIET	32

/* Uses that have to be looked at until the pool is known. */
#define ENOUGH_TO_KNOW	512

/* Uses are counted for such a part of a pace at least. */
#define COUNTED_PART	8

void
excerpt_init(Excerpt *excerpt, int64 now)
{
	memset(excerpt, 0, sizeof(*excerpt));
	excerpt->counted_from = now;
}

/* Was anybody idle for long already at the last look? */
static bool
is_quiet(const SuspectGroup *group, int64 last, int64 pace)
{
	for (int i = 0; i < group->nseats; i++)
	{
		const SuspectMember *member = group->seats[i];

		if (member != NULL && member->free_since != 0 && last - member->free_since > POOL_LONG(pace))
			return false;
	}
	return true;
}

/*
 * The time since the last look is to be looked at.  If uses have been missed in
 * its course, those of its beginning are left.
 */
void
excerpt_begin(Excerpt *excerpt, SuspectGroup *group, int64 last, int64 now, int64 pace, bool missed)
{
	int64		counted = last - excerpt->counted_from;
	double		most;

	if (counted >= pace / COUNTED_PART && counted > 0)
	{
		excerpt->rate = excerpt->uses / (double) counted;
		excerpt->uses = 0;
		excerpt->counted_from = last;
	}
	excerpt->from = 0;
	excerpt->room = PG_INT32_MAX;
	if (excerpt->rate * pace <= MOST_IF_QUIET || last >= now)
		return;
	most = group->uses >= ENOUGH_TO_KNOW && is_quiet(group, last, pace) ? MOST_IF_QUIET : MOST_USES;
	if (missed)
		excerpt->room = 1 + (int) Min(MOST_USES, most * (now - last) / pace);
	else if (excerpt->rate * pace > most)
	{
		excerpt->from = now - (int64) ((now - last) * most / (excerpt->rate * pace));
		suspect_gap(group, last, excerpt->from);
	}
}

/* Is this use looked at? */
bool
excerpt_takes(Excerpt *excerpt, int64 at)
{
	excerpt->uses++;
	return at >= excerpt->from && excerpt->room-- > 0;
}
