/*
 * inject.c - messages that the policy puts into the queue
 *
 *	Lua thread -> loop -> queue writer thread -> Lua thread
 *					          -> loop, which looks for
 *						     due mail
 *
 * An injection is WAITING -> CLAIMED -> DONE, or WAITING -> ABANDONED, under
 * its mutex.  It is shared by who waits and by the job; the last one frees it.
 */
#include "router/inject.h"

#include <pthread.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/xalloc.h"
#include "lua/script_services.h"
#include "mail/message.h"
#include "queue/queue.h"
#include "router/intake.h"
#include "router/queue_thread.h"
#include "router/router.h"

#define LOOK_MS 100 /* how often the one who waits looks at the time */

enum stage { WAITING, CLAIMED, DONE, ABANDONED };

struct injection {
	struct queue_job job;
	struct router *r;
	struct message *m; /* the policy's, until DONE or ABANDONED */
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	enum stage stage;
	int refs;
	bool ok;
	struct err err;
};

static void unref(struct injection *in)
{
	bool is_last;

	pthread_mutex_lock(&in->mutex);
	is_last = --in->refs == 0;
	pthread_mutex_unlock(&in->mutex);
	if (!is_last)
		return;
	pthread_cond_destroy(&in->changed);
	pthread_mutex_destroy(&in->mutex);
	free(in);
}

static void finish(struct injection *in, bool ok, const struct err *err)
{
	pthread_mutex_lock(&in->mutex);
	if (in->stage == WAITING || in->stage == CLAIMED) {
		in->stage = DONE;
		in->ok = ok;
		in->err = *err;
		pthread_cond_signal(&in->changed);
	}
	pthread_mutex_unlock(&in->mutex);
}

/* On the queue writer thread. */
static bool work(struct queue_job *job, struct queue_conn *conn)
{
	struct injection *in = CONTAINER_OF(job, struct injection, job);
	bool claimed, ok;
	size_t gone;

	pthread_mutex_lock(&in->mutex);
	claimed = in->stage == WAITING;
	if (claimed)
		in->stage = CLAIMED;
	pthread_mutex_unlock(&in->mutex);
	if (!claimed)
		return err_set(&job->err, ERR_TEMP, "nobody waits any more");
	ok = queue_has_room(in->r->queue, &job->err) &&
	     queue_settle(conn, NULL, 0, &in->m, 1, true, &gone, &job->err);
	finish(in, ok, &job->err);
	return ok;
}

/* Back on the loop.  A job that was refused never came to work(). */
static void worked(struct loop_item *item)
{
	struct injection *in = CONTAINER_OF(
	    CONTAINER_OF(item, struct queue_job, item), struct injection, job);

	if (!in->job.ok)
		finish(in, false, &in->job.err);
	if (in->job.ok && in->r->intake)
		intake_scan(in->r->intake);
	unref(in);
}

static void begin(struct loop_item *item)
{
	struct injection *in = CONTAINER_OF(
	    CONTAINER_OF(item, struct queue_job, item), struct injection, job);

	in->job.item.run = worked;
	queue_threads_write(in->r->threads, &in->job);
}

/* False: given up. */
static bool wait_for(struct injection *in, int64_t deadline)
{
	struct timespec until;
	bool done;

	pthread_mutex_lock(&in->mutex);
	while (in->stage != DONE) {
		if (in->stage == WAITING &&
		    (clock_now_ms() >= deadline || script_services_ending())) {
			in->stage = ABANDONED;
			break;
		}
		(void)clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += LOOK_MS * 1000000L;
		if (until.tv_nsec >= 1000000000L) {
			until.tv_nsec -= 1000000000L;
			until.tv_sec++;
		}
		(void)pthread_cond_timedwait(&in->changed, &in->mutex, &until);
	}
	done = in->stage == DONE;
	pthread_mutex_unlock(&in->mutex);
	return done;
}

bool inject_message(
    void *router, struct message *m, int64_t deadline, struct err *err)
{
	struct router *r = router;
	struct injection *in = xcalloc(1, sizeof *in);
	bool ok = false;

	in->r = r;
	in->m = m;
	in->refs = 2;
	(void)pthread_mutex_init(&in->mutex, NULL);
	(void)pthread_cond_init(&in->changed, NULL);
	in->job.work = work;
	in->job.fresh = true;
	in->job.item.run = begin;
	loop_post(r->loop, &in->job.item);
	if (!wait_for(in, deadline)) {
		(void)err_set(
		    err, ERR_TEMP, "the queue did not take it within the time");
	} else {
		ok = in->ok;
		if (!ok && err)
			*err = in->err;
	}
	unref(in);
	return ok;
}
