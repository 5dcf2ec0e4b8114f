/*
 * milter_signals.h - signals reach the main thread, never libmilter's
 *
 * libmilter starts a thread of its own that waits for SIGTERM, SIGINT and
 * SIGHUP, and closes the listening socket when it gets one.  Linux gives a
 * signal of the process to its main thread whenever that one does not block it,
 * so the main thread takes them with a handler: what only waits with sigwait
 * loses to libmilter's thread while it does something else.
 *
 * Threads: the main thread.
 * See:     signal(7); libmilter/signal.c
 */
#ifndef MILTER_MILTER_SIGNALS_H
#define MILTER_MILTER_SIGNALS_H

/* From now on; before libmilter's threads start. */
void milter_signals_take(void);

/* Waits for a signal that was not told yet: SIGTERM (also for SIGINT), SIGUSR1
 * or SIGHUP.  SIGTERM goes before others. */
int milter_signals_wait(void);

#endif
