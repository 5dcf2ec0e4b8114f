/*
 * outcome.h - what became of an attempt: record, then row
 *
 * Every attempt ends here, with a reply for each recipient: the peer's or one
 * of ours.  Replies are classified (policy language, 12.8), retries computed,
 * log records made, one for recipients with the same reply.  Outcomes are
 * collected into batches; the log thread writes a batch's records and reports;
 * only then the queue writer settles its rows.  kill -9 in between delivers
 * again; nothing can lose a message or its record.
 *
 * Threads: the loop's.
 */
#ifndef ROUTER_OUTCOME_H
#define ROUTER_OUTCOME_H

#include "deliver/deliver.h"
#include "router/ready_message.h"

struct queue_config;
struct router;
struct outcomes;
struct scheduled_queue;

/* attempt.why: it did not get as far as a ready queue or its path. */
#define WHY_NOT_READY "FailedToInsertIntoReadyQueue"

/* The same: its hosts are known, and none has an address that may be used. */
#define WHY_NO_HOSTS "MxResolvedToZeroHosts"

enum outcome_kind { OUTCOME_DELIVERED, OUTCOME_TRANSIENT, OUTCOME_BOUNCED };

/* 2xx delivered; 3xx, 4xx, 503 and what is no reply transient; other 5xx
 * bounced. */
enum outcome_kind outcome_classify(const struct smtp_reply *reply);

/* groups[i]: the index of the first recipient with the same reply as i. */
void outcome_group(
    const struct delivery_recipient *recipients, size_t count, size_t *groups);

/* How it was tried, for records and for v_why.  NULL: not known, not used. */
struct attempt {
	const char *site, *pool, *source;
	const char *protocol; /* "ESMTP", "LMTP", "Maildir", "Lua" */
	const char *provider_name, *session_id;
	const struct session_facts *facts;
	/* A transient failure comes back in 60 +- 30 s and counts for nothing
	 * (policy language, 13). */
	bool maildir;
	/* Whatever the code, it is final: custom_lua said so. */
	bool bounce;
	/* What insert_context of requeue_message says beside that there was a
	 * failure; a literal. */
	const char *why;
	/* requeue_message: what is tried again goes on as this says; at once,
	 * or when it would have anyway.  At once in another queue: its limits,
	 * NULL if they are not known. */
	struct queue_move *move;
	bool move_now;
	const struct queue_config *move_config;
};

struct outcomes *outcomes_new(struct router *r) MUST_USE;
void outcomes_free(struct outcomes *o);
/* Recipients of rm that have been attempted; each has a reply. */
void outcome_report(struct outcomes *o, struct ready_message *rm,
    struct delivery_recipient *recipients, size_t count,
    const struct attempt *attempt);
/* The same, and the policy has been asked about it (second_thoughts.h). */
void outcome_report_finally(struct outcomes *o, struct ready_message *rm,
    struct delivery_recipient *recipients, size_t count,
    const struct attempt *attempt);
/* So many recipients are with the policy: a stop waits for them. */
void outcomes_detour(struct outcomes *o, size_t count, bool begins);
/* The same reply for every recipient of rm that is not in a job. */
void outcome_report_waiting(struct outcomes *o, struct ready_message *rm,
    const struct smtp_reply *reply, const struct attempt *attempt);
/* Gives back what is not in a job, as if it had never been leased. */
void outcome_return_waiting(struct outcomes *o, struct ready_message *rm);
/* The row goes without a record: the queue `null` (policy language, 10.5). */
void outcome_drop_waiting(struct outcomes *o, struct ready_message *rm);
/* All recipients of rm, of which none is in a job, go on as `m` in the
 * scheduled queue `queue`, or nowhere when that is `null`; record
 * DeferredInjectionRebind. Takes the message. */
void outcome_move_take(struct outcomes *o, struct ready_message *rm,
    struct message *m, const char *queue);
/* None of rm is in a job, and all of it expires: it cannot go on before it has
 * lived too long.  `reply` is the reason why it cannot. */
void outcome_expire_waiting(struct outcomes *o, struct ready_message *rm,
    const struct smtp_reply *reply);
/* Seconds until a failure of a maildir is tried again. */
int64_t outcome_maildir_delay_s(
    const struct ready_message *rm, const struct delivery_recipient *recipient);
/* Waits for m->due_at in this queue, attempts as m says, with a Delayed record;
 * what the policy noted in m is written back. */
void outcome_put_back_take(struct outcomes *o, struct ready_message *rm,
    struct message *m, const char *queue, const char *why);
/* What the policy made of it while nothing was tried goes into the file, also
 * into another scheduled queue; due when m says, attempts as m says; no record.
 */
void outcome_rewrite_take(struct outcomes *o, struct ready_message *rm,
    struct message *m, const char *queue);
/* An operator's order sends it to another queue, due now, its attempts as they
 * are, with a record AdminRebind if `record`; into `null` it goes altogether.
 */
void outcome_rebind_take(struct outcomes *o, struct ready_message *rm,
    struct message *m, const char *queue, const char *reason, bool record);
/* Nothing of sq goes on for now, and this is why: a Delayed record, of the
 * queue and of no message. */
void outcome_delayed(struct outcomes *o, const struct scheduled_queue *sq,
    const struct smtp_reply *reply);
/* The planted bug outcome.delete-before-reply. */
void outcome_settle_early(
    struct outcomes *o, struct ready_message *rm, struct delivery_job *job);
/* Recipients whose outcome is known and not committed yet. */
size_t outcomes_unsettled(const struct outcomes *o);
/* Do not wait for more. */
void outcomes_flush(struct outcomes *o);

#endif
