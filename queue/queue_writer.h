/*
 * queue_writer.h - custody: many sessions, one transaction
 *
 * One thread per process that commits what sessions hand in (group commit, a
 * linger of about 2 ms under load) and wakes each with its result.
 *
 * A custody is WAITING -> CLAIMED -> DONE, or WAITING -> ABANDONED, under one
 * mutex.  At its deadline a session may only abandon what is still WAITING; the
 * writer claims when it holds the lock and has begun, before its first INSERT,
 * and skips what is abandoned.  From CLAIMED on the session waits for the
 * result however long.  So neither 451 with a row nor 250 without one.
 *
 *	custody = custody_begin(writer, intake);
 *	switch (custody_wait(custody, deadline, progress, ctx, &err)) ...
 *	custody_free(custody);
 */
#ifndef QUEUE_QUEUE_WRITER_H
#define QUEUE_QUEUE_WRITER_H

#include "queue/queue.h"

/* What is the same for all batches of a transaction.  NULL: unknown. */
struct queue_intake {
	struct message *
	    *messages; /* batches that are kept, each with recipients;
			  same content pointer: shared content */
	size_t count;
	const char *session_id, *mta_queue_id;
	const char *client_addr, *client_name, *helo;
	const char *authn_id, *reception_protocol, *listener, *hostname;
	/* admitted_by[i] belongs to messages[i]: the rule that let it in, e.g.
	 * "relay_to policy.lua:12" */
	const char *const *admitted_by;
	/* What reports mean for the suppression list; count may be 0 then. */
	const struct suppression_hit *hits;
	size_t hit_count;
	/* Reports that came in, for the history; count may be 0 then, too. */
	const struct queue_report *reports;
	size_t report_count;
};

struct queue_writer;
struct custody;

enum custody_result {
	CUSTODY_COMMITTED, /* on disk: the MTA may discard its copy */
	CUSTODY_ABANDONED, /* deadline or MTA gone while still WAITING: no row
			    */
	CUSTODY_FAILED,    /* no row; err says why; 451 */
};

struct queue_writer *queue_writer_start(struct queue *queue, struct err *err)
    MUST_USE;
/* Serves what is waiting, then ends.  Sessions may still free their custodies
 * afterwards; no custody_begin any more. */
void queue_writer_stop(struct queue_writer *writer);

/* The intake and what it points to stay valid until custody_wait returned. */
struct custody *custody_begin(
    struct queue_writer *writer, const struct queue_intake *intake) MUST_USE;

/* Called about every 5 s while waiting, on the waiting thread; false: the MTA
 * has gone. */
typedef bool custody_progress_fn(void *ctx);

enum custody_result custody_wait(struct custody *custody, int64_t deadline,
    custody_progress_fn *progress, void *ctx, struct err *err);
void custody_free(struct custody *custody);

/* For status: numbers since start. */
struct queue_writer_stats {
	int64_t messages, transactions, failed, abandoned, waiting;
	int64_t longest_ms; /* begin to done */
	bool poisoned; /* a sync failed; recovery is tried again and again */
	bool lost;     /* it cannot be recovered: the milter should exit 74 */
};
void queue_writer_stats(
    struct queue_writer *writer, struct queue_writer_stats *out);

#endif
