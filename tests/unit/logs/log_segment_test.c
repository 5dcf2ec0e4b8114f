/* log_segment_test.c - the files of a log */
#include "logs_test.h"

#include <limits.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "logs/log_segment.h"

static struct log_segment *segment_with(int64_t max_size, int64_t duration_ms)
{
	struct log_segment_options options = {
	    .dir = test_dir,
	    .suffix = ".zst",
	    .role = "router",
	    .max_file_size = max_size,
	    .max_duration_ms = duration_ms,
	};

	return log_segment_new(&options);
}

static void must_write(struct log_segment *s, const char *line)
{
	struct err err = {0};

	log_segment_put(s, line, strlen(line));
	ck_assert_msg(log_segment_flush(s, &err), "%s", err.text);
}

static void lines_are(const char *const *want, size_t count)
{
	struct lines lines = read_lines_of(test_dir);

	ck_assert_uint_eq(lines.count, count);
	for (size_t i = 0; i < count; i++)
		ck_assert_str_eq(lines.items[i], want[i]);
	free_lines(&lines);
}
#define LINES_ARE(...)                                                         \
	lines_are((const char *const[]){__VA_ARGS__},                          \
	    COUNT(((const char *const[]){__VA_ARGS__})))

START_TEST(what_was_flushed_can_be_read_at_once)
{
	struct log_segment *s = segment_with(1000, 0);

	must_write(s, "{\"n\":1}\n");
	LINES_ARE("{\"n\":1}");
	must_write(s, "{\"n\":2}\n{\"n\":3}\n");
	LINES_ARE("{\"n\":1}", "{\"n\":2}", "{\"n\":3}");
	log_segment_free(s);
	LINES_ARE("{\"n\":1}", "{\"n\":2}", "{\"n\":3}");
}
END_TEST

START_TEST(a_file_is_made_when_there_is_something_to_write)
{
	struct log_segment *s = segment_with(1000, 0);
	struct lines names = names_in(test_dir);

	ck_assert_uint_eq(names.count, 0);
	must_write(s, "a\n");
	free_lines(&names);
	names = names_in(test_dir);
	ck_assert_uint_eq(names.count, 1);
	ck_assert(log_segment_name(names.items[0], "router"));
	ck_assert_msg(is_writable(test_dir, names.items[0]), "being written");
	log_segment_free(s);
	ck_assert_msg(!is_writable(test_dir, names.items[0]), "finished");
	free_lines(&names);
}
END_TEST

START_TEST(a_file_that_is_large_enough_is_finished)
{
	struct log_segment *s = segment_with(8, 0);
	struct lines names;

	must_write(s, "1234\n");
	must_write(s, "5678\n");
	must_write(s, "next\n");
	names = names_in(test_dir);
	ck_assert_uint_eq(names.count, 2);
	ck_assert(!is_writable(test_dir, names.items[0]));
	ck_assert(is_writable(test_dir, names.items[1]));
	LINES_ARE("1234", "5678", "next");
	free_lines(&names);
	log_segment_free(s);
}
END_TEST

START_TEST(a_file_that_is_old_is_finished_without_new_records)
{
	struct log_segment *s = segment_with(1000, 1);
	struct lines names;

	must_write(s, "a\n");
	while (log_segment_due(s) > clock_now_ms())
		;
	log_segment_tick(s);
	names = names_in(test_dir);
	ck_assert_uint_eq(names.count, 1);
	ck_assert(!is_writable(test_dir, names.items[0]));
	ck_assert_int_eq(log_segment_due(s), INT64_MAX);
	free_lines(&names);
	log_segment_free(s);
}
END_TEST

static const struct {
	const char *name;
	bool ours, routers;
} name_cases[] = {
    {"20261121-032400.123-router.4711", true, true},
    {"20261121-032400.123-router.4711.zst", true, true},
    {"20261121-032400.123-milter.4711-delivery", true, false},
    {"20261121-032400.123-routers.4711", true, false},
    {"20261121-032400.123", false, false},
    {"20261121-032400.123-router", false, false},
    {"20261121-032400-router.4711", false, false},
    {"2026-1121032400.123-router.4711", false, false},
    {"node-id", false, false},
    {"", false, false},
};

START_TEST(files_of_ours_are_known_by_name)
{
	ck_assert_msg(
	    log_segment_name(name_cases[_i].name, NULL) == name_cases[_i].ours,
	    "%s", name_cases[_i].name);
	ck_assert_msg(log_segment_name(name_cases[_i].name, "router") ==
			  name_cases[_i].routers,
	    "%s", name_cases[_i].name);
}
END_TEST

START_TEST(two_of_one_role_and_directory_have_files_of_their_own)
{
	struct log_segment *a = segment_with(1000, 0);
	struct log_segment *b = segment_with(1000, 0);
	struct lines names, lines;

	must_write(a, "a\n");
	must_write(b, "b\n");
	names = names_in(test_dir);
	lines = read_lines_of(test_dir);
	ck_assert_uint_eq(names.count, 2);
	ck_assert_uint_eq(lines.count, 2);
	free_lines(&names);
	free_lines(&lines);
	log_segment_free(a);
	log_segment_free(b);
}
END_TEST

/* A process that writes `lines` and says so, then waits to be killed. */
static pid_t writer_process(size_t lines)
{
	int ready[2];
	char c;
	pid_t pid;

	ck_assert_int_eq(pipe(ready), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		struct log_segment *s = segment_with(1 << 30, 0);

		for (size_t i = 0; i < lines; i++)
			must_write(s, "{\"type\":\"Delivery\"}\n");
		(void)!write(ready[1], "x", 1);
		(void)close(ready[0]);
		for (;;)
			(void)pause();
	}
	(void)close(ready[1]);
	ck_assert_int_eq(read(ready[0], &c, 1), 1);
	(void)close(ready[0]);
	return pid;
}

static void kill_process(pid_t pid)
{
	int status;

	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
}

START_TEST(kill_loses_nothing_that_was_flushed)
{
	struct lines lines, names;
	char command[PATH_MAX];
	FILE *zstd;
	size_t count = 0;
	int c;

	kill_process(writer_process(500));
	lines = read_lines_of(test_dir);
	ck_assert_uint_eq(lines.count, 500);
	for (size_t i = 0; i < lines.count; i++)
		ck_assert_str_eq(lines.items[i], "{\"type\":\"Delivery\"}");
	free_lines(&lines);

	/* And an operator's own tool prints the same. */
	if (system("zstd --version >/dev/null 2>&1") != 0)
		return;
	names = names_in(test_dir);
	(void)snprintf(command, sizeof command, "zstd -dc '%s/%s' 2>/dev/null",
	    test_dir, names.items[0]);
	zstd = popen(command, "r");
	ck_assert_ptr_nonnull(zstd);
	while ((c = getc(zstd)) != EOF)
		count += c == '\n';
	(void)pclose(zstd);
	ck_assert_uint_eq(count, 500);
	free_lines(&names);
}
END_TEST

START_TEST(leftovers_of_the_dead_are_closed_and_no_others)
{
	struct err err = {0};
	pid_t pid = writer_process(1);
	struct lines names = names_in(test_dir);

	ck_assert_uint_eq(names.count, 1);
	ck_assert(log_segment_close_leftovers(test_dir, "router", &err));
	ck_assert_msg(
	    is_writable(test_dir, names.items[0]), "its writer lives");
	kill_process(pid);
	ck_assert(log_segment_close_leftovers(test_dir, "milter", &err));
	ck_assert_msg(is_writable(test_dir, names.items[0]), "another's role");
	ck_assert(log_segment_close_leftovers(test_dir, "router", &err));
	ck_assert_msg(!is_writable(test_dir, names.items[0]), "a leftover");
	free_lines(&names);
	LINES_ARE("{\"type\":\"Delivery\"}");
}
END_TEST

/* Random text, so that it is as long compressed. */
static void add_noise(struct buf *line, size_t bytes)
{
	while (bytes-- > 0)
		buf_addch(line, (char)('0' + random_between(0, 74)));
}

START_TEST(a_write_cut_short_is_continued)
{
	struct log_segment *s = segment_with(1 << 30, 0);
	struct buf noise = BUF_INIT;
	struct lines lines;
	struct err err = {0};

	must_write(s, "first\n");
	add_noise(&noise, 100000);
	buf_addch(&noise, '\n');
	limit_file_size(20000);
	log_segment_put(s, noise.data, noise.len);
	ck_assert(!log_segment_flush(s, &err));
	ck_assert_int_eq(err.class, ERR_TEMP);
	ck_assert(!log_segment_flush(s, &err));
	LINES_ARE("first");
	limit_file_size(-1);
	ck_assert(log_segment_flush(s, &err));
	must_write(s, "last\n");
	lines = read_lines_of(test_dir);
	ck_assert_uint_eq(lines.count, 3);
	ck_assert_uint_eq(strlen(lines.items[1]), 100000);
	ck_assert_int_eq(memcmp(lines.items[1], noise.data, 100000), 0);
	ck_assert_str_eq(lines.items[2], "last");
	free_lines(&lines);
	buf_release(&noise);
	log_segment_free(s);
}
END_TEST

START_TEST(a_file_removed_while_the_disk_was_full_costs_no_new_record)
{
	struct log_segment *s = segment_with(1 << 30, 0);
	struct buf noise = BUF_INIT;
	struct lines lines, names;
	char path[PATH_MAX];
	struct err err = {0};

	must_write(s, "old\n");
	add_noise(&noise, 100000);
	buf_addch(&noise, '\n');
	limit_file_size(20000);
	log_segment_put(s, noise.data, noise.len);
	ck_assert(!log_segment_flush(s, &err));
	names = names_in(test_dir);
	ck_assert(path_join(path, sizeof path, test_dir, names.items[0], NULL));
	ck_assert_int_eq(unlink(path), 0);
	free_lines(&names);
	limit_file_size(-1);
	ck_assert_msg(log_segment_flush(s, &err), "%s", err.text);
	lines = read_lines_of(test_dir);
	ck_assert_uint_eq(lines.count, 1);
	ck_assert_uint_eq(strlen(lines.items[0]), 100000);
	free_lines(&lines);
	buf_release(&noise);
	log_segment_free(s);
}
END_TEST

START_TEST(no_room_for_the_end_of_a_frame_leaves_the_records)
{
	struct log_segment *s = segment_with(1 << 30, 1);
	struct stat st;
	struct lines names;
	char path[PATH_MAX];

	must_write(s, "a\n");
	names = names_in(test_dir);
	ck_assert(path_join(path, sizeof path, test_dir, names.items[0], NULL));
	ck_assert_int_eq(stat(path, &st), 0);
	limit_file_size((long)st.st_size + 2);
	while (log_segment_due(s) > clock_now_ms())
		;
	log_segment_tick(s);
	limit_file_size(-1);
	ck_assert(!is_writable(test_dir, names.items[0]));
	must_write(s, "b\n");
	LINES_ARE("a", "b");
	free_lines(&names);
	log_segment_free(s);
}
END_TEST

START_TEST(a_follower_sees_the_end_only_when_there_is_one)
{
	struct log_segment *s = segment_with(1000, 0);
	struct lines names;
	struct log_reader *reader;
	char path[PATH_MAX];
	const char *line;
	size_t len;
	struct err err = {0};

	must_write(s, "a\n");
	names = names_in(test_dir);
	ck_assert(path_join(path, sizeof path, test_dir, names.items[0], NULL));
	reader = log_reader_open(path, &err);
	ck_assert_ptr_nonnull(reader);
	ck_assert_int_eq(
	    log_reader_next(reader, &line, &len, &err), LOG_READ_LINE);
	ck_assert_int_eq(
	    log_reader_next(reader, &line, &len, &err), LOG_READ_END);
	ck_assert(!log_reader_whole(reader));
	must_write(s, "bc\n");
	ck_assert_int_eq(
	    log_reader_next(reader, &line, &len, &err), LOG_READ_LINE);
	ck_assert_uint_eq(len, 2);
	log_segment_free(s);
	ck_assert_int_eq(
	    log_reader_next(reader, &line, &len, &err), LOG_READ_END);
	ck_assert(log_reader_whole(reader));
	log_reader_close(reader);
	free_lines(&names);
}
END_TEST

Suite *log_segment_suite(void)
{
	Suite *suite = suite_create("log_segment");
	TCase *tcase = tcase_create("files");

	tcase_add_checked_fixture(tcase, make_test_dir, remove_test_dir);
	tcase_add_test(tcase, what_was_flushed_can_be_read_at_once);
	tcase_add_test(tcase, a_file_is_made_when_there_is_something_to_write);
	tcase_add_test(tcase, a_file_that_is_large_enough_is_finished);
	tcase_add_test(
	    tcase, a_file_that_is_old_is_finished_without_new_records);
	tcase_add_loop_test(
	    tcase, files_of_ours_are_known_by_name, 0, COUNT(name_cases));
	tcase_add_test(
	    tcase, two_of_one_role_and_directory_have_files_of_their_own);
	tcase_add_test(tcase, kill_loses_nothing_that_was_flushed);
	tcase_add_test(tcase, leftovers_of_the_dead_are_closed_and_no_others);
	tcase_add_test(tcase, a_write_cut_short_is_continued);
	tcase_add_test(
	    tcase, a_file_removed_while_the_disk_was_full_costs_no_new_record);
	tcase_add_test(
	    tcase, no_room_for_the_end_of_a_frame_leaves_the_records);
	tcase_add_test(tcase, a_follower_sees_the_end_only_when_there_is_one);
	suite_add_tcase(suite, tcase);
	return suite;
}
