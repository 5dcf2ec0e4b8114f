/*
 * body.c - the bytes of a message for a connection, chunk by chunk
 *
 * A session copies what got() shows it and sends it before it asks for the
 * next chunk, so a connection holds what it has copied and nothing of ours:
 * what counts against the budget is what is being read for it.
 */
#include "router/body.h"

#include "base/arena.h"
#include "base/diag.h"
#include "base/xalloc.h"
#include "queue/queue.h"
#include "router/queue_thread.h"
#include "router/ready_message.h"
#include "router/router.h"

#define CHUNKS_MOST ((32 << 20) / QUEUE_CHUNK)

struct body {
	struct body_source source;
	struct router *r;
	struct ready_message *rm;
	struct chunk_job *job; /* under way; NULL: none */
};

struct chunk_job {
	struct queue_job job;
	struct body *body; /* NULL: nobody wants it any more */
	struct router *r;
	int64_t content_id, chunk;
	struct buf data;
	body_got_fn *got;
	void *ctx;
	struct list link; /* waits for the budget */
};

static void start_waiting(struct router *r)
{
	while (r->chunks_out < CHUNKS_MOST && !list_empty(&r->chunks_waiting)) {
		struct chunk_job *job =
		    LIST_ITEM(r->chunks_waiting.next, struct chunk_job, link);

		list_remove(&job->link);
		r->chunks_out++;
		queue_threads_read(r->threads, &job->job);
	}
}

static bool read_chunk(struct queue_job *base, struct queue_conn *conn)
{
	struct chunk_job *job = CONTAINER_OF(base, struct chunk_job, job);

	return queue_read_chunk(
	    conn, job->content_id, job->chunk, &job->data, &base->err);
}

static void chunk_done(struct loop_item *item)
{
	struct chunk_job *job = CONTAINER_OF(item, struct chunk_job, job.item);
	struct router *r = job->r;

	r->chunks_out--;
	if (job->body) {
		job->body->job = NULL;
		if (!job->job.ok)
			diag_error("%s: content cannot be read: %s",
			    job->body->rm->m.id, job->job.err.text);
		job->got(job->ctx, job->job.ok ? buf_str(&job->data) : NULL,
		    job->job.ok ? job->data.len : 0);
	}
	buf_release(&job->data);
	free(job);
	start_waiting(r);
}

static void get(
    struct body_source *source, int64_t chunk, body_got_fn *got, void *ctx)
{
	struct body *body = CONTAINER_OF(source, struct body, source);
	const struct queue_message *m = &body->rm->m;
	struct chunk_job *job;

	if (m->inline_content) {
		int64_t at = chunk * QUEUE_CHUNK;
		int64_t left = m->facts.size - at;

		if (left < 0)
			got(ctx, NULL, 0);
		else
			got(ctx, m->inline_content + at,
			    (size_t)(left < QUEUE_CHUNK ? left : QUEUE_CHUNK));
		return;
	}
	invariant(!body->job);
	job = xcalloc(1, sizeof *job);
	job->job.item.run = chunk_done;
	job->job.work = read_chunk;
	job->body = body;
	job->r = body->r;
	job->content_id = m->content_id;
	job->chunk = chunk;
	job->got = got;
	job->ctx = ctx;
	body->job = job;
	list_add_tail(&body->r->chunks_waiting, &job->link);
	start_waiting(body->r);
}

static void cancel(struct body_source *source)
{
	struct body *body = CONTAINER_OF(source, struct body, source);
	struct chunk_job *job = body->job;

	if (!job)
		return;
	job->body = NULL;
	body->job = NULL;
	if (list_empty(&job->link))
		return; /* with the reader: chunk_done frees it */
	list_remove(&job->link);
	free(job);
}

static const struct body_ops ops = {get, cancel};

struct body_source *body_new(
    struct router *r, struct ready_message *rm, struct arena *arena)
{
	struct body *body = ARENA_NEW(arena, struct body);

	body->source.ops = &ops;
	body->r = r;
	body->rm = rm;
	return &body->source;
}
