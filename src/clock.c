/*-------------------------------------------------------------------------
 *
 * clock.c
 *	  Time that does not jump.
 *
 * Backends stamp their states with the wall clock, and wall clocks jump: NTP
 * steps them, a virtual machine resumes.  The watcher reads the monotonic
 * clock beside it; when the two part by more than a second, every time
 * stamp that was taken before gets a note of by how much, and its age is
 * reckoned without that.
 *
 * Owns the "leakwatch clock" segment, so that the notes survive the watcher.
 * The watcher writes it, the notes under their change counter; anybody reads.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include <time.h>

#include "changes.h"
#include "clock.h"
#include "control.h"
#include "session.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

/*
 * Two clocks can't be read at once, and a process can be stopped in between:
 * how far apart the two readings may be, in us, and how often to try.
 */
#define BRACKET			1000
#define BRACKET_TRIES	3

/* By how much the clock has jumped since a session took a time stamp. */
typedef struct Note
{
	bool		unread;			/* its session was busy when the clock jumped */
	TimestampTz since[NUM_SERVER_CLOCKS];
	int64		gained[NUM_SERVER_CLOCKS];
} Note;

typedef struct Clock
{
	bool		started;
	TimestampTz wall;			/* of the last reading */
	int64		monotonic;
	int64		parted;			/* wall - monotonic, as of the last jump */
	bool		unread;			/* some note is */
	pg_atomic_uint32 jumped;	/* has there ever been a jump? */
	pg_atomic_uint32 changes;
	Note		notes[FLEXIBLE_ARRAY_MEMBER];
} Clock;

static Clock *shared_clock = NULL;

Size
clock_shmem_size(void)
{
	return add_size(offsetof(Clock, notes), mul_size(sizeof(Note), MaxBackends));
}

/* Called with AddinShmemInitLock held. */
void
clock_shmem_init(void)
{
	bool		found;

	shared_clock = ShmemInitStruct("leakwatch clock", clock_shmem_size(), &found);
	if (found)
		return;
	memset(shared_clock, 0, clock_shmem_size());
	pg_atomic_init_u32(&shared_clock->jumped, 0);
	pg_atomic_init_u32(&shared_clock->changes, 0);
}

/*
 * Can this time stamp have been taken before the jump?  Where the times that
 * the clock showed before and after the jump overlap there is no telling, and
 * the answer is the one that makes the session younger.
 */
static bool
taken_before(TimestampTz since, int64 jump, TimestampTz now, int64 elapsed)
{
	if (jump > 0)
		return since <= shared_clock->wall + elapsed;
	return since > now || since < now - elapsed;
}

/* Note a jump for a session's time stamps. */
static void
note_session(Note *note, const Session *session, int64 jump, TimestampTz now, int64 elapsed)
{
	for (int i = 0; i < NUM_SERVER_CLOCKS; i++)
	{
		bool		noted = note->since[i] == session->since[i] && note->gained[i] != 0;

		if (session->since[i] == 0)
			continue;
		if (noted)
			note->gained[i] += jump;
		else if (taken_before(session->since[i], jump, now, elapsed))
		{
			note->since[i] = session->since[i];
			note->gained[i] = jump;
		}
	}
}

static void
note_jump(int64 jump, TimestampTz now, int64 elapsed)
{
	change_begin(&shared_clock->changes);
	for (int slot = 0; slot < MaxBackends; slot++)
	{
		Note	   *note = &shared_clock->notes[slot];
		Session		session;

		switch (session_read(slot, &session))
		{
			case READ_NONE:
				note->unread = false;
				break;
			case READ_BUSY:
				note->unread = shared_clock->unread = true;
				break;
			case READ_DONE:
				if (!note->unread)
					note_session(note, &session, jump, now, elapsed);
				break;
		}
	}
	change_end(&shared_clock->changes);
	pg_atomic_write_u32(&shared_clock->jumped, 1);
	control_count(COUNT_CLOCK_JUMPS, 1);
}

/*
 * Sessions that could not be read when the clock jumped: by now there is no
 * telling which of their time stamps were taken before.  All of them count as
 * taken now, which makes the session younger than it is.
 */
static void
note_unread(TimestampTz now)
{
	shared_clock->unread = false;
	change_begin(&shared_clock->changes);
	for (int slot = 0; slot < MaxBackends; slot++)
	{
		Note	   *note = &shared_clock->notes[slot];
		Session		session;

		if (!note->unread)
			continue;
		switch (session_read(slot, &session))
		{
			case READ_NONE:
				note->unread = false;
				break;
			case READ_BUSY:
				shared_clock->unread = true;
				break;
			case READ_DONE:
				for (int i = 0; i < NUM_SERVER_CLOCKS; i++)
				{
					note->since[i] = session.since[i];
					note->gained[i] = session.since[i] != 0 ? now - session.since[i] : 0;
				}
				note->unread = false;
				break;
		}
	}
	change_end(&shared_clock->changes);
}

static int64
read_clock(clockid_t clock)
{
	struct timespec time = {0};

	(void) clock_gettime(clock, &time);
	return (int64) time.tv_sec * USECS_PER_SEC + time.tv_nsec / 1000;
}

/*
 * Not what the server times its statements by, which since version 19 can be the
 * processor's counter: nobody keeps that in step with the wall clock, and what
 * the two part by in some hours would look like a jump.
 */
int64
clock_monotonic(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

/*
 * CPU time that this process has used: what something has cost, however busy
 * the machine was.  Takes a system call.
 */
int64
clock_cpu(void)
{
#ifdef CLOCK_PROCESS_CPUTIME_ID
	return read_clock(CLOCK_PROCESS_CPUTIME_ID);
#else
	return clock_monotonic();
#endif
}

/*
 * Read the wall clock between two readings of the monotonic one.  Returns how
 * far apart these were: no more is known than that it was read in between.
 */
static int64
read_both(Moment *moment)
{
	int64		width = 0;

	for (int i = 0; i < BRACKET_TRIES; i++)
	{
		moment->monotonic = clock_monotonic();
		moment->now = GetCurrentTimestamp();
		width = clock_monotonic() - moment->monotonic;
		if (likely(width <= BRACKET))
			break;
	}
	return width;
}

/* By how much the wall clock is certain to have jumped; 0: maybe not at all. */
static int64
find_jump(const Moment *moment, int64 width)
{
	int64		most = moment->now - moment->monotonic - shared_clock->parted;
	int64		least = most - width;

	return least > CLOCK_TOLERANCE || most < -CLOCK_TOLERANCE ? most : 0;
}

/*
 * The watcher: read both clocks.  True when the wall clock has jumped since
 * the last call, and ages have to be reckoned anew.
 */
bool
clock_read(Moment *moment)
{
	int64		width = read_both(moment);

	moment->jump = 0;
	if (likely(shared_clock->started))
		moment->jump = find_jump(moment, width);
	else if (width <= BRACKET)
	{
		shared_clock->parted = moment->now - moment->monotonic;
		shared_clock->started = true;
	}

	if (unlikely(moment->jump != 0))
	{
		shared_clock->parted += moment->jump;
		note_jump(moment->jump, moment->now, moment->monotonic - shared_clock->monotonic);
	}
	if (unlikely(shared_clock->unread))
		note_unread(moment->now);

	shared_clock->wall = moment->now;
	shared_clock->monotonic = moment->monotonic;
	return moment->jump != 0;
}

/* Say so in the server log; can throw, and so comes when all else is done. */
void
clock_report_jump(const Moment *moment)
{
	ereport(LOG,
			(errmsg("the system clock has jumped by " INT64_FORMAT " ms", moment->jump / 1000),
			 errdetail("leakwatch counts this time for no session's age.")));
}

/*
 * Fill in by how much the clock has jumped since each of a session's times.
 * False when that is not known yet: its age must not be gone by.
 */
bool
clock_apply(Session *session)
{
	Note		note;

	if (likely(pg_atomic_read_u32(&shared_clock->jumped) == 0))
		return true;
	if (!change_copy(&shared_clock->changes, &note, &shared_clock->notes[session->slot],
					 sizeof(Note)) || note.unread)
		return false;
	for (int i = 0; i < NUM_SERVER_CLOCKS; i++)
	{
		if (note.since[i] == session->since[i])
			session->gained[i] = note.gained[i];
	}
	return true;
}
