/*-------------------------------------------------------------------------
 *
 * holders.c
 *	  Which applications hold how many connections.
 *
 * For the watcher's messages: looks at every session, and so only when there
 * is something to say.  Keeps nothing.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "follow.h"
#include "holders.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

static void
add(Holder *holder, const Session *session)
{
	bool		in_transaction = session->state == SESSION_IDLE_IN_TRANSACTION ||
	session->state == SESSION_IDLE_IN_ABORTED_TRANSACTION;
	TimestampTz since = session->since[SINCE_STATE];

	holder->sessions++;
	holder->idle += session->state == SESSION_IDLE;
	holder->in_transaction += in_transaction;
	holder->leaking += follow_has_incidents(follow_seat(session->slot));
	if ((session->state == SESSION_IDLE || in_transaction) &&
		(holder->unused_since == 0 || since < holder->unused_since))
		holder->unused_since = since;
	holder->example = *session;
}

/* The holder that this session belongs to. */
static Holder *
holder_of(HTAB *table, const Session *session, const SessionText *text)
{
	HolderKey	key;
	Holder	   *holder;
	bool		found;

	memset(&key, 0, sizeof(key));
	key.database = session->database;
	key.role = session->role;
	strlcpy(key.application, text->application_name, NAMEDATALEN);
	holder = hash_search(table, &key, HASH_ENTER, &found);
	if (!found)
	{
		memset(holder, 0, sizeof(Holder));
		holder->key = key;
	}
	return holder;
}

static bool
counts_in(ScopeKind kind, Oid oid, const Session *session)
{
	switch (kind)
	{
		case SCOPE_SERVER:
			return true;
		case SCOPE_DATABASE:
			return session->database == oid;
		case SCOPE_ROLE:
			return session->role == oid;
	}
	return false;
}

static int
most_first(const void *a, const void *b)
{
	const Holder *ha = *(const Holder *const *) a;
	const Holder *hb = *(const Holder *const *) b;

	if (ha->sessions != hb->sessions)
		return hb->sessions - ha->sessions;
	return strcmp(ha->key.application, hb->key.application);
}

/* All of the table in an array, in order. */
static void
sort(HTAB *table, Holders *holders)
{
	HASH_SEQ_STATUS seq;
	Holder	   *holder;

	holders->count = 0;
	holders->holder = palloc(sizeof(Holder *) * (hash_get_num_entries(table) + 1));
	hash_seq_init(&seq, table);
	while ((holder = hash_seq_search(&seq)) != NULL)
		holders->holder[holders->count++] = holder;
	qsort(holders->holder, holders->count, sizeof(Holder *), most_first);
}

/* Who holds the connections of a scope.  Allocates in the current context. */
void
holders_survey(ScopeKind kind, Oid oid, Holders *holders)
{
	HASHCTL		info = {
		.keysize = sizeof(HolderKey),
		.entrysize = sizeof(Holder),
		.hcxt = CurrentMemoryContext,
	};
	HTAB	   *table = hash_create("leakwatch holders", 64, &info,
									HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);

	memset(&holders->all, 0, sizeof(Holder));
	for (int slot = 0; slot < MaxBackends; slot++)
	{
		Session		session;
		SessionText text;

		CHECK_FOR_INTERRUPTS();
		if (session_read(slot, &session) != READ_DONE || !counts_in(kind, oid, &session))
			continue;
		/* one that goes on at this moment is counted without its name */
		if (!session_read_text(&session, &text))
			text.application_name[0] = '\0';
		add(holder_of(table, &session, &text), &session);
		add(&holders->all, &session);
	}
	sort(table, holders);
}
