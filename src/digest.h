/*-------------------------------------------------------------------------
 *
 * digest.h
 *	  What the report is made of.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_DIGEST_H
#define LEAKWATCH_DIGEST_H

#include "answer.h"

/* Incidents that a report looks at, and how many of each list it shows. */
#define DIGEST_INCIDENTS		100000
#define DIGEST_INCIDENTS_TEXT	"100000"
#define DIGEST_LANES_TEXT		"12"

typedef struct Digest
{
	Question	question;
	Answer		totals;			/* one row */
	Answer		before;			/* one row: the same time before */
	Answer		applications;	/* those with most incidents */
	Answer		causes;
	Answer		harmed;			/* applications that waited */
	Answer		vacuum;			/* who kept it from its work */
	Answer		ends;			/* who was ended, by application and kind */
	Answer		held;			/* rules that held terminations back */
	Answer		open;			/* sessions over a limit now */
	Answer		usage;			/* connections over the time */
	Answer		limit;			/* one row: connections now */
	Answer		settings;		/* of the server, that differ from the default */
	Answer		policies;		/* of roles and databases */
	Answer		status;			/* one row */
} Digest;

extern void digest_get(Digest *digest, const Question *question);
extern Portal digest_incidents(const Question *question);

#endif							/* LEAKWATCH_DIGEST_H */
