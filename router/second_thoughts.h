/*
 * second_thoughts.h - what the policy says about failures before they count
 *
 * smtp_client_rewrite_delivery_status may give a peer's refusal another code
 * (policy language, 12.8); requeue_message is asked about each message that
 * would be tried again, and may send it to another scheduled queue or give it
 * up (10.7).  Recipients with the same reply are asked about together, off the
 * loop; then the outcome is reported as usual.  Errors of the policy are logged
 * and change nothing.
 *
 * Threads: the loop's.
 */
#ifndef ROUTER_SECOND_THOUGHTS_H
#define ROUTER_SECOND_THOUGHTS_H

#include "router/outcome.h"

/* Is there anything to ask about these? */
bool second_thoughts_needed(const struct router *r,
    const struct delivery_recipient *recipients, size_t count,
    const struct attempt *attempt);
/* Of one group, all with the same reply; keeps copies.  Ends in
 * outcome_report_finally(). */
void second_thoughts(struct router *r, struct ready_message *rm,
    const struct delivery_recipient *const *group, size_t count,
    const struct attempt *attempt);

#endif
