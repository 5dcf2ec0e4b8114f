/*
 * ready_queues.h - all ready queues, by name
 *
 * Finds or makes the one for a source and a site, keeps the pace at which new
 * connections are opened, forgets those that were idle for long.
 *
 * Threads: the loop's.
 */
#ifndef ROUTER_READY_QUEUES_H
#define ROUTER_READY_QUEUES_H

#include "base/json.h"
#include "router/ready_queue.h"

struct local_addr;

struct ready_queues *ready_queues_new(struct router *r) MUST_USE;
void ready_queues_free(struct ready_queues *rqs);
/* A reference for a route; made when it is not there.  source and destination
 * become the ones that new connections use. */
struct ready_queue *ready_queue_get(struct ready_queues *rqs,
    struct record_ref *source, struct destination *destination,
    const char *routing_domain) MUST_USE;
void ready_queue_unref(struct ready_queue *rq);
/* By which it is found again; for free(). */
char *ready_queue_key(const struct ready_queue *rq) MUST_USE;
/* That one is worth filling, and nobody stands in its line; or is gone. */
bool ready_queues_wants_more(const struct ready_queues *rqs, const char *key);

/* What all of them hold, by standing. */
struct shares *ready_queues_shares(struct ready_queues *rqs);
/* May one more connection be opened now?  If not, rq works again soon. */
bool ready_queues_may_open(struct ready_queues *rqs, struct ready_queue *rq);
/* It would have started something, but router_may_start() said no. */
void ready_queues_hold(struct ready_queues *rqs, struct ready_queue *rq);
/* c is connecting; until it is connected it may be given up. */
void ready_queues_connecting(struct ready_queues *rqs, struct connection *c);
struct local_addr *ready_queues_local(struct ready_queues *rqs);

/* Those that were held may start now. */
void ready_queues_released(struct ready_queues *rqs);
void ready_queues_tick(struct ready_queues *rqs);
/* Gives back what is not in a job; connections finish what they are at (or, at
 * once, drop it). */
/* What the most patient open session may take to end (system_shutdown_timeout).
 */
int64_t ready_queues_grace_ms(const struct ready_queues *rqs);
/* So long after a stop: drops the sessions whose time is over. */
void ready_queues_overdue(struct ready_queues *rqs, int64_t after_ms);
void ready_queues_stop(struct ready_queues *rqs, bool at_once);
void ready_queues_status(const struct ready_queues *rqs, struct json_object *o);

#endif
