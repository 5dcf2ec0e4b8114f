/*
 * lease_job.h - one turn of leasing: some scheduled queues, one transaction
 *
 * Threads: made and taken back on the loop, worked on by the queue writer.
 */
#ifndef ROUTER_LEASE_JOB_H
#define ROUTER_LEASE_JOB_H

#include "router/queue_thread.h"

struct ready_message;
struct router;
struct scheduled_queue;

struct lease_turn {
	struct scheduled_queue *sq;
	size_t limit, got; /* recipients; got may be more: queue_lease() */
	size_t messages;   /* that they belong to */
};

struct lease_job {
	struct queue_job job;
	struct router *r;
	struct lease_turn *turns;
	size_t turn_count, turn_size;
	int64_t *ids; /* as queue_lease wants them */
	size_t *limits;
	struct {
		struct ready_message **items;
		size_t count, size;
	} messages;
	void (*done)(struct lease_job *job, void *ctx);
	void *ctx;
};

#define LEASE_MOST 400 /* recipients in a turn */

/* Of them, what each of `runnable` scheduled queues may have: equal shares, so
 * that none waits for more than one turn of the others; a few at least, so that
 * a turn is worth its transaction. */
size_t lease_share(size_t runnable);

struct lease_job *lease_job_new(struct router *r,
    void (*done)(struct lease_job *job, void *ctx), void *ctx) MUST_USE;
void lease_job_add(
    struct lease_job *job, struct scheduled_queue *sq, size_t limit);
void lease_job_submit(struct lease_job *job);
void lease_job_free(struct lease_job *job); /* not the messages */

#endif
