/*-------------------------------------------------------------------------
 *
 * publication.c
 *	  Whether what is recorded would be sent to subscribers.
 *
 * A publication FOR ALL TABLES has the tables of an extension too.  Its
 * subscribers do not have these, and the first row would stop them for good,
 * while their slots keep WAL on this server.  A publication that names the
 * tables or their schema does so on purpose.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "access/xlog.h"
#include "catalog/pg_publication.h"
#include "guc.h"
#include "publication.h"
#include "utils/lsyscache.h"

/*
 * The name of a publication of this database that would send what is recorded,
 * palloc'd; NULL when there is none, or leakwatch.record_published allows it.
 * Looks into the catalogs, in a transaction of the caller's.
 */
char *
publication_in_the_way(void)
{
	List	   *publications;

	if (guc_record_published || !XLogLogicalInfoActive())
		return NULL;
	publications = GetAllTablesPublications();
	return publications == NIL ? NULL : get_publication_name(linitial_oid(publications), true);
}
