/*
 * queue_move.c - a message that goes on in another scheduled queue
 *
 * In place: the row of the message keeps its id, so whoever looks for it by the
 * id that the log gave finds it.  Content is written only when it changed.
 */
#include "base/clock.h"
#include "queue/queue_db.h"
#include "queue/queue_insert.h"

static bool rewrite_message(struct queue_conn *conn,
    const struct queue_move *move, bool *found, struct err *err)
{
	const struct message *m = move->message;
	const char *email = m->sender.address.email;
	sqlite3_stmt *stmt = queue_stmt(conn, SQL_MESSAGE_REWRITE, err);
	struct buf meta = BUF_INIT;
	bool done;

	if (!stmt)
		return false;
	meta_write_json(m->meta, &meta);
	(void)sqlite3_bind_int64(stmt, 1, move->message_id);
	queue_bind_text(stmt, 2, email ? email : "");
	queue_bind_text(stmt, 3, m->scheduling);
	(void)sqlite3_bind_text(
	    stmt, 4, buf_str(&meta), (int)meta.len, SQLITE_STATIC);
	(void)sqlite3_bind_blob(
	    stmt, 5, buf_str(&m->prefix), (int)m->prefix.len, SQLITE_STATIC);
	done = queue_run(conn, stmt, err);
	*found = done && sqlite3_changes(conn->db) == 1;
	buf_release(&meta);
	return done;
}

static bool run_on(struct queue_conn *conn, enum sql_statement statement,
    int64_t id, int64_t other, struct err *err)
{
	sqlite3_stmt *stmt = queue_stmt(conn, statement, err);

	if (!stmt)
		return false;
	(void)sqlite3_bind_int64(stmt, 1, id);
	if (other)
		(void)sqlite3_bind_int64(stmt, 2, other);
	return queue_run(conn, stmt, err);
}

/* The new content first; the old one goes when nobody else has it. */
static bool replace_content(
    struct queue_conn *conn, const struct queue_move *move, struct err *err)
{
	int64_t id = 0;

	if (!move->message->content_changed)
		return true;
	return queue_insert_content(
		   conn, move->message->content, 1, &id, err) &&
	       run_on(conn, SQL_CONTENT_LEFT_SMALL, move->message_id, 0, err) &&
	       run_on(conn, SQL_CONTENT_LEFT, move->message_id, 0, err) &&
	       run_on(conn, SQL_MESSAGE_SET_CONTENT, move->message_id, id, err);
}

static bool read_message_id(
    struct queue_conn *conn, int64_t id, struct buf *out, struct err *err)
{
	sqlite3_stmt *stmt = queue_stmt(conn, SQL_MESSAGE_ID_OF, err);
	enum queue_step step;

	if (!stmt)
		return false;
	(void)sqlite3_bind_int64(stmt, 1, id);
	step = queue_step(conn, stmt, err);
	if (step == STEP_ROW && sqlite3_column_text(stmt, 0))
		buf_addstr(out, (const char *)sqlite3_column_text(stmt, 0));
	(void)sqlite3_reset(stmt);
	return step != STEP_FAILED;
}

/* Recipients that the policy has put in place of the old ones. */
static bool insert_recipients(struct queue_conn *conn,
    const struct queue_move *move, int64_t queue, struct err *err)
{
	const struct message *m = move->message;
	struct buf message_id = BUF_INIT;
	bool ok = read_message_id(conn, move->message_id, &message_id, err);

	for (size_t i = 0; i < m->recipients.count && ok; i++)
		ok = queue_insert_recipient(conn, m, &m->recipients.items[i],
		    buf_str(&message_id), move->message_id, queue, move->due_at,
		    err);
	buf_release(&message_id);
	return ok;
}

bool queue_move_message(struct queue_conn *conn, const struct queue_move *move,
    int64_t *queue, struct err *err)
{
	bool found = false;

	*queue = 0;
	if (!rewrite_message(conn, move, &found, err))
		return false;
	if (!found)
		return true; /* an operator has removed it */
	if (!queue_insert_queue(conn, move->queue, queue, err) ||
	    !replace_content(conn, move, err))
		return false;
	return !move->message->recipients_changed ||
	       insert_recipients(conn, move, *queue, err);
}

bool queue_move_recipient(struct queue_conn *conn, int64_t recipient,
    const struct queue_move *move, int64_t queue, bool *gone, struct err *err)
{
	sqlite3_stmt *stmt;

	if (queue == 0 || move->message->recipients_changed) {
		*gone = queue == 0;
		return run_on(conn, SQL_SETTLE_GONE, recipient, 0, err);
	}
	stmt = queue_stmt(conn, SQL_SETTLE_MOVED, err);
	if (!stmt)
		return false;
	(void)sqlite3_bind_int64(stmt, 1, recipient);
	(void)sqlite3_bind_int64(stmt, 2, queue);
	(void)sqlite3_bind_int64(stmt, 3, move->due_at);
	(void)sqlite3_bind_int(stmt, 4, move->attempts);
	if (!queue_run(conn, stmt, err))
		return false;
	*gone = sqlite3_changes(conn->db) == 0;
	return true;
}
