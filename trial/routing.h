/*
 * routing.h - what the router would do with a scheduled queue
 *
 * The router's own steps (router/policy_call.h, egress.h, destination.h,
 * plan.h) on a loop that runs only while a question is open; nothing connects.
 * Pools and sources are remembered for their ttl, everything else is asked
 * anew.
 *
 * Errors: a question that the policy or the DNS cannot answer is false, with
 *         what the router would say to the messages.
 * Ownership: answers are in the arena that was given.
 * Threads:   one.
 */
#ifndef TRIAL_ROUTING_H
#define TRIAL_ROUTING_H

#include "mail/queue_name.h"
#include "trial/world.h"

struct value;

/* Loads the policy once more, as the router does. */
struct routing *routing_of(struct world *world, struct err *err) MUST_USE;
void routing_free(struct routing *r); /* NULL is fine */
void routing_set_zone(struct routing *r, struct dns_zone *zone);

/* make_queue_config: all effective values. */
bool routing_config(struct routing *r, const struct queue_name *queue,
    struct arena *arena, struct value *out, struct err *err) MUST_USE;
/* {name=, sources={{name=, weight=}, ...}} */
bool routing_pool(struct routing *r, const struct queue_name *queue,
    struct arena *arena, struct value *out, struct err *err) MUST_USE;
/* make_egress_source of one member of the pool. */
bool routing_source(struct routing *r, const struct queue_name *queue,
    const char *source, struct arena *arena, struct value *out, struct err *err)
    MUST_USE;
/* Whose turn is it?  The turn moves on. */
bool routing_pick(struct routing *r, const struct queue_name *queue,
    struct arena *arena, const char **out, struct err *err) MUST_USE;
/* {site=, hosts={{name=, preference=, port=, path=, addresses={...}}, ...}} */
bool routing_hosts(struct routing *r, const struct queue_name *queue,
    struct arena *arena, struct value *out, struct err *err) MUST_USE;
/* make_egress_path.  source NULL: the first of the pool that is used. */
bool routing_path(struct routing *r, const struct queue_name *queue,
    const char *source, struct arena *arena, struct value *out, struct err *err)
    MUST_USE;
/* {candidates={{name=, address=, port=, path=}, ...}, ready=, ehlo=} */
bool routing_plan(struct routing *r, const struct queue_name *queue,
    const char *source, struct arena *arena, struct value *out, struct err *err)
    MUST_USE;
/* Seconds after reception of the attempts that follow the first when all fail,
 * at most `most`; *expires: of the failure that ends it, at most max_age. */
bool routing_retries(struct routing *r, const struct queue_name *queue,
    size_t most, struct arena *arena, struct value *out, int64_t *expires,
    struct err *err) MUST_USE;

#endif
