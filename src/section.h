/*-------------------------------------------------------------------------
 *
 * section.h
 *	  The sections of the report below its plots.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_SECTION_H
#define LEAKWATCH_SECTION_H

#include "digest.h"

extern void section_causes(StringInfo page, const Digest *digest);
extern void section_open(StringInfo page, const Digest *digest);
extern void section_harm(StringInfo page, const Digest *digest);
extern void section_ends(StringInfo page, const Digest *digest);
extern void section_settings(StringInfo page, const Digest *digest);
extern void section_health(StringInfo page, const Digest *digest);

#endif							/* LEAKWATCH_SECTION_H */
