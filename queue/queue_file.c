/*
 * queue_file.c - the file before and around its first connection
 *
 * What can be told from stat(2), statfs(2) and the first 100 bytes is told
 * before SQLite sees the file, so that a refusal touches nothing.
 * https://www.sqlite.org/fileformat2.html, 1.3: the header.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/fd.h"
#include "queue/queue_db.h"
#include "queue/queue_vfs.h"

#define HEADER_SIZE 100
#define HEADER_WRITE_VERSION 18
#define WRITE_VERSION_WAL 2
#define HEADER_USER_VERSION 60
#define HEADER_APPLICATION_ID 68

/* Where POSIX locks and a shared memory map do not do what SQLite needs. */
static const struct {
	unsigned long type;
	const char *name;
} remote[] = {
    {0x6969, "NFS"},
    {0x517b, "SMB"},
    {0xfe534d42, "SMB"},
    {0xff534d42, "CIFS"},
    {0x5346414f, "AFS"},
    {0x73757245, "Coda"},
    {0x00c36400, "Ceph"},
    {0x01021997, "9P"},
};

#ifdef ENABLE_DEVEL
long queue_file_test_fs_type;
#endif

static bool check_file_system(const char *path, struct err *err)
{
	char dir[4096];
	struct statfs fs;
	unsigned long type;

	if (!path_dir(dir, sizeof dir, path, err))
		return false;
	if (statfs(dir, &fs) < 0)
		return err_errno(err, ERR_CONFIG, "%s", dir);
	type = (unsigned long)fs.f_type & 0xffffffff;
#ifdef ENABLE_DEVEL
	if (queue_file_test_fs_type)
		type = (unsigned long)queue_file_test_fs_type;
#endif
	for (size_t i = 0; i < COUNT(remote); i++)
		if (remote[i].type == type)
			return err_set(err, ERR_CONFIG,
			    "%s is on %s: the queue needs a local file system",
			    path, remote[i].name);
	return true;
}

static uint32_t big_endian(const unsigned char *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
	       (uint32_t)p[2] << 8 | (uint32_t)p[3];
}

static bool check_header(
    const char *path, const unsigned char *header, struct err *err)
{
	uint32_t version = big_endian(header + HEADER_USER_VERSION);

	if (memcmp(header, "SQLite format 3", 16) != 0 ||
	    big_endian(header + HEADER_APPLICATION_ID) != SQL_APPLICATION_ID)
		return err_set(
		    err, ERR_PERM, "%s is not a queue of Penstock", path);
	if (version > SQL_SCHEMA_VERSION)
		return err_set(err, ERR_CONFIG,
		    "%s has schema %u, this program knows up to %d: it is too "
		    "old for it",
		    path, version, SQL_SCHEMA_VERSION);
	/* A copy made by VACUUM INTO, say: none of the promises hold there. */
	if (header[HEADER_WRITE_VERSION] != WRITE_VERSION_WAL)
		return err_set(err, ERR_CONFIG,
		    "%s is not in WAL mode: with both daemons stopped, run "
		    "sqlite3 %s 'PRAGMA journal_mode = WAL'",
		    path, path);
	return true;
}

/* SQLite makes an empty log of the one it finds beside a new file.  And a file
 * of ours has its name when it is complete: an empty one was cut off. */
static bool may_begin_anew(const char *path, bool there, struct err *err)
{
	char name[4096];
	struct stat st;

	(void)snprintf(name, sizeof name, "%s-wal", path);
	if (stat(name, &st) == 0 && st.st_size > 0)
		return err_set(err, ERR_PERM,
		    "%s is %s, but %s has mail of it: put both back together, "
		    "or move the rest away to begin with an empty queue",
		    path, there ? "empty" : "not there", name);
	/* Which daemons make once they have opened their queue. */
	(void)snprintf(name, sizeof name, "%s-trace-key", path);
	if (there && stat(name, &st) == 0 && st.st_size > 0)
		return err_set(err, ERR_PERM,
		    "%s is empty, and was not always: restore it, or remove it "
		    "to begin with an empty queue",
		    path);
	return true;
}

bool queue_file_look(const char *path, bool *exists, struct err *err)
{
	unsigned char header[HEADER_SIZE];
	struct stat st;
	ssize_t got;
	int fd;

	*exists = false;
	if (!check_file_system(path, err))
		return false;
	if (stat(path, &st) < 0) {
		if (errno == ENOENT)
			return may_begin_anew(path, false, err);
		return err_errno(err, ERR_CONFIG, "%s", path);
	}
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_PERM, "%s is not a regular file", path);
	if (st.st_size == 0)
		return may_begin_anew(path, true, err);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_errno(err, ERR_CONFIG, "open %s", path);
	got = pread(fd, header, sizeof header, 0);
	(void)close(fd);
	if (got < 0)
		return err_errno(err, ERR_TEMP, "read %s", path);
	if (got != sizeof header)
		return err_set(
		    err, ERR_PERM, "%s is not a queue of Penstock", path);
	*exists = true;
	return check_header(path, header, err);
}

/* The name is not the queue's yet and nobody else knows it, so there is
 * nothing to lose: synced once, when it is complete. */
static bool fill(const char *path, struct err *err)
{
	static const char before[] = "PRAGMA synchronous = OFF;"
				     "PRAGMA journal_mode = MEMORY;"
				     "PRAGMA encoding = 'UTF-8';";
	const char *const texts[] = {
	    before, sql_schema, sql_views, "PRAGMA journal_mode = WAL;"};
	sqlite3 *db = NULL;
	bool filled = false;
	int rc;

	rc = sqlite3_open_v2(
	    path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, QUEUE_VFS);
	for (size_t i = 0; i < COUNT(texts) && rc == SQLITE_OK; i++)
		rc = sqlite3_exec(db, texts[i], NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		filled = true;
	else
		err_set(err, ERR_TEMP, "make %s: %s", path, sqlite3_errmsg(db));
	(void)sqlite3_close(db);
	return filled;
}

static bool sync_file(const char *path, struct err *err)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	bool synced;

	if (fd < 0)
		return err_errno(err, ERR_TEMP, "open %s", path);
	synced = fsync(fd) == 0;
	if (!synced)
		err_errno(err, ERR_TEMP, "sync %s", path);
	(void)close(fd);
	return synced;
}

static bool make_under_other_name(const char *path, struct err *err)
{
	char name[4096], dir[4096], suffix[17];
	bool made = false;
	int fd;

	random_hex(suffix, 8);
	if (snprintf(name, sizeof name, "%s.new-%s", path, suffix) >=
	    (int)sizeof name)
		return err_set(err, ERR_CONFIG, "the queue's name is too long");
	if (!path_dir(dir, sizeof dir, path, err))
		return false;
	fd = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0660);
	if (fd < 0)
		return err_errno(err, ERR_CONFIG, "make %s", name);
	(void)fchmod(fd, 0660); /* whatever the umask */
	(void)close(fd);
	if (!fill(name, err) || !sync_file(name, err))
		goto out;
	if (rename(name, path) < 0) {
		err_errno(err, ERR_TEMP, "rename %s", name);
		goto out;
	}
	made = fd_sync_dir(dir, err);
out:
	if (!made)
		(void)unlink(name);
	return made;
}

bool queue_file_create(const char *path, struct err *err)
{
	struct queue_lock lock;
	bool exists = false, made = false;

	if (!queue_vfs_register(err) || !queue_lock_open(&lock, path, err))
		return false;
	switch (
	    queue_lock_take(&lock, clock_now_ms() + QUEUE_PATIENCE_MS, err)) {
	case LOCK_TAKEN:
		/* Somebody may have made it while we waited. */
		made = queue_file_look(path, &exists, err) &&
		       (exists || make_under_other_name(path, err));
		queue_lock_give(&lock);
		break;
	case LOCK_BUSY:
		err_set(err, ERR_TEMP, "%s: somebody else is making it", path);
		break;
	case LOCK_FAILED:
		break;
	}
	queue_lock_close(&lock);
	return made;
}

static bool exec(struct queue_conn *conn, const char *text, struct err *err)
{
	if (sqlite3_exec(conn->db, text, NULL, NULL, NULL) != SQLITE_OK)
		return queue_fail(conn, "migrate", err);
	return true;
}

/* Views are always those of views.sql. */
static bool renew_views(struct queue_conn *conn, struct err *err)
{
	static const char find[] =
	    "SELECT 'DROP VIEW \"' || name || '\"' FROM sqlite_schema "
	    "WHERE type = 'view' LIMIT 1";
	sqlite3_stmt *stmt = NULL;
	bool ok = true;
	int rc;

	do {
		if (sqlite3_prepare_v2(conn->db, find, -1, &stmt, NULL) !=
		    SQLITE_OK)
			return queue_fail(conn, "migrate", err);
		rc = sqlite3_step(stmt);
		if (rc == SQLITE_ROW) {
			char *drop =
			    sqlite3_mprintf("%s", sqlite3_column_text(stmt, 0));

			(void)sqlite3_finalize(stmt);
			ok = exec(conn, drop, err);
			sqlite3_free(drop);
		} else
			(void)sqlite3_finalize(stmt);
	} while (ok && rc == SQLITE_ROW);
	return ok && exec(conn, sql_views, err);
}

static bool user_version(struct queue_conn *conn, int *out, struct err *err)
{
	sqlite3_stmt *stmt;

	if (sqlite3_prepare_v2(
		conn->db, "PRAGMA user_version", -1, &stmt, NULL) != SQLITE_OK)
		return queue_fail(conn, "read the schema's version", err);
	*out =
	    sqlite3_step(stmt) == SQLITE_ROW ? sqlite3_column_int(stmt, 0) : -1;
	(void)sqlite3_finalize(stmt);
	return *out >= 0 || queue_fail(conn, "read the schema's version", err);
}

/* All steps in one transaction: a crash leaves the old file or the new one. */
static bool run_steps(struct queue_conn *conn,
    const struct sql_migration *steps, size_t count, int have, int target,
    struct err *err)
{
	char text[64];

	for (size_t i = 0; i < count; i++) {
		if (steps[i].version <= have || steps[i].version > target)
			continue;
		if (steps[i].version != have + 1)
			return err_set(err, ERR_CONFIG,
			    "%s: no way from schema %d to %d",
			    conn->queue->path, have, steps[i].version);
		if (!exec(conn, steps[i].text, err))
			return err_prefix(err, "%s", steps[i].name);
		have = steps[i].version;
	}
	if (have != target)
		return err_set(err, ERR_CONFIG,
		    "%s: no way from schema %d to %d", conn->queue->path, have,
		    target);
	(void)snprintf(text, sizeof text, "PRAGMA user_version = %d", target);
	return renew_views(conn, err) && exec(conn, text, err);
}

bool queue_file_migrate(struct queue_conn *conn,
    const struct sql_migration *steps, size_t count, int target,
    struct err *err)
{
	struct queue *queue = conn->queue;
	bool done = false;
	int have = -1;

	if (!user_version(conn, &have, err))
		return false;
	if (have == target)
		return true;
	if (have > target)
		return err_set(err, ERR_CONFIG,
		    "%s has schema %d, this program knows up to %d: it is too "
		    "old for it",
		    queue->path, have, target);
	if (!conn->writing)
		return err_set(err, ERR_CONFIG,
		    "%s has schema %d: a daemon must bring it to %d first",
		    queue->path, have, target);
	if (queue_lock_byte(&queue->lock, QUEUE_LOCK_PRESENT, true, err) !=
	    LOCK_TAKEN)
		return err_set(err, ERR_TEMP,
		    "%s has schema %d; stop the other daemon, so that it can "
		    "be brought to %d",
		    queue->path, have, target);
	if (queue_begin(conn, QUEUE_SYNCED, err)) {
		done = run_steps(conn, steps, count, have, target, err) &&
		       queue_commit(conn, err);
		if (!done)
			queue_rollback(conn);
	}
	/* So that the header says it too, which older programs read. */
	if (done) {
		diag_info("%s: schema %d is now %d", queue->path, have, target);
		if (!queue_file_recover(conn, NULL))
			diag_warn("%s: not checkpointed yet", queue->path);
	}
	/* Giving way to others cannot fail. */
	(void)!queue_lock_byte(&queue->lock, QUEUE_LOCK_PRESENT, false, NULL);
	return done;
}

bool queue_file_recover(struct queue_conn *conn, struct err *err)
{
	int rc, in_log = -1, copied = -1;

	if (queue_lock_take(&conn->lock, clock_now_ms() + conn->patience_ms,
		err) != LOCK_TAKEN)
		return err_set(err, ERR_TEMP, "%s: somebody is writing",
		    conn->queue->path);
	conn->busy_until = 0;
	rc = sqlite3_wal_checkpoint_v2(
	    conn->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, &in_log, &copied);
	queue_lock_give(&conn->lock);
	if (rc == SQLITE_OK && in_log == copied)
		return true;
	if (rc == SQLITE_OK || (rc & 0xff) == SQLITE_BUSY)
		return err_set(err, ERR_TEMP,
		    "%s: a reader keeps its write-ahead log",
		    conn->queue->path);
	queue_fail(conn, "recover", err);
	if (err)
		err->class = ERR_PERM;
	return false;
}
