/*-------------------------------------------------------------------------
 *
 * words.c
 *	  Durations and limits in words.
 *
 * Pure, and allocates nothing: the log hook of a backend that is being
 * terminated uses it as well as the watcher.  Each function writes into the
 * caller's buffer and returns it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "kind.h"
#include "words.h"

/*
 * A duration as people say it: two units at most, and below a minute with a
 * fraction.
 */
const char *
words_duration(int64 usec, char *buffer, Size size)
{
	int64		ms = usec / 1000;
	int64		sec = ms / 1000;

	if (ms < 1000)
		snprintf(buffer, size, INT64_FORMAT " ms", ms);
	else if (sec < 60 && ms % 1000 / 100 != 0)
		snprintf(buffer, size, INT64_FORMAT ".%d s", sec, (int) (ms % 1000 / 100));
	else if (sec < 60)
		snprintf(buffer, size, INT64_FORMAT " s", sec);
	else if (sec < 3600 && sec % 60 != 0)
		snprintf(buffer, size, INT64_FORMAT " min %d s", sec / 60, (int) (sec % 60));
	else if (sec < 3600)
		snprintf(buffer, size, INT64_FORMAT " min", sec / 60);
	else if (sec < 86400 && sec % 3600 / 60 != 0)
		snprintf(buffer, size, INT64_FORMAT " h %d min", sec / 3600, (int) (sec % 3600 / 60));
	else if (sec < 86400)
		snprintf(buffer, size, INT64_FORMAT " h", sec / 3600);
	else if (sec % 86400 / 3600 != 0)
		snprintf(buffer, size, INT64_FORMAT " d %d h", sec / 86400, (int) (sec % 86400 / 3600));
	else
		snprintf(buffer, size, INT64_FORMAT " d", sec / 86400);
	return buffer;
}

/* The limit that is exceeded: "leakwatch.transaction_terminate = 5 min". */
const char *
words_limit(const Excess *excess, char *buffer, Size size)
{
	char		limit[WORDS_DURATION_SIZE];

	snprintf(buffer, size, "%s = %s", kind_setting(excess->kind, excess->terminates),
			 words_duration(excess->limit * INT64CONST(1000), limit, sizeof(limit)));
	return buffer;
}

/* "idle in transaction" */
static const char *
phrase(const Excess *excess)
{
	if (excess->kind == KIND_WAITING_FOR_CLIENT && excess->client_gone)
		return "running a statement whose client is gone";
	return kind_info(excess->kind)->phrase;
}

/*
 * "idle in transaction for 5 s, over the limit of 2 s (leakwatch. ...)".  That a
 * client is gone is said before any limit is met.
 */
const char *
words_excess(const Excess *excess, char *buffer, Size size)
{
	int64		lasted = excess->at - excess->since;
	char		duration[WORDS_DURATION_SIZE];
	char		limit[WORDS_DURATION_SIZE];

	words_duration(lasted, duration, sizeof(duration));
	if (excess->client_gone && lasted < excess->limit * INT64CONST(1000))
		snprintf(buffer, size, "%s for %s", phrase(excess), duration);
	else
		snprintf(buffer, size, "%s for %s, over the limit of %s (%s)", phrase(excess), duration,
				 words_duration(excess->limit * INT64CONST(1000), limit, sizeof(limit)),
				 kind_setting(excess->kind, excess->terminates));
	return buffer;
}
