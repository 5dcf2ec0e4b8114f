/*
 * milter_wakeup.h - no session waits for a thread of libmilter
 *
 * libmilter serves sessions from a pool of threads that grows when none is
 * idle.  A thread counts as idle until it has got up, so the second of two
 * sessions that come at the same moment can be left to a thread that is not
 * there; it waits until some other callback returns, and with a slow policy
 * event that is seconds.  A new connection makes libmilter look again: while
 * callbacks run and none returns, we open one to our own socket and close it.
 * It says nothing, so there is no session for it.
 *
 * Threads: start and stop by main; the work is on a thread of its own.
 */
#ifndef MILTER_MILTER_WAKEUP_H
#define MILTER_MILTER_WAKEUP_H

#include "milter/milter_service.h"
#include "milter/milter_socket.h"

struct milter_wakeup;

/* `service` and `where` stay until after the stop. */
struct milter_wakeup *milter_wakeup_start(
    struct service *service, const struct milter_socket *where) MUST_USE;
void milter_wakeup_stop(struct milter_wakeup *wakeup);

/* Has no callback returned since the last look, though some run?  Keeps in
 * *seen what it looked at. */
bool milter_wakeup_is_due(const struct service *service, int64_t *seen);

#endif
