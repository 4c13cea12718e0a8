/*-------------------------------------------------------------------------
 *
 * watcher.h
 *	  The background worker that finds leaks and acts on them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_WATCHER_H
#define LEAKWATCH_WATCHER_H

extern void watcher_register(void);

#endif							/* LEAKWATCH_WATCHER_H */
