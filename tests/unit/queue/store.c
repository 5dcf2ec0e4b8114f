/*
 * store.c - what the unit tests of queue/ share
 */
#include "tests/unit/queue/queue_test.h"

#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/xalloc.h"
#include "mail/message.h"

static char scratch[64];
static pid_t scratch_owner;

static int remove_one(
    const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static void remove_scratch(void)
{
	if (getpid() == scratch_owner)
		(void)nftw(scratch, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

const char *store_path(void)
{
	static char path[96];

	diag_set_level(DIAG_FATAL);
	scratch_owner = getpid();
	(void)snprintf(scratch, sizeof scratch, "/tmp/penstock-test.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(scratch));
	ck_assert_int_eq(atexit(remove_scratch), 0);
	(void)snprintf(path, sizeof path, "%s/queue.db", scratch);
	return path;
}

struct queue *store_open(const char *path, enum queue_program program)
{
	struct queue_options options = {
	    .path = path, .program = program, .create = true};
	struct queue *queue = NULL;

	ck_ok(queue_open(&queue, &options, &why));
	return queue;
}

struct queue_conn *store_connect(struct queue *queue)
{
	struct queue_conn *conn = NULL;

	ck_ok(queue_connect(queue, true, &conn, &why));
	return conn;
}

const char *sql_text(const char *path, const char *sql)
{
	static char text[4096];
	sqlite3 *db;
	sqlite3_stmt *stmt = NULL;
	int rc;

	ck_assert_int_eq(
	    sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	(void)sqlite3_busy_timeout(db, 5000);
	rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);
	ck_assert_msg(rc == SQLITE_OK, "%s: %s", sql, sqlite3_errmsg(db));
	rc = sqlite3_step(stmt);
	ck_assert_msg(rc == SQLITE_ROW || rc == SQLITE_DONE, "%s: %s", sql,
	    sqlite3_errmsg(db));
	(void)snprintf(text, sizeof text, "%s",
	    rc == SQLITE_ROW && sqlite3_column_text(stmt, 0)
		? (const char *)sqlite3_column_text(stmt, 0)
		: "");
	(void)sqlite3_finalize(stmt);
	ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
	return text;
}

int64_t sql_int(const char *path, const char *sql)
{
	return strtoll(sql_text(path, sql), NULL, 10);
}

void sql_run(const char *path, const char *sql)
{
	sqlite3 *db;
	char *said = NULL;

	ck_assert_int_eq(
	    sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
	(void)sqlite3_busy_timeout(db, 5000);
	(void)sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	ck_assert_msg(sqlite3_exec(db, sql, NULL, NULL, &said) == SQLITE_OK,
	    "%s: %s", sql, said);
	ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
}

static void count_finding(const char *line, void *ctx)
{
	char *first = ctx;

	if (!*first)
		(void)snprintf(first, 200, "%s", line);
}

void assert_sound(const char *path)
{
	struct queue_options options = {
	    .path = path, .program = QUEUE_TOOL, .read_only = true};
	struct queue *queue;
	struct queue_conn *conn;
	char first[200] = "";
	size_t findings;

	ck_assert_str_eq(sql_text(path, "PRAGMA integrity_check"), "ok");
	ck_ok(queue_open(&queue, &options, &why));
	ck_ok(queue_connect(queue, false, &conn, &why));
	ck_ok(
	    queue_check_integrity(conn, count_finding, first, &findings, &why));
	ck_assert_msg(findings == 0, "%s", first);
	queue_disconnect(conn);
	queue_close(queue);
}

/* Bytes that tell where they stand, in lines. */
static struct content *make_content(size_t size)
{
	char *bytes = xmalloc(size + 1);
	struct content *content;

	for (size_t i = 0; i < size; i++)
		bytes[i] = (char)('a' + (i / 4096 + i) % 26);
	for (size_t i = 70; i + 1 < size; i += 72)
		memcpy(bytes + i, "\r\n", 2);
	content = content_from_bytes(bytes, size);
	free(bytes);
	return content;
}

struct message *mail_to(const char *to, size_t size)
{
	struct message *m = message_new();

	m->content = make_content(size);
	ck_assert(address_parse(
	    "ann@sender.test", 15, m->arena, &m->sender.address, NULL));
	while (*to) {
		size_t len = strcspn(to, " ");
		struct envelope_recipient *r = ARRAY_ADD(&m->recipients);

		*r = (struct envelope_recipient){0};
		ck_assert(address_parse(to, len, m->arena, &r->address, NULL));
		to += len + strspn(to + len, " ");
	}
	buf_addstr(&m->prefix, "Received: by us\r\n");
	return m;
}

void put_mail(struct queue_conn *conn, struct message **messages, size_t count)
{
	struct queue_intake intake = {
	    .messages = messages, .count = count, .session_id = "S1"};

	ck_ok(queue_begin(conn, QUEUE_LATER, &why));
	ck_ok(queue_insert(conn, &intake, NULL, 0, &why));
	ck_ok(queue_commit(conn, &why));
	for (size_t i = 0; i < count; i++)
		message_unref(messages[i]);
}

void put_many(struct queue_conn *conn, const char *domain, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		char to[100];
		struct message *m;

		(void)snprintf(to, sizeof to, "u%zu@%s", i, domain);
		m = mail_to(to, 1000);
		put_mail(conn, &m, 1);
	}
}

struct queue_leases lease_due(
    struct queue_conn *conn, size_t limit, int64_t now, struct arena *arena)
{
	struct queue_cursor cursor = {0};
	struct queue_leases leases = {0};
	struct queue_due *due;
	int64_t ids[100];
	size_t limits[100], count;

	ck_ok(queue_due_list(
	    conn, now, COUNT(ids), &cursor, arena, &due, &count, &why));
	for (size_t i = 0; i < count; i++) {
		ids[i] = due[i].queue_id;
		limits[i] = limit;
	}
	ck_ok(queue_lease(
	    conn, ids, limits, count, now, INT64_MAX, arena, &leases, &why));
	return leases;
}

void settle(struct queue_conn *conn, const struct queue_leases *leases,
    enum queue_verdict_kind kind, int64_t due_at)
{
	struct smtp_reply reply = {450, {4, 2, 0}, "later", NULL};
	struct queue_verdict *verdicts =
	    xcalloc(leases->count + 1, sizeof *verdicts);
	size_t gone = 0;

	for (size_t i = 0; i < leases->count; i++)
		verdicts[i] = (struct queue_verdict){
		    .recipient_id = leases->items[i].recipient_id,
		    .kind = kind,
		    .due_at = due_at,
		    .attempts = leases->items[i].attempts + 1,
		    .reply = &reply,
		    .source = "ip-1",
		    .site = "mx.example.com",
		    .peer = "192.0.2.1:25",
		    .at = clock_unix(),
		};
	ck_ok(queue_settle(
	    conn, verdicts, leases->count, NULL, 0, false, &gone, &why));
	ck_assert_uint_eq(gone, 0);
	free(verdicts);
}
