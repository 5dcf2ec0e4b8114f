/*
 * queue_check.c - the whole file, checked beside the work
 *
 * SQLite looks for an interruption at each page, so giving way and stopping
 * take no longer than reading one.
 */
#include "queue/queue_check.h"

#include <pthread.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/worker.h"
#include "base/xalloc.h"
#include "queue/queue_custody.h"

#define AGAIN_MS 60000
#define NICE 19

struct queue_check {
	struct queue *queue;
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	struct queue_conn *conn; /* while it reads */
	bool stopping, gave_way;
};

enum verdict { CHECK_SOUND, CHECK_DAMAGED, CHECK_INTERRUPTED };

/* The first finding is kept: one is enough. */
static enum verdict read_all(struct queue_conn *conn, struct err *err)
{
	sqlite3_stmt *stmt = queue_stmt(conn, SQL_CHECK_QUICK, err);
	enum queue_step step = STEP_FAILED;
	char said[200];

	if (stmt)
		step = queue_step(conn, stmt, err);
	if (step == STEP_ROW) {
		(void)snprintf(said, sizeof said, "%s",
		    (const char *)sqlite3_column_text(stmt, 0));
		(void)sqlite3_reset(stmt);
		if (strcmp(said, "ok") == 0)
			return CHECK_SOUND;
		err_set(err, ERR_PERM, "%s", said);
		return CHECK_DAMAGED;
	}
	/* What cannot be read is damage, too. */
	if (err->class == ERR_PERM ||
	    (sqlite3_errcode(conn->db) & 0xff) == SQLITE_IOERR)
		return CHECK_DAMAGED;
	return CHECK_INTERRUPTED;
}

static enum verdict look(struct queue_check *c, struct err *err)
{
	struct queue_conn *conn = NULL;
	enum verdict verdict = CHECK_INTERRUPTED;
	bool go_on;

	if (!queue_connect(c->queue, false, &conn, err))
		return CHECK_INTERRUPTED;
	(void)pthread_mutex_lock(&c->mutex);
	go_on = !c->stopping;
	c->conn = go_on ? conn : NULL;
	c->gave_way = false;
	(void)pthread_mutex_unlock(&c->mutex);
	if (go_on)
		verdict = read_all(conn, err);
	(void)pthread_mutex_lock(&c->mutex);
	c->conn = NULL;
	(void)pthread_cond_signal(&c->changed);
	(void)pthread_mutex_unlock(&c->mutex);
	queue_disconnect(conn);
	return verdict;
}

/* False: stopping. */
static bool wait_to_try_again(struct queue_check *c)
{
	struct timespec when = clock_timespec(clock_now_ms() + AGAIN_MS);
	bool go_on;

	(void)pthread_mutex_lock(&c->mutex);
	while (!c->stopping &&
	       pthread_cond_timedwait(&c->changed, &c->mutex, &when) == 0)
		;
	go_on = !c->stopping;
	(void)pthread_mutex_unlock(&c->mutex);
	return go_on;
}

static void *run(void *ctx)
{
	struct queue_check *c = ctx;
	int64_t begun = clock_now_ms();
	struct err err = {0};
	enum verdict verdict;

	(void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), NICE);
	diag_info("%s: checking the whole file", queue_path(c->queue));
	while ((verdict = look(c, &err)) == CHECK_INTERRUPTED) {
		diag_debug("%s: check: %s", queue_path(c->queue), err.text);
		if (!wait_to_try_again(c))
			return NULL;
	}
	if (verdict == CHECK_SOUND) {
		diag_info("%s: the whole file is sound (%lld ms)",
		    queue_path(c->queue), (long long)(clock_now_ms() - begun));
		atomic_store(&c->queue->check_owed, false);
		return NULL;
	}
	queue_say_damaged(c->queue, err.text);
	return NULL;
}

struct queue_check *queue_check_start(struct queue *queue)
{
	struct queue_check *c;

	if (!queue->unclean)
		return NULL;
	atomic_store(&queue->check_owed, true);
	c = xcalloc(1, sizeof *c);
	c->queue = queue;
	(void)pthread_mutex_init(&c->mutex, NULL);
	custody_cond_init(&c->changed);
	c->thread = worker_thread_start("queue-check", run, c);
	return c;
}

/* An interruption that comes before the statement runs is lost, so it is
 * repeated with every call. */
void queue_check_tend(struct queue_check *c)
{
	bool must;

	if (!c)
		return;
	must = queue_poisoned(c->queue) ||
	       queue_log_bytes(c->queue) > c->queue->wal_limit_bytes / 2;
	(void)pthread_mutex_lock(&c->mutex);
	if (must && c->conn) {
		if (!c->gave_way)
			diag_info("%s: the check gives way, to begin anew",
			    queue_path(c->queue));
		c->gave_way = true;
		sqlite3_interrupt(c->conn->db);
	}
	(void)pthread_mutex_unlock(&c->mutex);
}

void queue_check_stop(struct queue_check *c)
{
	struct timespec again;

	if (!c)
		return;
	(void)pthread_mutex_lock(&c->mutex);
	c->stopping = true;
	(void)pthread_cond_signal(&c->changed);
	while (c->conn) {
		sqlite3_interrupt(c->conn->db);
		again = clock_timespec(clock_now_ms() + 10);
		(void)pthread_cond_timedwait(&c->changed, &c->mutex, &again);
	}
	(void)pthread_mutex_unlock(&c->mutex);
	(void)pthread_join(c->thread, NULL);
	(void)pthread_cond_destroy(&c->changed);
	(void)pthread_mutex_destroy(&c->mutex);
	free(c);
}
