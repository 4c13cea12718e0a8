/*-------------------------------------------------------------------------
 *
 * progress.c
 *	  Which maintenance a session does, and how far it has come, in words.
 *
 * Pure.  The words are those of the server's pg_stat_progress_ views.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "nodes/parsenodes.h"
#include "progress.h"

static const char *const vacuum_phases[] = {
	"initializing",
	[PROGRESS_VACUUM_PHASE_SCAN_HEAP] = "scanning heap",
	[PROGRESS_VACUUM_PHASE_VACUUM_INDEX] = "vacuuming indexes",
	[PROGRESS_VACUUM_PHASE_VACUUM_HEAP] = "vacuuming heap",
	[PROGRESS_VACUUM_PHASE_INDEX_CLEANUP] = "cleaning up indexes",
	[PROGRESS_VACUUM_PHASE_TRUNCATE] = "truncating heap",
	[PROGRESS_VACUUM_PHASE_FINAL_CLEANUP] = "performing final cleanup",
};

static const char *const analyze_phases[] = {
	"initializing",
	[PROGRESS_ANALYZE_PHASE_ACQUIRE_SAMPLE_ROWS] = "acquiring sample rows",
	[PROGRESS_ANALYZE_PHASE_ACQUIRE_SAMPLE_ROWS_INH] = "acquiring inherited sample rows",
	[PROGRESS_ANALYZE_PHASE_COMPUTE_STATS] = "computing statistics",
	[PROGRESS_ANALYZE_PHASE_COMPUTE_EXT_STATS] = "computing extended statistics",
	[PROGRESS_ANALYZE_PHASE_FINALIZE_ANALYZE] = "finalizing analyze",
};

static const char *const repack_commands[] = {
	COMPAT_REPACK_COMMANDS
};

static const char *const repack_phases[] = {
	"initializing",
	[PROGRESS_REPACK_PHASE_SEQ_SCAN_HEAP] = "seq scanning heap",
	[PROGRESS_REPACK_PHASE_INDEX_SCAN_HEAP] = "index scanning heap",
	[PROGRESS_REPACK_PHASE_SORT_TUPLES] = "sorting tuples",
	[PROGRESS_REPACK_PHASE_WRITE_NEW_HEAP] = "writing new heap",
	COMPAT_REPACK_MORE_PHASES
	[PROGRESS_REPACK_PHASE_SWAP_REL_FILES] = "swapping relation files",
	[PROGRESS_REPACK_PHASE_REBUILD_INDEX] = "rebuilding index",
	[PROGRESS_REPACK_PHASE_FINAL_CLEANUP] = "performing final cleanup",
};

static const char *const index_commands[] = {
	[PROGRESS_CREATEIDX_COMMAND_CREATE] = "CREATE INDEX",
	[PROGRESS_CREATEIDX_COMMAND_CREATE_CONCURRENTLY] = "CREATE INDEX CONCURRENTLY",
	[PROGRESS_CREATEIDX_COMMAND_REINDEX] = "REINDEX",
	[PROGRESS_CREATEIDX_COMMAND_REINDEX_CONCURRENTLY] = "REINDEX CONCURRENTLY",
};

static const char *const index_phases[] = {
	"initializing",
	[PROGRESS_CREATEIDX_PHASE_WAIT_1] = "waiting for writers before build",
	[PROGRESS_CREATEIDX_PHASE_BUILD] = "building index",
	[PROGRESS_CREATEIDX_PHASE_WAIT_2] = "waiting for writers before validation",
	[PROGRESS_CREATEIDX_PHASE_VALIDATE_IDXSCAN] = "index validation: scanning index",
	[PROGRESS_CREATEIDX_PHASE_VALIDATE_SORT] = "index validation: sorting tuples",
	[PROGRESS_CREATEIDX_PHASE_VALIDATE_TABLESCAN] = "index validation: scanning table",
	[PROGRESS_CREATEIDX_PHASE_WAIT_3] = "waiting for old snapshots",
	[PROGRESS_CREATEIDX_PHASE_WAIT_4] = "waiting for readers before marking dead",
	[PROGRESS_CREATEIDX_PHASE_WAIT_5] = "waiting for readers before dropping",
};

/* A word from a list; NULL when a newer server has more of them. */
static const char *
word(const char *const *words, int nwords, int64 n)
{
	return n >= 0 && n < nwords ? words[n] : NULL;
}

#define WORD(words, n)	word(words, lengthof(words), n)

static int
percent(int64 done, int64 total)
{
	if (total <= 0 || done < 0)
		return -1;
	return done >= total ? 100 : (int) (done * 100 / total);
}

static void
of_vacuum(const int64 *param, Progress *progress)
{
	progress->command = "VACUUM";
	progress->phase = WORD(vacuum_phases, param[PROGRESS_VACUUM_PHASE]);
	if (param[PROGRESS_VACUUM_PHASE] == PROGRESS_VACUUM_PHASE_SCAN_HEAP)
		progress->percent = percent(param[PROGRESS_VACUUM_HEAP_BLKS_SCANNED],
									param[PROGRESS_VACUUM_TOTAL_HEAP_BLKS]);
}

static void
of_analyze(const int64 *param, Progress *progress)
{
	int64		phase = param[PROGRESS_ANALYZE_PHASE];

	progress->command = "ANALYZE";
	progress->phase = WORD(analyze_phases, phase);
	if (phase == PROGRESS_ANALYZE_PHASE_ACQUIRE_SAMPLE_ROWS ||
		phase == PROGRESS_ANALYZE_PHASE_ACQUIRE_SAMPLE_ROWS_INH)
		progress->percent = percent(param[PROGRESS_ANALYZE_BLOCKS_DONE],
									param[PROGRESS_ANALYZE_BLOCKS_TOTAL]);
}

static void
of_repack(const int64 *param, Progress *progress)
{
	progress->command = WORD(repack_commands, param[PROGRESS_REPACK_COMMAND]);
	progress->phase = WORD(repack_phases, param[PROGRESS_REPACK_PHASE]);
	if (param[PROGRESS_REPACK_PHASE] == PROGRESS_REPACK_PHASE_SEQ_SCAN_HEAP)
		progress->percent = percent(param[PROGRESS_REPACK_HEAP_BLKS_SCANNED],
									param[PROGRESS_REPACK_TOTAL_HEAP_BLKS]);
	if (progress->command == NULL)
		progress->command = "CLUSTER";
}

static void
of_index(const int64 *param, Progress *progress)
{
	progress->command = WORD(index_commands, param[PROGRESS_CREATEIDX_COMMAND]);
	progress->phase = WORD(index_phases, param[PROGRESS_CREATEIDX_PHASE]);
	progress->percent = percent(param[PROGRESS_SCAN_BLOCKS_DONE],
								param[PROGRESS_SCAN_BLOCKS_TOTAL]);
	if (progress->percent < 0)
		progress->percent = percent(param[PROGRESS_CREATEIDX_TUPLES_DONE],
									param[PROGRESS_CREATEIDX_TUPLES_TOTAL]);
	if (progress->command == NULL)
		progress->command = "CREATE INDEX";
}

/*
 * What a session does by what it reports of its progress.  COPY is an
 * application's work, and a base backup is no client session's.
 */
Progress
progress_of(ProgressCommandType command, const int64 *param)
{
	Progress	progress = {.percent = -1};

	switch ((int) command)
	{
		case PROGRESS_COMMAND_VACUUM:
			of_vacuum(param, &progress);
			break;
		case PROGRESS_COMMAND_ANALYZE:
			of_analyze(param, &progress);
			break;
		case PROGRESS_COMMAND_REPACK:
			of_repack(param, &progress);
			break;
		case PROGRESS_COMMAND_CREATE_INDEX:
			of_index(param, &progress);
			break;
	}
	return progress;
}
