/*
 * queue_reader.c - reading connections that are at hand
 *
 * Whoever looks something up while a client waits takes one, asks, and gives it
 * back: no open(2), no preparing of statements.  There are at most READERS_MOST
 * at a time; who comes too late waits for one until its deadline.  Idle ones
 * are closed when the file is poisoned: recovery wants it alone.
 */
#include "base/clock.h"
#include "queue/queue_db.h"

#define READERS_MOST 16

void queue_readers_init(struct queue *queue)
{
	pthread_condattr_t attr;

	(void)pthread_mutex_init(&queue->readers.mutex, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&queue->readers.given, &attr);
	(void)pthread_condattr_destroy(&attr);
}

void queue_readers_release(struct queue *queue)
{
	(void)pthread_cond_destroy(&queue->readers.given);
	(void)pthread_mutex_destroy(&queue->readers.mutex);
}

/* A short while: the deadline is looked at again then, whatever the clocks. */
static void wait_a_little(struct queue *queue)
{
	struct timespec until;

	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += 20 * 1000 * 1000;
	if (until.tv_nsec >= 1000 * 1000 * 1000) {
		until.tv_sec++;
		until.tv_nsec -= 1000 * 1000 * 1000;
	}
	(void)pthread_cond_timedwait(
	    &queue->readers.given, &queue->readers.mutex, &until);
}

static void one_less(struct queue *queue)
{
	(void)pthread_mutex_lock(&queue->readers.mutex);
	queue->readers.busy--;
	(void)pthread_cond_signal(&queue->readers.given);
	(void)pthread_mutex_unlock(&queue->readers.mutex);
}

bool queue_reader_take(struct queue *queue, int64_t deadline,
    struct queue_conn **out, struct err *err)
{
	struct queue_conn *conn = NULL;

	*out = NULL;
	(void)pthread_mutex_lock(&queue->readers.mutex);
	while (queue->readers.busy == READERS_MOST && clock_now_ms() < deadline)
		wait_a_little(queue);
	if (queue->readers.busy == READERS_MOST) {
		(void)pthread_mutex_unlock(&queue->readers.mutex);
		return err_set(err, ERR_TEMP,
		    "%s: too many are reading, nobody finished in time",
		    queue->path);
	}
	queue->readers.busy++;
	if (queue->readers.idle_count)
		conn = queue->readers.idle[--queue->readers.idle_count];
	(void)pthread_mutex_unlock(&queue->readers.mutex);
	/* In here a poisoned file is refused. */
	if (conn && queue_poisoned(queue)) {
		queue_disconnect(conn);
		conn = NULL;
	}
	if (!conn && !queue_connect(queue, false, &conn, err)) {
		one_less(queue);
		return false;
	}
	*out = conn;
	return true;
}

void queue_reader_give(struct queue_conn *conn, bool sound)
{
	struct queue *queue = conn->queue;

	sound = sound && !queue_poisoned(queue);
	(void)pthread_mutex_lock(&queue->readers.mutex);
	if (sound && queue->readers.idle_count < COUNT(queue->readers.idle)) {
		queue->readers.idle[queue->readers.idle_count++] = conn;
		conn = NULL;
	}
	(void)pthread_mutex_unlock(&queue->readers.mutex);
	queue_disconnect(conn);
	one_less(queue);
}

void queue_readers_drop(struct queue *queue)
{
	struct queue_conn *conn;

	do {
		conn = NULL;
		(void)pthread_mutex_lock(&queue->readers.mutex);
		if (queue->readers.idle_count)
			conn = queue->readers.idle[--queue->readers.idle_count];
		(void)pthread_mutex_unlock(&queue->readers.mutex);
		queue_disconnect(conn);
	} while (conn);
}
