/*
 * vfs_test.c - queue/queue_vfs.h: the WAL-reset race, made to happen
 *
 * SQLite asks its VFS for xUnfetch between reading the WAL's header and
 * looking at how much of it has been copied: exactly where the race is.  So a
 * VFS of the test, over the one under test, lets a writer commit and restart
 * the WAL at that point.
 */
#include "tests/unit/queue/queue_test.h"

#include "queue/queue_vfs.h"

struct racing_file {
	sqlite3_file base;
	sqlite3_file *real;
	bool is_main;
};

static sqlite3_vfs racing, *raced;
static sqlite3_io_methods racing_methods;
static void (*in_between)(void);

#define REAL(f) (((struct racing_file *)(void *)(f))->real)

static int r_close(sqlite3_file *f)
{
	return REAL(f)->pMethods->xClose(REAL(f));
}
static int r_read(sqlite3_file *f, void *p, int n, sqlite3_int64 at)
{
	return REAL(f)->pMethods->xRead(REAL(f), p, n, at);
}
static int r_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at)
{
	return REAL(f)->pMethods->xWrite(REAL(f), p, n, at);
}
static int r_truncate(sqlite3_file *f, sqlite3_int64 n)
{
	return REAL(f)->pMethods->xTruncate(REAL(f), n);
}
static int r_sync(sqlite3_file *f, int flags)
{
	return REAL(f)->pMethods->xSync(REAL(f), flags);
}
static int r_size(sqlite3_file *f, sqlite3_int64 *n)
{
	return REAL(f)->pMethods->xFileSize(REAL(f), n);
}
static int r_lock(sqlite3_file *f, int level)
{
	return REAL(f)->pMethods->xLock(REAL(f), level);
}
static int r_unlock(sqlite3_file *f, int level)
{
	return REAL(f)->pMethods->xUnlock(REAL(f), level);
}
static int r_reserved(sqlite3_file *f, int *held)
{
	return REAL(f)->pMethods->xCheckReservedLock(REAL(f), held);
}
static int r_control(sqlite3_file *f, int op, void *arg)
{
	return REAL(f)->pMethods->xFileControl(REAL(f), op, arg);
}
static int r_sector(sqlite3_file *f)
{
	return REAL(f)->pMethods->xSectorSize(REAL(f));
}
static int r_device(sqlite3_file *f)
{
	return REAL(f)->pMethods->xDeviceCharacteristics(REAL(f));
}
static int r_map(
    sqlite3_file *f, int region, int size, int extend, void volatile **out)
{
	return REAL(f)->pMethods->xShmMap(REAL(f), region, size, extend, out);
}
static int r_shm_lock(sqlite3_file *f, int offset, int n, int flags)
{
	return REAL(f)->pMethods->xShmLock(REAL(f), offset, n, flags);
}
static void r_barrier(sqlite3_file *f)
{
	REAL(f)->pMethods->xShmBarrier(REAL(f));
}
static int r_unmap(sqlite3_file *f, int drop)
{
	return REAL(f)->pMethods->xShmUnmap(REAL(f), drop);
}
static int r_fetch(sqlite3_file *f, sqlite3_int64 at, int n, void **out)
{
	*out = NULL;
	return SQLITE_OK;
}
static int r_unfetch(sqlite3_file *f, sqlite3_int64 at, void *p)
{
	void (*now)(void) = in_between;

	in_between = NULL;
	if (now && ((struct racing_file *)(void *)f)->is_main)
		now();
	return SQLITE_OK;
}

static int r_open(
    sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out)
{
	struct racing_file *f = (struct racing_file *)(void *)file;
	int rc;

	*f = (struct racing_file){.real = (sqlite3_file *)(void *)(f + 1),
	    .is_main = (flags & SQLITE_OPEN_MAIN_DB) != 0};
	rc = raced->xOpen(raced, name, f->real, flags, out);
	if (f->real->pMethods)
		f->base.pMethods = &racing_methods;
	return rc;
}

static void register_racing(const char *over)
{
	raced = sqlite3_vfs_find(over);
	ck_assert_ptr_nonnull(raced);
	racing = *raced;
	racing.zName = "racing";
	racing.szOsFile += (int)sizeof(struct racing_file);
	racing.xOpen = r_open;
	racing_methods = (sqlite3_io_methods){3, r_close, r_read, r_write,
	    r_truncate, r_sync, r_size, r_lock, r_unlock, r_reserved, r_control,
	    r_sector, r_device, r_map, r_shm_lock, r_barrier, r_unmap, r_fetch,
	    r_unfetch};
	ck_assert_int_eq(sqlite3_vfs_register(&racing, 0), SQLITE_OK);
}

static sqlite3 *writer, *checkpointer;
static int committed_in_between;

static int run(sqlite3 *db, const char *sql)
{
	return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

#define FILL(n, what)                                                          \
	"WITH c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < " n    \
	") INSERT INTO t(word) SELECT '" what "' || i || hex(zeroblob(1000))"  \
	" FROM c"

static void commit_and_restart(void)
{
	committed_in_between =
	    run(writer, "INSERT INTO t(word) VALUES ('between')") == SQLITE_OK;
}

static sqlite3 *open_with(const char *path, const char *vfs)
{
	sqlite3 *db;

	ck_assert_int_eq(sqlite3_open_v2(path, &db,
			     SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, vfs),
	    SQLITE_OK);
	ck_assert_int_eq(run(db, "PRAGMA wal_autocheckpoint = 0"), SQLITE_OK);
	return db;
}

/* True: the file is sound and has all rows that were committed. */
static bool survives_the_race(
    const char *path, const char *writer_vfs, const char *checkpointer_vfs)
{
	int log, copied, want, rows = -1;
	sqlite3_stmt *stmt;
	sqlite3 *fresh;
	bool sound;

	register_racing(checkpointer_vfs);
	writer = open_with(path, writer_vfs);
	ck_assert_int_eq(run(writer, "PRAGMA journal_mode = WAL"), SQLITE_OK);
	ck_assert_int_eq(
	    run(writer, "CREATE TABLE t(id INTEGER PRIMARY KEY, word);"
			"CREATE INDEX i ON t(word);"),
	    SQLITE_OK);
	checkpointer = open_with(path, "racing");
	ck_assert_int_eq(
	    run(checkpointer, "SELECT count(*) FROM t"), SQLITE_OK);
	ck_assert_int_eq(run(writer, FILL("200", "a")), SQLITE_OK);
	ck_assert_int_eq(sqlite3_wal_checkpoint_v2(writer, NULL,
			     SQLITE_CHECKPOINT_PASSIVE, &log, &copied),
	    SQLITE_OK);
	ck_assert_int_eq(log, copied);

	/* The log is copied completely: the next commit begins it anew. */
	in_between = commit_and_restart;
	(void)sqlite3_wal_checkpoint_v2(
	    checkpointer, NULL, SQLITE_CHECKPOINT_PASSIVE, &log, &copied);
	ck_assert_ptr_null((void *)in_between);
	/* Frames that are taken for copied, and then overwritten. */
	ck_assert_int_eq(run(writer, FILL("20", "b")), SQLITE_OK);
	(void)sqlite3_wal_checkpoint_v2(
	    writer, NULL, SQLITE_CHECKPOINT_PASSIVE, &log, &copied);
	ck_assert_int_eq(run(writer, FILL("5", "c")), SQLITE_OK);
	(void)sqlite3_wal_checkpoint_v2(
	    writer, NULL, SQLITE_CHECKPOINT_TRUNCATE, &log, &copied);
	want = 225 + committed_in_between;
	(void)sqlite3_close(checkpointer);
	(void)sqlite3_close(writer);

	fresh = open_with(path, NULL);
	if (sqlite3_prepare_v2(fresh,
		"SELECT (SELECT count(*) FROM t NOT INDEXED)", -1, &stmt,
		NULL) == SQLITE_OK &&
	    sqlite3_step(stmt) == SQLITE_ROW)
		rows = sqlite3_column_int(stmt, 0);
	(void)sqlite3_finalize(stmt);
	sound = sqlite3_prepare_v2(fresh, "PRAGMA integrity_check", -1, &stmt,
		    NULL) == SQLITE_OK &&
		sqlite3_step(stmt) == SQLITE_ROW &&
		strcmp((const char *)sqlite3_column_text(stmt, 0), "ok") == 0;
	(void)sqlite3_finalize(stmt);
	(void)sqlite3_close(fresh);
	return sound && rows == want;
}

static bool sqlite_is_fixed(void)
{
	int v = sqlite3_libversion_number();

	return v >= 3051003 || (v >= 3050007 && v < 3051000) ||
	       (v >= 3044006 && v < 3045000);
}

static const struct {
	const char *label, *writer, *checkpointer;
	bool survives;
} races[] = {
    {"plain against plain", NULL, NULL, false},
    {"ours against ours", QUEUE_VFS, QUEUE_VFS, true},
    {"a shell writes, we checkpoint", NULL, QUEUE_VFS, true},
    {"we write, a shell checkpoints", QUEUE_VFS, NULL, true},
};

START_TEST(the_shim_closes_the_wal_reset_race)
{
	const char *path = store_path();
	struct queue_lock lock;
	bool survived;

	ck_ok(queue_vfs_register(&why));
	/* The assertion of devel builds; not what keeps the two apart here. */
	ck_ok(queue_lock_open(&lock, path, &why));
	ck_assert_int_eq(queue_lock_take(&lock, INT64_MAX, NULL), LOCK_TAKEN);
	survived =
	    survives_the_race(path, races[_i].writer, races[_i].checkpointer);
	ck_assert_msg(survived == races[_i].survives ||
			  (!races[_i].survives && sqlite_is_fixed()),
	    "%s: %s", races[_i].label, survived ? "survived" : "damaged");
	queue_lock_close(&lock);
}
END_TEST

START_TEST(recovery_works_through_the_shim)
{
	const char *path = store_path();
	struct queue *queue = store_open(path, QUEUE_MILTER);
	struct queue_conn *conn = store_connect(queue);
	char shm[128];

	put_many(conn, "example.com", 3);
	queue_disconnect(conn);
	queue_close(queue);
	/* As after a reboot: the index of the log is gone, the log is not. */
	(void)snprintf(shm, sizeof shm, "%s-shm", path);
	ck_assert_int_eq(remove(shm), 0);
	queue = store_open(path, QUEUE_ROUTER);
	ck_assert_int_eq(sql_int(path, "SELECT count(*) FROM recipient"), 3);
	queue_close(queue);
	assert_sound(path);
}
END_TEST

#ifdef ENABLE_DEVEL
START_TEST(writing_without_the_writer_lock_is_a_bug)
{
	sqlite3 *db;

	ck_ok(queue_vfs_register(&why));
	db = open_with(store_path(), QUEUE_VFS);
	(void)run(db, "CREATE TABLE t(x)");
}
END_TEST
#endif

TCase *vfs_tests(void)
{
	TCase *t = tcase_create("vfs");

	tcase_add_loop_test(
	    t, the_shim_closes_the_wal_reset_race, 0, (int)COUNT(races));
	tcase_add_test(t, recovery_works_through_the_shim);
#ifdef ENABLE_DEVEL
	tcase_add_test_raise_signal(
	    t, writing_without_the_writer_lock_is_a_bug, 6);
#endif
	return t;
}
