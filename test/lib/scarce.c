/*-------------------------------------------------------------------------
 *
 * scarce.c
 *	  For tests: a server whose memory comes to an end at a chosen moment.
 *
 * Preloaded, it counts down the allocations of one process, by the file that
 * SCARCE names: the last of them fails, or is cancelled as by
 * pg_cancel_backend().  What comes after that succeeds again.
 *
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct setting
{
	volatile int64_t pid;		/* 0: nobody */
	volatile int64_t countdown; /* how many are left */
	volatile int64_t cancel;	/* it is cancelled, and does not fail */
};

static struct setting *setting = NULL;
static void *(*next_malloc) (size_t) = NULL;
static void *(*next_realloc) (void *, size_t) = NULL;

__attribute__((constructor)) static void
attach(void)
{
	const char *path = getenv("SCARCE");
	int			file = path != NULL ? open(path, O_RDWR) : -1;
	void	   *map;

	if (file < 0)
		return;
	map = mmap(NULL, sizeof(struct setting), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	close(file);
	if (map != MAP_FAILED)
		setting = map;
}

/* Is this the one? */
static int
fails(void)
{
	if (setting == NULL || setting->pid == 0 || setting->countdown == 0 ||
		setting->pid != getpid() || --setting->countdown > 0)
		return 0;
	if (setting->cancel)
	{
		raise(SIGINT);
		return 0;
	}
	errno = ENOMEM;
	return 1;
}

void *
malloc(size_t size)
{
	if (next_malloc == NULL)
		next_malloc = (void *(*) (size_t)) dlsym(RTLD_NEXT, "malloc");
	return fails() ? NULL : next_malloc(size);
}

void *
realloc(void *old, size_t size)
{
	if (next_realloc == NULL)
		next_realloc = (void *(*) (void *, size_t)) dlsym(RTLD_NEXT, "realloc");
	return fails() ? NULL : next_realloc(old, size);
}
