/*
 * queue_writer.c - custody: many sessions, one transaction
 *
 *	custody_begin      -> [ahead: content over 1 MiB]  -> ready
 *	ready, WAITING     -> the group's BEGIN            -> CLAIMED
 *	CLAIMED            -> INSERTs, COMMIT              -> DONE
 *	WAITING            -> deadline, MTA gone           -> ABANDONED
 *
 * One turn of the thread is at most one piece of 1 MiB of the large contents,
 * in turns, and one group of what is ready: so a small message waits for one
 * piece, never for 40 MB.
 *
 * Linger.  A commit costs one sync however many share it.  When the last group
 * had more than one message, as many are likely to come again: wait for them,
 * until 2 ms after the arrival of the first.  A session that is alone is served
 * at once, and groups grow by what arrives while the disk works.
 */
#include "queue/queue_writer.h"

#include <pthread.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/fault.h"
#include "base/worker.h"
#include "base/xalloc.h"
#include "queue/queue_custody.h"

#define LINGER_MS 2
#define GROUP_MOST 200                     /* custodies */
#define GROUP_BYTES_MOST (4 * 1024 * 1024) /* of content not written ahead */
#define LOCK_PATIENCE_MS 1000 /* then look whether somebody abandoned */
#define STOP_PATIENCE_MS 10000
#define RETRY_MS 200 /* to open it again */
#define AGAIN_MS 20  /* after a transaction could not begin */
#define IDLE_MS 1000
#define WAIT_SAID_MS (60 * 1000)

/* Everybody who waits fails; nobody has been claimed. */
static void fail_all(struct queue_writer *w, const struct err *err)
{
	struct list *const lists[] = {&w->ahead, &w->ready};
	struct list *pos, *tmp;

	(void)pthread_mutex_lock(&w->mutex);
	for (size_t i = 0; i < COUNT(lists); i++)
		LIST_EACH (pos, tmp, lists[i]) {
			list_remove(pos);
			custody_finish(LIST_ITEM(pos, struct custody, link),
			    CUSTODY_FAILED, err);
		}
	w->ready_count = 0;
	(void)pthread_mutex_unlock(&w->mutex);
}

static void set_broken(struct queue_writer *w, const struct err *err)
{
	(void)pthread_mutex_lock(&w->mutex);
	w->broken = err ? *err : (struct err){0};
	w->stats.poisoned = queue_poisoned(w->queue);
	w->stats.lost = err && err->class == ERR_PERM;
	(void)pthread_mutex_unlock(&w->mutex);
}

/* A connection, if need be after recovery.  Never waits long. */
static bool have_connection(struct queue_writer *w, struct err *err)
{
	if (queue_poisoned(w->queue)) {
		queue_disconnect(w->conn);
		w->conn = NULL;
		if (!queue_reopen(w->queue, err))
			return false;
	}
	if (!w->conn) {
		if (!queue_connect(w->queue, true, &w->conn, err))
			return false;
		queue_set_patience(w->conn, LOCK_PATIENCE_MS);
	}
	return true;
}

static bool ahead_done(const struct queue_ahead *ahead)
{
	return ahead->written == content_facts(ahead->content)->size;
}

static void drop_ahead(struct queue_writer *w, struct custody *c)
{
	for (size_t i = 0; i < c->ahead_count; i++)
		queue_ahead_drop(w->conn, &c->ahead[i]);
}

/* One piece of the large content whose turn it is.  With the mutex, which is
 * given back meanwhile. */
static void ahead_turn(struct queue_writer *w)
{
	struct custody *c = LIST_ITEM(w->ahead.next, struct custody, link);
	struct err err = {0};
	bool written, gone = c->state == ABANDONED;
	size_t i = 0;

	list_remove(&c->link);
	(void)pthread_mutex_unlock(&w->mutex);
	while (i < c->ahead_count && ahead_done(&c->ahead[i]))
		i++;
	if (gone)
		drop_ahead(w, c);
	written = gone || i == c->ahead_count ||
		  queue_ahead_step(w->conn, &c->ahead[i], &err);
	while (i < c->ahead_count && ahead_done(&c->ahead[i]))
		i++;
	(void)pthread_mutex_lock(&w->mutex);

	if (gone)
		custody_finish(c, CUSTODY_ABANDONED, NULL);
	else if (!written) {
		/* The lock, or a shell: the deadline decides how often. Else
		 * what is there goes when it is an hour old. */
		diag_debug("write ahead: %s", err.text);
		if (err.class == ERR_TEMP && !queue_poisoned(w->queue) &&
		    !w->stopping) {
			list_add_tail(&w->ahead, &c->link);
			custody_cond_wait(
			    w, &w->work, clock_now_ms() + AGAIN_MS);
		} else
			custody_finish(c, CUSTODY_FAILED, &err);
	} else if (i == c->ahead_count) {
		list_add_tail(&w->ready, &c->link);
		w->ready_count++;
	} else
		list_add_tail(&w->ahead, &c->link);
}

/* With the mutex. */
static void linger(struct queue_writer *w)
{
	struct custody *first;
	int64_t until;

	first = LIST_ITEM(w->ready.next, struct custody, link);
	until = first->begun_ms + LINGER_MS;
	while (!w->stopping && list_empty(&w->ahead) &&
	       w->ready_count < w->last_group && clock_now_ms() < until)
		custody_cond_wait(w, &w->work, until);
}

/* What the group takes; abandoned ones fall out.  From here on the sessions
 * wait for the result.  With the mutex. */
static void claim(struct queue_writer *w, struct list *group,
    struct list *dropped, size_t *count)
{
	struct list *pos, *tmp;
	int64_t bytes = 0;

	LIST_EACH (pos, tmp, &w->ready) {
		struct custody *c = LIST_ITEM(pos, struct custody, link);

		if (*count == GROUP_MOST || bytes > GROUP_BYTES_MOST)
			break;
		list_remove(pos);
		w->ready_count--;
		if (c->state == ABANDONED) {
			list_add_tail(dropped, pos);
			continue;
		}
		c->state = CLAIMED;
		c->result = CUSTODY_COMMITTED;
		bytes += c->bytes;
		list_add_tail(group, pos);
		++*count;
	}
}

/* One session in the open transaction.  False: the transaction is gone. */
static bool insert_one(
    struct queue_writer *w, struct custody *c, struct err *lost)
{
	struct err ignored;

	if (!queue_do(w->conn, SQL_SAVEPOINT, lost))
		return false;
	if (!queue_insert(
		w->conn, c->intake, c->ahead, c->ahead_count, &c->err)) {
		c->result = CUSTODY_FAILED;
		if (queue_transaction_lost(w->conn)) {
			*lost = c->err;
			return false;
		}
		if (!queue_do(w->conn, SQL_SAVEPOINT_ROLLBACK, lost))
			return false;
	}
	return queue_do(w->conn, SQL_SAVEPOINT_RELEASE,
	    c->result == CUSTODY_FAILED ? &ignored : lost);
}

static bool commit_group(
    struct queue_writer *w, struct list *group, struct err *err)
{
	struct list *pos, *tmp;

	LIST_EACH (pos, tmp, group)
		if (!insert_one(w, LIST_ITEM(pos, struct custody, link), err)) {
			queue_rollback(w->conn);
			return false;
		}
	if (FAULT_POINT("custody.before-commit")) {
		queue_rollback(w->conn);
		return err_set(err, ERR_TEMP, "custody.before-commit");
	}
	/* Removed since it began: what was committed may be nowhere. */
	if (!queue_commit(w->conn, err) || !queue_in_place(w->queue, err))
		return false;
	/* Too late to fail: whoever dies here leaves a duplicate. */
	(void)FAULT_POINT("custody.after-commit");
	return true;
}

/* Nobody waits for them: no need to keep their contents until somebody else
 * lets go of the file.  What was written ahead goes when it is an hour old.
 * With the mutex. */
static void forget_abandoned(struct queue_writer *w)
{
	struct list *pos, *tmp;

	LIST_EACH (pos, tmp, &w->ready) {
		struct custody *c = LIST_ITEM(pos, struct custody, link);

		if (c->state != ABANDONED)
			continue;
		list_remove(pos);
		w->ready_count--;
		custody_finish(c, CUSTODY_ABANDONED, NULL);
	}
}

/* Nothing will be stored there any more: the intake closes, and says why. */
static void look_for_damage(struct queue_writer *w, const struct err *err)
{
	if (err->class == ERR_PERM && w->conn->damaged)
		queue_say_damaged(w->queue, err->text);
}

/* Sessions wait, up to their deadlines: who has it for so long? */
static void say_wait(struct queue_writer *w, const struct err *err)
{
	int64_t now = clock_now_ms();

	if (w->wait_said_ms && now - w->wait_said_ms < WAIT_SAID_MS) {
		diag_debug("custody waits: %s", err->text);
		return;
	}
	w->wait_said_ms = now;
	diag_warn("custody waits: %s", err->text);
}

static void group_turn(struct queue_writer *w)
{
	struct list group, dropped, *pos, *tmp;
	struct err err = {0};
	size_t count = 0, messages = 0;
	bool committed = false;

	list_init(&group);
	list_init(&dropped);
	if (!queue_begin(w->conn, QUEUE_SYNCED, &err)) {
		if (err.class == ERR_TEMP)
			say_wait(w, &err);
		look_for_damage(w, &err);
		/* ERR_TEMP may pass before somebody's deadline. */
		if (err.class != ERR_TEMP || w->stopping)
			fail_all(w, &err);
		(void)pthread_mutex_lock(&w->mutex);
		forget_abandoned(w);
		custody_cond_wait(w, &w->work, clock_now_ms() + AGAIN_MS);
		(void)pthread_mutex_unlock(&w->mutex);
		return;
	}
	(void)pthread_mutex_lock(&w->mutex);
	claim(w, &group, &dropped, &count);
	(void)pthread_mutex_unlock(&w->mutex);

	if (count)
		committed = commit_group(w, &group, &err);
	else
		queue_rollback(w->conn);
	LIST_EACH (pos, tmp, &dropped)
		drop_ahead(w, LIST_ITEM(pos, struct custody, link));

	(void)pthread_mutex_lock(&w->mutex);
	w->last_group = count;
	LIST_EACH (pos, tmp, &dropped)
		custody_finish(LIST_ITEM(pos, struct custody, link),
		    CUSTODY_ABANDONED, NULL);
	LIST_EACH (pos, tmp, &group) {
		struct custody *c = LIST_ITEM(pos, struct custody, link);

		if (committed && c->result == CUSTODY_COMMITTED) {
			messages += c->intake->count;
			custody_finish(c, CUSTODY_COMMITTED, NULL);
		} else
			custody_finish(
			    c, CUSTODY_FAILED, committed ? NULL : &err);
	}
	w->stats.messages += (int64_t)messages;
	w->stats.transactions += committed;
	(void)pthread_mutex_unlock(&w->mutex);
	if (committed) {
		w->checkpoint_due = true;
		queue_doorbell_ring(w->queue);
	} else if (count) {
		diag_error("custody failed: %s", err.text);
		look_for_damage(w, &err);
	}
}

/* While no router runs, somebody must copy the log back. */
static void checkpoint_turn(struct queue_writer *w, bool idle)
{
	struct err err = {0};

	if (!w->checkpoint_due || queue_router_runs(w->queue))
		return;
	if (!queue_checkpoint(w->conn, idle, &err))
		diag_warn("checkpoint: %s", err.text);
	/* One that a reader kept is owed when no mail comes any more, too: a
	 * log over its limit keeps mail from coming. */
	if (idle)
		w->checkpoint_due = queue_log_is_kept(w->conn);
}

/* Broken: all fail with the reason until the queue is open again. */
static void wait_for_queue(struct queue_writer *w, const struct err *err)
{
	set_broken(w, err);
	fail_all(w, err);
	(void)pthread_mutex_lock(&w->mutex);
	if (!w->stopping)
		custody_cond_wait(w, &w->work, clock_now_ms() + RETRY_MS);
	(void)pthread_mutex_unlock(&w->mutex);
}

/* A neighbour whose sync failed waits for us to close the file. */
static void idle_turn(struct queue_writer *w)
{
	struct err err = {0};

	(void)queue_look_for_poison(w->queue);
	if (!have_connection(w, &err)) {
		set_broken(w, &err);
		return;
	}
	if (w->broken.class != ERR_NONE)
		set_broken(w, NULL);
	checkpoint_turn(w, true);
}

/* False: stopping, and nothing is left. */
static bool wait_for_work(struct queue_writer *w)
{
	bool idle;

	(void)pthread_mutex_lock(&w->mutex);
	while (list_empty(&w->ahead) && list_empty(&w->ready)) {
		int64_t until = clock_now_ms() + IDLE_MS;

		if (w->stopping) {
			(void)pthread_mutex_unlock(&w->mutex);
			return false;
		}
		custody_cond_wait(w, &w->work, until);
		idle = list_empty(&w->ahead) && list_empty(&w->ready) &&
		       clock_now_ms() >= until;
		if (idle) {
			(void)pthread_mutex_unlock(&w->mutex);
			idle_turn(w);
			(void)pthread_mutex_lock(&w->mutex);
		}
	}
	(void)pthread_mutex_unlock(&w->mutex);
	return true;
}

static void *serve(void *ctx)
{
	struct queue_writer *w = ctx;
	struct err err;

	while (wait_for_work(w)) {
		bool ready, late;

		err = (struct err){0};
		if (!have_connection(w, &err)) {
			wait_for_queue(w, &err);
			continue;
		}
		if (w->broken.class != ERR_NONE)
			set_broken(w, NULL);
		(void)pthread_mutex_lock(&w->mutex);
		if (!list_empty(&w->ahead))
			ahead_turn(w);
		ready = !list_empty(&w->ready);
		if (ready)
			linger(w);
		late = w->stopping && clock_now_ms() >= w->stop_deadline;
		(void)pthread_mutex_unlock(&w->mutex);
		if (late) {
			err_set(&err, ERR_TEMP, "the milter is stopping");
			fail_all(w, &err);
		}
		if (ready && !late && !queue_poisoned(w->queue))
			group_turn(w);
		if (!queue_poisoned(w->queue))
			checkpoint_turn(w, false);
	}
	queue_disconnect(w->conn);
	return NULL;
}

struct queue_writer *queue_writer_start(struct queue *queue, struct err *err)
{
	struct queue_writer *w = xcalloc(1, sizeof *w);

	w->queue = queue;
	w->refs = 1;
	/* The first connection here, so that whoever starts us learns of it. */
	if (!queue_connect(queue, true, &w->conn, err)) {
		free(w);
		return NULL;
	}
	queue_set_patience(w->conn, LOCK_PATIENCE_MS);
	w->checkpoint_due = true;
	(void)pthread_mutex_init(&w->mutex, NULL);
	custody_cond_init(&w->work);
	list_init(&w->ahead);
	list_init(&w->ready);
	w->thread = worker_thread_start("queue-writer", serve, w);
	return w;
}

void queue_writer_stop(struct queue_writer *w)
{
	if (!w)
		return;
	(void)pthread_mutex_lock(&w->mutex);
	w->stopping = true;
	w->stop_deadline = clock_now_ms() + STOP_PATIENCE_MS;
	(void)pthread_cond_signal(&w->work);
	(void)pthread_mutex_unlock(&w->mutex);
	(void)pthread_join(w->thread, NULL);
	(void)pthread_mutex_lock(&w->mutex);
	custody_writer_unref(w);
}

void queue_writer_stats(struct queue_writer *w, struct queue_writer_stats *out)
{
	(void)pthread_mutex_lock(&w->mutex);
	*out = w->stats;
	(void)pthread_mutex_unlock(&w->mutex);
}
