/*
 * outcome_batch.h - outcomes that are logged and committed together
 *
 * Private to outcome.c: a batch collects verdicts and records, then goes to the
 * log thread, then to the queue writer, then comes back and lets go of the
 * messages.
 */
#ifndef ROUTER_OUTCOME_BATCH_H
#define ROUTER_OUTCOME_BATCH_H

#include "logs/log_writer.h"
#include "router/queue_thread.h"
#include "router/ready_message.h"
#include "router/record_asks.h"

struct outcome_batch;
struct router;

struct outcome_batch *outcome_batch_new(struct router *r,
    void (*done)(struct outcome_batch *batch, void *ctx), void *ctx) MUST_USE;
/* Texts of verdicts may live here. */
struct arena *outcome_batch_arena(struct outcome_batch *batch);
/* A record: to the log, and to whom the policy wants asked about it. */
void outcome_batch_record(struct outcome_batch *batch,
    const struct log_record *record, const struct record_subject *about);
/* About the recipient rm->info[n]; the verdict's recipient_id and what the
 * history needs are filled in.  rm loses one unsettled recipient when it is
 * committed. */
void outcome_batch_add(struct outcome_batch *batch, struct ready_message *rm,
    size_t n, const struct queue_verdict *verdict);
/* Released with the batch. */
void outcome_batch_keep_take(struct outcome_batch *batch, struct message *m);
/* A copy that lives as long as the batch; the last text is remembered. */
/* An operator waits for it: synced when it is settled. */
void outcome_batch_order(struct outcome_batch *batch);
const char *outcome_batch_text(struct outcome_batch *batch, const char *text);
/* A line for the operator.  They are said together, because waking the thread
 * that writes them costs more than writing them. */
void outcome_batch_line(struct outcome_batch *batch, const struct buf *line);
size_t outcome_batch_count(const struct outcome_batch *batch);
/* Gives it away; done() is called on the loop when all is committed, then the
 * batch is freed. */
void outcome_batch_submit(struct outcome_batch *batch);

#endif
