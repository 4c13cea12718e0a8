/*-------------------------------------------------------------------------
 *
 * publication.h
 *	  Whether what is recorded would be sent to subscribers.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_PUBLICATION_H
#define LEAKWATCH_PUBLICATION_H

extern char *publication_in_the_way(void);

#endif							/* LEAKWATCH_PUBLICATION_H */
