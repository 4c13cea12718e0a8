/*-------------------------------------------------------------------------
 *
 * landmark.c
 *	  The tags of a statement that are the same each time its code is run.
 *
 * Pure: text in, text out, without a server.  Tags that name code (controller,
 * action, file ...) stay; those that name one request (traceparent, user,
 * request_id ...) go, and so does every tag that is not known.  A number in a
 * value that stands alone, as that of a line or of a row in a path, becomes 0.
 *
 *-------------------------------------------------------------------------
 */
#include "c.h"

#include "landmark.h"
#include "sqlcommenter.h"

/* In the order in which they are written. */
static const char *const keys[] = {
	"action", "application", "class", "code.filepath", "code.function", "code.namespace",
	"command", "component", "controller", "controller_with_namespace", "endpoint", "feature",
	"file", "function", "handler", "job", "line", "method", "module", "namespaced_controller",
	"operation", "queue", "route", "service", "source_location", "task", "view", "worker"
};

/* The values found, in scratch. */
typedef struct Landmarks
{
	char	   *room;
	size_t		used;
	struct
	{
		const char *value;
		size_t		length;
		bool		found;
	}			tags[lengthof(keys)];
} Landmarks;

/* Keep the value of a key that names code; of the same key twice, the last. */
static void
keep(void *state, const char *key, size_t key_length, const char *value, size_t value_length)
{
	Landmarks  *landmarks = state;

	for (size_t i = 0; i < lengthof(keys); i++)
	{
		char	   *copy = landmarks->room + landmarks->used;

		if (strlen(keys[i]) != key_length || memcmp(keys[i], key, key_length) != 0)
			continue;
		memcpy(copy, value, value_length);
		landmarks->used += value_length;
		landmarks->tags[i].value = copy;
		landmarks->tags[i].length = value_length;
		landmarks->tags[i].found = true;
		return;
	}
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || IS_HIGHBIT_SET(c);
}

static char *
put_encoded(char *out, char c)
{
	static const char hex[] = "0123456789ABCDEF";

	if (is_digit(c) || (is_letter(c) && !IS_HIGHBIT_SET(c)) || strchr("-./:~", c) != NULL)
		*out++ = c;
	else
	{
		*out++ = '%';
		*out++ = hex[(unsigned char) c >> 4];
		*out++ = hex[(unsigned char) c & 0x0F];
	}
	return out;
}

/* A value, URL-encoded, with 0 for each number that no letter touches. */
static char *
put_value(char *out, const char *value, size_t length)
{
	for (size_t i = 0; i < length;)
	{
		size_t		end = i;

		while (end < length && is_digit(value[end]))
			end++;
		if (end > i && (i == 0 || !is_letter(value[i - 1])) &&
			(end == length || !is_letter(value[end])))
		{
			*out++ = '0';
			i = end;
			continue;
		}
		end = Max(end, i + 1);
		for (; i < end; i++)
			out = put_encoded(out, value[i]);
	}
	return out;
}

/*
 * Write the comment that a statement would have with these tags alone, in one
 * order, or nothing when there are none.  scratch has room for twice the
 * length, and out for LANDMARK_SIZE() of it.  Returns the length.
 */
size_t
landmark_comment(const char *text, size_t length, char *scratch, char *out)
{
	Landmarks	landmarks = {
		.room = scratch + length,
	};
	char	   *start = out;

	sqlcommenter_parse(text, length, scratch, keep, &landmarks);
	for (size_t i = 0; i < lengthof(keys); i++)
	{
		if (!landmarks.tags[i].found)
			continue;
		memcpy(out, out == start ? "/*" : ",", out == start ? 2 : 1);
		out += out == start ? 2 : 1;
		memcpy(out, keys[i], strlen(keys[i]));
		out += strlen(keys[i]);
		*out++ = '=';
		*out++ = '\'';
		out = put_value(out, landmarks.tags[i].value, landmarks.tags[i].length);
		*out++ = '\'';
	}
	if (out > start)
	{
		*out++ = '*';
		*out++ = '/';
	}
	*out = '\0';
	return out - start;
}
