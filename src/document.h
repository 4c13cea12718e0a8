/*-------------------------------------------------------------------------
 *
 * document.h
 *	  Objects of jsonb, key by key.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_DOCUMENT_H
#define LEAKWATCH_DOCUMENT_H

#include "utils/timestamp.h"

extern void document_text_or_null(CompatJsonb *json, const char *key, const char *text);
extern void document_text(CompatJsonb *json, const char *key, const char *text);
extern void document_bool(CompatJsonb *json, const char *key, bool value);
extern void document_number(CompatJsonb *json, const char *key, int64 number);
extern void document_seconds(CompatJsonb *json, const char *key, int64 usec);
extern void document_time(CompatJsonb *json, const char *key, TimestampTz time);
extern void document_key(CompatJsonb *json, const char *key);
extern char *document_ascii(const char *text);

#endif							/* LEAKWATCH_DOCUMENT_H */
