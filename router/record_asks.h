/*
 * record_asks.h - what the policy is asked about log records
 *
 * Filters of loggers (filter_event: is it written?), log hooks
 * (should_enqueue_log_record: does it become a message?) and disposition hooks
 * (log_disposition_NAME, which may inject messages).  Questions are collected
 * with the records of a batch of outcomes and asked together, off the loop,
 * before the batch is logged and settled; what they want inserted goes into the
 * transaction of the outcomes (policy language, 15.4).
 *
 * A question that fails, or is not answered in time, is a no: logged, and the
 * outcome goes on.
 *
 * Threads: the loop's.
 */
#ifndef ROUTER_RECORD_ASKS_H
#define ROUTER_RECORD_ASKS_H

#include "logs/log_writer.h"
#include "mail/message.h"

struct delivery_recipient;
struct ready_message;
struct record_asks;
struct router;

/* Does anybody ask anything?  If not, the rest is not needed. */
bool record_asks_needed(const struct router *r);

struct record_asks *record_asks_new(struct router *r) MUST_USE;
void record_asks_free(struct record_asks *asks); /* NULL is fine */
/* What a record is about: these recipients of rm, which stays until the answers
 * are there; or a message as the policy sees it. */
struct record_subject {
	struct ready_message *rm;
	const struct delivery_recipient *const *recipients;
	size_t count;
	const struct message *message; /* instead; NULL: see rm */
};
void record_asks_add(struct record_asks *asks, const struct log_batch *log,
    const struct log_record *record, const struct record_subject *about);
size_t record_asks_count(const struct record_asks *asks);
/* Asks, puts what filters let through into `log`, then calls done(), later. */
void record_asks_run(struct record_asks *asks, struct log_batch *log,
    void (*done)(void *ctx), void *ctx);
/* What is to be inserted; they live as long as `asks`. */
struct message *const *record_asks_messages(
    const struct record_asks *asks, size_t *count);

#endif
