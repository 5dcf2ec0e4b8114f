/*
 * queue_thread.c - the two threads that touch the queue's file
 *
 * Recovery after a failed sync: both threads must have closed the file before
 * anyone may open it again.  The reader closes when it is told and answers by
 * an item in the writer's inbox; then the writer reopens, and the reader
 * connects again at its next job.
 */
#include "router/queue_thread.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/worker.h"
#include "base/xalloc.h"
#include "queue/queue.h"

#define HEARTBEAT_S 20
#define HEARTBEAT_LIFE_S 60
#define HOUSE_KEEPING_MS 1000
#define IDLE_MS 300
#define RETRY_MS 1000
/* A foreign writer is waited for that long; then leases are refused and
 * outcomes wait in memory. */
#define PATIENCE_MS 2000

struct queue_threads {
	struct queue *queue;
	struct loop *loop;
	queue_trouble_fn *trouble;
	void *ctx;
	struct inbox *write, *read;
	pthread_t writer, reader;
	struct queue_conn *write_conn, *read_conn; /* each its thread's own */
	/* the writer's */
	struct list_of_jobs {
		struct queue_job *first, **end;
	} owed;
	bool stuck, poisoned, dirty, sweep_more;
	int64_t last_write, last_house, last_beat, next_retry;
	struct queue_job recover, reader_close;
	atomic_bool stopping;
};

struct trouble_item {
	struct loop_item item;
	struct queue_threads *threads;
	enum queue_trouble trouble;
	struct err err;
};

static void run_trouble(struct loop_item *item)
{
	struct trouble_item *t = CONTAINER_OF(item, struct trouble_item, item);

	t->threads->trouble(t->trouble, &t->err, t->threads->ctx);
	free(t);
}

static void tell(struct queue_threads *threads, enum queue_trouble trouble,
    const struct err *err)
{
	struct trouble_item *t = xcalloc(1, sizeof *t);

	t->item.run = run_trouble;
	t->threads = threads;
	t->trouble = trouble;
	if (err)
		t->err = *err;
	loop_post(threads->loop, &t->item);
}

static struct queue_job *job_of(struct inbox_item *item)
{
	return (struct queue_job *)(void *)item;
}

/* ---- the writer ---- */

static void look_for_poison(struct queue_threads *t, const struct err *err)
{
	if (t->poisoned || !queue_poisoned(t->queue))
		return;
	t->poisoned = true;
	tell(t, QUEUE_POISONED, err);
}

static void keep(struct queue_threads *t, struct queue_job *job)
{
	job->item.item.next = NULL;
	*t->owed.end = job;
	t->owed.end = (struct queue_job **)(void *)&job->item.item.next;
	if (t->stuck)
		return;
	t->stuck = true;
	t->next_retry = clock_now_ms() + RETRY_MS;
	diag_error("queue: outcomes cannot be committed, no delivery starts "
		   "until they are: %s",
	    job->err.text);
	tell(t, QUEUE_STUCK, &job->err);
}

static bool attempt(struct queue_threads *t, struct queue_job *job)
{
	job->ok = job->work(job, t->write_conn);
	if (job->ok) {
		t->dirty = true;
		t->last_write = clock_now_ms();
		return true;
	}
	look_for_poison(t, &job->err);
	return false;
}

static void serve_write(struct queue_threads *t, struct queue_job *job)
{
	if (job->fresh && (t->stuck || t->poisoned)) {
		job->ok = false;
		(void)err_set(&job->err, ERR_TEMP,
		    "outcomes are waiting to be committed");
	} else if (job->owed && (t->stuck || t->poisoned)) {
		(void)err_set(&job->err, ERR_TEMP, "the queue is poisoned");
		keep(t, job);
		return;
	} else if (!attempt(t, job) && job->owed) {
		keep(t, job);
		return;
	}
	loop_post(t->loop, &job->item);
}

/* In order: what was delivered first is committed first. */
static void retry_owed(struct queue_threads *t)
{
	struct queue_job *job;

	while ((job = t->owed.first) != NULL) {
		struct queue_job *next =
		    (struct queue_job *)(void *)job->item.item.next;

		if (!attempt(t, job)) {
			t->next_retry = clock_now_ms() + RETRY_MS;
			return;
		}
		t->owed.first = next;
		if (!next)
			t->owed.end = &t->owed.first;
		loop_post(t->loop, &job->item);
	}
	t->stuck = false;
	diag_info("queue: all outcomes are committed");
	tell(t, QUEUE_UNSTUCK, NULL);
}

static void house_keeping(struct queue_threads *t)
{
	struct err err = {0};
	int64_t now = clock_now_ms();
	bool idle = now - t->last_write > IDLE_MS;

	if (t->poisoned || t->stuck)
		return;
	/* Not only when dirty: heartbeats fill the log as well. */
	if (!queue_checkpoint(t->write_conn, t->dirty && idle, &err)) {
		diag_error("queue: checkpoint: %s", err.text);
		look_for_poison(t, &err);
		return;
	}
	if (idle)
		t->dirty = t->dirty && queue_log_is_kept(t->write_conn);
	if (now - t->last_beat > HEARTBEAT_S * 1000 || t->last_beat == 0) {
		t->last_beat = now;
		if (!queue_extend(
			t->write_conn, clock_unix() + HEARTBEAT_LIFE_S, &err)) {
			diag_warn("queue: heartbeat: %s", err.text);
			look_for_poison(t, &err);
			return;
		}
	}
	if (!t->sweep_more && now - t->last_house < HOUSE_KEEPING_MS)
		return;
	t->last_house = now;
	if (queue_look_for_poison(t->queue)) {
		look_for_poison(t, &err);
		return;
	}
	if (!queue_sweep(t->write_conn, clock_unix(), &t->sweep_more, &err)) {
		t->sweep_more = false;
		diag_warn("queue: sweep: %s", err.text);
		look_for_poison(t, &err);
	} else if (t->sweep_more) {
		t->dirty = true;
	}
}

static void reopen(struct queue_threads *t)
{
	struct err err = {0};
	int64_t last_said = 0;

	queue_disconnect(t->write_conn);
	t->write_conn = NULL;
	while (!queue_reopen(t->queue, &err)) {
		if (err.class != ERR_TEMP || atomic_load(&t->stopping)) {
			tell(t, QUEUE_LOST, &err);
			return;
		}
		if (clock_now_ms() - last_said > 10000) {
			last_said = clock_now_ms();
			diag_warn("queue: recovery waits: %s", err.text);
		}
		(void)nanosleep(
		    &(struct timespec){.tv_nsec = 200 * 1000000}, NULL);
	}
	if (!queue_connect(t->queue, true, &t->write_conn, &err)) {
		tell(t, QUEUE_LOST, &err);
		return;
	}
	queue_set_patience(t->write_conn, PATIENCE_MS);
	t->poisoned = false;
	t->next_retry = 0;
	diag_warn("queue: recovered after a failed sync");
	tell(t, QUEUE_RECOVERED, NULL);
}

static void *writer_main(void *ctx)
{
	struct queue_threads *t = ctx;

	for (;;) {
		int64_t wait = t->sweep_more ? 0
			       : t->stuck    ? 200
			       : t->dirty    ? IDLE_MS + 50
					     : HOUSE_KEEPING_MS;
		struct inbox_item *item =
		    inbox_take(t->write, wait ? clock_now_ms() + wait : 0);

		if (item == &t->recover.item.item) {
			if (t->poisoned)
				reopen(t);
			continue;
		}
		if (item)
			serve_write(t, job_of(item));
		else if (inbox_closed(t->write))
			break;
		if (t->stuck && !t->poisoned && t->write_conn &&
		    clock_now_ms() >= t->next_retry)
			retry_owed(t);
		if (t->write_conn)
			house_keeping(t);
	}
	if (t->stuck && !t->poisoned && t->write_conn)
		retry_owed(t);
	if (t->owed.first)
		diag_error("queue: stopped with outcomes that could not be "
			   "committed: they will be delivered again");
	return NULL;
}

/* ---- the reader ---- */

static void *reader_main(void *ctx)
{
	struct queue_threads *t = ctx;
	struct inbox_item *item;

	while ((item = inbox_take(t->read, INT64_MAX)) != NULL) {
		struct queue_job *job = job_of(item);

		if (job == &t->reader_close) {
			queue_disconnect(t->read_conn);
			t->read_conn = NULL;
			inbox_put(t->write, &t->recover.item.item);
			continue;
		}
		if (!t->read_conn &&
		    (queue_poisoned(t->queue) || !queue_connect(t->queue, false,
						     &t->read_conn, &job->err)))
			job->ok = false;
		else
			job->ok = job->work(job, t->read_conn);
		loop_post(t->loop, &job->item);
	}
	return NULL;
}

/* ---- */

bool queue_threads_start(struct queue_threads **out, struct queue *queue,
    struct loop *loop, queue_trouble_fn *trouble, void *ctx, struct err *err)
{
	struct queue_threads *t = xcalloc(1, sizeof *t);

	t->queue = queue;
	t->loop = loop;
	t->trouble = trouble;
	t->ctx = ctx;
	t->owed.end = &t->owed.first;
	if (!queue_connect(queue, true, &t->write_conn, err)) {
		free(t);
		return false;
	}
	if (!queue_connect(queue, false, &t->read_conn, err)) {
		queue_disconnect(t->write_conn);
		free(t);
		return false;
	}
	queue_set_patience(t->write_conn, PATIENCE_MS);
	t->write = inbox_new();
	t->read = inbox_new();
	t->writer = worker_thread_start("queue-writer", writer_main, t);
	t->reader = worker_thread_start("queue-reader", reader_main, t);
	*out = t;
	return true;
}

void queue_threads_stop(struct queue_threads *t)
{
	if (!t)
		return;
	atomic_store(&t->stopping, true);
	inbox_close(t->read);
	(void)pthread_join(t->reader, NULL);
	inbox_close(t->write);
	(void)pthread_join(t->writer, NULL);
	queue_disconnect(t->read_conn);
	queue_disconnect(t->write_conn);
	inbox_free(t->read);
	inbox_free(t->write);
	free(t);
}

void queue_threads_write(struct queue_threads *t, struct queue_job *job)
{
	inbox_put(t->write, &job->item.item);
}

void queue_threads_read(struct queue_threads *t, struct queue_job *job)
{
	inbox_put(t->read, &job->item.item);
}

void queue_threads_recover(struct queue_threads *t)
{
	inbox_put(t->read, &t->reader_close.item.item);
}
