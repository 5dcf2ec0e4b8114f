/* wal_buffer_test.c - queue/queue_wal_buffer.h: kept frames, and who sees them
 */
#include "tests/unit/queue/queue_test.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

static void run(struct queue_conn *conn, const char *sql)
{
	char *why = NULL;
	int rc = sqlite3_exec(conn->db, sql, NULL, NULL, &why);

	ck_assert_msg(rc == SQLITE_OK, "%s: %s", sql, why);
}

/* So small a cache that a transaction reaches the log before it commits. */
static struct queue_conn *connect_small(struct queue *queue)
{
	struct queue_conn *conn = store_connect(queue);

	run(conn, "PRAGMA cache_size = 5");
	return conn;
}

/* Some 120 pages. */
static void write_chunks(struct queue_conn *conn, int from)
{
	char sql[200];

	(void)snprintf(sql, sizeof sql,
	    "WITH RECURSIVE n(i) AS (SELECT %d UNION ALL SELECT i + 1 FROM n "
	    "WHERE i < %d) INSERT INTO chunk (id, bytes) "
	    "SELECT i, randomblob(50000) FROM n",
	    from, from + 9);
	run(conn, sql);
}

static int64_t writes(void)
{
	FILE *f = fopen("/proc/self/io", "re");
	char line[100];
	long long n = -1;

	while (f && fgets(line, sizeof line, f))
		(void)sscanf(line, "syscw: %lld", &n);
	if (f)
		(void)fclose(f);
	return n;
}

START_TEST(a_transaction_is_a_few_writes)
{
	struct queue *queue = store_open(store_path(), QUEUE_ROUTER);
	struct queue_conn *conn = store_connect(queue);
	int64_t before;
	int frames;

	put_many(conn, "example.com", 1);
	before = writes();
	frames = conn->wal_frames;
	ck_ok(queue_begin(conn, QUEUE_LATER, &why));
	write_chunks(conn, 1);
	ck_ok(queue_commit(conn, &why));
	frames = conn->wal_frames - frames;
	ck_assert_int_gt(frames, 100);
	if (before >= 0)
		ck_assert_int_lt(writes() - before, 30);
	queue_disconnect(conn);
	queue_close(queue);
}
END_TEST

START_TEST(frames_that_were_rolled_back_overwrite_nothing)
{
	const char *path = store_path();
	struct queue *queue = store_open(path, QUEUE_ROUTER);
	struct queue_conn *a = connect_small(queue);
	struct queue_conn *b = store_connect(queue);

	for (int round = 0; round < 3; round++) {
		ck_ok(queue_begin(a, QUEUE_LATER, &why));
		write_chunks(a, 1000);
		queue_rollback(a);
		/* At the place where those would have been. */
		put_many(b, "example.com", 50);
		put_many(a, "example.org", 50);
	}
	ck_assert_int_eq(sql_int(path, "SELECT count(*) FROM recipient"), 300);
	ck_assert_int_eq(sql_int(path, "SELECT count(*) FROM chunk"), 0);
	queue_disconnect(a);
	queue_disconnect(b);
	queue_close(queue);
	assert_sound(path);
}
END_TEST

START_TEST(what_is_kept_can_be_read_written_again_and_taken_back)
{
	const char *path = store_path();
	struct queue *queue = store_open(path, QUEUE_ROUTER);
	struct queue_conn *conn = connect_small(queue);

	ck_ok(queue_begin(conn, QUEUE_LATER, &why));
	write_chunks(conn, 1);
	run(conn, "SAVEPOINT s");
	write_chunks(conn, 100);
	run(conn, "UPDATE chunk SET bytes = zeroblob(length(bytes))");
	run(conn, "ROLLBACK TO s");
	run(conn, "UPDATE chunk SET bytes = zeroblob(40000) WHERE id < 6");
	run(conn, "UPDATE chunk SET bytes = zeroblob(39999) WHERE id < 6");
	write_chunks(conn, 200);
	run(conn, "DELETE FROM chunk WHERE id >= 206");
	ck_ok(queue_commit(conn, &why));
	ck_assert_int_eq(sql_int(path, "SELECT count(*) FROM chunk"), 16);
	ck_assert_int_eq(
	    sql_int(path, "SELECT count(*) FROM chunk WHERE length(bytes) = "
			  "39999 AND bytes = zeroblob(39999)"),
	    5);
	ck_assert_int_eq(
	    sql_int(path, "SELECT count(*) FROM chunk WHERE length(bytes) = "
			  "50000 AND bytes <> zeroblob(50000)"),
	    11);
	ck_ok(queue_begin(conn, QUEUE_LATER, &why));
	run(conn, "DELETE FROM chunk");
	ck_ok(queue_commit(conn, &why));
	put_many(conn, "example.com", 20);
	queue_disconnect(conn);
	queue_close(queue);
	ck_assert_int_eq(sql_int(path, "SELECT count(*) FROM recipient"), 20);
	assert_sound(path);
}
END_TEST

START_TEST(a_commit_that_cannot_be_written_is_none)
{
	const char *path = store_path();
	struct queue *queue = store_open(path, QUEUE_ROUTER);
	struct queue_conn *conn =
	    _i ? connect_small(queue) : store_connect(queue);
	struct rlimit normal, little;
	struct err err = {0};
	struct stat st;
	char wal[128];

	put_many(conn, "example.com", 7);
	(void)snprintf(wal, sizeof wal, "%s-wal", path);
	ck_assert_int_eq(stat(wal, &st), 0);
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &normal), 0);
	(void)signal(SIGXFSZ, SIG_IGN);
	little = normal;
	little.rlim_cur = (rlim_t)st.st_size + 20000;
	ck_ok(queue_begin(conn, QUEUE_LATER, &why));
	run(conn, "DELETE FROM recipient");
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &little), 0);
	(void)sqlite3_exec(conn->db,
	    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
	    "WHERE i < 9) INSERT INTO chunk (id, bytes) "
	    "SELECT i, randomblob(50000) FROM n",
	    NULL, NULL, NULL);
	ck_assert(!queue_commit(conn, &err));
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &normal), 0);
	queue_disconnect(conn);
	queue_close(queue);
	ck_assert_int_eq(sql_int(path, "SELECT count(*) FROM recipient"), 7);
	ck_assert_int_eq(sql_int(path, "SELECT count(*) FROM chunk"), 0);
	assert_sound(path);
}
END_TEST

/* What a recovery makes of the file and its log as they are now. */
static int64_t recovered(const char *path, const char *sql)
{
	char copy[300], from[300], cmd[2000];
	int64_t n;

	(void)snprintf(copy, sizeof copy, "%s-copy", path);
	(void)snprintf(from, sizeof from, "%s-wal", path);
	(void)snprintf(cmd, sizeof cmd,
	    "rm -f '%s'*; cp '%s' '%s'; cp '%s' '%s-wal'", copy, path, copy,
	    from, copy);
	/* NOLINTNEXTLINE(cert-env33-c,bugprone-command-processor) */
	ck_assert_int_eq(system(cmd), 0);
	n = sql_int(copy, sql);
	return n;
}

static void random_steps(struct queue_conn *conn)
{
	static const char *const steps[] = {
	    "INSERT INTO chunk (bytes) VALUES (zeroblob(500))",
	    "INSERT INTO chunk (bytes) VALUES (zeroblob(9000))",
	    "INSERT INTO chunk (bytes) VALUES (zeroblob(29000))",
	    "UPDATE chunk SET bytes = zeroblob(7000) WHERE id % 3 = 0",
	    "UPDATE chunk SET bytes = zeroblob(2000) WHERE id % 3 = 1",
	};

	for (int i = rand() % 5; i >= 0; i--)
		run(conn, steps[(size_t)rand() % COUNT(steps)]);
}

/* With a cache that is not enough for any transaction. */
START_TEST(a_session_that_is_taken_back_costs_no_commit_after_it)
{
	const char *path = store_path();
	struct queue *queue = store_open(path, QUEUE_MILTER);
	struct queue_conn *conn = connect_small(queue);

	srand((unsigned)_i);
	for (int i = 1; i <= 40; i++) {
		ck_ok(queue_begin(conn, QUEUE_LATER, &why));
		for (int n = rand() % 6; n >= 0; n--) {
			run(conn, "SAVEPOINT session");
			random_steps(conn);
			if (rand() % 2)
				run(conn, "ROLLBACK TO session");
			run(conn, "RELEASE session");
			if (rand() % 4 == 0)
				run(conn, "DELETE FROM chunk WHERE id % 2");
		}
		run(conn, "UPDATE sqlite_sequence SET seq = seq + 1 "
			  "WHERE name = 'content'");
		run(conn, "INSERT INTO sqlite_sequence SELECT 'content', 1 "
			  "WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence "
			  "WHERE name = 'content')");
		ck_ok(queue_commit(conn, &why));
		ck_assert_int_eq(recovered(path, "SELECT seq FROM "
						 "sqlite_sequence WHERE name = "
						 "'content'"),
		    i);
	}
	queue_disconnect(conn);
	queue_close(queue);
}
END_TEST

TCase *wal_buffer_tests(void)
{
	TCase *t = tcase_create("wal_buffer");

	tcase_add_test(t, a_transaction_is_a_few_writes);
	tcase_add_test(t, frames_that_were_rolled_back_overwrite_nothing);
	tcase_add_test(
	    t, what_is_kept_can_be_read_written_again_and_taken_back);
	tcase_add_loop_test(t, a_commit_that_cannot_be_written_is_none, 0, 2);
	tcase_add_loop_test(
	    t, a_session_that_is_taken_back_costs_no_commit_after_it, 1, 4);
	return t;
}
