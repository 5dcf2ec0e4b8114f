/*
 * deferred_injection.h - new mail that the policy sees here, not in the milter
 *
 * A listener with deferred_queue takes messages into one scheduled queue,
 * QUEUE_NAME_DEFERRED.  Each is given to smtp_server_message_deferred_inject
 * and then moved to the queue that it names (policy language, 17.3):
 *
 *	the handler returned	its queue; record DeferredInjectionRebind 250
 *	rejected with 4yz	tried again, in 1, 2, 4 ... minutes
 *	rejected otherwise	Bounce with that code
 *	raised, or too late	tried again
 *
 * Crash: before the move is committed the event runs again, on the message as
 * it was taken.
 *
 * Threads: the loop's.
 */
#ifndef ROUTER_DEFERRED_INJECTION_H
#define ROUTER_DEFERRED_INJECTION_H

#include <stddef.h>

#include "base/attr.h"

struct injections;
struct ready_message;
struct router;
struct scheduled_queue;

struct injections *injections_new(struct router *r) MUST_USE;
/* With nothing under way. */
void injections_free(struct injections *in);
size_t injections_room(
    const struct injections *in, const struct scheduled_queue *sq);
void injections_put(struct injections *in, struct ready_message *rm);
size_t injections_busy(const struct injections *in); /* messages */

#endif
