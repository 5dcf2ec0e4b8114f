/*
 * outcome_record.h - the log records of outcomes
 *
 * Private to outcome.c: what is known about a message and its attempt, as a
 * record, added to a batch; the batch sees to it that it is written before the
 * row is settled.
 *
 * Threads: the loop's.
 */
#ifndef ROUTER_OUTCOME_RECORD_H
#define ROUTER_OUTCOME_RECORD_H

#include "router/outcome.h"
#include "router/outcome_batch.h"

/* One record for `count` recipients of rm with the same reply.  headers: a
 * buffer to work in, kept by the caller to spare allocations. */
void outcome_record(struct outcome_batch *batch, struct router *r,
    struct buf *headers, enum log_type type, struct ready_message *rm,
    const struct delivery_recipient *const *recipients, size_t count,
    const struct smtp_reply *reply, int attempts, const struct attempt *a);
/* rm goes on as `m` in `queue`: nobody was spoken to.  Only
 * LOG_DEFERRED_INJECTION_REBIND begins to count attempts anew. */
void outcome_record_move(struct outcome_batch *batch, enum log_type type,
    const struct smtp_reply *reply, const struct ready_message *rm,
    const struct message *m, const char *queue);

/* LOG_DELAYED for a queue that has to wait: it is about no message. */
void outcome_record_queue(struct outcome_batch *batch,
    const struct scheduled_queue *sq, const struct smtp_reply *reply);

#endif
