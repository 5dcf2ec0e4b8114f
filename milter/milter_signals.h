/*
 * milter_signals.h - signals reach the main thread, never libmilter's
 *
 * libmilter starts a thread of its own that waits for SIGTERM, SIGINT and
 * SIGHUP with sigwait(3), and closes the listening socket when it gets one.
 * Which of two waiting threads gets a signal is the kernel's choice, so this
 * program has a sigwait() of its own, which libmilter finds first: it never
 * returns.  The main thread uses sigwaitinfo(2).
 *
 * Threads: the main thread; all threads block these signals (daemon.h,
 * worker.h). See:     signal(7), ld.so(8); libmilter/signal.c
 */
#ifndef MILTER_MILTER_SIGNALS_H
#define MILTER_MILTER_SIGNALS_H

/* Waits for SIGTERM (also for SIGINT), SIGUSR1 or SIGHUP. */
int milter_signals_wait(void);

#endif
