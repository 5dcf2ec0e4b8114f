/*
 * queue_history.c - what is remembered of mail, also after it has left
 */
#include "queue/queue_history.h"

#include "base/str.h"
#include "mail/header.h"
#include "queue/queue_db.h"

/* ---- Message-ID ---- */

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* What stands between the brackets; all of it where there are none. */
static void bare_id(const char **p, size_t *len)
{
	const char *open = memchr(*p, '<', *len), *close;

	if (open) {
		*len -= (size_t)(open + 1 - *p);
		*p = open + 1;
		close = memchr(*p, '>', *len);
		if (close)
			*len = (size_t)(close - *p);
	}
	while (*len > 0 && is_space(**p)) {
		++*p;
		--*len;
	}
	while (*len > 0 && is_space((*p)[*len - 1]))
		--*len;
}

static void add_id(struct buf *out, const char *p, size_t len)
{
	bare_id(&p, &len);
	if (len > QUEUE_MESSAGE_ID_MOST)
		return;
	/* The table holds text: what is none cannot be looked for either. */
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)p[i] < ' ' || p[i] == 0x7f)
			return;
	buf_add(out, p, len);
}

void queue_message_id(const char *block, size_t len, struct buf *out)
{
	struct header_field f;
	size_t pos = 0;

	buf_reset(out);
	while (header_next(block, len, &pos, &f))
		if (header_name_is(&f, "Message-ID")) {
			add_id(out, f.value, f.value_len);
			return;
		}
}

static uint64_t fnv(uint64_t h, const char *p, size_t len, bool lower)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)p[i];

		if (lower && c >= 'A' && c <= 'Z')
			c = (unsigned char)(c + 'a' - 'A');
		h = (h ^ c) * UINT64_C(0x100000001b3);
	}
	return h;
}

/* FNV-1a, and the finish of MurmurHash3, so that all bits count.  Nothing is
 * trusted because of it: the address is compared, and a number that fits by
 * chance is one in 2^64. */
int64_t queue_ref(const char *message_id, const char *address)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);
	int64_t ref;

	h = fnv(h, message_id, strlen(message_id) + 1, false);
	h = fnv(h, address, strlen(address), true);
	h = (h ^ h >> 33) * UINT64_C(0xff51afd7ed558ccd);
	h = (h ^ h >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
	h ^= h >> 33;
	memcpy(&ref, &h, sizeof ref);
	return ref ? ref : 1;
}

/* ---- looking ---- */

void queue_keep_history(struct queue *queue, int64_t age_s, int64_t events)
{
	atomic_store(&queue->history_age_s, age_s);
	atomic_store(&queue->history_events, events);
}

static bool read_past(struct queue_conn *conn, sqlite3_stmt *stmt,
    struct arena *arena, const struct queue_past **out, struct err *err)
{
	enum queue_step step = queue_step(conn, stmt, err);
	struct queue_past *past;

	if (step == STEP_ROW) {
		past = ARENA_NEW(arena, struct queue_past);
		past->id = queue_column_text(stmt, 0, arena);
		past->address = queue_column_text(stmt, 1, arena);
		past->queue = queue_column_text(stmt, 2, arena);
		past->outcome = queue_column_text(stmt, 3, arena);
		past->site = queue_column_text(stmt, 4, arena);
		past->at = sqlite3_column_int64(stmt, 5);
		*out = past;
		(void)sqlite3_reset(stmt);
	}
	return step != STEP_FAILED;
}

static bool by_text(struct queue_conn *conn, enum sql_statement which,
    const char *key, const char *address, struct arena *arena,
    const struct queue_past **out, struct err *err)
{
	sqlite3_stmt *stmt = queue_stmt(conn, which, err);

	if (!stmt)
		return false;
	queue_bind_text(stmt, 1, key);
	queue_bind_text(stmt, 2, address);
	return read_past(conn, stmt, arena, out, err);
}

static bool by_ref(struct queue_conn *conn, enum sql_statement which,
    int64_t ref, const char *address, int64_t part, struct arena *arena,
    const struct queue_past **out, struct err *err)
{
	sqlite3_stmt *stmt = queue_stmt(conn, which, err);

	if (!stmt)
		return false;
	(void)sqlite3_bind_int64(stmt, 1, ref);
	queue_bind_text(stmt, 2, address);
	if (part >= 0)
		(void)sqlite3_bind_int64(stmt, 3, part);
	return read_past(conn, stmt, arena, out, err);
}

static bool history_parts(
    struct queue_conn *conn, int64_t *first, int64_t *last, struct err *err)
{
	sqlite3_stmt *stmt = queue_stmt(conn, SQL_PAST_REFS, err);
	enum queue_step step;

	*first = 0;
	*last = -1;
	if (!stmt)
		return false;
	step = queue_step(conn, stmt, err);
	if (step == STEP_ROW && sqlite3_column_type(stmt, 0) != SQLITE_NULL) {
		*first = sqlite3_column_int64(stmt, 0);
		*last = sqlite3_column_int64(stmt, 1);
	}
	(void)sqlite3_reset(stmt);
	return step != STEP_FAILED;
}

static bool find_by_message_id(struct queue_conn *conn, const char *key,
    const char *address, struct arena *arena, const struct queue_past **out,
    struct err *err)
{
	struct buf id = BUF_INIT;
	int64_t ref, first, last;
	bool ok = true;

	add_id(&id, key, strlen(key));
	if (id.len > 0) {
		ref = queue_ref(buf_str(&id), address);
		ok = history_parts(conn, &first, &last, err);
		/* The newest first: that is where reports come from. */
		for (; ok && !*out && last >= first; last--)
			ok = by_ref(conn, SQL_PAST_BY_REF, ref, address, last,
			    arena, out, err);
		if (ok && !*out)
			ok = by_ref(conn, SQL_PRESENT_BY_REF, ref, address, -1,
			    arena, out, err);
	}
	buf_release(&id);
	return ok;
}

/* xtext: what the client said, and what has to be stored in its place by
 * whoever writes the report (RFC 3464, 2.2.1), differ. */
static void encode_xtext(struct buf *out, const char *p)
{
	for (; *p; p++) {
		unsigned char c = (unsigned char)*p;

		if (c < '!' || c > '~' || c == '+' || c == '=')
			buf_addf(out, "+%02X", c);
		else
			buf_addch(out, *p);
	}
}

static bool find_by_envid(struct queue_conn *conn, const char *key,
    const char *address, struct arena *arena, const struct queue_past **out,
    struct err *err)
{
	struct buf encoded = BUF_INIT;
	const char *keys[2] = {key, NULL};
	bool ok = true;

	encode_xtext(&encoded, key);
	keys[1] = buf_str(&encoded);
	for (size_t i = 0; i < COUNT(keys) && ok && !*out; i++) {
		if (i > 0 && str_eq(key, keys[i]))
			break;
		ok = by_text(conn, SQL_PAST_BY_ENVID, keys[i], address, arena,
			 out, err) &&
		     (*out || by_text(conn, SQL_PRESENT_BY_ENVID, keys[i],
				  address, arena, out, err));
	}
	buf_release(&encoded);
	return ok;
}

bool queue_find_past(struct queue_conn *conn, enum queue_key by,
    const char *key, const char *address, struct arena *arena,
    const struct queue_past **out, struct err *err)
{
	*out = NULL;
	if (!*key || strlen(key) > QUEUE_MESSAGE_ID_MOST || !*address)
		return true;
	switch (by) {
	case QUEUE_BY_ID:
		return by_text(conn, SQL_PAST_BY_ID, key, address, arena, out,
			   err) &&
		       (*out || by_text(conn, SQL_PRESENT_BY_ID, key, address,
				    arena, out, err));
	case QUEUE_BY_MESSAGE_ID:
		return find_by_message_id(conn, key, address, arena, out, err);
	case QUEUE_BY_ENVID:
		return find_by_envid(conn, key, address, arena, out, err);
	}
	return true;
}

bool queue_note_report(
    struct queue_conn *conn, const struct queue_report *r, struct err *err)
{
	sqlite3_stmt *stmt = queue_stmt(conn, SQL_EVENT_REPORT, err);

	if (!stmt)
		return false;
	(void)sqlite3_bind_int64(stmt, 1, r->at);
	queue_bind_text(stmt, 2, r->kind);
	queue_bind_text(stmt, 3, r->message);
	queue_bind_text(stmt, 4, r->address);
	queue_bind_text(stmt, 5, r->queue);
	if (r->code)
		(void)sqlite3_bind_int(stmt, 6, r->code);
	queue_bind_text(stmt, 7, r->reply);
	queue_bind_text(stmt, 8, r->reporter);
	queue_bind_text(stmt, 9, r->client);
	queue_bind_text(stmt, 10, r->how);
	queue_bind_text(stmt, 11, r->report);
	return queue_run(conn, stmt, err);
}
