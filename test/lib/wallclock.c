/*-------------------------------------------------------------------------
 *
 * wallclock.c
 *	  For tests: a server whose clocks can be set.
 *
 * Preloaded, it answers for the C library with the time in the file WALLCLOCK
 * names: an offset of the wall clock in microseconds, how long a process with
 * that PID is to be stopped after it has read the clock next, how much time
 * has passed by both clocks, and the time at which the wall clock stands still.
 *
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

struct setting
{
	volatile int64_t offset;	/* us */
	volatile int64_t stall;		/* us; taken by the first of this PID */
	volatile int64_t pid;
	volatile int64_t passed;	/* us */
	volatile int64_t standstill;	/* us since 1970; 0: it goes on */
};

static struct setting *setting = NULL;

__attribute__((constructor)) static void
attach(void)
{
	const char *path = getenv("WALLCLOCK");
	int			file = path != NULL ? open(path, O_RDWR) : -1;
	void	   *map;

	if (file < 0)
		return;
	map = mmap(NULL, sizeof(struct setting), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	close(file);
	if (map != MAP_FAILED)
		setting = map;
}

static void
stall(void)
{
	int64_t		us = setting->stall;
	struct timespec rest = {us / 1000000, us % 1000000 * 1000};

	if (us == 0 || setting->pid != getpid())
		return;
	setting->stall = 0;
	while (nanosleep(&rest, &rest) != 0 && errno == EINTR)
		;
}

static void
shift(struct timespec *ts, int64_t offset)
{
	int64_t		us = ts->tv_sec * INT64_C(1000000) + ts->tv_nsec / 1000 + offset;

	ts->tv_nsec = us % 1000000 * 1000 + ts->tv_nsec % 1000;
	ts->tv_sec = us / 1000000;
}

int
clock_gettime(clockid_t clock, struct timespec *ts)
{
	int			result = syscall(SYS_clock_gettime, clock, ts);

	if (result != 0 || setting == NULL)
		return result;
	if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)
	{
		shift(ts, setting->offset + setting->passed);
		if (setting->standstill != 0)
		{
			ts->tv_sec = setting->standstill / 1000000;
			ts->tv_nsec = setting->standstill % 1000000 * 1000;
		}
	}
	else if (clock == CLOCK_MONOTONIC)
		shift(ts, setting->passed);
	return result;
}

int
gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
	struct timespec ts;

	(void) zone;
	if (clock_gettime(CLOCK_REALTIME, &ts) != 0)
		return -1;
	tv->tv_sec = ts.tv_sec;
	tv->tv_usec = ts.tv_nsec / 1000;
	if (setting != NULL)
		stall();
	return 0;
}

time_t
time(time_t *result)
{
	struct timespec ts;

	if (clock_gettime(CLOCK_REALTIME, &ts) != 0)
		return -1;
	if (result != NULL)
		*result = ts.tv_sec;
	return ts.tv_sec;
}
