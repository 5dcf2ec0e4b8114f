/*
 * milter_signals.c - signals reach the main thread, never libmilter's
 */
#include "milter/milter_signals.h"

#include <errno.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>

#include "base/attr.h"

static sem_t arrived;
static atomic_bool stop_asked, reload_asked, hangup;

static void note(int sig)
{
	int saved = errno;

	if (sig == SIGUSR1)
		atomic_store(&reload_asked, true);
	else if (sig == SIGHUP)
		atomic_store(&hangup, true);
	else
		atomic_store(&stop_asked, true);
	(void)sem_post(&arrived);
	errno = saved;
}

void milter_signals_take(void)
{
	static const int signals[] = {SIGUSR1, SIGTERM, SIGINT, SIGHUP};
	struct sigaction action = {.sa_handler = note, .sa_flags = SA_RESTART};
	sigset_t set;

	(void)sem_init(&arrived, 0, 0);
	(void)sigemptyset(&set);
	for (size_t i = 0; i < COUNT(signals); i++)
		(void)sigaddset(&set, signals[i]);
	action.sa_mask = set;
	for (size_t i = 0; i < COUNT(signals); i++)
		(void)sigaction(signals[i], &action, NULL);
	(void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

int milter_signals_wait(void)
{
	for (;;) {
		if (atomic_exchange(&stop_asked, false))
			return SIGTERM;
		if (atomic_exchange(&reload_asked, false))
			return SIGUSR1;
		if (atomic_exchange(&hangup, false))
			return SIGHUP;
		(void)sem_wait(&arrived);
	}
}
