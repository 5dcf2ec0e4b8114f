/* open_test.c - queue/queue_db.h, queue_file.c: who may open what */
#include "tests/unit/queue/queue_test.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "queue/queue_check.h"

static bool try_open(
    const char *path, enum queue_program program, bool create, struct err *err)
{
	struct queue_options options = {
	    .path = path, .program = program, .create = create};
	struct queue *queue;

	if (!queue_open(&queue, &options, err))
		return false;
	queue_close(queue);
	return true;
}

static mode_t mode_of(const char *path, const char *suffix)
{
	char name[128];
	struct stat st;

	(void)snprintf(name, sizeof name, "%s%s", path, suffix);
	ck_assert_msg(stat(name, &st) == 0, "%s", name);
	return st.st_mode & 0777;
}

START_TEST(a_new_file_is_complete_and_for_the_group)
{
	const char *path = store_path();
	struct queue *queue;

	(void)umask(077);
	queue = store_open(path, QUEUE_MILTER);
	ck_assert_int_eq(mode_of(path, ""), 0660);
	ck_assert_int_eq(mode_of(path, "-wal"), 0660);
	ck_assert_int_eq(mode_of(path, "-shm"), 0660);
	ck_assert_str_eq(sql_text(path, "PRAGMA journal_mode"), "wal");
	ck_assert_int_eq(sql_int(path, "PRAGMA auto_vacuum"), 2);
	queue_close(queue);
	/* They stay, or a reader of the group could not open it. */
	ck_assert_int_eq(mode_of(path, "-wal"), 0660);
	ck_assert_int_eq(mode_of(path, "-shm"), 0660);
	assert_sound(path);
}
END_TEST

static const struct {
	const char *label, *sql; /* NULL: text */
	const char *text;
	enum err_class class;
} refused[] = {
    {"text", NULL, "this is no database", ERR_PERM},
    {"a long text", NULL,
	"this is no database, but it is longer than the hundred bytes that "
	"the header of a database has, so it can be read",
	ERR_PERM},
    {"somebody else's database", "CREATE TABLE t(x);", NULL, ERR_PERM},
    {"a newer schema",
	"PRAGMA application_id = 1346719315; PRAGMA user_version = 4711;"
	"CREATE TABLE t(x);",
	NULL, ERR_CONFIG},
};

static char *whole(const char *path, size_t *len)
{
	char *bytes = fd_read_file(path, 1 << 20, len, NULL);

	ck_assert_ptr_nonnull(bytes);
	return bytes;
}

START_TEST(what_is_not_ours_is_refused_and_not_touched)
{
	const char *path = store_path();
	char *before, *after, name[128];
	size_t len, len_after;
	struct err err = {0};
	sqlite3 *db;

	if (refused[_i].sql) {
		ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
		ck_assert_int_eq(
		    sqlite3_exec(db, refused[_i].sql, NULL, NULL, NULL),
		    SQLITE_OK);
		ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
	} else {
		FILE *f = fopen(path, "w");

		ck_assert_ptr_nonnull(f);
		ck_assert_int_ge(fputs(refused[_i].text, f), 0);
		ck_assert_int_eq(fclose(f), 0);
	}
	before = whole(path, &len);
	ck_assert_msg(
	    !try_open(path, QUEUE_MILTER, true, &err), "%s", refused[_i].label);
	ck_assert_msg(err.class == refused[_i].class, "%s: %s",
	    refused[_i].label, err.text);
	after = whole(path, &len_after);
	ck_assert_uint_eq(len, len_after);
	ck_assert_mem_eq(before, after, len);
	(void)snprintf(name, sizeof name, "%s-wal", path);
	ck_assert_int_ne(access(name, F_OK), 0);
	(void)snprintf(name, sizeof name, "%s-writer", path);
	ck_assert_int_ne(access(name, F_OK), 0);
	free(before);
	free(after);
}
END_TEST

START_TEST(a_file_that_is_not_there_is_made_only_when_asked)
{
	const char *path = store_path();
	struct err err = {0};

	ck_assert(!try_open(path, QUEUE_TOOL, false, &err));
	ck_assert_int_eq(err.class, ERR_CONFIG);
	ck_assert_int_ne(access(path, F_OK), 0);
	ck_ok(try_open(path, QUEUE_MILTER, true, &why));
}
END_TEST

START_TEST(an_empty_file_becomes_a_queue)
{
	const char *path = store_path();
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	struct err err = {0};

	ck_assert_int_ge(fd, 0);
	(void)close(fd);
	/* Of a daemon; who only looks is told what it is. */
	ck_assert(!try_open(path, QUEUE_TOOL, false, &err));
	ck_assert_int_eq(err.class, ERR_PERM);
	ck_assert_ptr_nonnull(strstr(err.text, "it is empty"));
	ck_ok(try_open(path, QUEUE_ROUTER, true, &why));
	assert_sound(path);
}
END_TEST

#ifdef ENABLE_DEVEL
START_TEST(a_network_file_system_is_refused)
{
	const char *path = store_path();
	struct err err = {0};

	queue_file_test_fs_type = 0x6969;
	ck_assert(!try_open(path, QUEUE_MILTER, true, &err));
	ck_assert_int_eq(err.class, ERR_CONFIG);
	ck_assert_ptr_nonnull(strstr(err.text, "NFS"));
	ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST
#endif

START_TEST(a_second_router_is_refused)
{
	const char *path = store_path();
	struct queue *milter = store_open(path, QUEUE_MILTER), *router;
	struct err err = {0};

	ck_assert(!queue_router_runs(milter));
	router = store_open(path, QUEUE_ROUTER);
	ck_assert(queue_router_runs(milter));
	ck_assert(!try_open(path, QUEUE_ROUTER, true, &err));
	ck_assert_int_eq(err.class, ERR_CONFIG);
	ck_assert_ptr_nonnull(strstr(err.text, "another router"));
	queue_close(router);
	ck_assert(!queue_router_runs(milter));
	ck_ok(try_open(path, QUEUE_ROUTER, true, &why));
	queue_close(milter);
}
END_TEST

START_TEST(a_newer_schema_that_stands_in_the_log_is_refused)
{
	const char *path = store_path();
	struct err err = {0};

	queue_close(store_open(path, QUEUE_MILTER));
	sql_run(path, "PRAGMA user_version = 4711");
	ck_assert(!try_open(path, QUEUE_MILTER, true, &err));
	ck_assert_int_eq(err.class, ERR_CONFIG);
}
END_TEST

/* The documented query, as a member of the group who owns nothing. */
static int shell_as_group_member(const char *path)
{
	static const gid_t group = 54321;
	char dir[128], command[256];
	int status;
	pid_t child;

	ck_ok(path_dir(dir, sizeof dir, path, &why));
	ck_assert_int_eq(chown(dir, 0, group), 0);
	ck_assert_int_eq(chmod(dir, 0750), 0);
	for (size_t i = 0; i < 3; i++) {
		static const char *const suffixes[] = {"", "-wal", "-shm"};
		char name[160];

		(void)snprintf(name, sizeof name, "%s%s", path, suffixes[i]);
		ck_assert_int_eq(chown(name, 54320, group), 0);
	}
	(void)snprintf(command, sizeof command,
	    "test \"$(sqlite3 -readonly %s 'SELECT count(*) FROM v_queue')\" "
	    "= 2",
	    path);
	child = fork();
	if (child == 0) {
		if (setgroups(0, NULL) < 0 || setgid(group) < 0 ||
		    setuid(54322) < 0)
			_exit(99);
		(void)execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(98);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	return status;
}

START_TEST(a_reader_of_the_group_needs_no_daemon)
{
	const char *path = store_path();
	struct queue *queue;
	struct queue_conn *conn;
	int status;
	pid_t child;

	if (geteuid() != 0 || access("/usr/bin/sqlite3", X_OK) != 0)
		return;
	/* Killed. */
	child = fork();
	if (child == 0) {
		queue = store_open(path, QUEUE_MILTER);
		put_many(store_connect(queue), "example.com", 2);
		(void)raise(SIGKILL);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	ck_assert_int_eq(shell_as_group_member(path), 0);
	/* Running. */
	queue = store_open(path, QUEUE_MILTER);
	conn = store_connect(queue);
	ck_assert_int_eq(shell_as_group_member(path), 0);
	queue_disconnect(conn);
	/* Stopped. */
	queue_close(queue);
	ck_assert_int_eq(shell_as_group_member(path), 0);
}
END_TEST

START_TEST(damage_is_seen_after_an_unclean_stop)
{
	const char *path = store_path();
	struct queue *queue = store_open(path, QUEUE_ROUTER);
	struct queue_conn *conn = store_connect(queue);
	struct err err = {0};
	char page[4096];
	int64_t root;
	int fd;

	put_many(conn, "example.com", 3);
	queue_disconnect(conn);
	queue_close(queue);
	sql_run(path, "PRAGMA wal_checkpoint(TRUNCATE)");
	root = sql_int(path,
	    "SELECT rootpage FROM sqlite_schema WHERE name = 'recipient_due'");
	memset(page, 0x55, sizeof page);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	ck_assert_int_eq(
	    pwrite(fd, page, sizeof page, (root - 1) * 4096), 4096);
	(void)close(fd);
	sql_run(path, "UPDATE owner SET stopped_at = NULL");
	ck_assert(!try_open(path, QUEUE_ROUTER, false, &err));
	ck_assert_int_eq(err.class, ERR_PERM);
}
END_TEST

/* A table that is not looked at before the start. */
static void damage_content(const char *path)
{
	char page[4096];
	int64_t root = sql_int(
	    path, "SELECT rootpage FROM sqlite_schema WHERE name = 'content'");
	int fd;

	memset(page, 0x55, sizeof page);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	ck_assert_int_eq(
	    pwrite(fd, page, sizeof page, (root - 1) * 4096), 4096);
	(void)close(fd);
}

/* Until the thread has said something. */
static bool has_room_after_check(struct queue *queue, struct err *err)
{
	struct queue_check *check = queue_check_start(queue);
	int64_t deadline = clock_now_ms() + 20000;
	bool room;

	ck_assert_ptr_nonnull(check);
	do {
		queue_check_tend(check);
		room = queue_has_room(queue, err);
		(void)usleep(1000);
	} while (room && atomic_load(&queue->check_owed) &&
		 clock_now_ms() < deadline);
	queue_check_stop(check);
	return room;
}

START_TEST(the_whole_file_is_checked_after_an_unclean_stop)
{
	const char *path = store_path();
	struct queue *queue = store_open(path, QUEUE_MILTER);
	struct queue_conn *conn = store_connect(queue);
	struct err err = {0};

	put_many(conn, "example.com", 3);
	queue_disconnect(conn);
	ck_assert_ptr_null(queue_check_start(queue));
	queue_close(queue);

	sql_run(path, "UPDATE owner SET stopped_at = NULL");
	queue = store_open(path, QUEUE_MILTER);
	ck_assert(has_room_after_check(queue, &err));
	queue_close(queue);
	ck_assert_int_eq(
	    sql_int(path, "SELECT stopped_at IS NOT NULL FROM owner"), 1);

	sql_run(path, "UPDATE owner SET stopped_at = NULL");
	sql_run(path, "PRAGMA wal_checkpoint(TRUNCATE)");
	damage_content(path);
	queue = store_open(path, QUEUE_MILTER);
	ck_assert(!has_room_after_check(queue, &err));
	ck_assert_int_eq(err.class, ERR_PERM);
	ck_assert_ptr_nonnull(strstr(err.text, "is damaged"));
	queue_close(queue);
	/* Nor is it forgotten by stopping cleanly. */
	ck_assert_int_eq(
	    sql_int(path, "SELECT stopped_at IS NOT NULL FROM owner"), 0);
}
END_TEST

START_TEST(a_check_ends_when_it_is_told_to)
{
	const char *path = store_path();
	struct queue *queue = store_open(path, QUEUE_MILTER);
	struct queue_conn *conn = store_connect(queue);
	struct message *m = mail_to("bob@example.com", 60 << 20);
	struct queue_check *check;
	int64_t begun;

	put_mail(conn, &m, 1);
	queue_disconnect(conn);
	queue_close(queue);
	sql_run(path, "UPDATE owner SET stopped_at = NULL");
	queue = store_open(path, QUEUE_MILTER);
	check = queue_check_start(queue);
	begun = clock_now_ms();
	queue_check_stop(check);
	ck_assert_int_lt(clock_now_ms() - begun, 5000);
	queue_close(queue);
}
END_TEST

START_TEST(a_symbolic_link_is_another_name_of_the_same_queue)
{
	const char *path = store_path();
	char link[128];
	struct queue *router, *milter;
	struct queue_conn *conn;
	struct err err = {0};

	(void)snprintf(link, sizeof link, "%s-link", path);
	ck_assert_int_eq(symlink(path, link), 0);
	ck_assert(!try_open(link, QUEUE_MILTER, true, &err));
	ck_assert_int_eq(err.class, ERR_CONFIG);

	router = store_open(path, QUEUE_ROUTER);
	ck_assert(!try_open(link, QUEUE_ROUTER, false, &err));
	ck_assert_ptr_nonnull(strstr(err.text, "another router"));
	milter = store_open(link, QUEUE_MILTER);
	ck_assert_str_eq(queue_path(milter), path);
	conn = store_connect(milter);
	put_many(conn, "example.com", 3);
	ck_assert_int_gt(queue_log_bytes(milter), 0);
	queue_disconnect(conn);
	queue_close(milter);
	queue_close(router);
}
END_TEST

START_TEST(files_of_an_open_queue_are_known)
{
	const char *path = store_path();
	struct queue *queue = store_open(path, QUEUE_MILTER);
	struct stat st;
	char name[128];

	(void)snprintf(name, sizeof name, "%s-shm", path);
	ck_assert_int_eq(stat(name, &st), 0);
	ck_assert(queue_is_file_of_queue(st.st_dev, st.st_ino));
	ck_assert_int_eq(stat("/etc/passwd", &st), 0);
	ck_assert(!queue_is_file_of_queue(st.st_dev, st.st_ino));
	ck_assert_int_eq(stat(path, &st), 0);
	queue_close(queue);
	ck_assert(!queue_is_file_of_queue(st.st_dev, st.st_ino));
}
END_TEST

START_TEST(the_floor_of_free_space_is_kept)
{
	const char *path = store_path();
	struct queue_options options = {.path = path,
	    .program = QUEUE_MILTER,
	    .create = true,
	    .free_floor_bytes = INT64_MAX,
	    .free_floor_percent = 100};
	struct err err = {0};
	struct queue *queue;

	ck_ok(queue_open(&queue, &options, &why));
	ck_assert(!queue_has_room(queue, &err));
	ck_assert_int_eq(err.class, ERR_TEMP);
	ck_assert_ptr_nonnull(strstr(err.text, "the floor is"));
	queue_close(queue);
	options.free_floor_bytes = 1;
	ck_ok(queue_open(&queue, &options, &why));
	ck_ok(queue_has_room(queue, &why));
	queue_close(queue);
}
END_TEST

TCase *open_tests(void)
{
	TCase *t = tcase_create("open");

	tcase_add_test(t, a_new_file_is_complete_and_for_the_group);
	tcase_add_loop_test(t, what_is_not_ours_is_refused_and_not_touched, 0,
	    (int)COUNT(refused));
	tcase_add_test(t, a_file_that_is_not_there_is_made_only_when_asked);
	tcase_add_test(t, an_empty_file_becomes_a_queue);
#ifdef ENABLE_DEVEL
	tcase_add_test(t, a_network_file_system_is_refused);
#endif
	tcase_add_test(t, a_second_router_is_refused);
	tcase_add_test(t, a_newer_schema_that_stands_in_the_log_is_refused);
	tcase_add_test(t, a_reader_of_the_group_needs_no_daemon);
	tcase_add_test(t, damage_is_seen_after_an_unclean_stop);
	tcase_add_test(t, the_whole_file_is_checked_after_an_unclean_stop);
	tcase_add_test(t, a_check_ends_when_it_is_told_to);
	tcase_add_test(t, a_symbolic_link_is_another_name_of_the_same_queue);
	tcase_add_test(t, files_of_an_open_queue_are_known);
	tcase_add_test(t, the_floor_of_free_space_is_kept);
	return t;
}
