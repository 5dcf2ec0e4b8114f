/*
 * queue_suppression_order.c - what operators do to the suppression list
 *
 * A large order is many short transactions: mail waits for the writer lock, and
 * gets its turn between two of them.  The timeline's row about it is written
 * with the first and kept true by each, so that it says what was done also when
 * the power fails in between.  A dry run does the same and rolls it back, so
 * that its counts are true.
 */
#include "base/buf.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/map.h"
#include "queue/queue_db.h"
#include "queue/queue_suppression.h"
#include "queue/queue_suppression_row.h"

struct ordering {
	struct queue_conn *conn;
	const struct suppression_order *order;
	const char *kind; /* of its rows in the timeline */
	const struct suppression_entry *entries;
	const char *const *keys;
	const struct suppression_scope *scope;
	size_t total, done;
	int64_t now, event; /* event 0: there is none about all yet */
	struct suppression_counts counts;
	struct map *seen; /* a dry run's: what the steps before had */
};

/* One row for each of a small order. */
static bool tell(
    struct ordering *o, const char *address, const char *class, struct err *err)
{
	const struct suppression_hit hit = {
	    .address = address, .reason = class};

	if (o->total > SUPPRESSION_EVENTS_MOST)
		return true;
	return queue_suppression_event(
	    o->conn, o->now, o->kind, &hit, o->order->who, o->order->why, err);
}

static bool write_event(struct ordering *o, const char *text, struct err *err)
{
	const struct suppression_hit none = {0};
	sqlite3_stmt *stmt;

	if (!o->event) {
		if (!queue_suppression_event(o->conn, o->now, o->kind, &none,
			o->order->who, text, err))
			return false;
		o->event = sqlite3_last_insert_rowid(o->conn->db);
		return true;
	}
	stmt = queue_stmt(o->conn, SQL_SUPPRESSION_EVENT_TEXT, err);
	if (!stmt)
		return false;
	(void)sqlite3_bind_int64(stmt, 1, o->event);
	queue_bind_text(stmt, 2, text);
	return queue_run(o->conn, stmt, err);
}

/* One row for all of a large one. */
static bool tell_all(struct ordering *o, struct err *err)
{
	const struct suppression_counts *c = &o->counts;
	char text[480], part[60] = "";

	if (o->total <= SUPPRESSION_EVENTS_MOST)
		return true;
	if (o->done < o->total)
		(void)snprintf(part, sizeof part, " (the first %zu of %zu)",
		    o->done, o->total);
	(void)snprintf(text, sizeof text,
	    "%.150s%s: %lld added, %lld changed, %lld removed%s%.150s",
	    o->order->what ? o->order->what : o->kind, part,
	    (long long)c->added, (long long)c->changed, (long long)c->removed,
	    o->order->why ? ": " : "", o->order->why ? o->order->why : "");
	return write_event(o, text, err);
}

/* What a dry run has counted was rolled back with its step. */
static bool counted_before(struct ordering *o, const char *address,
    const struct suppression_scope *scope)
{
	struct buf key = BUF_INIT;
	bool before;

	if (!o->order->dry_run)
		return false;
	buf_addstr(&key, address);
	if (scope && !scope->all)
		buf_addf(&key, "\n%s", scope->tenant);
	before = map_get(o->seen, buf_str(&key)) != NULL;
	if (!before)
		(void)map_put(o->seen, buf_str(&key), o);
	buf_release(&key);
	return before;
}

static bool set_one(
    struct ordering *o, const struct suppression_entry *e, struct err *err)
{
	struct queue_conn *conn = o->conn;
	int64_t created = e->created_at ? e->created_at : o->now, was = 0;
	sqlite3_stmt *stmt;

	if (counted_before(o, e->address, &e->scope)) {
		o->counts.changed++;
		return true;
	}
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
		o->counts.changed++;
	else
		o->counts.added++;
	return tell(o, e->address, e->class, err);
}

/* What counted towards an entry goes with it: the next hit is the first. */
static bool remove_one(struct ordering *o, const char *key, struct err *err)
{
	const struct suppression_scope *scope = o->scope;
	struct queue_conn *conn = o->conn;
	int removed;

	if (counted_before(o, key, NULL))
		return true;
	if (!queue_suppression_run(conn,
		scope ? SQL_SUPPRESSION_REMOVE : SQL_SUPPRESSION_REMOVE_ALL,
		key, scope, err))
		return false;
	removed = sqlite3_changes(conn->db);
	if (!queue_suppression_run(conn,
		scope ? SQL_SUPPRESSION_FORGET : SQL_SUPPRESSION_FORGET_ALL,
		key, scope, err))
		return false;
	o->counts.removed += removed;
	return removed == 0 || tell(o, key, NULL, err);
}

static bool one(struct ordering *o, struct err *err)
{
	return o->entries ? set_one(o, &o->entries[o->done], err)
			  : remove_one(o, o->keys[o->done], err);
}

static bool do_some(struct ordering *o, struct err *err)
{
	size_t end = o->total - o->done > SUPPRESSION_STEP
			 ? o->done + SUPPRESSION_STEP
			 : o->total;

	for (; o->done < end; o->done++)
		if (!one(o, err))
			return false;
	return tell_all(o, err);
}

static bool end(struct ordering *o, bool done, struct err *err)
{
	if (done && !o->order->dry_run)
		return queue_commit(o->conn, err);
	queue_rollback(o->conn);
	o->event = 0;
	return done;
}

/* Whoever imports alone keeps the log short as the daemons do. */
static bool between_steps(struct ordering *o, struct err *err)
{
	const struct suppression_order *order = o->order;

	if (FAULT_POINT("order.step-done") ||
	    (order->go_on && !order->go_on(order->ctx)))
		return err_set(err, ERR_TEMP, "stopped after %zu of %zu",
		    o->done, o->total);
	return queue_checkpoint(o->conn, false, err);
}

static bool carry_out(
    struct ordering *o, struct suppression_counts *counts, struct err *err)
{
	bool done = true;

	o->now = clock_unix();
	o->seen = map_new();
	*counts = o->counts;
	while (done && o->done < o->total) {
		done = (o->done == 0 || between_steps(o, err)) &&
		       queue_begin(o->conn, QUEUE_SYNCED, err) &&
		       end(o, do_some(o, err), err);
		if (done)
			*counts = o->counts;
	}
	map_free(o->seen, NULL);
	return done;
}

bool queue_suppress(struct queue_conn *conn,
    const struct suppression_entry *entries, size_t count,
    const struct suppression_order *order, struct suppression_counts *counts,
    struct err *err)
{
	struct ordering o = {
	    .conn = conn,
	    .order = order,
	    .kind = "suppressed",
	    .entries = entries,
	    .total = count,
	};

	return carry_out(&o, counts, err);
}

bool queue_unsuppress(struct queue_conn *conn, const char *const *keys,
    size_t count, const struct suppression_scope *scope,
    const struct suppression_order *order, struct suppression_counts *counts,
    struct err *err)
{
	struct ordering o = {
	    .conn = conn,
	    .order = order,
	    .kind = "unsuppressed",
	    .keys = keys,
	    .scope = scope,
	    .total = count,
	};

	return carry_out(&o, counts, err);
}
