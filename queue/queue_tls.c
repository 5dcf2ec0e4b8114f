/*
 * queue_tls.c - how TLS went with whom, day by day
 */
#include "queue/queue_db.h"

static void bind_text(sqlite3_stmt *stmt, int at, const char *text)
{
	(void)sqlite3_bind_text(stmt, at, text, -1, SQLITE_STATIC);
}

static bool add_one(
    struct queue_conn *conn, const struct queue_tls_count *row, struct err *err)
{
	sqlite3_stmt *stmt = queue_stmt(conn, SQL_TLS_ADD, err);

	if (!stmt)
		return false;
	(void)sqlite3_bind_int64(stmt, 1, row->day);
	bind_text(stmt, 2, row->domain);
	bind_text(stmt, 3, row->policy);
	bind_text(stmt, 4, row->mx);
	bind_text(stmt, 5, row->result);
	(void)sqlite3_bind_int64(stmt, 6, row->sessions);
	(void)sqlite3_bind_int64(stmt, 7, row->last_at);
	return queue_run(conn, stmt, err);
}

bool queue_tls_add(struct queue_conn *conn, const struct queue_tls_count *rows,
    size_t count, struct err *err)
{
	bool done = true;

	if (!queue_begin(conn, QUEUE_LATER, err))
		return false;
	for (size_t i = 0; i < count && done; i++)
		done = add_one(conn, &rows[i], err);
	if (done)
		return queue_commit(conn, err);
	queue_rollback(conn);
	return false;
}
