/*
 * queue_suppression.c - addresses that get no more mail: looked up and noted
 */
#include "queue/queue_suppression.h"

#include "base/arena.h"
#include "base/clock.h"
#include "queue/queue_db.h"
#include "queue/queue_suppression_row.h"

#define SWEEP_MOST 500

/* ---- looking ---- */

static const struct suppression_entry *read_entry(
    sqlite3_stmt *stmt, struct arena *arena)
{
	struct suppression_entry *e =
	    ARENA_NEW(arena, struct suppression_entry);

	e->address = queue_column_text(stmt, 0, arena);
	e->scope.all = sqlite3_column_int(stmt, 1) != 0;
	e->scope.tenant = queue_column_text(stmt, 2, arena);
	e->class = queue_column_text(stmt, 3, arena);
	e->reason = queue_column_text(stmt, 4, arena);
	e->record = queue_column_text(stmt, 5, arena);
	e->message = queue_column_text(stmt, 6, arena);
	e->who = queue_column_text(stmt, 7, arena);
	e->hits = sqlite3_column_int64(stmt, 8);
	e->created_at = sqlite3_column_int64(stmt, 9);
	e->updated_at = sqlite3_column_int64(stmt, 10);
	e->until = sqlite3_column_int64(stmt, 11);
	return e;
}

static bool find(struct queue_conn *conn, const char *address,
    const char *domain, const char *tenant, struct arena *arena,
    const struct suppression_entry **out, struct err *err)
{
	sqlite3_stmt *stmt = queue_stmt(conn, SQL_SUPPRESSION_FIND, err);
	enum queue_step step;

	if (!stmt)
		return false;
	queue_bind_text(stmt, 1, address);
	queue_bind_text(stmt, 2, domain);
	queue_bind_text(stmt, 3, tenant);
	(void)sqlite3_bind_int64(stmt, 4, clock_unix());
	step = queue_step(conn, stmt, err);
	if (step == STEP_ROW) {
		*out = read_entry(stmt, arena);
		/* The snapshot ends here. */
		(void)sqlite3_reset(stmt);
	}
	return step != STEP_FAILED;
}

bool queue_suppressed(struct queue *queue, const char *address,
    const char *domain, const char *tenant, int64_t deadline,
    struct arena *arena, const struct suppression_entry **out, struct err *err)
{
	int64_t now = clock_now_ms();
	struct queue_conn *conn;
	bool found;

	*out = NULL;
	if (deadline > now + QUEUE_ASK_MS)
		deadline = now + QUEUE_ASK_MS;
	if (!queue_reader_take(queue, deadline, &conn, err))
		return false;
	/* Only a shell that has the file for itself is waited for. */
	queue_set_patience(conn, deadline - clock_now_ms());
	found = find(conn, address, domain, tenant, arena, out, err);
	queue_reader_give(conn, found);
	return found;
}

/* ---- hits ---- */

void queue_suppression_bind(sqlite3_stmt *stmt, const char *address,
    const struct suppression_scope *scope)
{
	queue_bind_text(stmt, 1, address);
	if (!scope)
		return;
	(void)sqlite3_bind_int(stmt, 2, scope->all);
	queue_bind_text(stmt, 3, scope->all ? "" : scope->tenant);
}

bool queue_suppression_run(struct queue_conn *conn, enum sql_statement which,
    const char *address, const struct suppression_scope *scope, struct err *err)
{
	sqlite3_stmt *stmt = queue_stmt(conn, which, err);

	if (!stmt)
		return false;
	queue_suppression_bind(stmt, address, scope);
	return queue_run(conn, stmt, err);
}

bool queue_suppression_event(struct queue_conn *conn, int64_t at,
    const char *kind, const struct suppression_hit *hit, const char *who,
    const char *why, struct err *err)
{
	sqlite3_stmt *stmt = queue_stmt(conn, SQL_SUPPRESSION_EVENT, err);

	if (!stmt)
		return false;
	(void)sqlite3_bind_int64(stmt, 1, at);
	queue_bind_text(stmt, 2, kind);
	queue_bind_text(stmt, 3, hit->message);
	queue_bind_text(stmt, 4, hit->address);
	if (hit->code)
		(void)sqlite3_bind_int(stmt, 5, hit->code);
	queue_bind_text(stmt, 6, hit->reason);
	queue_bind_text(stmt, 7, who);
	queue_bind_text(stmt, 8, why);
	return queue_run(conn, stmt, err);
}

/* An entry that is over: what made it counts for nothing any more. */
bool queue_suppression_end(struct queue_conn *conn, const char *address,
    const struct suppression_scope *scope, int64_t now, struct err *err)
{
	sqlite3_stmt *stmt = queue_stmt(conn, SQL_SUPPRESSION_END, err);

	if (!stmt)
		return false;
	queue_suppression_bind(stmt, address, scope);
	(void)sqlite3_bind_int64(stmt, 4, now);
	return queue_run(conn, stmt, err);
}

/* Remembers the hit for a rule that wants several; *enough: they are there. */
static bool count_hit(struct queue_conn *conn,
    const struct suppression_hit *hit, const struct suppression_scope *scope,
    const struct suppression_mark *mark, bool *enough, struct err *err)
{
	sqlite3_stmt *stmt = queue_stmt(conn, SQL_SUPPRESSION_HIT_INSERT, err);
	int64_t count = 0;

	if (!stmt)
		return false;
	queue_suppression_bind(stmt, hit->address, scope);
	queue_bind_text(stmt, 4, mark->rule);
	queue_bind_text(stmt, 5, hit->message ? hit->message : "");
	(void)sqlite3_bind_int64(stmt, 6, hit->at);
	(void)sqlite3_bind_int64(stmt, 7, hit->at + mark->within_s);
	if (!queue_run(conn, stmt, err))
		return false;
	stmt = queue_stmt(conn, SQL_SUPPRESSION_HIT_COUNT, err);
	if (!stmt)
		return false;
	queue_suppression_bind(stmt, hit->address, scope);
	queue_bind_text(stmt, 4, mark->rule);
	(void)sqlite3_bind_int64(stmt, 5, hit->at - mark->within_s);
	if (!queue_get_int(conn, stmt, &count, err))
		return false;
	*enough = count >= mark->count;
	return true;
}

static bool write_entry(struct queue_conn *conn,
    const struct suppression_hit *hit, const struct suppression_scope *scope,
    const struct suppression_mark *mark, bool *is_new, struct err *err)
{
	sqlite3_stmt *stmt = queue_stmt(conn, SQL_SUPPRESSION_NOTE, err);
	int64_t said = 0;

	if (!stmt)
		return false;
	queue_suppression_bind(stmt, hit->address, scope);
	queue_bind_text(stmt, 4, hit->class);
	queue_bind_text(stmt, 5, hit->reason);
	queue_bind_text(stmt, 6, hit->record);
	queue_bind_text(stmt, 7, hit->message);
	(void)sqlite3_bind_int64(stmt, 8, mark->count);
	(void)sqlite3_bind_int64(stmt, 9, hit->at);
	if (mark->keep_s)
		(void)sqlite3_bind_int64(stmt, 10, hit->at + mark->keep_s);
	/* To its end: a RETURNING writes only then. */
	for (;;) {
		switch (queue_step(conn, stmt, err)) {
		case STEP_ROW:
			said = sqlite3_column_int64(stmt, 0);
			continue;
		case STEP_DONE:
			*is_new = said != 0;
			return true;
		case STEP_FAILED:
			return false;
		}
	}
}

static const char *why_of(const struct suppression_hit *hit,
    const struct suppression_scope *scope, char *out, size_t size)
{
	(void)snprintf(out, size, "%s %.100s, mail of %s%.200s", hit->record,
	    hit->class ? hit->class : "",
	    scope->all       ? "everybody"
	    : *scope->tenant ? "tenant "
			     : "no tenant",
	    scope->all ? "" : scope->tenant);
	return out;
}

static bool keeps_longer(
    const struct suppression_mark *a, const struct suppression_mark *b)
{
	return !b || a->keep_s == 0 || (b->keep_s && a->keep_s > b->keep_s);
}

/* Of one scope: the rule that acts and keeps longest makes the entry. */
static bool note_scope(struct queue_conn *conn,
    const struct suppression_hit *hit, bool all, struct err *err)
{
	const struct suppression_scope scope = {all, hit->tenant};
	const struct suppression_mark *acts = NULL;
	bool is_new = false, any = false;
	char why[400];

	for (size_t i = 0; i < hit->mark_count; i++) {
		const struct suppression_mark *mark = &hit->marks[i];
		bool enough = true;

		if (mark->all_tenants != all)
			continue;
		any = true;
		if (mark->count > 1 &&
		    !count_hit(conn, hit, &scope, mark, &enough, err))
			return false;
		if (enough && keeps_longer(mark, acts))
			acts = mark;
	}
	if (!any || !acts)
		return true;
	if (!queue_suppression_end(conn, hit->address, &scope, hit->at, err) ||
	    !write_entry(conn, hit, &scope, acts, &is_new, err) ||
	    !queue_suppression_run(
		conn, SQL_SUPPRESSION_FORGET, hit->address, &scope, err))
		return false;
	return !is_new ||
	       queue_suppression_event(conn, hit->at, "suppressed", hit, NULL,
		   why_of(hit, &scope, why, sizeof why), err);
}

bool queue_suppression_note(
    struct queue_conn *conn, const struct suppression_hit *hit, struct err *err)
{
	return note_scope(conn, hit, false, err) &&
	       note_scope(conn, hit, true, err);
}

/* ---- sweeping ---- */

static bool sweep_table(struct queue_conn *conn, enum sql_statement which,
    int64_t now, bool *more, struct err *err)
{
	sqlite3_stmt *stmt = queue_stmt(conn, which, err);

	if (!stmt)
		return false;
	(void)sqlite3_bind_int64(stmt, 1, now);
	(void)sqlite3_bind_int(stmt, 2, SWEEP_MOST);
	if (!queue_run(conn, stmt, err))
		return false;
	if (sqlite3_changes(conn->db) == SWEEP_MOST)
		*more = true;
	return true;
}

/* Most sweeps find nothing: they take no lock. */
static bool anything_ended(
    struct queue_conn *conn, int64_t now, bool *any, struct err *err)
{
	sqlite3_stmt *stmt = queue_stmt(conn, SQL_SUPPRESSION_ENDED, err);
	int64_t found = 0;

	if (!stmt)
		return false;
	(void)sqlite3_bind_int64(stmt, 1, now);
	if (!queue_get_int(conn, stmt, &found, err))
		return false;
	*any = found != 0;
	return true;
}

bool queue_suppression_sweep(
    struct queue_conn *conn, int64_t now, bool *more, struct err *err)
{
	bool any = false;

	if (!anything_ended(conn, now, &any, err))
		return false;
	if (!any)
		return true;
	if (!queue_begin(conn, QUEUE_LATER, err))
		return false;
	if (sweep_table(conn, SQL_SWEEP_SUPPRESSION, now, more, err) &&
	    sweep_table(conn, SQL_SWEEP_SUPPRESSION_HIT, now, more, err))
		return queue_commit(conn, err);
	queue_rollback(conn);
	return false;
}
