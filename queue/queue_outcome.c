/*
 * queue_outcome.c - what became of leased recipients
 *
 * One transaction for all verdicts and for the messages that they cause.  Rows
 * that go take their message and content along by triggers.  A crash before the
 * commit repeats deliveries: a duplicate, never a loss.
 */
#include "base/fault.h"
#include "mail/smtp_reply.h"
#include "queue/queue_db.h"
#include "queue/queue_insert.h"
#include "queue/queue_suppression.h"
#include "queue/queue_writer.h"

static const struct {
	const char *event; /* NULL: not worth one */
	enum sql_statement statement;
	bool goes;
} kinds[] = {
    [VERDICT_DELIVERED] = {"delivered", SQL_SETTLE_GONE, true},
    [VERDICT_BOUNCED] = {"bounced", SQL_SETTLE_GONE, true},
    [VERDICT_EXPIRED] = {"expired", SQL_SETTLE_GONE, true},
    [VERDICT_DEFERRED] = {"deferred", SQL_SETTLE_DEFERRED, false},
    [VERDICT_RETURNED] = {NULL, SQL_SETTLE_RETURNED, false},
    [VERDICT_HELD] = {"held", SQL_SETTLE_HELD, false},
    [VERDICT_MOVED] = {"moved", SQL_SETTLE_MOVED, true},
};

/* The last deferral of each queue; most batches have few queues. */
struct said {
	int64_t queue;
	const struct queue_verdict *verdict;
};

struct settling {
	struct queue_conn *conn;
	struct buf reply; /* of the verdict at hand, in one line */
	struct {
		struct said *items;
		size_t count, size;
	} said;
	struct {
		int64_t *items;
		size_t count, size;
	} going; /* rows to be deleted, together */
	size_t gone;
	const struct queue_move *move; /* the last one; its message is done */
	int64_t move_queue;            /* 0: the message is gone */
};

static const char *reply_line(struct settling *s, const struct queue_verdict *v)
{
	buf_reset(&s->reply);
	if (!v->reply)
		return NULL;
	smtp_reply_one_line(&s->reply, v->reply);
	return buf_str(&s->reply);
}

static void bind_code(sqlite3_stmt *stmt, int n, const struct queue_verdict *v)
{
	if (v->reply && v->reply->code)
		(void)sqlite3_bind_int(stmt, n, v->reply->code);
}

/* Rows also go because the policy wants no more of them. */
static const char *event_of(const struct queue_verdict *v)
{
	if (v->kind == VERDICT_DELIVERED && (!v->reply || v->move))
		return "discarded";
	return kinds[v->kind].event;
}

/* Then the event tells what its message was. */
static bool leaves(const struct queue_verdict *v)
{
	return kinds[v->kind].goes && v->kind != VERDICT_MOVED;
}

static void bind_known(sqlite3_stmt *stmt, const struct queue_verdict *v)
{
	const struct queue_message *m = v->message;

	queue_bind_text(stmt, 11, m->id);
	queue_bind_text(stmt, 12, v->address);
	queue_bind_text(stmt, 13, v->queue);
	if (v->ref)
		(void)sqlite3_bind_int64(stmt, 14, v->ref);
	queue_bind_text(stmt, 15, m->sender.envid);
	if (!leaves(v))
		return;
	queue_bind_text(stmt, 16, m->header_id);
	queue_bind_text(stmt, 17, m->sender.address.email);
	(void)sqlite3_bind_int64(stmt, 18, m->created_ms);
}

static bool write_event(struct settling *s, const struct queue_verdict *v,
    const char *reply, struct err *err)
{
	sqlite3_stmt *stmt = queue_stmt(
	    s->conn, v->message ? SQL_EVENT_KNOWN : SQL_EVENT_RECIPIENT, err);

	if (!stmt)
		return false;
	(void)sqlite3_bind_int64(stmt, 1, v->recipient_id);
	(void)sqlite3_bind_int64(stmt, 2, v->at);
	queue_bind_text(stmt, 3, event_of(v));
	(void)sqlite3_bind_int(stmt, 4, v->attempts);
	bind_code(stmt, 5, v);
	queue_bind_text(stmt, 6, reply);
	queue_bind_text(stmt, 7, v->source);
	queue_bind_text(stmt, 8, v->site);
	queue_bind_text(stmt, 9, v->peer);
	if (v->message)
		bind_known(stmt, v);
	else
		(void)sqlite3_bind_int(stmt, 10, leaves(v));
	return queue_run(s->conn, stmt, err);
}

static void remember(
    struct settling *s, int64_t queue, const struct queue_verdict *v)
{
	for (size_t i = s->said.count; i > 0 && i + 16 > s->said.count; i--)
		if (s->said.items[i - 1].queue == queue) {
			s->said.items[i - 1].verdict = v;
			return;
		}
	*ARRAY_ADD(&s->said) = (struct said){queue, v};
}

static void bind_attempt(
    sqlite3_stmt *stmt, const struct queue_verdict *v, const char *reply)
{
	(void)sqlite3_bind_int(stmt, 3, v->attempts);
	(void)sqlite3_bind_int64(stmt, 4, v->at);
	bind_code(stmt, 5, v);
	queue_bind_text(stmt, 6, reply);
	queue_bind_text(stmt, 7, v->source);
	queue_bind_text(stmt, 8, v->site);
	queue_bind_text(stmt, 9, v->peer);
}

/* Those that were not there any more are counted. */
static bool delete_going(struct settling *s, struct err *err)
{
	size_t deleted;

	if (!queue_run_ids(s->conn, SQL_SETTLE_GONE, SQL_SETTLE_GONE_MANY,
		s->going.items, s->going.count, &deleted, err))
		return false;
	s->gone += s->going.count - deleted;
	s->going.count = 0;
	return true;
}

/* The row goes when more of them do. */
static bool settle_gone(struct settling *s, const struct queue_verdict *v,
    const char *reply, struct err *err)
{
	if (!write_event(s, v, reply, err))
		return false;
	*ARRAY_ADD(&s->going) = v->recipient_id;
	if (s->going.count == QUEUE_IDS_AT_ONCE && !delete_going(s, err))
		return false;
	return !v->hit || queue_suppression_note(s->conn, v->hit, err);
}

static bool settle_moved(struct settling *s, const struct queue_verdict *v,
    const char *reply, struct err *err)
{
	bool gone = false;

	/* A message is moved after what has left it is gone. */
	if (!delete_going(s, err))
		return false;
	/* What the event says stands in the old rows. */
	if (!write_event(s, v, reply, err))
		return false;
	if (s->move != v->move) {
		if (!queue_move_message(s->conn, v->move, &s->move_queue, err))
			return false;
		s->move = v->move;
	}
	if (!queue_move_recipient(
		s->conn, v->recipient_id, v->move, s->move_queue, &gone, err))
		return false;
	s->gone += gone;
	return true;
}

static bool settle_stays(struct settling *s, const struct queue_verdict *v,
    const char *reply, struct err *err)
{
	sqlite3_stmt *stmt = queue_stmt(s->conn, kinds[v->kind].statement, err);
	int64_t queue = 0;
	enum queue_step step;

	if (!stmt)
		return false;
	(void)sqlite3_bind_int64(stmt, 1, v->recipient_id);
	if (v->kind == VERDICT_HELD)
		queue_bind_text(stmt, 2, reply ? reply : "the router gave up");
	else
		(void)sqlite3_bind_int64(stmt, 2, v->due_at);
	if (v->kind != VERDICT_RETURNED)
		bind_attempt(stmt, v, reply);
	while ((step = queue_step(s->conn, stmt, err)) == STEP_ROW)
		queue = sqlite3_column_int64(stmt, 0);
	if (step == STEP_FAILED)
		return false;
	if (!queue) {
		s->gone++;
		return true;
	}
	if (v->kind == VERDICT_DEFERRED && v->reply)
		remember(s, queue, v);
	return !kinds[v->kind].event || write_event(s, v, reply, err);
}

static bool write_said(struct settling *s, struct err *err)
{
	for (size_t i = 0; i < s->said.count; i++) {
		const struct queue_verdict *v = s->said.items[i].verdict;
		sqlite3_stmt *stmt = queue_stmt(s->conn, SQL_QUEUE_SAID, err);

		if (!stmt)
			return false;
		(void)sqlite3_bind_int64(stmt, 1, s->said.items[i].queue);
		(void)sqlite3_bind_int64(stmt, 2, v->at);
		bind_code(stmt, 3, v);
		queue_bind_text(stmt, 4, reply_line(s, v));
		if (!queue_run(s->conn, stmt, err))
			return false;
	}
	return true;
}

static bool settle_all(struct settling *s, const struct queue_verdict *verdicts,
    size_t count, struct err *err)
{
	for (size_t i = 0; i < count; i++) {
		const struct queue_verdict *v = &verdicts[i];
		const char *reply = reply_line(s, v);
		bool settled =
		    v->kind == VERDICT_MOVED ? settle_moved(s, v, reply, err)
		    : kinds[v->kind].goes    ? settle_gone(s, v, reply, err)
					     : settle_stays(s, v, reply, err);

		if (!settled)
			return false;
	}
	return delete_going(s, err) && write_said(s, err);
}

bool queue_settle(struct queue_conn *conn, const struct queue_verdict *verdicts,
    size_t count, struct message *const *inject, size_t inject_count,
    bool durable, size_t *gone, struct err *err)
{
	struct settling s = {.conn = conn};
	struct queue_intake intake = {
	    .messages = (struct message **)(void *)inject,
	    .count = inject_count,
	};
	bool settled = false;

	if (!queue_begin(conn,
		durable || inject_count ? QUEUE_SYNCED : QUEUE_LATER, err))
		return false;
	if (!settle_all(&s, verdicts, count, err) ||
	    !queue_insert(conn, &intake, NULL, 0, err))
		goto out;
	if (FAULT_POINT("outcome.before-commit")) {
		err_set(err, ERR_TEMP, "outcome.before-commit");
		goto out;
	}
	settled = queue_commit(conn, err);
out:
	if (!settled)
		queue_rollback(conn);
	if (settled && gone)
		*gone = s.gone;
	buf_release(&s.reply);
	ARRAY_FREE(&s.said);
	ARRAY_FREE(&s.going);
	return settled;
}
