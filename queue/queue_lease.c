/*
 * queue_lease.c - due work for the router
 *
 * Which scheduled queues have some is read from queue.next_due, a lower bound
 * that triggers only lower; a lease raises it to what is left.  So asking for
 * due queues costs what it finds, however much mail waits.
 */
#include "base/diag.h"
#include "base/map.h"
#include "mail/address.h"
#include "queue/queue_db.h"

/* ---- which queues ---- */

static bool add_due(struct queue_conn *conn, sqlite3_stmt *stmt, size_t limit,
    struct queue_cursor *cursor, struct arena *arena, struct queue_due *out,
    size_t *count, struct err *err)
{
	enum queue_step step = STEP_DONE;

	while (*count < limit &&
	       (step = queue_step(conn, stmt, err)) == STEP_ROW) {
		struct queue_due *due = &out[(*count)++];

		due->queue_id = sqlite3_column_int64(stmt, 0);
		due->name = queue_column_text(stmt, 1, arena);
		due->next_due = sqlite3_column_int64(stmt, 2);
		cursor->next_due = due->next_due;
		cursor->queue_id = due->queue_id;
	}
	(void)sqlite3_reset(stmt);
	return step != STEP_FAILED;
}

bool queue_due_list(struct queue_conn *conn, int64_t now, size_t limit,
    struct queue_cursor *cursor, struct arena *arena, struct queue_due **out,
    size_t *count, struct err *err)
{
	struct queue_cursor from = *cursor;
	sqlite3_stmt *stmt;

	*count = 0;
	*out = ARENA_ARRAY(arena, struct queue_due, limit ? limit : 1);
	/* Two searches, because (next_due, id) > (?, ?) would read again all
	 * that became due in the cursor's second. */
	if (from.queue_id) {
		stmt = queue_stmt(conn, SQL_DUE_SAME, err);
		if (!stmt)
			return false;
		(void)sqlite3_bind_int64(stmt, 1, from.next_due);
		(void)sqlite3_bind_int64(stmt, 2, from.queue_id);
		(void)sqlite3_bind_int64(stmt, 3, (sqlite3_int64)limit);
		if (from.next_due <= now && !add_due(conn, stmt, limit, cursor,
						arena, *out, count, err))
			return false;
	}
	if (*count < limit) {
		stmt = queue_stmt(conn, SQL_DUE_AFTER, err);
		if (!stmt)
			return false;
		(void)sqlite3_bind_int64(
		    stmt, 1, from.queue_id ? from.next_due : INT64_MIN);
		(void)sqlite3_bind_int64(stmt, 2, now);
		(void)sqlite3_bind_int64(
		    stmt, 3, (sqlite3_int64)(limit - *count));
		if (!add_due(
			conn, stmt, limit, cursor, arena, *out, count, err))
			return false;
	}
	if (*count < limit)
		*cursor = (struct queue_cursor){0};
	return true;
}

bool queue_next_due(
    struct queue_conn *conn, int64_t now, int64_t *out, struct err *err)
{
	sqlite3_stmt *stmt = queue_stmt(conn, SQL_DUE_NEXT, err);

	*out = INT64_MAX;
	if (!stmt)
		return false;
	(void)sqlite3_bind_int64(stmt, 1, now);
	return queue_get_int(conn, stmt, out, err);
}

bool queue_last_recipient(
    struct queue_conn *conn, int64_t *out, struct err *err)
{
	sqlite3_stmt *stmt = queue_stmt(conn, SQL_RECIPIENT_LAST, err);

	*out = 0;
	return stmt && queue_get_int(conn, stmt, out, err);
}

/* ---- leases ---- */

/* One lease and where it belongs: `order` is that of its message's first. */
struct taken {
	struct queue_lease lease;
	int64_t message_id;
	size_t order, position;
};

struct taking {
	struct queue_conn *conn;
	struct arena *arena;
	struct taken *items;
	size_t count, size;
	int64_t bodies; /* bytes of content that may still come along */
	bool scattered; /* recipients of a message do not follow each other */
};

/* What stands in the file was parsed once.  Should SQL by hand have changed it
 * to something that is no address, the peer will say so. */
static void parse_address(
    const char *email, struct arena *arena, struct address *out)
{
	if (!email)
		email = "";
	if (!address_parse(email, strlen(email), arena, out, NULL))
		*out = (struct address){email, email, "", email};
}

static void make_room(struct taking *t)
{
	struct taken *more;

	if (t->count < t->size)
		return;
	more = ARENA_ARRAY(t->arena, struct taken, t->size * 2);
	memcpy(more, t->items, t->count * sizeof *more);
	t->items = more;
	t->size *= 2;
}

/* Should this row kill us, whoever comes after us knows which it was. */
static void is_at(const struct taking *t, int64_t id)
{
	(void)queue_is_at(t->conn->queue, QUEUE_HAND_WRITER, id);
}

static void add_row(struct taking *t, sqlite3_stmt *stmt)
{
	struct arena *arena = t->arena;
	struct taken *taken;
	struct queue_lease *lease;

	is_at(t, sqlite3_column_int64(stmt, 0));
	make_room(t);
	taken = &t->items[t->count];
	lease = &taken->lease;
	*taken = (struct taken){.position = t->count};
	lease->recipient_id = sqlite3_column_int64(stmt, 0);
	taken->message_id = sqlite3_column_int64(stmt, 1);
	lease->due_at = sqlite3_column_int64(stmt, 2);
	lease->attempts = sqlite3_column_int(stmt, 3);
	lease->crashes = sqlite3_column_int(stmt, 4);
	lease->expires = sqlite3_column_int64(stmt, 5);
	lease->last_attempt_at = sqlite3_column_int64(stmt, 6);
	lease->last_code = sqlite3_column_int(stmt, 11);
	parse_address(queue_column_text(stmt, 7, arena), arena,
	    &lease->recipient.address);
	lease->recipient.notify = queue_column_text(stmt, 8, arena);
	lease->recipient.orcpt = queue_column_text(stmt, 9, arena);
	lease->ref = sqlite3_column_int64(stmt, 10);
	t->count++;
}

static bool read_due(
    struct taking *t, int64_t queue, size_t limit, int64_t now, struct err *err)
{
	sqlite3_stmt *stmt = queue_stmt(t->conn, SQL_LEASE_DUE, err);
	size_t from = t->count;
	enum queue_step step;

	if (!stmt)
		return false;
	is_at(t, -queue);
	(void)sqlite3_bind_int64(stmt, 1, queue);
	(void)sqlite3_bind_int64(stmt, 2, now);
	(void)sqlite3_bind_int64(
	    stmt, 3, (sqlite3_int64)limit + QUEUE_LEASE_EXTRA);
	while ((step = queue_step(t->conn, stmt, err)) == STEP_ROW) {
		int64_t message = sqlite3_column_int64(stmt, 1);

		/* The last message's recipients come along. */
		if (t->count - from >= limit &&
		    t->items[t->count - 1].message_id != message) {
			(void)sqlite3_reset(stmt);
			return true;
		}
		add_row(t, stmt);
	}
	return step == STEP_DONE;
}

static bool take(struct taking *t, size_t from, struct err *err)
{
	size_t count = t->count - from, changed;
	int64_t *ids = ARENA_ARRAY(t->arena, int64_t, count + 1);

	for (size_t i = 0; i < count; i++)
		ids[i] = t->items[from + i].lease.recipient_id;
	return queue_run_ids(t->conn, SQL_LEASE_TAKE, SQL_LEASE_TAKE_MANY, ids,
	    count, &changed, err);
}

static bool raise_next_due(
    struct queue_conn *conn, int64_t queue, int64_t now, struct err *err)
{
	sqlite3_stmt *stmt = queue_stmt(conn, SQL_LEASE_RAISE, err);

	if (!stmt)
		return false;
	(void)sqlite3_bind_int64(stmt, 1, queue);
	(void)sqlite3_bind_int64(stmt, 2, now);
	return queue_run(conn, stmt, err);
}

/* Content of more than one chunk that still comes with the lease. */
static bool read_inline(struct queue_conn *conn, struct queue_message *m,
    struct arena *arena, struct err *err)
{
	char *bytes = arena_alloc(arena, (size_t)m->facts.size + 1);
	size_t have = 0;

	for (int64_t n = 0; have < (size_t)m->facts.size; n++) {
		struct buf chunk = BUF_INIT;

		if (!queue_read_chunk(conn, m->content_id, n, &chunk, err) ||
		    have + chunk.len > (size_t)m->facts.size || !chunk.len) {
			buf_release(&chunk);
			/* The delivery will stumble over it and say so. */
			return true;
		}
		memcpy(bytes + have, chunk.data, chunk.len);
		have += chunk.len;
		buf_release(&chunk);
	}
	m->inline_content = bytes;
	return true;
}

static void read_message_row(
    sqlite3_stmt *stmt, struct queue_message *m, struct arena *arena)
{
	const char **const texts[] = {&m->session_id, &m->mta_queue_id,
	    &m->client_addr, &m->client_name, &m->helo, &m->authn_id,
	    &m->reception_protocol, &m->listener, &m->hostname, &m->admitted_by,
	    &m->scheduling, &m->meta_json};
	const void *blob;
	size_t len;

	(void)snprintf(m->id, sizeof m->id, "%s",
	    (const char *)sqlite3_column_text(stmt, 0));
	m->content_id = sqlite3_column_int64(stmt, 1);
	m->created_ms = sqlite3_column_int64(stmt, 2);
	parse_address(
	    queue_column_text(stmt, 3, arena), arena, &m->sender.address);
	m->sender.body = queue_column_text(stmt, 4, arena);
	m->sender.smtputf8 = sqlite3_column_int(stmt, 5) != 0;
	m->sender.ret = queue_column_text(stmt, 6, arena);
	m->sender.envid = queue_column_text(stmt, 7, arena);
	m->sender.auth = queue_column_text(stmt, 8, arena);
	m->sender.size = sqlite3_column_int64(stmt, 9);
	for (size_t i = 0; i < COUNT(texts); i++)
		*texts[i] = queue_column_text(stmt, 10 + (int)i, arena);
	blob = sqlite3_column_blob(stmt, 22);
	m->prefix_len = (size_t)sqlite3_column_bytes(stmt, 22);
	m->prefix = arena_strndup(arena, blob ? blob : "", m->prefix_len);
	m->facts.size = sqlite3_column_int64(stmt, 23);
	m->facts.header_size = sqlite3_column_int64(stmt, 24);
	m->facts.has_8bit = sqlite3_column_int(stmt, 25) != 0;
	m->facts.header_has_8bit = sqlite3_column_int(stmt, 26) != 0;
	m->facts.has_bare_cr_or_lf = sqlite3_column_int(stmt, 27) != 0;
	m->facts.has_nul = sqlite3_column_int(stmt, 28) != 0;
	m->facts.longest_line = sqlite3_column_int64(stmt, 29);
	m->facts.received_headers = sqlite3_column_int(stmt, 30);
	if (sqlite3_column_type(stmt, 31) != SQLITE_NULL) {
		len = (size_t)sqlite3_column_bytes(stmt, 31);
		blob = sqlite3_column_blob(stmt, 31);
		if ((int64_t)len == m->facts.size)
			m->inline_content =
			    arena_strndup(arena, blob ? blob : "", len);
	}
	m->header_id = queue_column_text(stmt, 32, arena);
}

/* NULL with *gone: SQL by hand has left a recipient without its message. */
static struct queue_message *read_message(
    struct taking *t, int64_t id, bool *failed, struct err *err)
{
	sqlite3_stmt *stmt = queue_stmt(t->conn, SQL_LEASE_MESSAGE, err);
	struct queue_message *m = NULL;
	enum queue_step step;

	*failed = true;
	if (!stmt)
		return NULL;
	(void)sqlite3_bind_int64(stmt, 1, id);
	(void)sqlite3_bind_int(stmt, 2, t->bodies > 0);
	step = queue_step(t->conn, stmt, err);
	if (step == STEP_FAILED)
		return NULL;
	if (step == STEP_ROW) {
		m = ARENA_NEW(t->arena, struct queue_message);
		m->message_id = id;
		read_message_row(stmt, m, t->arena);
	}
	(void)sqlite3_reset(stmt);
	if (m && !m->inline_content && m->facts.size <= QUEUE_INLINE &&
	    t->bodies > 0 && !read_inline(t->conn, m, t->arena, err))
		return NULL;
	if (m && m->inline_content)
		t->bodies -= m->facts.size;
	*failed = false;
	return m;
}

/* Gives each lease its message.  One that follows the message it shares, as
 * nearly all do, needs no search. */
static bool read_messages(struct taking *t, struct err *err)
{
	struct map *seen = map_new();
	bool failed = false;

	for (size_t i = 0; i < t->count && !failed; i++) {
		struct taken *taken = &t->items[i], *first;
		char key[24];

		is_at(t, taken->lease.recipient_id);
		if (i > 0 && t->items[i - 1].message_id == taken->message_id) {
			taken->lease.message = t->items[i - 1].lease.message;
			taken->order = t->items[i - 1].order;
			continue;
		}
		(void)snprintf(
		    key, sizeof key, "%lld", (long long)taken->message_id);
		first = map_get(seen, key);
		if (first) {
			taken->lease.message = first->lease.message;
			taken->order = first->order;
			t->scattered = true;
			continue;
		}
		taken->order = i;
		taken->lease.message =
		    read_message(t, taken->message_id, &failed, err);
		(void)map_put(seen, key, taken);
	}
	map_free(seen, NULL);
	is_at(t, 0);
	return !failed;
}

static int by_message(const void *a, const void *b)
{
	const struct taken *x = a, *y = b;

	if (x->order != y->order)
		return x->order < y->order ? -1 : 1;
	return x->position < y->position ? -1 : x->position > y->position;
}

static void hand_out(struct taking *t, struct queue_leases *out)
{
	if (t->scattered)
		qsort(t->items, t->count, sizeof t->items[0], by_message);
	out->items =
	    ARENA_ARRAY(t->arena, struct queue_lease, t->count ? t->count : 1);
	for (size_t i = 0; i < t->count; i++)
		if (t->items[i].lease.message)
			out->items[out->count++] = t->items[i].lease;
}

static bool take_all(struct taking *t, const int64_t *queue_ids,
    const size_t *limits, size_t count, int64_t now, struct err *err)
{
	for (size_t i = 0; i < count; i++) {
		size_t from = t->count;

		if (!read_due(t, queue_ids[i], limits[i], now, err) ||
		    !take(t, from, err) ||
		    !raise_next_due(t->conn, queue_ids[i], now, err))
			return false;
		for (size_t n = from; n < t->count; n++)
			t->items[n].lease.queue_id = queue_ids[i];
	}
	return read_messages(t, err);
}

bool queue_lease(struct queue_conn *conn, const int64_t *queue_ids,
    const size_t *limits, size_t count, int64_t now, int64_t bodies,
    struct arena *arena, struct queue_leases *out, struct err *err)
{
	struct taking t = {.conn = conn, .arena = arena, .bodies = bodies};

	*out = (struct queue_leases){0};
	for (size_t i = 0; i < count; i++)
		t.size += limits[i];
	t.size += 16;
	t.items = ARENA_ARRAY(arena, struct taken, t.size);
	if (!queue_begin(conn, QUEUE_LATER, err))
		return false;
	if (!take_all(&t, queue_ids, limits, count, now, err) ||
	    !queue_commit(conn, err)) {
		queue_rollback(conn);
		is_at(&t, 0);
		return false;
	}
	hand_out(&t, out);
	return true;
}

static bool take_waiting(
    struct taking *t, const char *const *ids, size_t count, struct err *err)
{
	for (size_t i = 0; i < count; i++) {
		sqlite3_stmt *stmt =
		    queue_stmt(t->conn, SQL_LEASE_WAITING, err);
		size_t from = t->count;
		enum queue_step step;

		if (!stmt)
			return false;
		queue_bind_text(stmt, 1, ids[i]);
		while ((step = queue_step(t->conn, stmt, err)) == STEP_ROW) {
			add_row(t, stmt);
			t->items[t->count - 1].lease.queue_id =
			    sqlite3_column_int64(stmt, 12);
			t->items[t->count - 1].lease.queue_name =
			    queue_column_text(stmt, 13, t->arena);
		}
		if (step == STEP_FAILED || !take(t, from, err))
			return false;
	}
	return read_messages(t, err);
}

bool queue_lease_waiting(struct queue_conn *conn, const char *const *ids,
    size_t count, struct arena *arena, struct queue_leases *out,
    struct err *err)
{
	struct taking t = {.conn = conn,
	    .arena = arena,
	    .size = count + 16,
	    .bodies = INT64_MAX};

	*out = (struct queue_leases){0};
	t.items = ARENA_ARRAY(arena, struct taken, t.size);
	if (!queue_begin(conn, QUEUE_LATER, err))
		return false;
	if (!take_waiting(&t, ids, count, err) || !queue_commit(conn, err)) {
		queue_rollback(conn);
		is_at(&t, 0);
		return false;
	}
	hand_out(&t, out);
	return true;
}

/* ---- content ---- */

static bool read_blob(struct queue_conn *conn, sqlite3_stmt *stmt,
    struct buf *out, bool *found, struct err *err)
{
	enum queue_step step = queue_step(conn, stmt, err);

	*found =
	    step == STEP_ROW && sqlite3_column_type(stmt, 0) != SQLITE_NULL;
	if (*found) {
		buf_add(out, sqlite3_column_blob(stmt, 0),
		    (size_t)sqlite3_column_bytes(stmt, 0));
	}
	(void)sqlite3_reset(stmt);
	return step != STEP_FAILED;
}

bool queue_read_chunk(struct queue_conn *conn, int64_t content_id, int64_t n,
    struct buf *out, struct err *err)
{
	sqlite3_stmt *stmt = queue_stmt(conn, SQL_CHUNK_READ, err);
	bool found = false;

	if (!stmt)
		return false;
	(void)sqlite3_bind_int64(stmt, 1, content_id << QUEUE_CHUNK_BITS | n);
	if (!read_blob(conn, stmt, out, &found, err))
		return false;
	if (!found && n == 0) {
		stmt = queue_stmt(conn, SQL_CONTENT_BYTES, err);
		if (!stmt)
			return false;
		(void)sqlite3_bind_int64(stmt, 1, content_id);
		if (!read_blob(conn, stmt, out, &found, err))
			return false;
	}
	if (!found)
		return err_set(err, ERR_PERM,
		    "%s: chunk %lld of content %lld is missing",
		    conn->queue->path, (long long)n, (long long)content_id);
	return true;
}
