/*
 * queue_custody.c - the session's side of custody
 *
 * What the writer reads of a session's memory, the intake, it reads between
 * CLAIMED and DONE only, because then the session waits.  Contents that are
 * written ahead are references of its own.
 */
#include "queue/queue_custody.h"

#include "base/clock.h"
#include "base/diag.h"
#include "base/xalloc.h"

#define PROGRESS_MS 5000

void custody_cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attr;

	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(cond, &attr);
	(void)pthread_condattr_destroy(&attr);
}

void custody_cond_wait(
    struct queue_writer *w, pthread_cond_t *cond, int64_t deadline)
{
	struct timespec when = clock_timespec(deadline);

	(void)pthread_cond_timedwait(cond, &w->mutex, &when);
}

/* With the mutex. */
void custody_writer_unref(struct queue_writer *w)
{
	bool last = --w->refs == 0;

	(void)pthread_mutex_unlock(&w->mutex);
	if (!last)
		return;
	(void)pthread_cond_destroy(&w->work);
	(void)pthread_mutex_destroy(&w->mutex);
	free(w);
}

static void unref(struct custody *c)
{
	if (--c->refs > 0)
		return;
	(void)pthread_cond_destroy(&c->changed);
	for (size_t i = 0; i < c->ahead_count; i++)
		content_unref(c->ahead[i].content);
	free(c->ahead);
	free(c);
}

void custody_finish(
    struct custody *c, enum custody_result result, const struct err *err)
{
	struct queue_writer *w = c->writer;
	int64_t took = clock_now_ms() - c->begun_ms;

	if (c->state != ABANDONED) {
		c->state = DONE;
		c->result = result;
		if (err)
			c->err = *err;
		if (result == CUSTODY_FAILED)
			w->stats.failed++;
		if (took > w->stats.longest_ms)
			w->stats.longest_ms = took;
		(void)pthread_cond_signal(&c->changed);
	}
	w->stats.waiting--;
	unref(c);
}

/* ---- the session's side ---- */

static void collect_ahead(struct custody *c, struct content *content)
{
	int64_t size = content ? content_facts(content)->size : 0;

	if (size <= QUEUE_LARGE) {
		c->bytes += size;
		return;
	}
	for (size_t i = 0; i < c->ahead_count; i++)
		if (c->ahead[i].content == content)
			return;
	c->ahead =
	    xrealloc(c->ahead, (c->ahead_count + 1) * sizeof c->ahead[0]);
	c->ahead[c->ahead_count++] =
	    (struct queue_ahead){.content = content_ref(content)};
}

struct custody *custody_begin(
    struct queue_writer *w, const struct queue_intake *intake)
{
	struct custody *c = xcalloc(1, sizeof *c);

	c->writer = w;
	c->intake = intake;
	c->refs = 2;
	c->begun_ms = clock_now_ms();
	list_init(&c->link);
	custody_cond_init(&c->changed);
	for (size_t i = 0; i < intake->count; i++)
		if (i == 0 || intake->messages[i]->content !=
				  intake->messages[i - 1]->content)
			collect_ahead(c, intake->messages[i]->content);

	(void)pthread_mutex_lock(&w->mutex);
	w->stats.waiting++;
	w->refs++;
	if (w->stopping)
		err_set(&c->err, ERR_TEMP, "the milter is stopping");
	else if (w->broken.class != ERR_NONE)
		c->err = w->broken;
	if (c->err.class != ERR_NONE)
		custody_finish(c, CUSTODY_FAILED, NULL);
	else if (c->ahead_count)
		list_add_tail(&w->ahead, &c->link);
	else {
		list_add_tail(&w->ready, &c->link);
		w->ready_count++;
	}
	(void)pthread_cond_signal(&w->work);
	(void)pthread_mutex_unlock(&w->mutex);
	return c;
}

enum custody_result custody_wait(struct custody *c, int64_t deadline,
    custody_progress_fn *progress, void *ctx, struct err *err)
{
	struct queue_writer *w = c->writer;
	int64_t next_progress = clock_now_ms() + PROGRESS_MS, until;
	bool alive = true;
	enum custody_result result;

	(void)pthread_mutex_lock(&w->mutex);
	while (c->state == WAITING || c->state == CLAIMED) {
		int64_t now = clock_now_ms();

		if (c->state == WAITING && (!alive || now >= deadline)) {
			c->state = ABANDONED;
			w->stats.abandoned++;
			break;
		}
		if (alive && progress && now >= next_progress) {
			(void)pthread_mutex_unlock(&w->mutex);
			alive = progress(ctx);
			(void)pthread_mutex_lock(&w->mutex);
			next_progress = clock_now_ms() + PROGRESS_MS;
			continue;
		}
		/* From CLAIMED on the deadline counts for nothing. */
		until = c->state == WAITING ? deadline : INT64_MAX;
		if (alive && progress && next_progress < until)
			until = next_progress;
		if (until > now + 3600000)
			until = now + 3600000;
		custody_cond_wait(w, &c->changed, until);
	}
	result = c->state == DONE ? c->result : CUSTODY_ABANDONED;
	if (result == CUSTODY_FAILED && err)
		*err = c->err;
	if (result == CUSTODY_ABANDONED)
		err_set(err, ERR_TEMP, "%s",
		    alive ? "the queue did not take it in time"
			  : "the MTA has gone");
	(void)pthread_mutex_unlock(&w->mutex);
	return result;
}

void custody_free(struct custody *c)
{
	struct queue_writer *w;

	if (!c)
		return;
	w = c->writer;
	(void)pthread_mutex_lock(&w->mutex);
	/* Nobody waited for it: as good as abandoned. */
	if (c->state == WAITING)
		c->state = ABANDONED;
	invariant(c->state != CLAIMED);
	unref(c);
	custody_writer_unref(w);
}
