/*
 * suspects.h - messages over which routers died are tried one at a time
 *
 * Should it happen again, the one that was tried is it, and those that were
 * only tried beside it go free.  The others wait here, leased.
 *
 * Threads: the loop's.
 */
#ifndef ROUTER_SUSPECTS_H
#define ROUTER_SUSPECTS_H

#include "base/attr.h"

struct ready_message;
struct router;
struct suspects;

struct suspects *suspects_new(struct router *r) MUST_USE;
void suspects_free(struct suspects *s); /* with nothing waiting */
/* False: nobody suspects it, or it is its turn.  True: it waits, and is
 * dispatched again (scheduled_queue_dispatch()), or given back when the router
 * stops. */
bool suspects_take(struct suspects *s, struct ready_message *rm) MUST_USE;
/* All its recipients are settled. */
void suspects_settled(struct suspects *s, const struct ready_message *rm);
bool suspects_wait(const struct suspects *s);

#endif
