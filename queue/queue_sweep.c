/*
 * queue_sweep.c - house-keeping in small steps, and checkpoints
 *
 * Each step first looks without the lock, which costs a few searches, and takes
 * it only when there is something to do; at most 1 MiB of content goes in one
 * transaction, so custody never waits for long.
 */
#include "base/clock.h"
#include "base/diag.h"
#include "base/fault.h"
#include "queue/queue_db.h"
#include "queue/queue_suppression.h"

#define PENDING_AGE_S 3600
#define TLS_AGE_DAYS 35
#define TLS_MOST 100000
#define DAY_S 86400
#define QUEUE_IDLE_S 3600
#define SWEEP_CHUNKS 16 /* as in the statement: 1 MiB */
#define SWEEP_QUEUES 200
#define PAGE_BYTES 4096LL
#define PINNED_AGAIN_MS 2000
#define WAL_CHECKPOINT_BYTES (8LL * 1024 * 1024)
#define WAL_TRUNCATE_BYTES (64LL * 1024 * 1024)
/* Free pages are given back when they are much of the file, not always: the
 * next mail wants them again. */
#define VACUUM_PAGES_LEAST 16384

static bool run_id(struct queue_conn *conn, enum sql_statement which,
    int64_t id, struct err *err)
{
	sqlite3_stmt *stmt = queue_stmt(conn, which, err);

	if (!stmt)
		return false;
	(void)sqlite3_bind_int64(stmt, 1, id);
	return queue_run(conn, stmt, err);
}

/* Commits what a step did, or takes it back. */
static bool end(struct queue_conn *conn, bool done, struct err *err)
{
	if (done)
		return queue_commit(conn, err);
	queue_rollback(conn);
	return false;
}

/* Content whose message never came: a crash or a deadline was between. */
static bool sweep_pending(
    struct queue_conn *conn, int64_t now, bool *more, struct err *err)
{
	sqlite3_stmt *stmt = queue_stmt(conn, SQL_SWEEP_PENDING, err);
	int64_t ids[16];
	size_t count = 0;
	enum queue_step step;
	bool done = true;

	if (!stmt)
		return false;
	(void)sqlite3_bind_int64(stmt, 1, now - PENDING_AGE_S);
	while ((step = queue_step(conn, stmt, err)) == STEP_ROW)
		ids[count++] = sqlite3_column_int64(stmt, 0);
	if (step == STEP_FAILED || count == 0)
		return step != STEP_FAILED;
	*more = true;
	if (!queue_begin(conn, QUEUE_LATER, err))
		return false;
	for (size_t i = 0; i < count && done; i++)
		done = run_id(conn, SQL_CONTENT_DOOM, ids[i], err);
	return end(conn, done, err);
}

/* Up to 1 MiB of one doomed content, and the row after its last chunk. */
static bool remove_chunks(
    struct queue_conn *conn, int64_t id, int *removed, struct err *err)
{
	sqlite3_stmt *stmt = queue_stmt(conn, SQL_SWEEP_CHUNKS, err);

	if (!stmt)
		return false;
	(void)sqlite3_bind_int64(stmt, 1, id << QUEUE_CHUNK_BITS);
	(void)sqlite3_bind_int64(stmt, 2, (id + 1) << QUEUE_CHUNK_BITS);
	if (!queue_run(conn, stmt, err))
		return false;
	*removed = sqlite3_changes(conn->db);
	return *removed == SWEEP_CHUNKS ||
	       run_id(conn, SQL_SWEEP_CONTENT, id, err);
}

static bool first_doomed(struct queue_conn *conn, int64_t *id, struct err *err)
{
	sqlite3_stmt *stmt = queue_stmt(conn, SQL_SWEEP_DOOMED, err);

	*id = 0;
	return stmt && queue_get_int(conn, stmt, id, err);
}

static bool sweep_doomed(struct queue_conn *conn, bool *more, struct err *err)
{
	int removed = 0, budget = SWEEP_CHUNKS;
	int64_t id;

	if (!first_doomed(conn, &id, err))
		return false;
	if (!id)
		return true;
	*more = true;
	if (!queue_begin(conn, QUEUE_LATER, err))
		return false;
	do {
		if (!remove_chunks(conn, id, &removed, err))
			return end(conn, false, err);
		/* At least one, so that empty ones end as well. */
		budget -= removed + 1;
	} while (budget > 0 && first_doomed(conn, &id, err) && id);
	return end(conn, true, err);
}

static bool sweep_events(
    struct queue_conn *conn, int64_t now, bool *more, struct err *err)
{
	sqlite3_stmt *stmt = queue_stmt(conn, SQL_SWEEP_EVENTS, err);
	int64_t last = 0;

	if (!stmt)
		return false;
	(void)sqlite3_bind_int64(
	    stmt, 1, now - atomic_load(&conn->queue->history_age_s));
	(void)sqlite3_bind_int64(
	    stmt, 2, atomic_load(&conn->queue->history_events));
	if (!queue_get_int(conn, stmt, &last, err))
		return false;
	if (!last)
		return true;
	*more = true;
	return queue_begin(conn, QUEUE_LATER, err) &&
	       end(conn, run_id(conn, SQL_SWEEP_EVENTS_TO, last, err), err);
}

static bool sweep_tls(
    struct queue_conn *conn, int64_t now, bool *more, struct err *err)
{
	sqlite3_stmt *stmt = queue_stmt(conn, SQL_SWEEP_TLS, err);
	int64_t last = 0;

	if (!stmt)
		return false;
	(void)sqlite3_bind_int64(stmt, 1, now / DAY_S - TLS_AGE_DAYS);
	(void)sqlite3_bind_int64(stmt, 2, TLS_MOST);
	if (!queue_get_int(conn, stmt, &last, err))
		return false;
	if (!last)
		return true;
	*more = true;
	return queue_begin(conn, QUEUE_LATER, err) &&
	       end(conn, run_id(conn, SQL_SWEEP_TLS_TO, last, err), err);
}

/* The next of a walk over all queues; the walk begins again at the end. */
static bool sweep_queues(
    struct queue_conn *conn, int64_t now, bool *more, struct err *err)
{
	sqlite3_stmt *stmt = queue_stmt(conn, SQL_SWEEP_QUEUES, err);
	int64_t idle[SWEEP_QUEUES], last = 0;
	size_t count = 0, seen = 0;
	enum queue_step step;
	bool done = true;

	if (!stmt)
		return false;
	(void)sqlite3_bind_int64(stmt, 1, conn->queue->sweep_queue);
	(void)sqlite3_bind_int64(stmt, 2, now - QUEUE_IDLE_S);
	while ((step = queue_step(conn, stmt, err)) == STEP_ROW) {
		last = sqlite3_column_int64(stmt, 0);
		if (sqlite3_column_int(stmt, 1))
			idle[count++] = last;
		seen++;
	}
	if (step == STEP_FAILED)
		return false;
	conn->queue->sweep_queue = seen == SWEEP_QUEUES ? last : 0;
	if (seen == SWEEP_QUEUES)
		*more = true;
	if (count == 0)
		return true;
	if (!queue_begin(conn, QUEUE_LATER, err))
		return false;
	for (size_t i = 0; i < count && done; i++)
		done = run_id(conn, SQL_SWEEP_QUEUE, idle[i], err);
	return end(conn, done, err);
}

static bool sweep_pages(struct queue_conn *conn, bool *more, struct err *err)
{
	sqlite3_stmt *stmt = queue_stmt(conn, SQL_FREELIST_COUNT, err);
	int64_t spare = 0, pages = 0;

	if (!stmt || !queue_get_int(conn, stmt, &spare, err))
		return false;
	if (spare < VACUUM_PAGES_LEAST)
		return true;
	stmt = queue_stmt(conn, SQL_PAGE_COUNT, err);
	if (!stmt || !queue_get_int(conn, stmt, &pages, err))
		return false;
	if (spare < pages / 4)
		return true;
	*more = true;
	return queue_begin(conn, QUEUE_LATER, err) &&
	       end(conn, queue_do(conn, SQL_VACUUM_STEP, err), err);
}

bool queue_sweep(
    struct queue_conn *conn, int64_t now, bool *more, struct err *err)
{
	*more = false;
	return sweep_pending(conn, now, more, err) &&
	       sweep_doomed(conn, more, err) &&
	       sweep_events(conn, now, more, err) &&
	       sweep_tls(conn, now, more, err) &&
	       sweep_queues(conn, now, more, err) &&
	       queue_suppression_sweep(conn, now, more, err) &&
	       sweep_pages(conn, more, err);
}

/* ---- checkpoints ---- */

static bool checkpoint(struct queue_conn *conn, int mode, int *in_log,
    int *copied, struct err *err)
{
	int rc;

	conn->busy_until = 0; /* never for a reader */
	rc = sqlite3_wal_checkpoint_v2(conn->db, NULL, mode, in_log, copied);
	if (rc == SQLITE_OK || (rc & 0xff) == SQLITE_BUSY)
		return true;
	queue_fail(conn, "checkpoint", err);
	if ((rc & 0xff) == SQLITE_IOERR)
		queue_poison(conn->queue, sqlite3_errmsg(conn->db));
	return false;
}

/* The number of frames is as of our own last commit, the neighbour's before it
 * included.  What a reader has pinned is not tried again with every commit. */
static bool log_is_long(const struct queue_conn *conn, int64_t now)
{
	int frames = conn->wal_frames - conn->wal_pinned;

	if (frames < 0)
		frames = conn->wal_frames;
	return frames * PAGE_BYTES >= WAL_CHECKPOINT_BYTES ||
	       (conn->wal_pinned &&
		   now - conn->checkpoint_ms >= PINNED_AGAIN_MS);
}

/*
 * PASSIVE copies what no reader needs any more, and the next commit begins the
 * log anew when that was all.  So its size is cut off only when it is idle, or
 * has grown while a reader pinned it.  *kept: somebody was in the way.
 */
static bool copy_back(
    struct queue_conn *conn, bool cut, bool *kept, struct err *err)
{
	int in_log = -1, copied = -1;
	bool complete;

	if (FAULT_POINT("queue.checkpoint"))
		return err_set(err, ERR_TEMP, "queue.checkpoint");
	if (!checkpoint(conn, SQLITE_CHECKPOINT_PASSIVE, &in_log, &copied, err))
		return false;
	complete = in_log >= 0 && in_log == copied;
	if (complete && cut &&
	    !checkpoint(
		conn, SQLITE_CHECKPOINT_TRUNCATE, &in_log, &copied, err))
		return false;
	if (in_log == copied)
		conn->wal_frames = 0;
	conn->wal_pinned = in_log > copied ? in_log : 0;
	*kept = !complete || (cut && queue_log_bytes(conn->queue) > 0);
	return true;
}

bool queue_checkpoint(struct queue_conn *conn, bool idle, struct err *err)
{
	int64_t now = clock_now_ms(), size;
	bool done;

	if (!idle && !log_is_long(conn, now))
		return true;
	/* Whoever was in the way is given time, also when we are idle. */
	if (conn->log_kept && now - conn->checkpoint_ms < PINNED_AGAIN_MS)
		return true;
	/* A log without its name may have any length. */
	size = queue_log_bytes(conn->queue);
	if (size == 0 && queue_in_place(conn->queue, NULL)) {
		conn->log_kept = false;
		return true;
	}
	if (queue_look_for_poison(conn->queue))
		return err_set(
		    err, ERR_TEMP, "%s: a sync failed", conn->queue->path);
	conn->checkpoint_ms = now;
	conn->log_kept = true;
	switch (queue_lock_take(
	    &conn->lock, clock_now_ms() + conn->patience_ms, err)) {
	case LOCK_TAKEN:
		break;
	case LOCK_BUSY:
		return true; /* next time */
	case LOCK_FAILED:
		return false;
	}
	done = copy_back(
	    conn, idle || size > WAL_TRUNCATE_BYTES, &conn->log_kept, err);
	queue_lock_give(&conn->lock);
	return done;
}

bool queue_log_is_kept(const struct queue_conn *conn)
{
	return conn->log_kept;
}

bool queue_data_version(struct queue_conn *conn, int64_t *out, struct err *err)
{
	sqlite3_stmt *stmt = queue_stmt(conn, SQL_DATA_VERSION, err);

	*out = 0;
	return stmt && queue_get_int(conn, stmt, out, err);
}
