/*-------------------------------------------------------------------------
 *
 * tap.h
 *	  What the unit tests print, which is TAP.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_TAP_H
#define LEAKWATCH_TAP_H

#include <stdarg.h>
#include <stdio.h>

static int	tap_tests = 0;
static int	tap_failures = 0;

static inline void ok(bool condition, const char *what,...) pg_attribute_printf(2, 3);

static inline void
ok(bool condition, const char *what,...)
{
	va_list		args;

	tap_tests++;
	if (!condition)
		tap_failures++;
	printf("%s %d - ", condition ? "ok" : "not ok", tap_tests);
	va_start(args, what);
	vprintf(what, args);
	va_end(args);
	printf("\n");
}

/* The last line, and the exit status of the program. */
static inline int
done_testing(void)
{
	printf("1..%d\n", tap_tests);
	return tap_failures == 0 ? 0 : 1;
}

#endif							/* LEAKWATCH_TAP_H */
