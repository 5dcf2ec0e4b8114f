/*
 * lease_job.c - one turn of leasing: some scheduled queues, one transaction
 */
#include "router/lease_job.h"

#include "base/arena.h"
#include "base/array.h"
#include "base/clock.h"
#include "base/diag.h"
#include "base/xalloc.h"
#include "queue/queue.h"
#include "router/ready_message.h"
#include "router/router.h"
#include "router/scheduled_queue.h"

#define LEASE_LEAST 20

size_t lease_share(size_t runnable)
{
	size_t share = LEASE_MOST / (runnable ? runnable : 1);

	return share < LEASE_LEAST ? LEASE_LEAST : share;
}

/* Rows of one queue come together, so the one before is usually the one. */
static struct lease_turn *turn_of(
    struct lease_job *job, int64_t queue_id, size_t *hint)
{
	for (size_t n = 0; n < job->turn_count; n++) {
		size_t i = (*hint + n) % job->turn_count;

		if (job->ids[i] == queue_id) {
			*hint = i;
			return &job->turns[i];
		}
	}
	diag_panic("a lease of a queue that was not asked for");
}

/* A body that is not at hand is read when it is sent; a logger that copies
 * headers needs its beginning before that. */
static void keep_header(struct ready_message *rm, const struct queue_message *m,
    struct queue_conn *conn)
{
	struct buf chunk = BUF_INIT;
	struct err err = {0};

	if (rm->m.inline_content)
		return;
	if (m->inline_content)
		ready_message_keep_header(
		    rm, m->inline_content, (size_t)m->facts.size);
	else if (queue_read_chunk(conn, m->content_id, 0, &chunk, &err))
		ready_message_keep_header(rm, buf_str(&chunk), chunk.len);
	buf_release(&chunk);
}

static bool work(struct queue_job *base, struct queue_conn *conn)
{
	struct lease_job *job = CONTAINER_OF(base, struct lease_job, job);
	struct arena *arena = arena_new(65536);
	struct queue_leases leases = {0};
	size_t hint = 0, i = 0;
	int64_t bodies =
	    ROUTER_INLINE_MOST - atomic_load(&job->r->inline_bytes);
	bool ok = queue_lease(conn, job->ids, job->limits, job->turn_count,
	    clock_unix(), bodies, arena, &leases, &base->err);

	while (ok && i < leases.count) {
		const struct queue_lease *first = &leases.items[i];
		struct lease_turn *turn = turn_of(job, first->queue_id, &hint);
		struct ready_message *rm;
		size_t n = 1;

		while (i + n < leases.count &&
		       leases.items[i + n].message == first->message &&
		       leases.items[i + n].queue_id == first->queue_id)
			n++;
		turn->got += n;
		turn->messages++;
		rm = ready_message_new(
		    first, n, turn->sq, &job->r->inline_bytes);
		if (job->r->log_headers)
			keep_header(rm, first->message, conn);
		*ARRAY_ADD(&job->messages) = rm;
		i += n;
	}
	arena_unref(arena);
	return ok;
}

static void done(struct loop_item *item)
{
	struct lease_job *job = CONTAINER_OF(item, struct lease_job, job.item);

	job->done(job, job->ctx);
}

struct lease_job *lease_job_new(
    struct router *r, void (*fn)(struct lease_job *job, void *ctx), void *ctx)
{
	struct lease_job *job = xcalloc(1, sizeof *job);

	job->job.item.run = done;
	job->job.work = work;
	job->job.fresh = true;
	job->r = r;
	job->done = fn;
	job->ctx = ctx;
	return job;
}

void lease_job_add(
    struct lease_job *job, struct scheduled_queue *sq, size_t limit)
{
	if (job->turn_count == job->turn_size) {
		job->turn_size = job->turn_size ? job->turn_size * 2 : 16;
		job->turns =
		    xrealloc(job->turns, job->turn_size * sizeof *job->turns);
		job->ids =
		    xrealloc(job->ids, job->turn_size * sizeof *job->ids);
		job->limits =
		    xrealloc(job->limits, job->turn_size * sizeof *job->limits);
	}
	job->turns[job->turn_count] =
	    (struct lease_turn){.sq = sq, .limit = limit};
	job->ids[job->turn_count] = sq->id;
	job->limits[job->turn_count] = limit;
	job->turn_count++;
}

void lease_job_submit(struct lease_job *job)
{
	queue_threads_write(job->r->threads, &job->job);
}

void lease_job_free(struct lease_job *job)
{
	ARRAY_FREE(&job->messages);
	free(job->turns);
	free(job->ids);
	free(job->limits);
	free(job);
}
