/*-------------------------------------------------------------------------
 *
 * datum.c
 *	  Values of ours as SQL values, for the table and for the views.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "datum.h"
#include "encoding.h"
#include "session.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

/* A duration in microseconds. */
Datum
datum_interval(int64 usec)
{
	Interval   *interval = palloc0(sizeof(Interval));

	interval->time = usec;
	return IntervalPGetDatum(interval);
}

/* A limit in milliseconds; NULL when it is off. */
void
datum_limit(int ms, Datum *value, bool *null)
{
	*null = ms == 0;
	if (!*null)
		*value = datum_interval(ms * INT64CONST(1000));
}

/* Text of a database in encoding (-1: not known); NULL when it is empty. */
void
datum_text(const char *text, int encoding, Datum *value, bool *null)
{
	*null = text == NULL || text[0] == '\0';
	if (!*null)
		*value = CStringGetTextDatum(encoding_to_database(text, encoding));
}

/* The client's address and port, as pg_stat_activity shows them. */
void
datum_client(const SockAddr *client, Datum *address, bool *address_null,
			 Datum *port, bool *port_null)
{
	char		text[NI_MAXHOST];
	int			number;
	bool		known = session_client(client, text, sizeof(text), &number);

	*address_null = !known || text[0] == '\0';
	if (!*address_null)
		*address = DirectFunctionCall1(inet_in, CStringGetDatum(text));
	*port_null = !known;
	*port = Int32GetDatum(number);
}
