/*-------------------------------------------------------------------------
 *
 * progress_test.c
 *	  Shows the words for maintenance commands, without a server.
 *
 * Prints TAP.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "progress.h"
#include "tap.h"

/* Does it say that, with this percentage? */
static bool
says(ProgressCommandType command, const int64 *param, const char *name, const char *phase,
	 int percent)
{
	Progress	progress = progress_of(command, param);

	return progress.command != NULL && strcmp(progress.command, name) == 0 &&
		(phase == NULL ? progress.phase == NULL :
		 progress.phase != NULL && strcmp(progress.phase, phase) == 0) &&
		progress.percent == percent;
}

static void
test_commands(void)
{
	int64		param[PGSTAT_NUM_PROGRESS_PARAM] = {0};

	param[PROGRESS_VACUUM_PHASE] = PROGRESS_VACUUM_PHASE_SCAN_HEAP;
	param[PROGRESS_VACUUM_TOTAL_HEAP_BLKS] = 300;
	param[PROGRESS_VACUUM_HEAP_BLKS_SCANNED] = 100;
	ok(says(PROGRESS_COMMAND_VACUUM, param, "VACUUM", "scanning heap", 33), "VACUUM");
	param[PROGRESS_VACUUM_PHASE] = PROGRESS_VACUUM_PHASE_VACUUM_INDEX;
	ok(says(PROGRESS_COMMAND_VACUUM, param, "VACUUM", "vacuuming indexes", -1),
	   "is told how far only where that is a measure");

	memset(param, 0, sizeof(param));
	param[PROGRESS_ANALYZE_PHASE] = PROGRESS_ANALYZE_PHASE_ACQUIRE_SAMPLE_ROWS;
	param[PROGRESS_ANALYZE_BLOCKS_TOTAL] = 10;
	param[PROGRESS_ANALYZE_BLOCKS_DONE] = 10;
	ok(says(PROGRESS_COMMAND_ANALYZE, param, "ANALYZE", "acquiring sample rows", 100), "ANALYZE");

	memset(param, 0, sizeof(param));
	param[PROGRESS_CREATEIDX_COMMAND] = PROGRESS_CREATEIDX_COMMAND_REINDEX_CONCURRENTLY;
	param[PROGRESS_CREATEIDX_PHASE] = PROGRESS_CREATEIDX_PHASE_BUILD;
	param[PROGRESS_CREATEIDX_TUPLES_TOTAL] = 8;
	param[PROGRESS_CREATEIDX_TUPLES_DONE] = 2;
	ok(says(PROGRESS_COMMAND_CREATE_INDEX, param, "REINDEX CONCURRENTLY", "building index", 25),
	   "REINDEX CONCURRENTLY, by tuples");
	param[PROGRESS_SCAN_BLOCKS_TOTAL] = 4;
	param[PROGRESS_SCAN_BLOCKS_DONE] = 2;
	ok(says(PROGRESS_COMMAND_CREATE_INDEX, param, "REINDEX CONCURRENTLY", "building index", 50),
	   "by blocks if there are such");

	memset(param, 0, sizeof(param));
	param[PROGRESS_REPACK_COMMAND] = 1;
	param[PROGRESS_REPACK_PHASE] = PROGRESS_REPACK_PHASE_SEQ_SCAN_HEAP;
	param[PROGRESS_REPACK_TOTAL_HEAP_BLKS] = 1000;
	ok(says(PROGRESS_COMMAND_REPACK, param, progress_of(PROGRESS_COMMAND_REPACK, param).command,
			"seq scanning heap", 0), "a rewrite of a table");
}

static void
test_unknown(void)
{
	int64		param[PGSTAT_NUM_PROGRESS_PARAM] = {0};

	ok(progress_of(PROGRESS_COMMAND_INVALID, param).command == NULL &&
	   progress_of(PROGRESS_COMMAND_COPY, param).command == NULL &&
	   progress_of(PROGRESS_COMMAND_BASEBACKUP, param).command == NULL,
	   "what is no maintenance has no name");
	for (int i = 0; i < PGSTAT_NUM_PROGRESS_PARAM; i++)
		param[i] = PG_INT64_MAX;
	ok(says(PROGRESS_COMMAND_CREATE_INDEX, param, "CREATE INDEX", NULL, 100) &&
	   says(PROGRESS_COMMAND_REPACK, param, "CLUSTER", NULL, -1) &&
	   says(PROGRESS_COMMAND_VACUUM, param, "VACUUM", NULL, -1),
	   "what a newer server adds has no phase");
	for (int i = 0; i < PGSTAT_NUM_PROGRESS_PARAM; i++)
		param[i] = -1;
	ok(says(PROGRESS_COMMAND_CREATE_INDEX, param, "CREATE INDEX", NULL, -1),
	   "nor has what is below nought");
}

int
main(void)
{
	test_commands();
	test_unknown();
	return done_testing();
}
