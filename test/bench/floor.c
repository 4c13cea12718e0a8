/*
 * floor.c
 *	  Sleeps in epoll_wait() for a number of milliseconds, again and again: what
 *	  waking up costs a process that does nothing when it is awake.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>

int
main(int argc, char **argv)
{
	int			ms = argc > 1 ? atoi(argv[1]) : 1000;
	int			epoll = epoll_create1(0);
	struct epoll_event event;

	/* nobody is left to stop it when who started it has failed */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (epoll < 0)
		return 1;
	while (epoll_wait(epoll, &event, 1, ms) >= 0)
		continue;
	return 1;
}
