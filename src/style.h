/*-------------------------------------------------------------------------
 *
 * style.h
 *	  How the report looks.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_STYLE_H
#define LEAKWATCH_STYLE_H

/* Classes for kinds: k0 is that of all that have none of their own. */
#define STYLE_KINDS		10

extern const char style_sheet[];

extern int	style_of_kind(const char *kind);
extern const char *style_kind_name(int style);

#endif							/* LEAKWATCH_STYLE_H */
