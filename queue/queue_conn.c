/*
 * queue_conn.c - one SQLite connection: statements and transactions
 *
 * Every write transaction runs under the writer lock, which is taken before
 * BEGIN and given back after COMMIT: then two programs of ours never meet in
 * SQLite's busy handler.  A shell that holds the database for itself is met
 * there, and waited for as long as the caller's patience lasts.
 */
#include "queue/queue_db.h"

#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/fault.h"
#include "base/xalloc.h"
#include "queue/queue_vfs.h"

/* In KiB, so that milter and router together stay small. */
static const int cache_kib[] = {
    [QUEUE_MILTER] = 4096, [QUEUE_ROUTER] = 12288, [QUEUE_TOOL] = 4096};
#define READER_CACHE_KIB 2048
/* Fewer are done one by one: a list of many has its price, too. */
#define IDS_FEW 6
#define WAL_KEPT_BYTES (64 * 1024 * 1024)

static int busy(void *ctx, int times)
{
	static const int waits_ms[] = {1, 1, 2, 5, 10, 20};
	struct queue_conn *conn = ctx;
	size_t i = (size_t)times < COUNT(waits_ms) ? (size_t)times
						   : COUNT(waits_ms) - 1;

	if (clock_now_ms() >= conn->busy_until)
		return 0;
	(void)usleep((useconds_t)waits_ms[i] * 1000);
	return 1;
}

static int after_commit(
    void *ctx, sqlite3 *db, const char *name, int wal_frames)
{
	struct queue_conn *conn = ctx;

	(void)db;
	(void)name;
	conn->wal_frames = wal_frames;
	return SQLITE_OK;
}

static void start_patience(struct queue_conn *conn)
{
	conn->busy_until = clock_now_ms() + conn->patience_ms;
}

bool queue_fail(struct queue_conn *conn, const char *what, struct err *err)
{
	enum err_class class = ERR_TEMP;
	int64_t pid;
	int error = 0;

	switch (sqlite3_errcode(conn->db) & 0xff) {
	case SQLITE_BUSY:
		/* A program of ours would have waited for our lock. */
		pid = queue_writer_pid(conn->queue);
		if (pid > 0 && pid != getpid())
			return err_set(err, ERR_TEMP,
			    "%s: %s: process %" PRId64
			    " has a transaction open",
			    conn->queue->path, what, pid);
		break;
	case SQLITE_IOERR:
	case SQLITE_FULL:
		error = sqlite3_system_errno(conn->db);
		break;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		class = ERR_PERM;
		conn->damaged = true;
		break;
	case SQLITE_READONLY:
	case SQLITE_CANTOPEN:
	case SQLITE_PERM:
		error = sqlite3_system_errno(conn->db);
		/* Of file descriptors there may be more later. */
		class =
		    error == EMFILE || error == ENFILE ? ERR_TEMP : ERR_CONFIG;
		break;
	}
	return err_set(err, class, "%s%s: %s: %s%s%s", conn->queue->path,
	    class == ERR_PERM ? " is damaged" : "", what,
	    sqlite3_errmsg(conn->db), error ? ": " : "",
	    error ? strerror(error) : "");
}

static bool configure(struct queue_conn *conn, struct err *err)
{
	static const char writer[] = "PRAGMA wal_autocheckpoint = 0;"
				     "PRAGMA synchronous = FULL;"
				     "PRAGMA recursive_triggers = OFF;";
	char text[160];
	int on = 1;

	(void)sqlite3_busy_handler(conn->db, busy, conn);
	(void)sqlite3_extended_result_codes(conn->db, 1);
	(void)sqlite3_db_config(
	    conn->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	(void)sqlite3_db_config(conn->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	(void)sqlite3_file_control(
	    conn->db, "main", SQLITE_FCNTL_PERSIST_WAL, &on);
	(void)sqlite3_wal_hook(conn->db, after_commit, conn);
	(void)snprintf(text, sizeof text,
	    "PRAGMA mmap_size = 0; PRAGMA temp_store = MEMORY;"
	    "PRAGMA cache_size = -%d; PRAGMA journal_size_limit = %d;",
	    conn->writing ? cache_kib[conn->queue->program] : READER_CACHE_KIB,
	    WAL_KEPT_BYTES);
	if (sqlite3_exec(conn->db, text, NULL, NULL, NULL) != SQLITE_OK)
		return queue_fail(conn, "set it up", err);
	/* Setting the automatic checkpoint replaces the hook: it comes last. */
	if (conn->writing &&
	    sqlite3_exec(conn->db, writer, NULL, NULL, NULL) != SQLITE_OK)
		return queue_fail(conn, "set it up", err);
	(void)sqlite3_wal_hook(conn->db, after_commit, conn);
	conn->full = true;
	return true;
}

bool queue_conn_open(
    struct queue *queue, bool writing, struct queue_conn **out, struct err *err)
{
	struct queue_conn *conn = xcalloc(1, sizeof *conn);
	int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;

	*out = NULL;
	conn->queue = queue;
	conn->writing = writing;
	conn->lock.fd = -1;
	conn->patience_ms = QUEUE_PATIENCE_MS;
	if (atomic_fetch_add(&queue->connections, 1) == 0)
		queue_place_forget_log(queue);
	if (!queue_vfs_register(err))
		goto failed;
	if (writing && !queue_lock_open(&conn->lock, queue->path, err))
		goto failed;
	start_patience(conn);
	/* A reader of a daemon opens for writing too: only so it can recover
	 * the WAL-index.  It never writes (query_only). */
	flags |=
	    queue->read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
	if (sqlite3_open_v2(queue->path, &conn->db, flags, QUEUE_VFS) !=
	    SQLITE_OK) {
		queue_fail(conn, "open", err);
		goto failed;
	}
	if (!configure(conn, err))
		goto failed;
	if (!writing && sqlite3_exec(conn->db, "PRAGMA query_only = ON", NULL,
			    NULL, NULL) != SQLITE_OK) {
		queue_fail(conn, "set it up", err);
		goto failed;
	}
	*out = conn;
	return true;
failed:
	queue_disconnect(conn);
	return false;
}

static bool set(struct queue_conn *conn, const char *pragma)
{
	return sqlite3_exec(conn->db, pragma, NULL, NULL, NULL) == SQLITE_OK;
}

static bool set_up_daemon(struct queue_conn *conn)
{
	/* A savepoint that is taken back after some of its pages were written
	 * to the log leaves checksums behind (SQLite 3.40) at which a recovery
	 * ends: what was committed since would be lost.  So a transaction of
	 * the milter, which takes sessions back and is bounded, is not written
	 * before it commits. */
	if (conn->queue->program == QUEUE_MILTER &&
	    !set(conn, "PRAGMA cache_spill = OFF"))
		return false;
	/* The states that the daemons write stand in their statements; SQLite
	 * would make a table for each row to look them up in. */
	return conn->queue->program == QUEUE_TOOL ||
	       set(conn, "PRAGMA ignore_check_constraints = ON");
}

bool queue_connect(
    struct queue *queue, bool writing, struct queue_conn **out, struct err *err)
{
	*out = NULL;
	if (queue_poisoned(queue))
		return err_set(err, ERR_TEMP,
		    "%s: a sync failed; it must be recovered first",
		    queue->path);
	if (writing && queue->read_only)
		return err_set(err, ERR_CONFIG, "%s is open for reading only",
		    queue->path);
	if (!queue_conn_open(queue, writing, out, err))
		return false;
	if (!writing || set_up_daemon(*out))
		return true;
	queue_fail(*out, "set it up", err);
	queue_disconnect(*out);
	*out = NULL;
	return false;
}

void queue_disconnect(struct queue_conn *conn)
{
	struct err err = {0};
	int rc;

	if (!conn)
		return;
	if (conn->in_transaction)
		queue_rollback(conn);
	/* The last chance of a log that was removed. */
	if (conn->db && conn->writing && !queue_in_place(conn->queue, &err))
		(void)!queue_checkpoint(conn, true, NULL);
	for (size_t i = 0; i < COUNT(conn->stmts); i++)
		(void)sqlite3_finalize(conn->stmts[i]);
	rc = sqlite3_close(conn->db);
	invariant(rc == SQLITE_OK);
	queue_lock_close(&conn->lock);
	(void)atomic_fetch_sub(&conn->queue->connections, 1);
	free(conn->chunk);
	free(conn);
}

void queue_set_patience(struct queue_conn *conn, int64_t ms)
{
	conn->patience_ms = ms < 0 ? 0 : ms;
}

/* ---- statements ---- */

sqlite3_stmt *queue_stmt(
    struct queue_conn *conn, enum sql_statement which, struct err *err)
{
	sqlite3_stmt **stmt = &conn->stmts[which];

	if (!*stmt) {
		start_patience(conn);
		if (sqlite3_prepare_v3(conn->db, sql_texts[which].text, -1,
			SQLITE_PREPARE_PERSISTENT, stmt, NULL) != SQLITE_OK) {
			queue_fail(conn, sql_texts[which].name, err);
			return NULL;
		}
	}
	(void)sqlite3_reset(*stmt);
	(void)sqlite3_clear_bindings(*stmt);
	return *stmt;
}

enum queue_step queue_step(
    struct queue_conn *conn, sqlite3_stmt *stmt, struct err *err)
{
	int rc;

	if (!conn->in_transaction)
		start_patience(conn);
	rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW)
		return STEP_ROW;
	if (rc != SQLITE_DONE)
		queue_fail(conn, "read or write", err);
	(void)sqlite3_reset(stmt);
	return rc == SQLITE_DONE ? STEP_DONE : STEP_FAILED;
}

bool queue_run(struct queue_conn *conn, sqlite3_stmt *stmt, struct err *err)
{
	enum queue_step step;

	do
		step = queue_step(conn, stmt, err);
	while (step == STEP_ROW);
	return step == STEP_DONE;
}

bool queue_do(
    struct queue_conn *conn, enum sql_statement which, struct err *err)
{
	sqlite3_stmt *stmt = queue_stmt(conn, which, err);

	return stmt && queue_run(conn, stmt, err);
}

/* A list that is shorter than the statement repeats its last id. */
static bool run_ids(struct queue_conn *conn, enum sql_statement which,
    size_t most, const int64_t *ids, size_t count, struct err *err)
{
	sqlite3_stmt *stmt = queue_stmt(conn, which, err);

	if (!stmt)
		return false;
	for (size_t i = 0; i < most; i++)
		(void)sqlite3_bind_int64(
		    stmt, (int)i + 1, ids[i < count ? i : count - 1]);
	return queue_run(conn, stmt, err);
}

bool queue_run_ids(struct queue_conn *conn, enum sql_statement one,
    enum sql_statement many, const int64_t *ids, size_t count, size_t *changed,
    struct err *err)
{
	*changed = 0;
	while (count > 0) {
		bool few = count < IDS_FEW;
		size_t most = few ? 1 : QUEUE_IDS_AT_ONCE;
		size_t n = count < most ? count : most;

		if (!run_ids(conn, few ? one : many, most, ids, n, err))
			return false;
		*changed += (size_t)sqlite3_changes(conn->db);
		ids += n;
		count -= n;
	}
	return true;
}

void queue_bind_text(sqlite3_stmt *stmt, int n, const char *text)
{
	if (text)
		(void)sqlite3_bind_text(stmt, n, text, -1, SQLITE_STATIC);
	else
		(void)sqlite3_bind_null(stmt, n);
}

const char *queue_column_text(
    sqlite3_stmt *stmt, int column, struct arena *arena)
{
	const void *text = sqlite3_column_text(stmt, column);

	if (!text)
		return NULL;
	return arena_strndup(
	    arena, text, (size_t)sqlite3_column_bytes(stmt, column));
}

bool queue_get_int(
    struct queue_conn *conn, sqlite3_stmt *stmt, int64_t *out, struct err *err)
{
	enum queue_step step = queue_step(conn, stmt, err);

	if (step == STEP_ROW) {
		if (sqlite3_column_type(stmt, 0) != SQLITE_NULL)
			*out = sqlite3_column_int64(stmt, 0);
		(void)sqlite3_reset(stmt);
	}
	return step != STEP_FAILED;
}

/* ---- transactions ---- */

void queue_poison(struct queue *queue, const char *why)
{
	struct queue_generation now;

	if (atomic_exchange(&queue->poisoned, true))
		return;
	diag_error("%s: nothing more is accepted until it is recovered: %s",
	    queue->path, why);
	/* The neighbour learns of it at its next transaction. */
	now = (struct queue_generation){queue->generation, queue->generation};
	if (!queue_lock_write(&queue->lock, &now, NULL))
		diag_error("%s-writer: cannot write", queue->path);
}

bool queue_poisoned(const struct queue *queue)
{
	return atomic_load(&queue->poisoned);
}

/* Somebody else's failed sync may have covered what was ours. */
bool queue_look_for_poison(struct queue *queue)
{
	struct queue_generation now;

	if (queue_poisoned(queue))
		return true;
	if (queue->lock.fd < 0 || !queue_lock_read(&queue->lock, &now, NULL) ||
	    now.poisoned != queue->generation)
		return false;
	queue_poison(queue, "another program's sync failed");
	return true;
}

static bool check_poison(struct queue_conn *conn, struct err *err)
{
	if (!queue_look_for_poison(conn->queue))
		return true;
	return err_set(err, ERR_TEMP, "%s: a sync failed; it must be recovered",
	    conn->queue->path);
}

static bool set_sync(
    struct queue_conn *conn, enum queue_sync sync, struct err *err)
{
	bool full = sync == QUEUE_SYNCED;

	if (conn->full == full)
		return true;
	/* Not kept prepared: this pragma acts when it is compiled. */
	if (sqlite3_exec(conn->db,
		sql_texts[full ? SQL_SYNC_FULL : SQL_SYNC_NORMAL].text, NULL,
		NULL, NULL) != SQLITE_OK)
		return queue_fail(conn, "set synchronous", err);
	conn->full = full;
	return true;
}

bool queue_begin(struct queue_conn *conn, enum queue_sync sync, struct err *err)
{
	invariant(conn->writing && !conn->in_transaction);
	if (queue_poisoned(conn->queue))
		return check_poison(conn, err);
	start_patience(conn);
	switch (queue_lock_take(&conn->lock, conn->busy_until, err)) {
	case LOCK_TAKEN:
		break;
	case LOCK_BUSY:
		return err_set(err, ERR_TEMP,
		    "%s: another program of ours is writing for too long",
		    conn->queue->path);
	case LOCK_FAILED:
		return false;
	}
	if (!check_poison(conn, err) || !set_sync(conn, sync, err) ||
	    !queue_do(conn, SQL_BEGIN, err)) {
		queue_lock_give(&conn->lock);
		return false;
	}
	conn->in_transaction = true;
	queue_place_note(conn->queue);
	if (queue_in_place(conn->queue, err))
		return true;
	queue_rollback(conn);
	return false;
}

bool queue_transaction_lost(const struct queue_conn *conn)
{
	return conn->in_transaction && sqlite3_get_autocommit(conn->db);
}

void queue_rollback(struct queue_conn *conn)
{
	if (!conn->in_transaction)
		return;
	if (!sqlite3_get_autocommit(conn->db) &&
	    !queue_do(conn, SQL_ROLLBACK, NULL))
		diag_warn("%s: rollback: %s", conn->queue->path,
		    sqlite3_errmsg(conn->db));
	conn->in_transaction = false;
	queue_lock_give(&conn->lock);
}

bool queue_commit(struct queue_conn *conn, struct err *err)
{
	sqlite3_stmt *stmt;
	bool committed = false;
	int rc;

	invariant(conn->in_transaction);
	if (queue_transaction_lost(conn)) {
		queue_rollback(conn);
		return err_set(err, ERR_TEMP,
		    "%s: the transaction was rolled back", conn->queue->path);
	}
	stmt = queue_stmt(conn, SQL_COMMIT, err);
	if (stmt) {
		rc = sqlite3_step(stmt);
		committed = rc == SQLITE_DONE;
		if (!committed)
			queue_fail(conn, "commit", err);
		if ((rc & 0xff) == SQLITE_IOERR)
			queue_poison(conn->queue, sqlite3_errmsg(conn->db));
		(void)sqlite3_reset(stmt);
	}
	if (!committed) {
		queue_rollback(conn);
		return false;
	}
	conn->in_transaction = false;
	queue_lock_give(&conn->lock);
	return true;
}
