/*-------------------------------------------------------------------------
 *
 * summary.c
 *	  What is not said of incidents one by one.
 *
 * Owns the tally of the messages that were not written since the last summary,
 * by cause: private to the watcher.  To find out a cause takes some
 * microseconds, so that of the first incidents alone is; the others count by
 * application.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "cause.h"
#include "guc.h"
#include "kind.h"
#include "lib/stringinfo.h"
#include "summary.h"
#include "utils/hsearch.h"

/* Causes and applications that the summary names. */
#define NUM_NAMED	10

/* Messages of one summary whose cause is found out. */
#define MAX_CAUSES	1000

typedef struct Key
{
	int64		cause;			/* 0: not found out, and then by application */
	char		application[NAMEDATALEN];	/* "" if the cause is there */
} Key;

typedef struct Unsaid
{
	Key			key;			/* hash key */
	LeakKind	kind;			/* that the cause is of */
	char		application[NAMEDATALEN];
	int			count;
} Unsaid;

static int	unsaid = 0;
static int	terminated = 0;		/* of these, told to end */
static int	prepared = 0;		/* of these, about prepared transactions */
static HTAB *tally = NULL;

bool
summary_is_empty(void)
{
	return unsaid == 0;
}

/* Count a message that is not written. */
void
summary_add(Message message, const Incident *incident, const Trail *trail)
{
	Key			key;
	Unsaid	   *entry;
	bool		found;

	unsaid++;
	if (incident->kind == KIND_PREPARED_TRANSACTION)
	{
		prepared++;
		return;
	}
	if (tally == NULL)
	{
		HASHCTL		info = {
			.keysize = sizeof(Key),
			.entrysize = sizeof(Unsaid),
		};

		/* in a context of its own, below TopMemoryContext */
		tally = hash_create("leakwatch unsaid", 64, &info, HASH_ELEM | HASH_BLOBS);
	}
	memset(&key, 0, sizeof(Key));
	if (unsaid <= MAX_CAUSES)
		key.cause = cause_of(incident, trail);
	else
		strlcpy(key.application, incident->text.application_name, NAMEDATALEN);
	entry = hash_search(tally, &key, HASH_ENTER, &found);
	if (!found)
	{
		entry->kind = incident->kind;
		strlcpy(entry->application, incident->text.application_name, NAMEDATALEN);
		entry->count = 0;
	}
	entry->count++;
	if (message == MESSAGE_TERMINATED)
		terminated++;
}

static int
by_count(const void *a, const void *b)
{
	const Unsaid *ua = *(const Unsaid *const *) a;
	const Unsaid *ub = *(const Unsaid *const *) b;

	if (ua->count != ub->count)
		return ub->count - ua->count;
	return memcmp(&ua->key, &ub->key, sizeof(Key));
}

static void
append_entry(StringInfo out, const Unsaid *entry)
{
	if (entry->key.cause != 0)
		appendStringInfo(out, "cause " INT64_FORMAT " (%s of \"%s\"): %d", entry->key.cause,
						 kind_info(entry->kind)->name, entry->application, entry->count);
	else
		appendStringInfo(out, "application \"%s\": %d", entry->application, entry->count);
}

/* What was not said of sessions, the most frequent first. */
static void
append_sessions(StringInfo out)
{
	HASH_SEQ_STATUS seq;
	Unsaid	   *entry;
	Unsaid	  **sorted = palloc(sizeof(Unsaid *) * hash_get_num_entries(tally));
	int			count = 0;
	int			rest = unsaid - prepared;

	hash_seq_init(&seq, tally);
	while ((entry = hash_seq_search(&seq)) != NULL)
		sorted[count++] = entry;
	qsort(sorted, count, sizeof(Unsaid *), by_count);

	for (int i = 0; i < count && i < NUM_NAMED; i++)
	{
		appendStringInfoString(out, i > 0 ? ", " : "By cause: ");
		append_entry(out, sorted[i]);
		rest -= sorted[i]->count;
	}
	if (rest > 0)
		appendStringInfo(out, ", others: %d", rest);
	appendStringInfoChar(out, '.');
	pfree(sorted);
}

static char *
describe(void)
{
	StringInfoData out;

	initStringInfo(&out);
	if (tally != NULL)
		append_sessions(&out);
	if (prepared > 0)
		appendStringInfo(&out, "%sPrepared transactions: %d.", out.len > 0 ? " " : "", prepared);
	return out.data;
}

/* Sum up what has not been said, if there is anything, and begin anew. */
void
summary_write(void)
{
	char	   *detail = unsaid > 0 ? describe() : NULL;

	if (unsaid > 0)
		ereport(guc_log_level,
				(errcode(ERRCODE_WARNING),
				 terminated > 0 ?
				 errmsg("%d more messages about sessions over a limit, %d of them about such as have been told to end",
						unsaid, terminated) :
				 errmsg("%d more messages about sessions over a limit", unsaid),
				 errdetail_internal("%s", detail),
				 errhint("The view leakwatch.causes tells the code of each cause, leakwatch.leaks lists the sessions, and the table leakwatch.incidents has all that have been found. leakwatch.log_burst sets how many messages are written one by one.")));
	if (detail != NULL)
		pfree(detail);
	if (tally != NULL)
		hash_destroy(tally);
	tally = NULL;
	unsaid = terminated = prepared = 0;
}
