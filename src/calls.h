/*-------------------------------------------------------------------------
 *
 * calls.h
 *	  Where the watcher is to look, and whether at once.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_CALLS_H
#define LEAKWATCH_CALLS_H

extern Size calls_shmem_size(void);
extern void calls_shmem_init(void);

/* Called by a backend. */
extern void calls_announce(int slot);
extern void calls_make(int slot);

/* Called by the watcher. */
extern bool calls_any(void);
extern int64 calls_take(int64 monotonic, void (*expect) (int slot));

#endif							/* LEAKWATCH_CALLS_H */
