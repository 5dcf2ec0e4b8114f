/*
 * queue_blame.c - what a router that died was at, and what is held for it
 *
 * Recipients are counted in their rows, whether they were leased already or
 * not; scheduled queues in the table of attempts, because what kills may be the
 * queue's name, which all its mail shares.
 */
#include "base/clock.h"
#include "base/diag.h"
#include "queue/queue_db.h"

#define AT_ONCE 500

static const char why[] = "router died while delivering this";
static const char why_queue[] = "router died while preparing the queue of this";

/* One step; the ids were found outside of it. */
struct batch {
	enum sql_statement find, change;
	int64_t of; /* bound to `find`; 0: nothing */
	int64_t ids[AT_ONCE];
	size_t count;
};

static bool find_batch(
    struct queue_conn *conn, struct batch *b, struct err *err)
{
	sqlite3_stmt *stmt = queue_stmt(conn, b->find, err);
	enum queue_step step;

	b->count = 0;
	if (!stmt)
		return false;
	if (b->of)
		(void)sqlite3_bind_int64(stmt, 1, b->of);
	while ((step = queue_step(conn, stmt, err)) == STEP_ROW)
		b->ids[b->count++] = sqlite3_column_int64(stmt, 0);
	return step != STEP_FAILED;
}

static bool change(struct queue_conn *conn, enum sql_statement statement,
    int64_t id, int crashes, const char *because, struct err *err)
{
	sqlite3_stmt *stmt = queue_stmt(conn, statement, err);

	if (!stmt)
		return false;
	(void)sqlite3_bind_int64(stmt, 1, id);
	(void)sqlite3_bind_int(stmt, 2, crashes);
	(void)sqlite3_bind_int(stmt, 3, QUEUE_CRASHES_MOST);
	queue_bind_text(stmt, 4, because);
	return queue_run(conn, stmt, err);
}

/* In steps, so that custody is not held up. */
bool queue_leases_back(struct queue_conn *conn, size_t *count, struct err *err)
{
	struct batch b = {.find = SQL_LEASED_BATCH, .change = SQL_LEASED_BACK};

	do {
		if (!find_batch(conn, &b, err))
			return false;
		if (b.count == 0)
			return true;
		if (!queue_begin(conn, QUEUE_LATER, err))
			return false;
		for (size_t i = 0; i < b.count; i++)
			if (!change(conn, b.change, b.ids[i], 0, why, err))
				goto failed;
		if (!queue_commit(conn, err))
			return false;
		*count += b.count;
	} while (b.count == AT_ONCE);
	return true;
failed:
	queue_rollback(conn);
	return false;
}

bool queue_blame_recipients(struct queue_conn *conn, const int64_t *suspects,
    size_t count, struct err *err)
{
	size_t n;

	for (size_t from = 0; from < count; from += n) {
		n = count - from < AT_ONCE ? count - from : AT_ONCE;
		if (!queue_begin(conn, QUEUE_LATER, err))
			return false;
		for (size_t i = from; i < from + n; i++)
			if (!change(conn, SQL_BLAME_RECIPIENT, suspects[i], 1,
				why, err)) {
				queue_rollback(conn);
				return false;
			}
		if (!queue_commit(conn, err))
			return false;
		queue_attempts_counted(conn->queue->attempts, suspects[from],
		    suspects[from + n - 1]);
	}
	return true;
}

static bool say_held(
    struct queue_conn *conn, int64_t queue, int64_t count, struct err *err)
{
	sqlite3_stmt *stmt = queue_stmt(conn, SQL_BLAME_NAME, err);
	enum queue_step step;

	if (!stmt)
		return false;
	(void)sqlite3_bind_int64(stmt, 1, queue);
	step = queue_step(conn, stmt, err);
	if (step == STEP_ROW)
		diag_error("queue %s: the router died %d times while it "
			   "prepared it: %lld recipients are held",
		    (const char *)sqlite3_column_text(stmt, 0),
		    QUEUE_CRASHES_MOST, (long long)count);
	(void)sqlite3_reset(stmt);
	return step != STEP_FAILED;
}

/* Or it would be prepared again, with nothing in it that is due. */
static bool is_not_due(struct queue_conn *conn, int64_t queue, struct err *err)
{
	sqlite3_stmt *stmt = queue_stmt(conn, SQL_LEASE_RAISE, err);

	if (!stmt)
		return false;
	(void)sqlite3_bind_int64(stmt, 1, queue);
	(void)sqlite3_bind_int64(stmt, 2, clock_unix());
	return queue_run(conn, stmt, err);
}

bool queue_blame_hold(struct queue_conn *conn, int64_t queue, struct err *err)
{
	struct batch b = {
	    .find = SQL_BLAME_QUEUE, .change = SQL_BLAME_HOLD, .of = queue};
	int64_t count = 0;
	bool ok;

	do {
		if (!find_batch(conn, &b, err) ||
		    !queue_begin(conn, QUEUE_LATER, err))
			return false;
		ok = true;
		for (size_t i = 0; ok && i < b.count; i++)
			ok =
			    change(conn, b.change, b.ids[i], 0, why_queue, err);
		ok = ok && is_not_due(conn, queue, err);
		if (!ok) {
			queue_rollback(conn);
			return false;
		}
		if (!queue_commit(conn, err))
			return false;
		count += (int64_t)b.count;
	} while (b.count == AT_ONCE);
	return count == 0 || say_held(conn, queue, count, err);
}
