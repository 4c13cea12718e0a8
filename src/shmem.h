/*-------------------------------------------------------------------------
 *
 * shmem.h
 *	  The shared memory of all of leakwatch: requested and created here.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_SHMEM_H
#define LEAKWATCH_SHMEM_H

extern void shmem_install(void);
extern void shmem_require(void);

#endif							/* LEAKWATCH_SHMEM_H */
