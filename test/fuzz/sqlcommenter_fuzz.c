/*-------------------------------------------------------------------------
 *
 * sqlcommenter_fuzz.c
 *	  Feeds libFuzzer's inputs to the parser of tags.
 *
 * Text and scratch are exactly as large as promised, so that a byte too far
 * is found.  What is reported must be within the scratch area.
 *
 *-------------------------------------------------------------------------
 */
#include "c.h"

#include <stdlib.h>

#include "sqlcommenter.h"

typedef struct Area
{
	const char *start;
	size_t		length;
} Area;

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(void *state, const char *key, size_t key_length, const char *value,
	  size_t value_length)
{
	const Area *area = state;

	if (key_length == 0 || key < area->start || value < key + key_length ||
		value + value_length > area->start + area->length ||
		memchr(key, '\0', key_length) == key)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char	   *text = malloc(size);
	char	   *scratch = malloc(size);
	Area		area = {scratch, size};

	if (size > 0)
		memcpy(text, data, size);
	for (size_t i = 0; i < size; i++)
	{
		/* a text of the server has none */
		if (text[i] == '\0')
			text[i] = '0';
	}
	sqlcommenter_parse(text, size, scratch, check, &area);
	free(text);
	free(scratch);
	return 0;
}
