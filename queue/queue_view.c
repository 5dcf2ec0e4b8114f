/*
 * queue_view.c - questions that operators ask, row by row
 *
 * A question is a view; a selector adds conditions to it.  The text is put
 * together from parts of queries.sql, all known at compile time; what the
 * operator typed is always bound.  Such a statement is prepared for one
 * question and dropped after it.
 */
#include "queue/queue_view.h"

#include "base/clock.h"
#include "base/str.h"
#include "queue/queue_db.h"

#define ID_LEN 32
#define ID_PREFIX_LEAST 6

static const struct {
	enum sql_statement base;
	bool has_recipients; /* columns that only v_queue has */
	bool needs_id;
} questions[] = {
    [QUEUE_Q_LIST] = {SQL_ASK_LIST, true, false},
    [QUEUE_Q_SUMMARY] = {SQL_ASK_SUMMARY, false, false},
    [QUEUE_Q_MESSAGE] = {SQL_ASK_MESSAGE, false, true},
    [QUEUE_Q_RECIPIENTS] = {SQL_ASK_LIST, true, true},
    [QUEUE_Q_WHY] = {SQL_ASK_WHY, false, true},
    [QUEUE_Q_DUE] = {SQL_ASK_DUE, false, false},
    [QUEUE_Q_STATUS] = {SQL_ASK_STATUS, false, false},
    [QUEUE_Q_SUPPRESSION] = {SQL_ASK_SUPPRESSION, false, false},
    [QUEUE_Q_WAITING] = {SQL_ASK_WAITING, true, false},
};

/* Bound as ?1..?11; the part that asks for it. */
struct condition {
	enum sql_statement part;
	const char *text;
	int64_t number;
	bool wanted;
};
enum {
	CONDITION_ID,
	CONDITION_DOMAIN,
	CONDITION_OLDER = 8,
	CONDITION_LIMIT,
	CONDITION_AFTER
};
#define CONDITIONS 11

static void conditions_of(const struct queue_selector *s,
    enum queue_question question, const char *id,
    struct condition out[CONDITIONS])
{
	const bool all = questions[question].has_recipients;
	const bool suppression = question == QUEUE_Q_SUPPRESSION;
	const bool by_domain = all || suppression ||
			       question == QUEUE_Q_SUMMARY ||
			       question == QUEUE_Q_DUE;
	const struct condition conditions[CONDITIONS] = {
	    {SQL_WHERE_ID, id, 0, id != NULL},
	    {SQL_WHERE_DOMAIN, s->domain, 0, s->domain && by_domain},
	    {SQL_WHERE_SENDER, s->sender, 0, s->sender && all},
	    {suppression ? SQL_WHERE_ADDRESS : SQL_WHERE_RECIPIENT,
		s->recipient, 0,
		s->recipient &&
		    (all || suppression || question == QUEUE_Q_WHY)},
	    {SQL_WHERE_TENANT, s->tenant, 0, s->tenant && (all || suppression)},
	    {SQL_WHERE_CAMPAIGN, s->campaign, 0, s->campaign && all},
	    {SQL_WHERE_QUEUE, s->queue, 0,
		s->queue && (all || question == QUEUE_Q_DUE)},
	    {SQL_WHERE_STATE, s->state, 0, s->state && all},
	    {SQL_WHERE_OLDER, NULL, s->older_than, s->older_than > 0 && all},
	    {SQL_LIMIT, NULL, s->limit,
		s->limit > 0 && question != QUEUE_Q_STATUS},
	    {SQL_WHERE_AFTER, s->after, 0, s->after && all},
	};

	memcpy(out, conditions, sizeof conditions);
}

static sqlite3_stmt *prepare(struct queue_conn *conn,
    enum queue_question question, const struct condition *conditions,
    struct err *err)
{
	struct buf text = BUF_INIT;
	sqlite3_stmt *stmt = NULL;

	buf_addstr(&text, sql_texts[questions[question].base].text);
	for (size_t i = 0; i < CONDITION_LIMIT; i++)
		if (conditions[i].wanted)
			buf_addstr(&text, sql_texts[conditions[i].part].text);
	if (conditions[CONDITION_AFTER].wanted)
		buf_addstr(&text, sql_texts[SQL_WHERE_AFTER].text);
	if (question == QUEUE_Q_WAITING)
		buf_addstr(&text, sql_texts[SQL_ORDER_WAITING].text);
	else if (questions[question].has_recipients)
		buf_addstr(&text, sql_texts[SQL_ORDER_QUEUE].text);
	if (question == QUEUE_Q_SUPPRESSION)
		buf_addstr(&text, sql_texts[SQL_ORDER_SUPPRESSION].text);
	if (conditions[CONDITION_LIMIT].wanted)
		buf_addstr(&text, sql_texts[SQL_LIMIT].text);
	conn->busy_until = clock_now_ms() + conn->patience_ms;
	if (sqlite3_prepare_v2(conn->db, buf_str(&text), (int)text.len, &stmt,
		NULL) != SQLITE_OK)
		queue_fail(conn, "ask", err);
	buf_release(&text);
	for (int i = 0; stmt && i < CONDITIONS; i++) {
		if (!conditions[i].wanted)
			continue;
		if (conditions[i].text)
			queue_bind_text(stmt, i + 1, conditions[i].text);
		else
			(void)sqlite3_bind_int64(
			    stmt, i + 1, conditions[i].number);
	}
	return stmt;
}

static struct value column_value(
    sqlite3_stmt *stmt, int column, struct arena *arena)
{
	struct value v = {.type = VALUE_NIL};

	switch (sqlite3_column_type(stmt, column)) {
	case SQLITE_INTEGER:
		v.type = VALUE_INT;
		v.i = sqlite3_column_int64(stmt, column);
		break;
	case SQLITE_FLOAT:
		v.type = VALUE_NUMBER;
		v.n = sqlite3_column_double(stmt, column);
		break;
	case SQLITE_NULL:
		break;
	default:
		v = value_string(arena, sqlite3_column_blob(stmt, column),
		    (size_t)sqlite3_column_bytes(stmt, column));
	}
	return v;
}

static struct value row_value(sqlite3_stmt *stmt, struct arena *arena)
{
	struct value row = {.type = VALUE_MAP};

	row.count = (size_t)sqlite3_column_count(stmt);
	row.entries = ARENA_ARRAY(arena, struct value_entry, row.count);
	for (size_t i = 0; i < row.count; i++) {
		row.entries[i].key =
		    arena_strdup(arena, sqlite3_column_name(stmt, (int)i));
		row.entries[i].value = column_value(stmt, (int)i, arena);
	}
	return row;
}

/* A prefix of an id becomes the whole. */
static bool resolve_id(struct queue_conn *conn, const char *id,
    char out[MESSAGE_ID_SIZE], struct err *err)
{
	size_t len = strlen(id), found = 0;
	sqlite3_stmt *stmt;
	enum queue_step step;
	char lower[ID_LEN + 1];

	if (len < ID_PREFIX_LEAST || len > ID_LEN ||
	    strspn(id, "0123456789abcdefABCDEF") != len)
		return err_set(err, ERR_PERM,
		    "\"%.40s\" is not an id: 32 hexadecimal digits, or the "
		    "first %d or more",
		    id, ID_PREFIX_LEAST);
	(void)str_copy(lower, sizeof lower, id);
	str_lower(lower);
	stmt = queue_stmt(conn, SQL_ID_BY_PREFIX, err);
	if (!stmt)
		return false;
	queue_bind_text(stmt, 1, lower);
	while ((step = queue_step(conn, stmt, err)) == STEP_ROW) {
		(void)snprintf(out, MESSAGE_ID_SIZE, "%s",
		    (const char *)sqlite3_column_text(stmt, 0));
		found++;
	}
	if (step == STEP_FAILED)
		return false;
	if (found == 1)
		return true;
	return err_set(err, ERR_PERM,
	    found ? "more than one message begins with \"%s\""
		  : "no message \"%s\" is in the queue",
	    lower);
}

bool queue_ask(struct queue_conn *conn, enum queue_question question,
    const struct queue_selector *selector, queue_row_fn *row, void *ctx,
    struct err *err)
{
	static const struct queue_selector all;
	struct condition conditions[CONDITIONS];
	char id[MESSAGE_ID_SIZE];
	sqlite3_stmt *stmt;
	bool wants_id;
	int rc;

	if (!selector)
		selector = &all;
	wants_id = selector->id && (questions[question].has_recipients ||
				       questions[question].needs_id);
	if (questions[question].needs_id && !selector->id)
		return err_set(err, ERR_PERM, "which message?");
	if (wants_id && !resolve_id(conn, selector->id, id, err))
		return false;
	conditions_of(selector, question, wants_id ? id : NULL, conditions);
	stmt = prepare(conn, question, conditions, err);
	if (!stmt)
		return false;
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		struct arena *arena = arena_new(0);
		struct value v = row_value(stmt, arena);
		bool more = row(&v, ctx);

		arena_unref(arena);
		if (!more) {
			rc = SQLITE_DONE;
			break;
		}
	}
	if (rc != SQLITE_DONE)
		queue_fail(conn, "ask", err);
	(void)sqlite3_finalize(stmt);
	return rc == SQLITE_DONE;
}

/* ---- what has been ---- */

#define TRACES_MOST 100

static bool find_ids(struct queue_conn *conn, enum sql_statement which,
    const char *key, struct arena *arena, const char **ids, size_t *count,
    struct err *err)
{
	sqlite3_stmt *stmt = queue_stmt(conn, which, err);
	enum queue_step step;

	if (!stmt)
		return false;
	queue_bind_text(stmt, 1, key);
	while ((step = queue_step(conn, stmt, err)) == STEP_ROW &&
	       *count < TRACES_MOST)
		ids[(*count)++] = queue_column_text(stmt, 0, arena);
	(void)sqlite3_reset(stmt);
	return step != STEP_FAILED;
}

bool queue_trace_find(struct queue_conn *conn, const char *what,
    struct arena *arena, const char ***ids, size_t *count, struct err *err)
{
	char *key = arena_strdup(arena, what);
	size_t len = strlen(key);

	*count = 0;
	*ids = ARENA_ARRAY(arena, const char *, TRACES_MOST);
	if (len >= ID_PREFIX_LEAST && len <= ID_LEN &&
	    strspn(key, "0123456789abcdefABCDEF") == len) {
		str_lower(key);
		if (!find_ids(
			conn, SQL_TRACE_BY_ID, key, arena, *ids, count, err))
			return false;
		return *count < 2 ||
		       err_set(err, ERR_PERM,
			   "more than one message begins with \"%s\"", key);
	}
	if (*key == '<' && key[len - 1] == '>') {
		key[len - 1] = '\0';
		key++;
	}
	return find_ids(conn, SQL_TRACE_BY_MESSAGE_ID, key, arena, *ids, count,
		   err) &&
	       (*count > 0 || find_ids(conn, SQL_TRACE_BY_ADDRESS, key, arena,
				  *ids, count, err));
}

bool queue_timeline(struct queue_conn *conn, const char *id, queue_row_fn *row,
    void *ctx, struct err *err)
{
	sqlite3_stmt *stmt = queue_stmt(conn, SQL_ASK_TIMELINE, err);
	enum queue_step step = STEP_DONE;
	bool more = true;

	if (!stmt)
		return false;
	queue_bind_text(stmt, 1, id);
	while (more && (step = queue_step(conn, stmt, err)) == STEP_ROW) {
		struct arena *arena = arena_new(0);
		struct value v = row_value(stmt, arena);

		more = row(&v, ctx);
		arena_unref(arena);
	}
	(void)sqlite3_reset(stmt);
	return !more || step != STEP_FAILED;
}

/* Each chunk is a short read of its own: a slow terminal keeps no log. */
bool queue_body(struct queue_conn *conn, const char *id,
    bool (*piece)(const char *p, size_t len, void *ctx), void *ctx,
    struct err *err)
{
	struct buf prefix = BUF_INIT, chunk = BUF_INIT;
	char whole[MESSAGE_ID_SIZE];
	int64_t content = 0, size = 0, sent = 0;
	enum queue_step step;
	sqlite3_stmt *stmt;
	bool ok = false;

	if (!resolve_id(conn, id, whole, err))
		return false;
	stmt = queue_stmt(conn, SQL_BODY_FIND, err);
	if (!stmt)
		return false;
	queue_bind_text(stmt, 1, whole);
	step = queue_step(conn, stmt, err);
	if (step == STEP_ROW) {
		content = sqlite3_column_int64(stmt, 0);
		size = sqlite3_column_int64(stmt, 2);
		if (sqlite3_column_bytes(stmt, 1) > 0)
			buf_add(&prefix, sqlite3_column_blob(stmt, 1),
			    (size_t)sqlite3_column_bytes(stmt, 1));
	}
	(void)sqlite3_reset(stmt);
	if (step == STEP_DONE)
		err_set(err, ERR_PERM, "message %s has gone meanwhile", whole);
	if (step != STEP_ROW)
		goto out;

	ok = prefix.len == 0 || piece(prefix.data, prefix.len, ctx);
	for (int64_t n = 0; ok && sent < size; n++) {
		buf_reset(&chunk);
		if (!queue_read_chunk(conn, content, n, &chunk, err)) {
			ok = false;
			goto out;
		}
		sent += (int64_t)chunk.len;
		ok = piece(buf_str(&chunk), chunk.len, ctx);
	}
	/* The caller had enough: that is no failure. */
	ok = true;
out:
	buf_release(&chunk);
	buf_release(&prefix);
	return ok;
}

bool queue_check_integrity(struct queue_conn *conn,
    void (*finding)(const char *line, void *ctx), void *ctx, size_t *findings,
    struct err *err)
{
	static const enum sql_statement checks[] = {SQL_CHECK_QUICK,
	    SQL_CHECK_RECIPIENTS, SQL_CHECK_RECIPIENT_QUEUES,
	    SQL_CHECK_MESSAGES, SQL_CHECK_MESSAGE_CONTENTS, SQL_CHECK_REFS,
	    SQL_CHECK_SIZES, SQL_CHECK_NEXT_DUE};

	*findings = 0;
	for (size_t i = 0; i < COUNT(checks); i++) {
		sqlite3_stmt *stmt = queue_stmt(conn, checks[i], err);
		enum queue_step step;

		if (!stmt)
			return false;
		while ((step = queue_step(conn, stmt, err)) == STEP_ROW) {
			const char *line =
			    (const char *)sqlite3_column_text(stmt, 0);

			if (!line || strcmp(line, "ok") == 0)
				continue;
			++*findings;
			finding(line, ctx);
		}
		if (step == STEP_FAILED)
			return false;
	}
	return true;
}
