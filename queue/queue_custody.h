/*
 * queue_custody.h - what a session and the queue writer share: for the files of
 *	queue/ only
 *
 * queue_custody.c is the session's side of queue_writer.h, queue_writer.c the
 * thread.  A custody has two references, its session's and the writer's; what
 * changes hands is under the writer's mutex.
 */
#ifndef QUEUE_QUEUE_CUSTODY_H
#define QUEUE_QUEUE_CUSTODY_H

#include <pthread.h>

#include "queue/queue_db.h"
#include "queue/queue_writer.h"

enum custody_state { WAITING, CLAIMED, DONE, ABANDONED };

struct custody {
	struct list link; /* in ahead or ready */
	struct queue_writer *writer;
	const struct queue_intake *intake;
	struct queue_ahead *ahead;
	size_t ahead_count;
	int64_t bytes, begun_ms;
	/* Below: under the writer's mutex. */
	enum custody_state state;
	int refs;
	enum custody_result result;
	struct err err;
	pthread_cond_t changed;
};

struct queue_writer {
	struct queue *queue;
	struct queue_conn *conn; /* the thread's; NULL: to be opened */
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t work;
	struct list ahead, ready;
	size_t ready_count;
	size_t last_group;
	int refs; /* its owner's and each custody's: sessions end after it */
	bool stopping, checkpoint_due;
	int64_t stop_deadline;
	int64_t wait_said_ms; /* 0: never */
	struct queue_writer_stats stats;
	struct err broken; /* why nothing is accepted now; ERR_NONE: it is */
};

/* A condition that waits by clock_now_ms(). */
void custody_cond_init(pthread_cond_t *cond);
/* With the mutex. */
void custody_cond_wait(
    struct queue_writer *w, pthread_cond_t *cond, int64_t deadline);
/* With the mutex, which is given back. */
void custody_writer_unref(struct queue_writer *w);
/* With the mutex.  The session learns of it; the writer's reference goes. */
void custody_finish(
    struct custody *c, enum custody_result result, const struct err *err);

#endif
