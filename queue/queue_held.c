/*
 * queue_held.c - scheduled queues that wait for a rate or a limit
 *
 * For v_why: the rows of their mail are not touched while they wait.
 */
#include "base/array.h"
#include "queue/queue_db.h"

static bool write_one(
    struct queue_conn *conn, const struct queue_held *held, struct err *err)
{
	sqlite3_stmt *stmt =
	    queue_stmt(conn, held->because ? SQL_HELD_PUT : SQL_HELD_DROP, err);

	if (!stmt)
		return false;
	(void)sqlite3_bind_int64(stmt, 1, held->queue_id);
	if (held->because) {
		queue_bind_text(stmt, 2, held->because);
		(void)sqlite3_bind_int64(stmt, 3, held->until);
	}
	return queue_run(conn, stmt, err);
}

static bool forget_before(
    struct queue_conn *conn, int64_t until, struct err *err)
{
	sqlite3_stmt *stmt = queue_stmt(conn, SQL_HELD_SWEEP, err);

	if (!stmt)
		return false;
	(void)sqlite3_bind_int64(stmt, 1, until);
	return queue_run(conn, stmt, err);
}

bool queue_hold(struct queue_conn *conn, const struct queue_held *items,
    size_t count, int64_t now, struct err *err)
{
	bool done = queue_begin(conn, QUEUE_LATER, err);

	if (!done)
		return false;
	done = forget_before(conn, now, err);
	for (size_t i = 0; done && i < count; i++)
		done = write_one(conn, &items[i], err);
	if (done)
		return queue_commit(conn, err);
	queue_rollback(conn);
	return false;
}
