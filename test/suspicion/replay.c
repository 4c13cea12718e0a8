/*-------------------------------------------------------------------------
 *
 * replay.c
 *	  Feeds recordings to src/suspect.c and tells whom it suspects.
 *
 * replay [-v] [-e] [-p PACE] [-l LOOK] FILE.ev.gz ...
 * prints a line a recording: its name, how many suspicions were right and
 * wrong, how many leaks count and how many of these were found, and the delays
 * of the right ones.  -v: a line for each suspicion and each missed leak
 * before it.  PACE is suspected_leak_warn, LOOK how often the watcher looks, in
 * seconds (0: it knows everything exactly).  -e: of busy pools it is told an
 * excerpt, as the watcher takes it twice a pace.
 *
 * A suspicion is right if the application has lost that session before; it is
 * counted once a spell of idleness.  A leak counts if it is 5 paces before the
 * end of the recording at least.  test/suspicion/evaluate makes tables of it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <unistd.h>

#include "excerpt.h"
#include "recording.h"

#define SEC		INT64CONST(1000000)
#define TICK	(SEC / 4)

typedef struct Score
{
	int			right;
	int			wrong;
	int			leaks;
	int			found;
	double		delays[MAX_SESSIONS];
} Score;

static Recording recording;
static SuspectGroup groups[MAX_APPLICATIONS];
static SuspectMember members[MAX_SESSIONS];
static bool said[MAX_SESSIONS];
static bool found[MAX_SESSIONS];
static int64 pace = 5 * SEC;
static bool verbose;
static bool excerpts;
static Excerpt excerpt[MAX_APPLICATIONS];

static void
judge(int session, int64 now, Score *score)
{
	const Heard *heard = &recording.sessions[session];
	SuspectMember *member = &members[session];
	Suspicion	suspicion;
	char		reason[300];
	bool		right = heard->leak != 0 && now >= heard->leak;

	if (said[session] || heard->listens || member->free_since == 0 || now - member->free_since < pace)
		return;
	if (!suspect_judge(&groups[heard->application], member, now, pace, &suspicion))
		return;
	said[session] = true;
	if (right)
	{
		found[session] = true;
		score->delays[score->right++] = (now - heard->leak) / (double) SEC;
	}
	else
		score->wrong++;
	if (verbose)
		printf("  %s %.2f session %d %d %%: %s\n", right ? "right" : "WRONG", (now - EPOCH) / (double) SEC, session, suspicion.confidence,
			   suspect_reason(&suspicion, reason, sizeof(reason)));
}

static void
feed(const Told *told)
{
	SuspectMember *member = &members[told->session];
	SuspectGroup *group = &groups[recording.sessions[told->session].application];

	if (told->event.kind == SUSPECT_TAKEN)
	{
		said[told->session] = false;
		if (excerpts && (member->worked || !told->event.work) &&
			!excerpt_takes(&excerpt[recording.sessions[told->session].application], told->event.at))
		{
			suspect_came_back(group, member, told->event.at, pace);
			return;
		}
	}
	suspect_event(group, member, &told->event, pace);
}

/* The watcher is about to take what comes until its next look. */
static void
begin_excerpts(int64 last, int64 now)
{
	for (int i = 0; i < MAX_APPLICATIONS; i++)
		excerpt_begin(&excerpt[i], &groups[i], last, now, pace, false);
}

static void
replay(Score *score)
{
	int64		tick = EPOCH;
	int64		look = EPOCH;

	memset(score, 0, sizeof(*score));
	memset(members, 0, sizeof(members));
	memset(said, 0, sizeof(said));
	memset(found, 0, sizeof(found));
	for (int i = 0; i < MAX_APPLICATIONS; i++)
	{
		suspect_group_init(&groups[i]);
		excerpt_init(&excerpt[i], EPOCH);
	}
	for (int i = 0; i < recording.nevents; i++)
	{
		for (; excerpts && look <= recording.events[i].event.at; look += POOL_LOOK(pace))
			begin_excerpts(look, look + POOL_LOOK(pace));
		for (; tick <= recording.events[i].event.at && tick <= recording.end; tick += TICK)
		{
			for (int j = 0; j < recording.nsessions; j++)
				judge(j, tick, score);
		}
		feed(&recording.events[i]);
	}
	for (int i = 0; i < recording.nsessions; i++)
	{
		int64		leak = recording.sessions[i].leak;

		if (leak == 0 || leak > recording.end - 5 * pace)
			continue;
		score->leaks++;
		score->found += found[i];
		if (verbose && !found[i])
			printf("  MISSED %.2f session %d\n", (leak - EPOCH) / (double) SEC, i);
	}
}

static void
print(const Score *score)
{
	printf("%s %d %d %d %d ", recording.name, score->right, score->wrong, score->leaks, score->found);
	for (int i = 0; i < score->right; i++)
		printf("%s%.2f", i == 0 ? "" : ",", score->delays[i]);
	printf("\n");
}

int
main(int argc, char **argv)
{
	static Score score;
	int64		look = 0;
	int			option;

	while ((option = getopt(argc, argv, "vep:l:")) != -1)
	{
		if (option == 'v')
			verbose = true;
		else if (option == 'e')
			excerpts = true;
		else if (option == 'p')
			pace = (int64) (atof(optarg) * SEC);
		else if (option == 'l')
			look = (int64) (atof(optarg) * SEC);
		else
			return 2;
	}
	for (int i = optind; i < argc; i++)
	{
		if (!recording_load(&recording, argv[i], pace, look))
		{
			fprintf(stderr, "%s can't be read\n", argv[i]);
			return 1;
		}
		replay(&score);
		print(&score);
	}
	return 0;
}
