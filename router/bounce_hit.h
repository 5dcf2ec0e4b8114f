/*
 * bounce_hit.h - what a bounce means for the suppression list
 *
 * After suppression:setup{} (policy/suppression.h).  The hit goes into the
 * queue with the verdict that it belongs to.
 *
 * Threads: the loop's; router_suppressed any.
 */
#ifndef ROUTER_BOUNCE_HIT_H
#define ROUTER_BOUNCE_HIT_H

#include "mail/suppression.h"
#include "router/ready_message.h"

struct router;

/* NULL: nothing.  In `arena`. */
const struct suppression_hit *bounce_hit(struct router *r,
    const struct ready_message *rm, const struct address *recipient,
    const struct smtp_reply *reply, struct arena *arena);
/* struct script_services, suppressed: suppression:check. */
bool router_suppressed(void *router, const struct address *address,
    const char *tenant, int64_t deadline, struct arena *arena,
    const struct suppression_entry **out, struct err *err) MUST_USE;

#endif
