/* place_test.c - files of an open queue that are removed, moved or replaced */
#include "tests/unit/queue/queue_test.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

static const char *beside(const char *path, const char *suffix)
{
	static char name[128];

	(void)snprintf(name, sizeof name, "%s%s", path, suffix);
	return name;
}

static void write_file(const char *name, const char *text)
{
	int fd = open(name, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), (int)strlen(text));
	(void)close(fd);
}

static bool removed(const char *name)
{
	return unlink(name) == 0;
}

static bool replaced(const char *name)
{
	char other[160];

	(void)snprintf(other, sizeof other, "%s.other", name);
	write_file(other, "");
	return rename(other, name) == 0;
}

static const struct {
	const char *suffix;
	bool (*happens)(const char *name);
	const char *said;
} gone[] = {
    {"", removed, " was removed"},
    {"", replaced, " was replaced"},
    {"-wal", removed, "-wal was removed"},
    {"-wal", replaced, "-wal was replaced"},
    {"-shm", removed, "-shm was removed"},
    {"-writer", removed, "-writer was removed"},
    {"-writer", replaced, "-writer was replaced"},
};

START_TEST(nothing_is_acknowledged_when_a_file_of_the_queue_is_gone)
{
	const char *path = store_path();
	struct queue *queue = store_open(path, QUEUE_MILTER);
	struct queue_writer *writer = queue_writer_start(queue, NULL);
	struct message *m = mail_to("bob@example.com", 1000);
	struct queue_intake intake = {.messages = &m, .count = 1};
	struct err err = {0};
	struct custody *custody;

	ck_assert_ptr_nonnull(writer);
	custody = custody_begin(writer, &intake);
	ck_assert_int_eq(
	    custody_wait(custody, clock_now_ms() + 60000, NULL, NULL, &err),
	    CUSTODY_COMMITTED);
	custody_free(custody);

	ck_assert(gone[_i].happens(beside(path, gone[_i].suffix)));
	custody = custody_begin(writer, &intake);
	/* At once, and not at the deadline. */
	ck_assert_int_eq(
	    custody_wait(custody, clock_now_ms() + 60000, NULL, NULL, &err),
	    CUSTODY_FAILED);
	custody_free(custody);
	ck_assert_msg(strstr(err.text, gone[_i].said), "%s", err.text);
	err = (struct err){0};
	clock_shift(600); /* a look at the room is kept for 500 ms */
	ck_assert(!queue_has_room(queue, &err));
	ck_assert_msg(strstr(err.text, gone[_i].said), "%s", err.text);
	queue_writer_stop(writer);
	queue_close(queue);
	message_unref(m);
}
END_TEST

START_TEST(a_directory_that_was_moved_away_and_back_is_the_same_queue)
{
	const char *path = store_path();
	struct queue *queue = store_open(path, QUEUE_ROUTER);
	struct queue_conn *conn = store_connect(queue);
	struct err err = {0};
	char away[160];

	(void)snprintf(away, sizeof away, "%s.away", path);
	put_many(conn, "example.com", 1);
	ck_assert_int_eq(rename(path, away), 0);
	ck_assert(!queue_begin(conn, QUEUE_SYNCED, &err));
	ck_assert_int_eq(err.class, ERR_CONFIG);
	ck_assert_int_eq(rename(away, path), 0);
	put_many(conn, "example.com", 1);
	queue_disconnect(conn);
	queue_close(queue);
	ck_assert_int_eq(sql_int(path, "SELECT count(*) FROM message"), 2);
	assert_sound(path);
}
END_TEST

/* As `sqlite3 queue.db` does when it is the last one that has it open. */
START_TEST(a_log_that_a_shell_removed_while_nothing_was_open_is_no_matter)
{
	const char *path = store_path();
	struct queue *queue = store_open(path, QUEUE_MILTER);
	struct queue_conn *conn = store_connect(queue);

	put_many(conn, "example.com", 1);
	queue_disconnect(conn);
	sql_run(path, "PRAGMA wal_checkpoint(TRUNCATE)");
	ck_assert_int_eq(sql_int(path, "SELECT count(*) FROM message"), 1);
	(void)unlink(beside(path, "-wal"));
	(void)unlink(beside(path, "-shm"));
	conn = store_connect(queue);
	put_many(conn, "example.com", 1);
	queue_disconnect(conn);
	queue_close(queue);
	ck_assert_int_eq(sql_int(path, "SELECT count(*) FROM message"), 2);
	assert_sound(path);
}
END_TEST

START_TEST(what_a_removed_log_held_is_copied_back_at_the_end)
{
	const char *path = store_path();
	struct queue *queue = store_open(path, QUEUE_MILTER);
	struct queue_conn *conn = store_connect(queue);
	struct err err = {0};

	put_many(conn, "example.com", 3);
	ck_assert_int_eq(unlink(beside(path, "-wal")), 0);
	ck_assert(!queue_begin(conn, QUEUE_SYNCED, &err));
	queue_disconnect(conn);
	queue_close(queue);
	ck_assert_int_eq(sql_int(path, "SELECT count(*) FROM message"), 3);
	assert_sound(path);
}
END_TEST

START_TEST(a_file_that_is_cut_off_closes_the_intake)
{
	const char *path = store_path();
	struct queue *queue = store_open(path, QUEUE_MILTER);
	struct queue_writer *writer = queue_writer_start(queue, NULL);
	struct message *m = mail_to("bob@example.com", 1000);
	struct queue_intake intake = {.messages = &m, .count = 1};
	struct err err = {0};
	struct custody *custody;

	ck_assert_ptr_nonnull(writer);
	ck_assert_int_eq(truncate(path, 0), 0);
	custody = custody_begin(writer, &intake);
	ck_assert_int_eq(
	    custody_wait(custody, clock_now_ms() + 60000, NULL, NULL, &err),
	    CUSTODY_FAILED);
	custody_free(custody);
	queue_writer_stop(writer);
	err = (struct err){0};
	ck_assert(!queue_has_room(queue, &err));
	ck_assert_msg(strstr(err.text, "is damaged: "), "%s", err.text);
	queue_close(queue);
	message_unref(m);
}
END_TEST

static const struct {
	const char *file, *log, *key; /* NULL: is not there */
	const char *said;
} rests[] = {
    {NULL, "frames", NULL, "is not there, but "},
    {"", "frames", "0123456789abcdef", "is empty, but "},
    {"", "", "0123456789abcdef", "is empty, and was not always"},
};

START_TEST(what_is_left_of_a_queue_is_not_made_a_new_one)
{
	struct queue_options options = {
	    .path = store_path(), .program = QUEUE_ROUTER, .create = true};
	struct queue *queue;
	struct err err = {0};
	struct stat st;

	if (rests[_i].file)
		write_file(options.path, rests[_i].file);
	if (rests[_i].log)
		write_file(beside(options.path, "-wal"), rests[_i].log);
	if (rests[_i].key)
		write_file(beside(options.path, "-trace-key"), rests[_i].key);
	ck_assert(!queue_open(&queue, &options, &err));
	ck_assert_int_eq(err.class, ERR_PERM);
	ck_assert_msg(strstr(err.text, rests[_i].said), "%s", err.text);
	ck_assert_int_eq(stat(beside(options.path, "-wal"), &st), 0);
	ck_assert_int_eq(st.st_size, strlen(rests[_i].log));

	/* Moved out of the way it begins anew. */
	(void)unlink(options.path);
	(void)unlink(beside(options.path, "-wal"));
	(void)unlink(beside(options.path, "-trace-key"));
	queue_close(store_open(options.path, QUEUE_ROUTER));
}
END_TEST

TCase *place_tests(void)
{
	TCase *t = tcase_create("place");

	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t,
	    nothing_is_acknowledged_when_a_file_of_the_queue_is_gone, 0,
	    COUNT(gone));
	tcase_add_test(
	    t, a_directory_that_was_moved_away_and_back_is_the_same_queue);
	tcase_add_test(
	    t, a_log_that_a_shell_removed_while_nothing_was_open_is_no_matter);
	tcase_add_test(t, a_file_that_is_cut_off_closes_the_intake);
	tcase_add_test(t, what_a_removed_log_held_is_copied_back_at_the_end);
	tcase_add_loop_test(
	    t, what_is_left_of_a_queue_is_not_made_a_new_one, 0, COUNT(rests));
	return t;
}
