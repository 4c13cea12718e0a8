/*-------------------------------------------------------------------------
 *
 * table.h
 *	  Sections, tables and lists of facts in HTML.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_TABLE_H
#define LEAKWATCH_TABLE_H

#include "html.h"

/* The longest statement that is shown whole, in characters. */
#define STATEMENT_LENGTH	600

extern void table_begin_section(StringInfo page, const char *title);
extern void table_end_section(StringInfo page);
extern void table_begin(StringInfo page, const char *caption, const char *const *columns, int ncolumns);
extern void table_end(StringInfo page);
extern void table_row_head(StringInfo page, const char *name, const char *role, const char *database);
extern void table_number(StringInfo page, int64 count);
extern void table_duration(StringInfo page, double seconds);
extern void table_kind_words(StringInfo page, const char *kind);
extern void table_kind(StringInfo page, const char *kind);
extern void table_statement(StringInfo page, const char *statement);
extern void table_begin_fact(StringInfo page, const char *term);
extern void table_end_fact(StringInfo page);
extern void table_time_fact(StringInfo page, const char *term, TimestampTz time);
extern void table_count_fact(StringInfo page, const char *term, int64 count);

#endif							/* LEAKWATCH_TABLE_H */
