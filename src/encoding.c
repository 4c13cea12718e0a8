/*-------------------------------------------------------------------------
 *
 * encoding.c
 *	  Text of other databases in the encoding of this one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "catalog/namespace.h"
#include "encoding.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"

/* What stands for a character that can't be shown. */
#define REPLACEMENT	'?'

/* The text with every byte replaced that is not part of a valid character. */
static char *
valid_text(const char *text, int encoding)
{
	int			left = strlen(text);
	StringInfoData out;

	/* the end may have been cut off within a character */
	left = pg_encoding_mbcliplen(encoding, text, left, left);

	initStringInfo(&out);
	while (left > 0)
	{
		int			length = pg_encoding_verifymbchar(encoding, text, left);

		if (length > 0)
			appendBinaryStringInfo(&out, text, length);
		else
		{
			appendStringInfoChar(&out, REPLACEMENT);
			length = 1;
		}
		text += length;
		left -= length;
	}
	return out.data;
}

/* Valid text without a conversion for it: what is not ASCII is replaced. */
static char *
ascii_text(char *text)
{
	for (char *c = text; *c != '\0'; c++)
	{
		if (IS_HIGHBIT_SET(*c))
			*c = REPLACEMENT;
	}
	return text;
}

/*
 * Text in encoding (-1: not known) as text in the encoding here, palloc'd.
 * What is invalid or has no equal is replaced, so that this never fails for
 * what the text is.  Looks into the catalogs if the encodings differ.
 */
char *
encoding_convert(const char *text, int encoding, int here)
{
	char	   *valid;
	char	   *converted;
	int			left;
	Oid			procedure;
	StringInfoData out;

	/* bytes of no known encoding may happen to be valid here */
	if (encoding < 0 || encoding == PG_SQL_ASCII)
		encoding = here;

	valid = valid_text(text, encoding);
	if (encoding == here || here == PG_SQL_ASCII)
		return valid;

	procedure = FindDefaultConversionProc(encoding, here);
	if (!OidIsValid(procedure))
		return ascii_text(valid);

	initStringInfo(&out);
	left = strlen(valid);
	converted = palloc(left * MAX_CONVERSION_GROWTH + 1);
	while (left > 0)
	{
		int			done = pg_do_encoding_conversion_buf(procedure, encoding, here,
														 (unsigned char *) valid, left,
														 (unsigned char *) converted,
														 left * MAX_CONVERSION_GROWTH + 1,
														 true);

		appendStringInfoString(&out, converted);
		valid += done;
		left -= done;
		if (left > 0)
		{
			/* the next character has no equal here */
			int			length = Min(pg_encoding_mblen(encoding, valid), left);

			appendStringInfoChar(&out, REPLACEMENT);
			valid += length;
			left -= length;
		}
	}
	return out.data;
}

/* Text of a database in encoding (-1: not known) as text of this database. */
char *
encoding_to_database(const char *text, int encoding)
{
	return encoding_convert(text, encoding, GetDatabaseEncoding());
}
