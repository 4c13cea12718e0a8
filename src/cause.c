/*-------------------------------------------------------------------------
 *
 * cause.c
 *	  What an incident has in common with others of the same code.
 *
 * A cause is a number made from the kind, the database, the application and
 * the statements of the transaction without their values.  It is the same on
 * every server, whatever its version, encoding and byte order, so nothing goes
 * into it that is not: no OID, no PID, no time.
 *
 * What the session did after it was found is left out, so that it does not
 * matter when the trail was read.  So is transaction control, and what drivers
 * send of their own, where the application has sent something itself.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "capture.h"
#include "cause.h"
#include "common/hashfn.h"
#include "guc.h"
#include "kind.h"
#include "lib/stringinfo.h"
#include "normal.h"
#include "port/pg_bswap.h"
#include "utils/memutils.h"

/*
 * The hash of some bytes, which may change.  The server's function reads words
 * as the machine has them: here they are those of a little-endian one.
 */
static int64
hash(StringInfo bytes)
{
	int64		result;

	while (bytes->len % sizeof(uint32) != 0)
		appendStringInfoCharMacro(bytes, '\0');
#ifdef WORDS_BIGENDIAN
	for (int i = 0; i < bytes->len / sizeof(uint32); i++)
		((uint32 *) bytes->data)[i] = pg_bswap32(((uint32 *) bytes->data)[i]);
#endif
	result = hash_bytes_extended((unsigned char *) bytes->data, bytes->len, 0) & PG_INT64_MAX;
	return result != 0 ? result : 1;
}

static void
append_string(StringInfo out, const char *string)
{
	appendBinaryStringInfo(out, string, strlen(string) + 1);
}

/* ---------- which statements count ---------- */

/* Which statements of a trail go into the cause, and what they are picked by. */
typedef struct Pick
{
	const Trail *trail;
	TimestampTz until;			/* later ones do not count */
	CommandClass class;			/* the best of those that do */
	bool		full;			/* there was no place for all of this class */
	const TrailStatement *first;	/* the rest is of a full trail */
	const TrailStatement *last;
	const TrailStatement *changed;
	const TrailStatement *tagged;
} Pick;

static bool
is_later(const TrailStatement *statement, const TrailStatement *than)
{
	return than == NULL || statement->ordinal > than->ordinal;
}

static void
pick_from(Pick *pick, const TrailStatement *statement)
{
	if (pick->first == NULL)
		pick->first = statement;
	if (is_later(statement, pick->last))
		pick->last = statement;
	if (statement->changed && is_later(statement, pick->changed))
		pick->changed = statement;
	if (statement->tagged && is_later(statement, pick->tagged))
		pick->tagged = statement;
}

/* Look at the trail once to know what to pick. */
static void
look(Pick *pick, const Trail *trail, TimestampTz until)
{
	int			count = trail_count(trail);
	int			best = 0;

	memset(pick, 0, sizeof(Pick));
	pick->trail = trail;
	pick->until = until;
	for (int n = 0; n < count; n++)
	{
		const TrailStatement *statement = trail_statement(trail, n);

		if (statement->at <= until && (CommandClass) statement->class > pick->class)
			pick->class = statement->class;
	}
	for (int n = 0; n < count; n++)
	{
		const TrailStatement *statement = trail_statement(trail, n);

		if ((CommandClass) statement->class != pick->class)
			continue;
		best++;
		if (statement->at <= until)
			pick_from(pick, statement);
	}
	pick->full = best == guc_trail_length;
}

/*
 * Does it go into the cause?  Which statements a full trail still has depends
 * on how many there were: of that only those count that always keep their
 * places.
 */
static bool
is_picked(const Pick *pick, const TrailStatement *statement)
{
	if ((CommandClass) statement->class != pick->class || statement->at > pick->until)
		return false;
	return !pick->full || statement == pick->first || statement == pick->last ||
		statement == pick->changed || statement == pick->tagged;
}

/* Append the keys of these statements, each once.  Returns how many. */
static int
append_trail(StringInfo out, const Trail *trail, TimestampTz until)
{
	Pick		pick;
	List	   *keys = NIL;

	look(&pick, trail, until);
	for (int n = 0; n < trail_count(trail); n++)
	{
		StringInfoData key;
		bool		known = false;
		ListCell   *lc;

		if (!is_picked(&pick, trail_statement(trail, n)))
			continue;
		initStringInfo(&key);
		normal_append_key(&key, trail_statement(trail, n)->text,
						  capture_is_broken(trail_statement(trail, n)));
		foreach(lc, keys)
			known |= strcmp(lfirst(lc), key.data) == 0;
		if (known)
			continue;
		keys = lappend(keys, key.data);
		append_string(out, key.data);
	}
	return list_length(keys);
}

/* ---------- from outside ---------- */

/*
 * The cause of an incident with this trail (NULL: it has none).  Of a prepared
 * transaction it is made from its database and its owner.  Where statements are not captured, the query identifier stands for them, if one is
 * computed.
 */
int64
cause_of(const Incident *incident, const Trail *trail)
{
	MemoryContext inner = AllocSetContextCreate(CurrentMemoryContext, "leakwatch cause",
												ALLOCSET_DEFAULT_SIZES);
	MemoryContext outer = MemoryContextSwitchTo(inner);
	StringInfoData bytes;
	bool		is_prepared = incident->kind == KIND_PREPARED_TRANSACTION;
	int64		cause;

	initStringInfo(&bytes);
	append_string(&bytes, kind_info(incident->kind)->name);
	append_string(&bytes, incident->names.database);
	append_string(&bytes, is_prepared ? incident->names.role : incident->text.application_name);
	if (!is_prepared && (trail == NULL || trail_count(trail) == 0 ||
						 append_trail(&bytes, trail, incident->detected_at) == 0))
	{
		if (incident->text.query[0] != '\0')
			normal_append_key(&bytes, incident->text.query,
							  capture_may_be_broken(&incident->session, &incident->text, trail));
		else if (incident->text.query_id != 0)
			appendStringInfo(&bytes, UINT64_FORMAT, incident->text.query_id);
	}
	cause = hash(&bytes);

	MemoryContextSwitchTo(outer);
	MemoryContextDelete(inner);
	return cause;
}
