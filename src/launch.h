/*-------------------------------------------------------------------------
 *
 * launch.h
 *	  Keeps a recorder running while there is something to write.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_LAUNCH_H
#define LEAKWATCH_LAUNCH_H

extern void launch_tend(int64 monotonic);
extern void launch_retry(void);

#endif							/* LEAKWATCH_LAUNCH_H */
