/*-------------------------------------------------------------------------
 *
 * hooks.h
 *	  Where every process of the server passes through leakwatch.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_HOOKS_H
#define LEAKWATCH_HOOKS_H

#include "control.h"

extern void hooks_install(void);
extern void hooks_note_errors_of(Actor actor);

#endif							/* LEAKWATCH_HOOKS_H */
