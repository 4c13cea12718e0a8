/*
 * driver.h
 *	  What the drivers of the benchmark share: the clock, and the way they are
 *	  driven, which is one line of standard input after the other, each answered
 *	  by lines of which the last begins with "ok" (or "error").
 */
#ifndef DRIVER_H
#define DRIVER_H

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <libpq-fe.h>

/* Microseconds since 1970, by the clock that the server goes by. */
static inline int64_t
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* Whoever drives us waits for a line: never leave without one. */
__attribute__((format(printf, 1, 2), noreturn)) static inline void
fail(const char *format,...)
{
	va_list		args;

	va_start(args, format);
	printf("error ");
	vprintf(format, args);
	printf("\n");
	va_end(args);
	fflush(stdout);
	exit(1);
}

/*
 * Lines are kept until the end of a command, so that no driver ever waits for
 * whoever reads them.
 */
static inline void
buffer_output(void)
{
	setvbuf(stdout, NULL, _IOFBF, 16 * 1024 * 1024);
}

/* libpq ends its messages with a newline, and may need several lines. */
static inline const char *
one_line(const char *message)
{
	static char line[256];

	snprintf(line, sizeof(line), "%s", message);
	line[strcspn(line, "\n")] = '\0';
	return line;
}

#endif							/* DRIVER_H */
