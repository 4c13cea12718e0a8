/*-------------------------------------------------------------------------
 *
 * capture.c
 *	  What of statements is let in, by leakwatch.capture_query.
 *
 * Called by the watcher wherever it has read the text of another session: what
 * it keeps, and so all that anybody gets to see of it, is what this leaves.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "capture.h"
#include "guc.h"
#include "mb/pg_wchar.h"
#include "normal.h"

/* Is what is let in now without values? */
bool
capture_is_without_values(void)
{
	return guc_capture_query == CAPTURE_NORMALIZED;
}

/* An encoding in which each byte is a character, for one that is not known. */
static int
known_encoding(int encoding)
{
	return encoding >= 0 ? encoding : PG_SQL_ASCII;
}

/* Could it not be parsed, so that its quotes may not match? */
bool
capture_is_broken(const TrailStatement *statement)
{
	return statement->sqlerrcode == ERRCODE_SYNTAX_ERROR;
}

/*
 * May it be that the text of a session's activity could not be parsed?  The
 * trail (NULL: there is none) tells that of what it has noted, and it notes
 * nothing in a transaction that has failed already.
 */
bool
capture_may_be_broken(const Session *session, const SessionText *text, const Trail *trail)
{
	const TrailStatement *newest = trail != NULL ? trail_before(trail, NULL) : NULL;

	if (newest != NULL && newest->last_at == text->query_start)
		return capture_is_broken(newest);
	return session->state == SESSION_IDLE_IN_ABORTED_TRANSACTION;
}

/* Let in the text of a session's activity, of a database in encoding (-1: not known). */
void
capture_query(const Session *session, SessionText *text, const Trail *trail, int encoding)
{
	char	   *query;
	int			length;

	if (guc_capture_query == CAPTURE_OFF)
		text->query[0] = '\0';
	if (guc_capture_query != CAPTURE_NORMALIZED || text->query[0] == '\0')
		return;
	query = normal_text(text->query, capture_may_be_broken(session, text, trail));
	length = pg_encoding_mbcliplen(known_encoding(encoding), query, strlen(query),
								   SESSION_QUERY_SIZE - 1);
	memcpy(text->query, query, length);
	text->query[length] = '\0';
	pfree(query);
}

/* Let in a trail of a database in that encoding. */
void
capture_trail(Trail *trail, int encoding)
{
	if (guc_capture_query != CAPTURE_NORMALIZED)
		return;
	for (int n = 0; n < trail_count(trail); n++)
	{
		TrailStatement *statement = &trail->statements[n];
		char	   *text = normal_text(statement->text, capture_is_broken(statement));

		statement->length = strlen(text);
		statement_copy(statement->text, text, statement->length, known_encoding(encoding));
		pfree(text);
	}
}
