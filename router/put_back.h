/*
 * put_back.h - messages that were taken out, and may not go on yet
 *
 * They go back to their scheduled queue without an attempt; requeue_message
 * (requeue.h) is asked before, if the policy has it.  Queues that are not
 * pulled from put nothing back, and no event is called for them.
 *
 * Threads: the loop's.
 */
#ifndef ROUTER_PUT_BACK_H
#define ROUTER_PUT_BACK_H

#include <stdint.h>

struct message;
struct ready_message;
struct router;

/* throttle_insert_ready_queue made m, which is all of rm, wait for m->due_at,
 * in this scheduled queue.  When it would have lived too long by then it
 * expires. */
void put_back_throttled_take(struct router *r, struct ready_message *rm,
    struct message *m, const char *queue);
/* A rate or limit of its path stays closed for `ms` milliseconds, -1 if nobody
 * knows: `reason` is what insert_context calls it, `label` what we do. */
void put_back_for_limit(struct router *r, struct ready_message *rm,
    const char *reason, const char *label, int64_t ms);

#endif
