/*
 * queue_insert.c - rows for what has been accepted
 *
 * Content comes first, once for all messages that share it: in one row up to
 * 64 KiB, in chunks beyond.  Beyond 1 MiB it is written ahead of its message,
 * 1 MiB a transaction, as `pending`; the message's transaction then only says
 * that it is complete, so a small message never waits for a large one for
 * longer than one such piece takes.
 */
#include "queue/queue_insert.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "mail/queue_name.h"
#include "queue/queue_db.h"
#include "queue/queue_history.h"
#include "queue/queue_suppression.h"
#include "queue/queue_writer.h"

enum { STATE_PENDING, STATE_IN_USE };

static bool insert_content_row(struct queue_conn *conn,
    const struct content *content, int state, int64_t refs, const void *bytes,
    int64_t *id, struct err *err)
{
	const struct content_facts *facts = content_facts(content);
	sqlite3_stmt *stmt = queue_stmt(conn, SQL_CONTENT_INSERT, err);
	const int64_t columns[] = {state, refs, clock_unix(), facts->size,
	    facts->header_size, facts->has_8bit, facts->header_has_8bit,
	    facts->has_bare_cr_or_lf, facts->has_nul, facts->longest_line,
	    facts->received_headers};

	if (!stmt)
		return false;
	for (size_t i = 0; i < COUNT(columns); i++)
		(void)sqlite3_bind_int64(stmt, (int)i + 1, columns[i]);
	if (bytes)
		(void)sqlite3_bind_blob(stmt, COUNT(columns) + 1, bytes,
		    (int)facts->size, SQLITE_STATIC);
	if (!queue_run(conn, stmt, err))
		return false;
	*id = sqlite3_last_insert_rowid(conn->db);
	return true;
}

/* Bytes of a content at hand: in memory anyway, or read into the buffer. */
static const void *get_bytes(struct queue_conn *conn,
    const struct content *content, int64_t offset, size_t len, struct err *err)
{
	const char *all = content_bytes(content);

	if (all)
		return all + offset;
	if (!conn->chunk)
		conn->chunk = xmalloc(QUEUE_CHUNK);
	if (len == 0)
		return conn->chunk;
	return content_read(content, offset, conn->chunk, len, err)
		   ? conn->chunk
		   : NULL;
}

/* From *written on, at most `most` bytes. */
static bool insert_chunks(struct queue_conn *conn,
    const struct content *content, int64_t id, int64_t *written, int64_t most,
    struct err *err)
{
	int64_t size = content_facts(content)->size;
	int64_t end = size - *written > most ? *written + most : size;

	while (*written < end) {
		sqlite3_stmt *stmt = queue_stmt(conn, SQL_CHUNK_INSERT, err);
		size_t len = size - *written > QUEUE_CHUNK
				 ? QUEUE_CHUNK
				 : (size_t)(size - *written);
		const void *bytes =
		    get_bytes(conn, content, *written, len, err);

		if (!stmt || !bytes)
			return false;
		(void)sqlite3_bind_int64(
		    stmt, 1, id << QUEUE_CHUNK_BITS | *written / QUEUE_CHUNK);
		(void)sqlite3_bind_blob(
		    stmt, 2, bytes, (int)len, SQLITE_STATIC);
		if (!queue_run(conn, stmt, err))
			return false;
		*written += (int64_t)len;
	}
	return true;
}

bool queue_insert_content(struct queue_conn *conn,
    const struct content *content, int64_t refs, int64_t *id, struct err *err)
{
	int64_t size = content_facts(content)->size, written = 0;
	const void *bytes = NULL;

	if (size <= QUEUE_CHUNK) {
		bytes = get_bytes(conn, content, 0, (size_t)size, err);
		/* A content without bytes is a blob too, not NULL. */
		return bytes && insert_content_row(conn, content, STATE_IN_USE,
				    refs, size ? bytes : "", id, err);
	}
	return insert_content_row(
		   conn, content, STATE_IN_USE, refs, NULL, id, err) &&
	       insert_chunks(conn, content, *id, &written, size, err);
}

bool queue_ahead_step(
    struct queue_conn *conn, struct queue_ahead *ahead, struct err *err)
{
	int64_t id = ahead->id, written = ahead->written;

	if (!queue_begin(conn, QUEUE_LATER, err))
		return false;
	if ((!id && !insert_content_row(conn, ahead->content, STATE_PENDING, 0,
			NULL, &id, err)) ||
	    !insert_chunks(
		conn, ahead->content, id, &written, QUEUE_LARGE, err)) {
		queue_rollback(conn);
		return false;
	}
	if (!queue_commit(conn, err))
		return false;
	ahead->id = id;
	ahead->written = written;
	if (FAULT_POINT("queue.chunk-written"))
		return err_set(err, ERR_TEMP, "queue.chunk-written");
	return true;
}

/* Nobody misses it when this fails: pending content goes after an hour. */
void queue_ahead_drop(struct queue_conn *conn, struct queue_ahead *ahead)
{
	sqlite3_stmt *stmt;

	if (ahead->id && queue_begin(conn, QUEUE_LATER, NULL)) {
		stmt = queue_stmt(conn, SQL_CONTENT_DOOM, NULL);
		if (stmt)
			(void)sqlite3_bind_int64(stmt, 1, ahead->id);
		if (!stmt || !queue_run(conn, stmt, NULL) ||
		    !queue_commit(conn, NULL))
			queue_rollback(conn);
	}
	ahead->id = 0;
}

static bool complete_content(
    struct queue_conn *conn, int64_t id, int64_t refs, struct err *err)
{
	sqlite3_stmt *stmt = queue_stmt(conn, SQL_CONTENT_COMPLETE, err);

	if (!stmt)
		return false;
	(void)sqlite3_bind_int64(stmt, 1, id);
	(void)sqlite3_bind_int64(stmt, 2, refs);
	if (!queue_run(conn, stmt, err))
		return false;
	if (sqlite3_changes(conn->db) != 1)
		return err_set(err, ERR_TEMP,
		    "the content that was written ahead is gone");
	return true;
}

/* ---- queues ---- */

static bool find_queue(
    struct queue_conn *conn, const char *name, int64_t *id, struct err *err)
{
	sqlite3_stmt *stmt = queue_stmt(conn, SQL_QUEUE_FIND, err);

	if (!stmt)
		return false;
	queue_bind_text(stmt, 1, name);
	return queue_get_int(conn, stmt, id, err);
}

bool queue_insert_queue(
    struct queue_conn *conn, const char *name, int64_t *id, struct err *err)
{
	struct queue_name parts;
	struct arena *arena;
	sqlite3_stmt *stmt;
	bool made;

	*id = 0;
	if (!find_queue(conn, name, id, err))
		return false;
	if (*id)
		return true;
	stmt = queue_stmt(conn, SQL_QUEUE_INSERT, err);
	if (!stmt)
		return false;
	arena = arena_new(0);
	parts = queue_name_parse(name, arena);
	queue_bind_text(stmt, 1, name);
	queue_bind_text(stmt, 2, parts.campaign);
	queue_bind_text(stmt, 3, parts.tenant);
	queue_bind_text(stmt, 4, parts.domain ? parts.domain : "");
	queue_bind_text(stmt, 5, parts.routing_domain);
	(void)sqlite3_bind_int64(stmt, 6, clock_unix());
	made = queue_run(conn, stmt, err);
	*id = sqlite3_last_insert_rowid(conn->db);
	arena_unref(arena);
	return made;
}

/* ---- messages ---- */

/* Of the content; those of one transaction mostly share it. */
struct message_ids {
	const struct content *content;
	struct buf of_content, of_prefix;
};

/* Further down than this it is not looked for. */
#define HEADER_MOST 65536

static bool read_message_id(struct queue_conn *conn, struct message_ids *ids,
    const struct content *content, struct err *err)
{
	int64_t size = content_facts(content)->header_size;
	size_t len = size < HEADER_MOST ? (size_t)size : HEADER_MOST;
	const char *block = get_bytes(conn, content, 0, len, err);

	if (!block)
		return false;
	queue_message_id(block, len, &ids->of_content);
	ids->content = content;
	return true;
}

/* Not NULL, "" for none: the one that readers see first counts. */
static const char *message_id_of(struct queue_conn *conn,
    struct message_ids *ids, const struct message *m, struct err *err)
{
	queue_message_id(buf_str(&m->prefix), m->prefix.len, &ids->of_prefix);
	if (ids->of_prefix.len > 0)
		return buf_str(&ids->of_prefix);
	if (ids->content != m->content &&
	    !read_message_id(conn, ids, m->content, err))
		return NULL;
	return buf_str(&ids->of_content);
}

static bool insert_message_row(struct queue_conn *conn, const struct message *m,
    const struct queue_intake *intake, const char *admitted_by,
    const char *message_id, int64_t content, int64_t *id, struct err *err)
{
	const struct envelope_sender *s = &m->sender;
	const char *email = s->address.email ? s->address.email : "";
	sqlite3_stmt *stmt = queue_stmt(conn, SQL_MESSAGE_INSERT, err);
	struct buf meta = BUF_INIT;
	bool inserted;

	if (!stmt)
		return false;
	if (m->meta)
		meta_write_json(m->meta, &meta);
	else
		buf_addstr(&meta, "{}");
	queue_bind_text(stmt, 1, m->id);
	(void)sqlite3_bind_int64(stmt, 2, content);
	(void)sqlite3_bind_int64(stmt, 3, m->created_ms);
	queue_bind_text(stmt, 4, email);
	queue_bind_text(stmt, 5, s->body);
	(void)sqlite3_bind_int(stmt, 6, s->smtputf8);
	queue_bind_text(stmt, 7, s->ret);
	queue_bind_text(stmt, 8, s->envid);
	queue_bind_text(stmt, 9, s->auth);
	(void)sqlite3_bind_int64(stmt, 10, s->size);
	queue_bind_text(stmt, 11, intake->session_id);
	queue_bind_text(stmt, 12, intake->mta_queue_id);
	queue_bind_text(stmt, 13, intake->client_addr);
	queue_bind_text(stmt, 14, intake->client_name);
	queue_bind_text(stmt, 15, intake->helo);
	queue_bind_text(stmt, 16, intake->authn_id);
	queue_bind_text(stmt, 17,
	    m->reception_protocol ? m->reception_protocol
				  : intake->reception_protocol);
	queue_bind_text(stmt, 18, intake->listener);
	queue_bind_text(stmt, 19, intake->hostname);
	queue_bind_text(stmt, 20, admitted_by);
	queue_bind_text(stmt, 21, m->scheduling);
	(void)sqlite3_bind_text(
	    stmt, 22, buf_str(&meta), (int)meta.len, SQLITE_STATIC);
	(void)sqlite3_bind_blob(
	    stmt, 23, buf_str(&m->prefix), (int)m->prefix.len, SQLITE_STATIC);
	queue_bind_text(stmt, 24, *message_id ? message_id : NULL);
	inserted = queue_run(conn, stmt, err);
	*id = sqlite3_last_insert_rowid(conn->db);
	buf_release(&meta);
	return inserted;
}

bool queue_insert_recipient(struct queue_conn *conn, const struct message *m,
    const struct envelope_recipient *r, const char *message_id, int64_t message,
    int64_t queue, int64_t due_at, struct err *err)
{
	const char *email = r->address.email ? r->address.email : "";
	sqlite3_stmt *stmt = queue_stmt(conn, SQL_RECIPIENT_INSERT, err);

	if (!stmt)
		return false;
	(void)sqlite3_bind_int64(stmt, 1, message);
	(void)sqlite3_bind_int64(stmt, 2, queue);
	(void)sqlite3_bind_int64(stmt, 3, due_at);
	(void)sqlite3_bind_int(stmt, 4, m->attempts);
	(void)sqlite3_bind_null(stmt, 5);
	queue_bind_text(stmt, 6, email);
	queue_bind_text(stmt, 7, r->notify);
	queue_bind_text(stmt, 8, r->orcpt);
	if (*message_id)
		(void)sqlite3_bind_int64(stmt, 9, queue_ref(message_id, email));
	return queue_run(conn, stmt, err);
}

/* All recipients of a batch are in one scheduled queue: that of the first. */
static bool insert_message(struct queue_conn *conn, const struct message *m,
    const struct queue_intake *intake, const char *admitted_by,
    struct message_ids *ids, int64_t content, struct err *err)
{
	const char *message_id = message_id_of(conn, ids, m, err);
	int64_t due_at = m->due_at ? m->due_at : clock_unix();
	struct buf name = BUF_INIT;
	int64_t message = 0, queue = 0;
	bool inserted = false;

	if (m->recipients.count == 0)
		return err_set(err, ERR_PERM, "a message without recipients");
	if (!message_id || !message_queue_name(m, &name, err) ||
	    !queue_insert_queue(conn, buf_str(&name), &queue, err) ||
	    !insert_message_row(conn, m, intake, admitted_by, message_id,
		content, &message, err))
		goto out;
	for (size_t i = 0; i < m->recipients.count; i++)
		if (!queue_insert_recipient(conn, m, &m->recipients.items[i],
			message_id, message, queue, due_at, err))
			goto out;
	inserted = true;
out:
	buf_release(&name);
	return inserted;
}

static int64_t count_sharing(
    const struct queue_intake *intake, const struct content *content)
{
	int64_t count = 0;

	for (size_t i = 0; i < intake->count; i++)
		count += intake->messages[i]->content == content;
	return count;
}

/* The row of messages[i]'s content: an earlier message's, one that was written
 * ahead, or a new one. */
static bool content_of(struct queue_conn *conn,
    const struct queue_intake *intake, size_t i, int64_t *ids,
    const struct queue_ahead *ahead, size_t ahead_count, struct err *err)
{
	const struct content *content = intake->messages[i]->content;

	if (!content)
		return err_set(err, ERR_PERM, "a message without content");
	for (size_t j = 0; j < i; j++)
		if (intake->messages[j]->content == content) {
			ids[i] = ids[j];
			return true;
		}
	for (size_t j = 0; j < ahead_count; j++)
		if (ahead[j].content == content) {
			ids[i] = ahead[j].id;
			return complete_content(
			    conn, ids[i], count_sharing(intake, content), err);
		}
	return queue_insert_content(
	    conn, content, count_sharing(intake, content), &ids[i], err);
}

bool queue_insert(struct queue_conn *conn, const struct queue_intake *intake,
    const struct queue_ahead *ahead, size_t ahead_count, struct err *err)
{
	int64_t *ids = xcalloc(intake->count + 1, sizeof *ids);
	struct message_ids message_ids = {0};
	bool inserted = true;

	for (size_t i = 0; i < intake->count && inserted; i++)
		inserted =
		    content_of(conn, intake, i, ids, ahead, ahead_count, err) &&
		    insert_message(conn, intake->messages[i], intake,
			intake->admitted_by ? intake->admitted_by[i] : NULL,
			&message_ids, ids[i], err);
	for (size_t i = 0; i < intake->hit_count && inserted; i++)
		inserted = queue_suppression_note(conn, &intake->hits[i], err);
	for (size_t i = 0; i < intake->report_count && inserted; i++)
		inserted = queue_note_report(conn, &intake->reports[i], err);
	buf_release(&message_ids.of_content);
	buf_release(&message_ids.of_prefix);
	free(ids);
	return inserted;
}
