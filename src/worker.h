/*-------------------------------------------------------------------------
 *
 * worker.h
 *	  What the two background workers have in common.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_WORKER_H
#define LEAKWATCH_WORKER_H

#include "postmaster/bgworker.h"

extern void worker_form(BackgroundWorker *worker, const char *name, const char *function);
extern void worker_neutralise_settings(void);

#endif							/* LEAKWATCH_WORKER_H */
