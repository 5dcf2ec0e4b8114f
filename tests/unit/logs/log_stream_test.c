/* log_stream_test.c - records of many files in the order of time, and those
 * that come */
#include "logs_test.h"

#include <limits.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/xalloc.h"
#include "logs/log_segment.h"
#include "logs/log_stream.h"

static struct log_stream *stream;
static struct buf said;

static void setup(void)
{
	make_test_dir();
	stream = log_stream_new(0, INT64_MAX);
}

static void teardown(void)
{
	log_stream_free(stream);
	buf_release(&said);
	remove_test_dir();
}

/* A finished file; text is taken as it is. */
static void write_file(const char *name, const char *text)
{
	char path[PATH_MAX];
	FILE *f;

	ck_assert(path_join(path, sizeof path, test_dir, name, NULL));
	f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	ck_assert_int_ge(fputs(text, f), 0);
	ck_assert_int_eq(fchmod(fileno(f), 0440), 0);
	ck_assert_int_eq(fclose(f), 0);
}

/* What there is now: the names ("n" of a record, the text of what is none). */
static const char *now(void)
{
	struct log_stream_line line;
	struct err err = {0};
	enum log_read got;

	buf_reset(&said);
	while ((got = log_stream_next(stream, &line, &err)) != LOG_READ_END) {
		const struct value *n = NULL;

		if (got == LOG_READ_LINE && line.record)
			n = value_get(line.record, "n");
		if (said.len)
			buf_addch(&said, ' ');
		if (got == LOG_READ_FAILED)
			buf_addstr(&said, "failed");
		else if (n)
			buf_addstr(&said, n->s);
		else
			buf_add(&said, line.text, line.len);
	}
	return buf_str(&said);
}

static void add_test_dir(void)
{
	struct err err = {0};

	ck_assert_msg(log_stream_add(stream, test_dir, &err), "%s", err.text);
}

#define AT(second, n)                                                          \
	"{\"type\":\"Delivery\",\"event_time\":\"2026-11-21T03:24:" second     \
	"Z\",\"created_time\":\"2026-11-21T03:00:00Z\",\"n\":\"" n "\"}\n"

START_TEST(records_of_several_files_come_in_the_order_of_time)
{
	write_file("20261121-032401.000-milter.1",
	    AT("01", "a") AT("03.5", "d") AT("09", "g"));
	write_file("20261121-032402.000-router.2",
	    AT("02", "b") AT("03.4", "c") AT("05", "e"));
	write_file("20261121-032408.000-router.2", AT("08", "f"));
	write_file("node-id", "x\n");
	add_test_dir();
	add_test_dir();
	ck_assert_uint_eq(log_stream_dirs(stream), 1);
	ck_assert_str_eq(now(), "a b c d e f g");
}
END_TEST

START_TEST(a_file_named_later_than_its_first_record_is_in_time)
{
	write_file("20261121-032401.000-milter.1", AT("01", "a") AT("05", "c"));
	write_file("20261121-032407.000-router.2", AT("02", "b"));
	add_test_dir();
	ck_assert_str_eq(now(), "a b c");
}
END_TEST

START_TEST(an_oob_stands_where_its_report_came)
{
	write_file("20261121-032401.000-milter.1",
	    AT("01", "a") "{\"type\":\"OOB\",\"event_time\":"
			  "\"2031-01-01T00:00:00Z\",\"created_time\":"
			  "\"2026-11-21T03:24:02Z\",\"n\":\"b\"}\n" AT(
			      "04", "d"));
	write_file("20261121-032403.000-router.2", AT("03", "c"));
	add_test_dir();
	ck_assert_str_eq(now(), "a b c d");
}
END_TEST

START_TEST(lines_that_are_no_records_keep_their_place)
{
	write_file("20261121-032401.000-milter.1.csv",
	    "type,id\nDelivery,1\n[1]\n{\"a\":1}\n");
	write_file("20261121-032400.000-router.2", AT("00", "x") AT("02", "y"));
	add_test_dir();
	ck_assert_str_eq(now(), "x type,id Delivery,1 [1] {\"a\":1} y");
}
END_TEST

START_TEST(a_file_that_cannot_be_read_is_named_once_and_left)
{
	write_file("20261121-032401.000-milter.1", "\x28\xb5\x2f\xfdgarbage!");
	write_file("20261121-032402.000-milter.1", AT("02", "b"));
	write_file("20261121-032403.000-milter.1", "\x28\xb5"); /* a stub */
	add_test_dir();
	ck_assert_str_eq(now(), "failed b");
	ck_assert_str_eq(now(), "");
}
END_TEST

START_TEST(files_outside_the_time_asked_for_are_not_opened)
{
	log_stream_free(stream);
	/* In November 2026, when those below were modified later. */
	stream = log_stream_new(0, INT64_C(1795231442000));
	write_file("20261121-032401.000-milter.1", AT("01", "a"));
	write_file("20261123-032401.000-milter.1", AT("02", "b"));
	add_test_dir();
	ck_assert_str_eq(now(), "a");

	log_stream_free(stream);
	stream = log_stream_new(clock_unix_ms() + 3600000, INT64_MAX);
	add_test_dir();
	ck_assert_str_eq(now(), "");
}
END_TEST

/* ---- following ---- */

static struct log_segment *segment(int64_t max_file_size)
{
	struct log_segment_options options = {
	    .dir = test_dir, .role = "router", .max_file_size = max_file_size};

	return log_segment_new(&options);
}

static void put(struct log_segment *s, const char *lines)
{
	struct err err = {0};

	log_segment_put(s, lines, strlen(lines));
	ck_assert_msg(log_segment_flush(s, &err), "%s", err.text);
}

static void follow(void)
{
	struct err err = {0};

	ck_assert_msg(log_stream_follow(stream, &err), "%s", err.text);
	add_test_dir();
}

static bool woken(void)
{
	struct pollfd fd = {.fd = log_stream_fd(stream), .events = POLLIN};

	return poll(&fd, 1, 0) == 1;
}

START_TEST(a_follower_has_each_block_once_across_files)
{
	struct log_segment *s = segment(1 << 20);

	follow();
	ck_assert_str_eq(now(), "");
	ck_assert(!woken());
	put(s, AT("01", "a"));
	ck_assert(woken());
	ck_assert_str_eq(now(), "a");
	ck_assert(!woken());
	put(s, AT("02", "b") AT("03", "c"));
	ck_assert_str_eq(now(), "b c");
	/* The last of this file, its end, and the next file at once. */
	put(s, AT("04", "d"));
	log_segment_free(s);
	s = segment(1);
	put(s, AT("05", "e"));
	put(s, AT("06", "f"));
	ck_assert_str_eq(now(), "d e f");
	put(s, AT("07", "g"));
	ck_assert_str_eq(now(), "g");
	log_segment_free(s);
	ck_assert_str_eq(now(), "");
	ck_assert(!woken());
}
END_TEST

START_TEST(a_follower_leaves_files_that_are_finished)
{
	struct log_segment *s = segment(1);
	int before = dup(0), after;

	follow();
	for (int i = 0; i < 50; i++) {
		put(s, AT("01", "a"));
		ck_assert_str_eq(now(), "a");
	}
	after = dup(0);
	ck_assert_int_le(after, before + 5);
	(void)close(before);
	(void)close(after);
	log_segment_free(s);
}
END_TEST

START_TEST(what_a_killed_writer_left_is_read_and_closed)
{
	struct log_segment *s = segment(1 << 20);
	struct lines names;
	struct err err = {0};

	follow();
	put(s, AT("01", "a"));
	ck_assert_str_eq(now(), "a");
	names = names_in(test_dir);
	/* It was killed: nobody ends the frame; the next start makes the file
	 * read-only. */
	put(s, AT("02", "b"));
	{
		char path[PATH_MAX];

		ck_assert(path_join(
		    path, sizeof path, test_dir, names.items[0], NULL));
		ck_assert_int_eq(chmod(path, 0440), 0);
	}
	ck_assert(log_segment_close_leftovers(test_dir, "router", &err));
	ck_assert_str_eq(now(), "b");
	log_segment_free(s);
	free_lines(&names);
	s = segment(1 << 20);
	put(s, AT("03", "c"));
	ck_assert_str_eq(now(), "c");
	log_segment_free(s);
}
END_TEST

START_TEST(a_plain_file_that_grows_is_followed_by_lines)
{
	char path[PATH_MAX];
	FILE *f;

	follow();
	ck_assert(path_join(
	    path, sizeof path, test_dir, "20261121-032401.000-milter.1", NULL));
	f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	ck_assert_str_eq(now(), "");
	ck_assert_int_ge(fputs("ab", f), 0);
	ck_assert_int_eq(fflush(f), 0);
	ck_assert_str_eq(now(), "");
	ck_assert_int_ge(fputs("c\nde", f), 0);
	ck_assert_int_eq(fflush(f), 0);
	ck_assert_str_eq(now(), "abc");
	ck_assert_int_ge(fputs("\n", f), 0);
	ck_assert_int_eq(fclose(f), 0);
	ck_assert_str_eq(now(), "de");
}
END_TEST

START_TEST(a_directory_that_goes_away_is_said)
{
	follow();
	ck_assert_str_eq(now(), "");
	remove_test_dir();
	ck_assert_str_eq(now(), "failed");
	ck_assert_uint_eq(log_stream_dirs(stream), 0);
}
END_TEST

Suite *log_stream_suite(void)
{
	Suite *suite = suite_create("log_stream");
	TCase *t = tcase_create("order"), *f = tcase_create("following");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, records_of_several_files_come_in_the_order_of_time);
	tcase_add_test(t, a_file_named_later_than_its_first_record_is_in_time);
	tcase_add_test(t, an_oob_stands_where_its_report_came);
	tcase_add_test(t, lines_that_are_no_records_keep_their_place);
	tcase_add_test(t, a_file_that_cannot_be_read_is_named_once_and_left);
	tcase_add_test(t, files_outside_the_time_asked_for_are_not_opened);
	suite_add_tcase(suite, t);
	tcase_add_checked_fixture(f, setup, teardown);
	tcase_add_test(f, a_follower_has_each_block_once_across_files);
	tcase_add_test(f, a_follower_leaves_files_that_are_finished);
	tcase_add_test(f, what_a_killed_writer_left_is_read_and_closed);
	tcase_add_test(f, a_plain_file_that_grows_is_followed_by_lines);
	tcase_add_test(f, a_directory_that_goes_away_is_said);
	suite_add_tcase(suite, f);
	return suite;
}
