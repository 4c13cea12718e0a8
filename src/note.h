/*-------------------------------------------------------------------------
 *
 * note.h
 *	  What a backend notes of the statements that it executes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_NOTE_H
#define LEAKWATCH_NOTE_H

#include "nodes/plannodes.h"

extern void note_statement(const PlannedStmt *statement, const char *source, bool executed);
extern void note_within(const PlannedStmt *statement);
extern void note_failure(int sqlerrcode, const char *source);
extern void note_rollback(void);
extern void note_end(void);

#endif							/* LEAKWATCH_NOTE_H */
