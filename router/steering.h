/*
 * steering.h - operators' orders about mail that waits, step by step
 *
 *	rebind {"selector": {"domain": "example.com"}, "data": {"tenant": "b"},
 *	        "reason": "moved", "who": "ann", "after": "", "limit": 100}
 *
 * A command and its arguments as one JSON object, on the control socket.  A
 *step is about at most `limit` messages (1..200) with ids above `after`, in the
 * order of their ids; the answer has `next`, the `after` of the next step, or
 * null at the end.  So an order of any size holds up neither the queue nor the
 * socket for long, and one that was cut off goes on where it stood.
 *
 *	selector  id, domain, sender, recipient, tenant, campaign, queue (text),
 *	          older_than (seconds): all that are given must agree, one at
 *	          least
 *	data      text -> text: metadata, or what rebind_message is given
 *	event     true: run rebind_message (policy language, 17.4)
 *	flush     true: due now, also where the queue does not change
 *	log       false: no record AdminRebind
 *
 * Answer: ok, error, next, and how many messages: messages (that matched),
 * rebound, changed, unchanged, failed.
 *
 * At most STEERING_ORDERS_MOST steps are carried out at a time, so that status
 * and stop find a thread that answers; another one is refused, to be tried
 * again.
 *
 * Threads: the control socket's; the order itself runs on the loop.
 */
#ifndef ROUTER_STEERING_H
#define ROUTER_STEERING_H

#include <stdbool.h>

#include "base/attr.h"

#define STEERING_ORDERS_MOST 2

struct buf;
struct router;

/* False: the request is no order of these. */
bool steering_serve(struct router *r, const char *request, struct buf *reply)
    MUST_USE;

#endif
