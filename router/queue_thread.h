/*
 * queue_thread.h - the two threads that touch the queue's file
 *
 * The writer leases, settles, sweeps, checkpoints and keeps the heartbeat; it
 * may wait for the writer lock.  The reader looks at due queues and reads
 * chunks of content.  Each serves jobs one after the other and posts them back
 * to the loop.
 *
 * An outcome that cannot be committed is kept and tried again every second, in
 * order; meanwhile jobs marked `fresh` (leases) are refused and the owner was
 * told QUEUE_STUCK, so that no new delivery starts.  After a failed sync the
 * owner is told QUEUE_POISONED, brings everything to an end and calls
 * queue_threads_recover().
 *
 * Threads: the loop's, except work(), which runs on the thread it was put to.
 */
#ifndef ROUTER_QUEUE_THREAD_H
#define ROUTER_QUEUE_THREAD_H

#include "base/err.h"
#include "router/loop.h"

struct queue;
struct queue_conn;
struct queue_threads;

struct queue_job {
	struct loop_item item; /* item.run: back on the loop */
	/* False: err says why. */
	bool (*work)(struct queue_job *job, struct queue_conn *conn);
	bool fresh; /* refused while an outcome is stuck */
	bool owed;  /* kept and tried again until it works */
	bool ok;    /* what work returned */
	struct err err;
};

enum queue_trouble {
	QUEUE_STUCK, /* an outcome cannot be committed; err says why */
	QUEUE_UNSTUCK,
	QUEUE_POISONED,
	QUEUE_RECOVERED,
	QUEUE_LOST, /* cannot be recovered: exit 74 */
};
typedef void queue_trouble_fn(
    enum queue_trouble trouble, const struct err *err, void *ctx);

bool queue_threads_start(struct queue_threads **out, struct queue *queue,
    struct loop *loop, queue_trouble_fn *trouble, void *ctx, struct err *err)
    MUST_USE;
/* Serves what is waiting (owed jobs once more), then ends both. */
void queue_threads_stop(struct queue_threads *threads);

void queue_threads_write(struct queue_threads *threads, struct queue_job *job);
void queue_threads_read(struct queue_threads *threads, struct queue_job *job);
/* After QUEUE_POISONED, when nothing else has the file open: closes, reopens
 * and tells QUEUE_RECOVERED, or QUEUE_LOST.  Goes on trying while another
 * program still has the file open. */
void queue_threads_recover(struct queue_threads *threads);

#endif
