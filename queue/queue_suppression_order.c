/*
 * queue_suppression_order.c - what operators do to the suppression list
 *
 * One transaction for an order, whatever its size: all of it or nothing.  A dry
 * run does the same and rolls it back, so that its counts are true.
 */
#include "base/clock.h"
#include "queue/queue_db.h"
#include "queue/queue_suppression.h"
#include "queue/queue_suppression_row.h"

struct ordering {
	struct queue_conn *conn;
	const struct suppression_order *order;
	struct suppression_counts *counts;
	size_t total;
	int64_t now;
};

/* One row for each, or for all of a large order at its end. */
static bool tell(struct ordering *o, const char *kind, const char *address,
    const char *class, struct err *err)
{
	const struct suppression_hit hit = {
	    .address = address, .reason = class};

	if (o->total > SUPPRESSION_EVENTS_MOST)
		return true;
	return queue_suppression_event(
	    o->conn, o->now, kind, &hit, o->order->who, o->order->why, err);
}

static bool tell_all(struct ordering *o, const char *kind, struct err *err)
{
	const struct suppression_counts *c = o->counts;
	const struct suppression_hit none = {0};
	char text[400];

	if (o->total <= SUPPRESSION_EVENTS_MOST)
		return true;
	(void)snprintf(text, sizeof text,
	    "%.150s: %lld added, %lld changed, %lld removed%s%.150s",
	    o->order->what ? o->order->what : kind, (long long)c->added,
	    (long long)c->changed, (long long)c->removed,
	    o->order->why ? ": " : "", o->order->why ? o->order->why : "");
	return queue_suppression_event(
	    o->conn, o->now, kind, &none, o->order->who, text, err);
}

static bool end(struct ordering *o, bool done, struct err *err)
{
	if (done && !o->order->dry_run)
		return queue_commit(o->conn, err);
	queue_rollback(o->conn);
	return done;
}

static bool set_one(
    struct ordering *o, const struct suppression_entry *e, struct err *err)
{
	struct queue_conn *conn = o->conn;
	int64_t created = e->created_at ? e->created_at : o->now, was = 0;
	sqlite3_stmt *stmt;

	if (!queue_suppression_end(conn, e->address, &e->scope, o->now, err))
		return false;
	stmt = queue_stmt(conn, SQL_SUPPRESSION_IS, err);
	if (!stmt)
		return false;
	queue_suppression_bind(stmt, e->address, &e->scope);
	if (!queue_get_int(conn, stmt, &was, err))
		return false;
	stmt = queue_stmt(conn, SQL_SUPPRESSION_SET, err);
	if (!stmt)
		return false;
	queue_suppression_bind(stmt, e->address, &e->scope);
	queue_bind_text(stmt, 4, e->class);
	queue_bind_text(stmt, 5, e->reason);
	queue_bind_text(stmt, 6, e->record);
	queue_bind_text(stmt, 7, e->message);
	queue_bind_text(stmt, 8, e->who);
	(void)sqlite3_bind_int64(stmt, 9, e->hits ? e->hits : 1);
	(void)sqlite3_bind_int64(stmt, 10, created);
	(void)sqlite3_bind_int64(stmt, 11, o->now);
	if (e->until)
		(void)sqlite3_bind_int64(stmt, 12, e->until);
	if (!queue_run(conn, stmt, err))
		return false;
	if (was)
		o->counts->changed++;
	else
		o->counts->added++;
	return tell(o, "suppressed", e->address, e->class, err);
}

bool queue_suppress(struct queue_conn *conn,
    const struct suppression_entry *entries, size_t count,
    const struct suppression_order *order, struct suppression_counts *counts,
    struct err *err)
{
	struct ordering o = {conn, order, counts, count, clock_unix()};
	bool done = true;

	*counts = (struct suppression_counts){0};
	if (!queue_begin(conn, QUEUE_SYNCED, err))
		return false;
	for (size_t i = 0; done && i < count; i++)
		done = set_one(&o, &entries[i], err);
	return end(&o, done && tell_all(&o, "suppressed", err), err);
}

/* What counted towards an entry goes with it: the next hit is the first. */
static bool remove_one(struct ordering *o, const char *key,
    const struct suppression_scope *scope, struct err *err)
{
	struct queue_conn *conn = o->conn;
	int removed;

	if (!queue_suppression_run(conn,
		scope ? SQL_SUPPRESSION_REMOVE : SQL_SUPPRESSION_REMOVE_ALL,
		key, scope, err))
		return false;
	removed = sqlite3_changes(conn->db);
	if (!queue_suppression_run(conn,
		scope ? SQL_SUPPRESSION_FORGET : SQL_SUPPRESSION_FORGET_ALL,
		key, scope, err))
		return false;
	o->counts->removed += removed;
	return removed == 0 || tell(o, "unsuppressed", key, NULL, err);
}

bool queue_unsuppress(struct queue_conn *conn, const char *const *keys,
    size_t count, const struct suppression_scope *scope,
    const struct suppression_order *order, struct suppression_counts *counts,
    struct err *err)
{
	struct ordering o = {conn, order, counts, count, clock_unix()};
	bool done = true;

	*counts = (struct suppression_counts){0};
	if (!queue_begin(conn, QUEUE_SYNCED, err))
		return false;
	for (size_t i = 0; done && i < count; i++)
		done = remove_one(&o, keys[i], scope, err);
	return end(&o, done && tell_all(&o, "unsuppressed", err), err);
}
