/*-------------------------------------------------------------------------
 *
 * shape_fuzz.c
 *	  Feeds libFuzzer's inputs to what makes the shape of a statement.
 *
 * Tokens are cut at each space and change of the kind of character, as no lexer
 * would.  What comes out has the room that is promised, exactly, and of a tag
 * that names no code nothing is left.
 *
 *-------------------------------------------------------------------------
 */
#include "c.h"

#include <stdlib.h>

#include "landmark.h"
#include "shape.h"

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int
kind_of(char c)
{
	if (c == ' ')
		return 0;
	if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '$')
		return 1;
	return strchr("(),;[]", c) != NULL ? c : 2;
}

static int
find_tokens(const char *text, int length, Slice *slices)
{
	int			count = 0;

	for (int i = 0; i < length;)
	{
		int			start = i++;

		if (length - start >= 5 && memcmp(text + start, STATEMENT_GAP, 5) == 0)
			i = start + 5;
		else if (kind_of(text[start]) == 0)
			continue;
		else
		{
			while (i < length && kind_of(text[i]) == kind_of(text[start]))
				i++;
		}
		slices[count].start = start;
		slices[count++].length = i - start;
	}
	return count;
}

static void
check_shapes(const char *text, int length)
{
	Slice	   *slices = malloc(sizeof(Slice) * (length + 1));
	int			count = find_tokens(text, length, slices);
	void	   *scratch = malloc(SHAPE_SCRATCH(count) + 1);
	char	   *out = malloc(SHAPE_SIZE(length, count));

	if (shape_show(text, slices, count, scratch, out) != strlen(out))
		abort();
	if (shape_key(text, slices, count, scratch, out) != strlen(out) ||
		strlen(out) > SHAPE_KEY_HEAD + SHAPE_KEY_TAIL)
		abort();
	free(slices);
	free(scratch);
	free(out);
}

static void
check_landmarks(const char *text, int length)
{
	char	   *scratch = malloc(2 * length + 1);
	char	   *out = malloc(LANDMARK_SIZE(length));

	if (landmark_comment(text, length, scratch, out) != strlen(out) ||
		strstr(out, "traceparent=") != NULL)
		abort();
	free(scratch);
	free(out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char	   *text = malloc(size + 1);

	for (size_t i = 0; i < size; i++)
	{
		/* a text of the server has none */
		text[i] = data[i] == 0 ? '0' : (char) data[i];
	}
	text[size] = '\0';
	check_shapes(text, size);
	check_landmarks(text, size);
	free(text);
	return 0;
}
