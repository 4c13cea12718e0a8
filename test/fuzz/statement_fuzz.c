/*-------------------------------------------------------------------------
 *
 * statement_fuzz.c
 *	  Feeds libFuzzer's inputs to what decides what may be kept of a statement.
 *
 * The text is exactly as large as promised, so that a byte too far is found.
 * Of valid UTF-8 a copy is valid UTF-8, and a password that is set after the
 * text is never shown.
 *
 *-------------------------------------------------------------------------
 */
#include "c.h"

#include <stdlib.h>

#include "mb/pg_wchar.h"
#include "statement.h"

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char secret[] = ";alter role a password 'x'";

static void
check_copy(const char *text, size_t size, int encoding)
{
	char		copy[STATEMENT_SIZE + 1];
	size_t		length = statement_copy(copy, text, size, encoding);

	if (length > STATEMENT_SIZE || length != strlen(copy))
		abort();
	if (pg_encoding_verifymbstr(encoding, text, size) == (int) size &&
		(encoding == PG_UTF8 || encoding == PG_LATIN1) &&
		pg_encoding_verifymbstr(encoding, copy, length) != (int) length)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const int encodings[] = {PG_UTF8, PG_LATIN1, PG_EUC_JP, PG_SQL_ASCII, PG_MULE_INTERNAL};
	char	   *text = malloc(size + sizeof(secret));
	char	   *exact;

	for (size_t i = 0; i < size; i++)
	{
		/* a text of the server has none */
		text[i] = data[i] == 0 ? '0' : (char) data[i];
	}
	memcpy(text + size, secret, sizeof(secret));
	if (!statement_is_suspect(text))
		abort();

	text[size] = '\0';
	statement_is_suspect(text);
	exact = malloc(size);
	if (size > 0)
		memcpy(exact, text, size);
	for (size_t i = 0; i < lengthof(encodings); i++)
		check_copy(exact, size, encodings[i]);
	free(exact);
	free(text);
	return 0;
}
