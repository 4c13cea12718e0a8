/*-------------------------------------------------------------------------
 *
 * recording.h
 *	  A recording of what a server saw of an application's sessions, as events
 *	  for src/suspect.c.
 *
 * A line of a recording, compressed by gzip:
 *	  # POOL/WORKLOAD/SEED ...
 *	  C t sid application       a session connected
 *	  X t sid                   it ended
 *	  Q t0 t1 sid tx print text a statement: came in, was answered, in a
 *	                            transaction afterwards or not
 *	  leak t sid                the application lost it: the truth
 * Times are seconds.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_RECORDING_H
#define LEAKWATCH_RECORDING_H

#include <stdio.h>

#include "suspect.h"

#define MAX_LINES		400000
#define MAX_SESSIONS	4096
#define MAX_APPLICATIONS	8
#define EPOCH			INT64CONST(1000000000000)

typedef struct Line
{
	int64		at;
	int			kind;			/* connect, start, end, disconnect */
	int			session;
	int			number;			/* in the file */
	bool		transaction;
	uint32		print;
	SuspectLast what;
	bool		failed;
	bool		listens;
} Line;

/* An event, and whose it is. */
typedef struct Told
{
	SuspectEvent event;
	int			session;
	int			number;
} Told;

typedef struct Heard
{
	int			application;
	bool		live;
	bool		idle;
	bool		worked;
	bool		listens;
	int64		idle_since;
	int64		started;		/* its last statement */
	uint32		print;
	SuspectEvent freed;
	int64		leak;			/* 0: never */
} Heard;

typedef struct Recording
{
	char		name[200];
	char		applications[MAX_APPLICATIONS][33];
	int			napplications;
	Line		lines[MAX_LINES];
	int			nlines;
	Told		events[MAX_LINES];
	int			nevents;
	Heard		sessions[MAX_SESSIONS];
	int			nsessions;
	int64		end;
} Recording;

static inline int64
recording_time(double seconds)
{
	return EPOCH + (int64) (seconds * 1000000 + 0.5);
}

static bool
starts_with(const char *text, const char *const *words, int count)
{
	for (int i = 0; i < count; i++)
	{
		if (pg_strncasecmp(text, words[i], strlen(words[i])) == 0)
			return true;
	}
	return false;
}

/* What a backend knows by the statement's tree, told by its text. */
static SuspectLast
recording_classify(const char *text)
{
	static const char *const control[] = {"BEGIN", "START TRANSACTION", "COMMIT", "ROLLBACK", "END", "ABORT"};
	static const char *const reset[] = {"DISCARD", "RESET ", "UNLISTEN", "CLOSE ALL", "DEALLOCATE ALL", "SELECT PG_ADVISORY_UNLOCK_ALL"};
	static const char *const probe[] = {"SET ", "SHOW ", "LISTEN"};

	if (text[0] == '\0' || text[0] == ';' || pg_strcasecmp(text, "SELECT 1") == 0)
		return SUSPECT_LAST_PROBE;
	if (starts_with(text, control, lengthof(control)))
		return SUSPECT_LAST_CONTROL;
	if (starts_with(text, reset, lengthof(reset)))
		return SUSPECT_LAST_RESET;
	if (starts_with(text, probe, lengthof(probe)))
		return SUSPECT_LAST_PROBE;
	return SUSPECT_LAST_WORK;
}

static int
recording_by_time(const void *a, const void *b)
{
	const Line *x = a;
	const Line *y = b;

	if (x->at != y->at)
		return x->at < y->at ? -1 : 1;
	if (x->kind != y->kind)
		return x->kind - y->kind;
	return x->number - y->number;
}

static int
recording_by_event(const void *a, const void *b)
{
	const Told *x = a;
	const Told *y = b;

	if (x->event.at != y->event.at)
		return x->event.at < y->event.at ? -1 : 1;
	return x->number - y->number;
}

static int
recording_application(Recording *recording, const char *name)
{
	for (int i = 0; i < recording->napplications; i++)
	{
		if (strcmp(recording->applications[i], name) == 0)
			return i;
	}
	if (recording->napplications == MAX_APPLICATIONS)
		return MAX_APPLICATIONS - 1;
	strlcpy(recording->applications[recording->napplications], name, sizeof(recording->applications[0]));
	return recording->napplications++;
}

static Line *
recording_line(Recording *recording, double at, int kind, int session)
{
	Line	   *line = &recording->lines[recording->nlines];

	memset(line, 0, sizeof(*line));
	line->at = recording_time(at);
	line->kind = kind;
	line->session = session;
	line->number = recording->nlines++;
	recording->nsessions = Max(recording->nsessions, session + 1);
	return line;
}

static void
recording_read(Recording *recording, char *row)
{
	double		t0,
				t1;
	int			session,
				transaction,
				text;
	unsigned	print;
	char		name[33];

	row[strcspn(row, "\n")] = '\0';
	if (recording->nlines > MAX_LINES - 2)
		return;
	if (row[0] == '#')
		sscanf(row, "# %199s", recording->name);
	else if (sscanf(row, "C %lf %d %32s", &t0, &session, name) == 3 && session < MAX_SESSIONS)
	{
		recording_line(recording, t0, 0, session);
		recording->sessions[session].application = recording_application(recording, name);
	}
	else if (sscanf(row, "X %lf %d", &t0, &session) == 2 && session < MAX_SESSIONS)
		recording_line(recording, t0, 3, session);
	else if (sscanf(row, "leak %lf %d", &t0, &session) == 2 && session < MAX_SESSIONS)
		recording->sessions[session].leak = recording_time(t0);
	else if (sscanf(row, "Q %lf %lf %d %d %x %n", &t0, &t1, &session, &transaction, &print, &text) == 5 && session < MAX_SESSIONS)
	{
		for (int i = 0; i < 2; i++)
		{
			Line	   *line = recording_line(recording, i == 0 ? t0 : t1, i + 1, session);

			line->transaction = transaction != 0;
			line->print = print == 0 ? 1 : print;
			line->what = recording_classify(row + text);
			line->listens = pg_strncasecmp(row + text, "LISTEN", 6) == 0;
			line->failed = pg_strncasecmp(row + text, "SELECT 1/0", 10) == 0;
		}
	}
}

static void
recording_tell(Recording *recording, int session, const SuspectEvent *event)
{
	Told	   *told = &recording->events[recording->nevents];

	told->event = *event;
	told->session = session;
	told->number = recording->nevents++;
}

/*
 * The end of an idle spell, if it was longer than the gap.  What no look has
 * seen began when the last statement did, as far as the watcher can know.
 */
static void
recording_tell_spell(Recording *recording, int session, int64 end, int64 gap, int64 look)
{
	Heard	   *heard = &recording->sessions[session];
	SuspectEvent event = heard->freed;

	if (!heard->idle || end - heard->idle_since < gap)
		return;
	if (look > 0 && end / look == heard->idle_since / look)
		event.at = Max(heard->started, end / look * look);
	recording_tell(recording, session, &event);
}

static void
recording_apply(Recording *recording, const Line *line, int64 gap, int64 look)
{
	Heard	   *heard = &recording->sessions[line->session];
	SuspectEvent event = {
		.kind = SUSPECT_CONNECT,
		.at = line->at,
	};

	if (line->kind == 0)
	{
		heard->live = true;
		heard->idle = true;
		heard->idle_since = heard->started = line->at;
		recording_tell(recording, line->session, &event);
		heard->freed = event;
		heard->freed.kind = SUSPECT_FREED;
	}
	else if (!heard->live)
		return;
	else if (line->kind == 1)
	{
		bool		work = line->what == SUSPECT_LAST_WORK;

		recording_tell_spell(recording, line->session, line->at, gap, look);
		if ((heard->idle && line->at - heard->idle_since >= gap) || (work && !heard->worked))
		{
			event.kind = SUSPECT_TAKEN;
			event.print = work ? line->print : 0;
			event.work = work;
			recording_tell(recording, line->session, &event);
		}
		heard->idle = false;
		heard->started = line->at;
		heard->listens |= line->listens;
		if (work)
		{
			heard->worked = true;
			heard->print = line->print;
		}
	}
	else if (line->kind == 2 && !line->transaction)
	{
		heard->idle = true;
		heard->idle_since = line->at;
		event.kind = SUSPECT_FREED;
		event.print = heard->print;
		event.last = line->what;
		event.failed = line->failed;
		heard->freed = event;
	}
	else if (line->kind == 3)
	{
		recording_tell_spell(recording, line->session, line->at, gap, look);
		event.kind = SUSPECT_DISCONNECT;
		recording_tell(recording, line->session, &event);
		heard->live = false;
	}
}

/* With look > 0 as a watcher knows it that looks so often, else exactly. */
static bool
recording_load(Recording *recording, const char *path, int64 pace, int64 look)
{
	char		command[1100];
	char		row[4096];
	FILE	   *in;

	memset(recording, 0, sizeof(*recording));
	snprintf(command, sizeof(command), "gzip -dc '%s'", path);
	in = popen(command, "r");
	if (in == NULL)
		return false;
	while (fgets(row, sizeof(row), in))
		recording_read(recording, row);
	if (pclose(in) != 0 || recording->nlines == 0)
		return false;
	qsort(recording->lines, recording->nlines, sizeof(Line), recording_by_time);
	recording->end = recording->lines[recording->nlines - 1].at;
	for (int i = 0; i < recording->nlines; i++)
		recording_apply(recording, &recording->lines[i], POOL_TOLD(pace), look);
	for (int i = 0; i < recording->nsessions; i++)
	{
		if (recording->sessions[i].live)
			recording_tell_spell(recording, i, recording->end + pace, POOL_TOLD(pace), 0);
	}
	qsort(recording->events, recording->nevents, sizeof(Told), recording_by_event);
	return true;
}

#endif							/* LEAKWATCH_RECORDING_H */
