/*-------------------------------------------------------------------------
 *
 * normal.c
 *	  Statements without their values, by the server's lexer.
 *
 * The lexer finds the tokens, and shape.c makes of them what stays.  Nothing
 * here depends on the encoding, the settings or the version of the server that
 * it runs in, so that the same statement gives the same everywhere.
 *
 * A text may be cut off at its end, may have lost its middle, or may be no SQL
 * at all, and then the lexer throws.  What it throws is caught here, so this must
 * not be called for an argument of ereport(): catching forgets the message that
 * is being made.  Where it is not certain what is within quotes and what is not,
 * what may be a value is left out.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "landmark.h"
#include "miscadmin.h"
#include "normal.h"
#include "parser/parser.h"
#include "parser/scanner.h"
#include "shape.h"
#include "statement.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

PGDLLEXPORT Datum leakwatch_normalized(PG_FUNCTION_ARGS);

PG_FUNCTION_INFO_V1(leakwatch_normalized);

/* How often to go on behind what is no token, in one text. */
#define MAX_REPAIRS	16

/* A text and the tokens found in it so far. */
typedef struct Tokens
{
	const char *text;
	int			length;
	Slice	   *slices;			/* room for one for each byte of the text */
	int			count;
	int			repairs;
	bool		shown;			/* what is taken for none of a value is seen */
} Tokens;

static void
add(Tokens *tokens, int from, int to)
{
	tokens->slices[tokens->count].start = from;
	tokens->slices[tokens->count++].length = to - from;
}

/* ---------- the server's lexer ---------- */

/*
 * Escapes that it would convert to this server's encoding mean nothing here,
 * and could fail: without the backslash they are plain letters.
 */
static void
disarm_escapes(char *text)
{
	for (; *text != '\0'; text++)
	{
		if (*text != '\\' || text[1] == '\0')
			continue;
		if (strchr("uUxX01234567", text[1]) != NULL)
			*text = '_';
		else
			text++;
	}
}

/* The lexer's warnings and notices are about whoever sent the statement. */
static emit_log_hook_type prev_emit_log = NULL;

static void
keep_quiet(ErrorData *edata)
{
	if (edata->elevel < ERROR)
		edata->output_to_server = false;
	else if (prev_emit_log)
		prev_emit_log(edata);
}

/*
 * Find the tokens from one place in the text up to another.  Returns where the
 * lexer has failed, or that other place.
 */
static int
scan_once(Tokens *tokens, int from, int to)
{
	MemoryContext context = CurrentMemoryContext;
	char	   *copy = pnstrdup(tokens->text + from, to - from);
	int			client_level = client_min_messages;
	ErrorContextCallback *callbacks = error_context_stack;
	uint32		interrupt_holds = InterruptHoldoffCount;
	uint32		cancel_holds = QueryCancelHoldoffCount;
	volatile int failed_at = to;
	volatile	YYLTYPE location = 0;

	disarm_escapes(copy);
	prev_emit_log = emit_log_hook;
	emit_log_hook = keep_quiet;
	client_min_messages = ERROR;
	error_context_stack = NULL;
	PG_TRY();
	{
		core_yy_extra_type extra;
		core_YYSTYPE value;
		core_yyscan_t scanner = scanner_init(copy, &extra, &ScanKeywords, ScanKeywordTokens);

		extra.backslash_quote = BACKSLASH_QUOTE_ON;
		compat_scan_standard(&extra);
		while (core_yylex(&value, unvolatize(YYLTYPE *, &location), scanner) != 0)
		{
			CHECK_FOR_INTERRUPTS();
			/* the scanner puts a NUL behind the token that it has found */
			add(tokens, from + location, from + location + strlen(extra.scanbuf + location));
		}
		scanner_finish(scanner);
	}
	PG_CATCH();
	{
		int			category = ERRCODE_TO_CATEGORY(geterrcode());

		if (category != ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION &&
			category != ERRCODE_DATA_EXCEPTION && category != ERRCODE_FEATURE_NOT_SUPPORTED)
		{
			emit_log_hook = prev_emit_log;
			client_min_messages = client_level;
			PG_RE_THROW();
		}
		MemoryContextSwitchTo(context);
		FlushErrorState();
		/* an error lets go of what its catcher may still hold */
		InterruptHoldoffCount = interrupt_holds;
		QueryCancelHoldoffCount = cancel_holds;
		failed_at = Min(from + location, to - 1);
	}
	PG_END_TRY();
	emit_log_hook = prev_emit_log;
	client_min_messages = client_level;
	error_context_stack = callbacks;
	return failed_at;
}

static bool
is_in_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		c == '_' || c == '$' || c == '.' || IS_HIGHBIT_SET(c);
}

/*
 * Does something start here that has to be closed, and was not?  Of N'...' the
 * N is a token of its own.
 */
static bool
is_opening(const char *text)
{
	switch (text[0])
	{
		case '\'':
			return true;
		case '"':
			return text[1] != '"';
		case '/':
			return text[1] == '*';
		case '$':
			return text[1] < '0' || text[1] > '9';
		case 'b':
		case 'B':
		case 'e':
		case 'E':
		case 'x':
		case 'X':
			return text[1] == '\'';
		case 'u':
		case 'U':
			return text[1] == '&' && (text[2] == '\'' || text[2] == '"');
		default:
			return false;
	}
}

/* Does what starts here close with a quote? */
static bool
is_string(const char *text)
{
	return is_opening(text) && text[0] != '"' && text[0] != '/' && text[0] != '$';
}

/*
 * Find the tokens from one place up to another, and go on behind what is no
 * token (123abc, "").  Returns where something starts that is not closed, or
 * that other place.
 */
static int
scan(Tokens *tokens, int from, int to)
{
	while (from < to)
	{
		int			failed_at = scan_once(tokens, from, to);
		int			end = failed_at;

		if (failed_at == to || is_opening(tokens->text + failed_at) ||
			++tokens->repairs > MAX_REPAIRS)
			return failed_at;

		/* a number, or part of one, as good as anything; or a character */
		while (end < to && is_in_word(tokens->text[end]))
			end++;
		if (tokens->text[failed_at] == '"')
			end = failed_at + 2;
		if (strchr("0123456789$.", tokens->text[failed_at]) != NULL)
			add(tokens, failed_at, end);
		from = Max(end, failed_at + 1);
	}
	return to;
}

/* ---------- texts that are not whole ---------- */

/* What is opened here and not closed before there is a value, or is left out. */
static void
add_open(Tokens *tokens, int from, int to)
{
	if (from < to && (is_string(tokens->text + from) || tokens->text[from] == '$'))
		add(tokens, from, to);
}

/*
 * Is there anything among the tokens from this one on that is none of SQL, so
 * that we may be within quotes where we think that we are not, or the reverse?
 */
static bool
is_doubtful(const Tokens *tokens, int first)
{
	for (int i = first; i < tokens->count; i++)
	{
		const char *text = tokens->text + tokens->slices[i].start;

		if (text[0] == '\\' || (text[0] == '*' && tokens->slices[i].length > 1 && text[1] == '/'))
			return true;
	}
	return false;
}

/* The two tokens that the lexer makes of a gap are one. */
static void
join_gaps(Tokens *tokens)
{
	int			kept = 0;

	for (int i = 0; i < tokens->count; i++)
	{
		Slice		slice = tokens->slices[i];

		if (slice.start > 0 &&
			strncmp(tokens->text + slice.start - 1, STATEMENT_GAP, strlen(STATEMENT_GAP)) == 0)
		{
			slice.start--;
			slice.length = strlen(STATEMENT_GAP);
			while (i + 1 < tokens->count &&
				   tokens->slices[i + 1].start < slice.start + slice.length)
				i++;
		}
		tokens->slices[kept++] = slice;
	}
	tokens->count = kept;
}

/* Where what this place of the text is in is closed by such a quote, or NULL. */
static const char *
closing_quote(const char *text, char quote)
{
	const char *at = strchr(text, quote);

	while (at != NULL && at[1] == quote)
		at = strchr(at + 2, quote);
	return at;
}

/*
 * Is there a quote within a -- comment among the tokens from this one on, which
 * start there?  It is rather the end of a string with that in it.
 */
static bool
has_quote_in_comment(const Tokens *tokens, int first, int start)
{
	for (int i = first; i <= tokens->count; i++)
	{
		int			end = i < tokens->count ? tokens->slices[i].start : tokens->length;
		const char *quote = memchr(tokens->text + start, '\'', Max(end - start, 0));
		const char *comment = strstr(tokens->text + start, "--");

		if (quote != NULL && comment != NULL && comment < quote)
			return true;
		if (i < tokens->count)
			start = end + tokens->slices[i].length;
	}
	return false;
}

/*
 * Where the comment begins that a text ends with, or its end.  It is a comment
 * for certain, because the statement ends there, too.
 */
static int
end_without_tags(const Tokens *tokens, int from)
{
	const char *text = tokens->text;
	int			end = tokens->length;

	while (end > from && strchr(" \t\r\n;", text[end - 1]) != NULL)
		end--;
	if (end - from < 4 || strncmp(text + end - 2, "*/", 2) != 0)
		return tokens->length;
	for (int at = end - 4; at >= from; at--)
	{
		if (strncmp(text + at, "/*", 2) == 0)
			return at;
	}
	return tokens->length;
}

/*
 * Is there anything between these places by which we may be in something else
 * than quotes, or have quotes that do not count?  Then they do not tell what is
 * a value.
 */
static bool
is_deceptive(const char *text, int from, int to)
{
	for (int at = from; at < to; at++)
	{
		const char *c = text + at;

		if (*c == '\\' || (*c == '$' && (c[1] < '0' || c[1] > '9')) ||
			strncmp(c, "--", 2) == 0 || strncmp(c, "/*", 2) == 0 || strncmp(c, "*/", 2) == 0)
			return true;
	}
	return false;
}

/* How a text may begin that stands behind a gap. */
typedef enum Beginning
{
	OUTSIDE_QUOTES,
	INSIDE_STRING,
	WITHIN_QUOTES,				/* between the two of a doubled one */
	INSIDE_NAME,
	NUM_BEGINNINGS
} Beginning;

/* Find the tokens of such a text.  False, and none, if it does not begin so. */
static bool
try_tail(Tokens *tokens, int from, int to, Beginning beginning)
{
	int			first = tokens->count;
	int			start = from + (beginning == WITHIN_QUOTES);
	const char *quote;

	tokens->repairs = 0;
	if (beginning != OUTSIDE_QUOTES)
	{
		quote = closing_quote(tokens->text + start, beginning == INSIDE_NAME ? '"' : '\'');
		if (quote == NULL || quote >= tokens->text + to ||
			(beginning == WITHIN_QUOTES && tokens->text[from] != '\''))
			return false;
		start = quote + 1 - tokens->text;
		if (beginning != INSIDE_NAME)
			add(tokens, start - 1, start);
	}
	if (scan(tokens, start, to) == to && !is_doubtful(tokens, first) &&
		!has_quote_in_comment(tokens, first, start))
		return true;
	tokens->count = first;
	return false;
}

/* Are these the same tokens, but perhaps for where a value begins that is first? */
static bool
are_same(const Slice *a, const Slice *b, int count)
{
	if (count > 0 && a[0].start + a[0].length != b[0].start + b[0].length)
		return false;
	for (int i = 1; i < count; i++)
	{
		if (a[i].start != b[i].start || a[i].length != b[i].length)
			return false;
	}
	return true;
}

/*
 * What stands behind the gap, by itself.  It is left out if it may begin in more
 * than one way: what is a value in one of them is none in the other.  Where
 * nobody sees it, what is likely will do.
 */
static void
scan_tail(Tokens *tokens, int from)
{
	int			to = end_without_tags(tokens, from);
	int			first = tokens->count;
	Slice	   *found = NULL;
	int			nfound = 0;

	if (tokens->shown && is_deceptive(tokens->text, from, to))
		return;
	for (int beginning = 0; beginning < (tokens->shown ? NUM_BEGINNINGS : INSIDE_NAME); beginning++)
	{
		Slice	   *slices = &tokens->slices[first];
		int			count;

		if (!try_tail(tokens, from, to, beginning))
			continue;
		count = tokens->count - first;
		tokens->count = first;
		if (found != NULL && (count != nfound || !are_same(slices, found, count)))
			return;
		nfound = count;
		found = palloc(Max(count, 1) * sizeof(Slice));
		memcpy(found, slices, count * sizeof(Slice));
	}
	if (found != NULL)
		memcpy(&tokens->slices[first], found, nfound * sizeof(Slice));
	tokens->count = first + nfound;
}

/*
 * A text that has lost its middle: each side by itself.  A quote next to the gap
 * may be one of two, and so is as good as none.
 */
static void
scan_around(Tokens *tokens, int gap)
{
	int			end = gap + (int) strlen(STATEMENT_GAP);
	int			head = tokens->text[gap - 1] == '\'' ? gap - 1 : gap;
	int			opened = scan(tokens, 0, head);

	if (opened < head)
		add_open(tokens, opened, gap);
	else if (head < gap)
		add(tokens, head, gap);
	add(tokens, gap, end);
	scan_tail(tokens, end);
}

/*
 * The quotes of a text do not match, because it ends within them, because it is
 * no SQL, or because a backslash means something in it: from the first one on,
 * all of it counts as a value.
 */
static void
give_up_at_quote(Tokens *tokens)
{
	for (int i = 0; i < tokens->count; i++)
	{
		int			start = tokens->slices[i].start;

		if (tokens->text[start] != '"' && is_opening(tokens->text + start))
		{
			tokens->count = i;
			add(tokens, start, tokens->length);
			return;
		}
	}
}

/*
 * The tokens of a text.  broken: it could not be parsed, so that its quotes may
 * not match.
 */
static void
find_tokens(Tokens *tokens, const char *text, bool broken, bool shown)
{
	int			gap;
	int			end;
	bool		doubtful;

	tokens->text = text;
	tokens->length = strlen(text);
	tokens->slices = palloc((tokens->length + 2) * sizeof(Slice));
	tokens->count = 0;
	tokens->repairs = 0;
	tokens->shown = shown;

	gap = statement_gap(text, tokens->length);
	if (gap >= 0)
	{
		scan_around(tokens, gap);
		doubtful = is_doubtful(tokens, 0);
	}
	else
	{
		end = scan(tokens, 0, tokens->length);
		add_open(tokens, end, tokens->length);
		doubtful = end < tokens->length ? !is_opening(text + end) || is_string(text + end) :
			is_doubtful(tokens, 0);
	}
	if (broken || doubtful)
		give_up_at_quote(tokens);
	join_gaps(tokens);
}

/* ---------- from outside ---------- */

/* The comment with the tags of a text that name code; "" when there are none. */
static char *
landmarks(const char *text)
{
	size_t		length = strlen(text);
	char	   *out = palloc(LANDMARK_SIZE(length));

	landmark_comment(text, length, palloc(2 * length + 1), out);
	return out;
}

/*
 * Append a statement to be shown, or what is the same of all that differ in values
 * alone, with the tags that name code.  Whatever that takes is freed at once.
 */
static void
append(StringInfo out, const char *text, bool broken, bool shown)
{
	MemoryContext inner = AllocSetContextCreate(CurrentMemoryContext, "leakwatch statement",
												ALLOCSET_DEFAULT_SIZES);
	MemoryContext outer = MemoryContextSwitchTo(inner);
	Tokens		tokens;
	char	   *shape;
	char	   *tags;
	void	   *scratch;

	find_tokens(&tokens, text, broken, shown);
	shape = palloc(SHAPE_SIZE(tokens.length, tokens.count));
	scratch = palloc(SHAPE_SCRATCH(tokens.count));
	if (shown)
		shape_show(text, tokens.slices, tokens.count, scratch, shape);
	else
		shape_key(text, tokens.slices, tokens.count, scratch, shape);
	tags = landmarks(text);

	MemoryContextSwitchTo(outer);
	appendStringInfoString(out, shape);
	if (shown && shape[0] != '\0' && tags[0] != '\0')
		appendStringInfoChar(out, ' ');
	appendStringInfoString(out, tags);
	MemoryContextDelete(inner);
}

/*
 * A statement without its values, palloc'd, with the tags that name code.
 * broken: it could not be parsed.
 */
char *
normal_text(const char *text, bool broken)
{
	StringInfoData out;

	initStringInfo(&out);
	append(&out, text, broken, true);
	return out.data;
}

/* Append what is the same of all statements that differ in values alone. */
void
normal_append_key(StringInfo out, const char *text, bool broken)
{
	append(out, text, broken, false);
}

/*
 * leakwatch.normalized(text): the statement without its values.
 */
Datum
leakwatch_normalized(PG_FUNCTION_ARGS)
{
	char	   *shown = normal_text(text_to_cstring(PG_GETARG_TEXT_PP(0)), false);

	PG_RETURN_TEXT_P(cstring_to_text(shown));
}
