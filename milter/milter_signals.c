/*
 * milter_signals.c - signals reach the main thread, never libmilter's
 */
#include "milter/milter_signals.h"

#include <signal.h>

/* Instead of libc's.  The caller, libmilter's thread, stays here. */
__attribute__((visibility("default"))) int sigwait(
    const sigset_t *restrict set, int *restrict sig)
{
	sigset_t all;

	(void)sigfillset(&all);
	for (;;)
		(void)sigsuspend(&all);
}

int milter_signals_wait(void)
{
	sigset_t set;
	int sig;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGUSR1);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGHUP);
	do
		sig = sigwaitinfo(&set, NULL);
	while (sig < 0);
	return sig == SIGINT ? SIGTERM : sig;
}
