/* log_writer_test.c - the log thread */
#include "logs_test.h"

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "logs/log_writer.h"

static const char nodeid[] = "557f3ad4-2c8c-41ee-976e-782d7e12e173";

/* What the log thread reported, and how many lines could be read then. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed;
static size_t reports, lines_then[1000];

static void setup(void)
{
	pthread_condattr_t attr;

	make_test_dir();
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&changed, &attr);
	(void)pthread_condattr_destroy(&attr);
}

static void note(void *ctx)
{
	size_t count = 0;

	if (ctx) {
		struct lines lines = read_lines_of(ctx);

		count = lines.count;
		free_lines(&lines);
	}
	(void)pthread_mutex_lock(&lock);
	lines_then[reports++] = count;
	(void)pthread_cond_broadcast(&changed);
	(void)pthread_mutex_unlock(&lock);
}

static size_t reported(void)
{
	size_t count;

	(void)pthread_mutex_lock(&lock);
	count = reports;
	(void)pthread_mutex_unlock(&lock);
	return count;
}

static void wait_reports(size_t count)
{
	struct timespec until = clock_timespec(clock_now_ms() + 20000);
	int rc = 0;

	(void)pthread_mutex_lock(&lock);
	while (reports < count && rc == 0)
		rc = pthread_cond_timedwait(&changed, &lock, &until);
	(void)pthread_mutex_unlock(&lock);
	ck_assert_msg(rc == 0, "no report within 20 s");
}

static struct logger_settings logger_in(const char *dir)
{
	struct logger_settings s = {.log_dir = dir, .max_file_size = 1 << 30};

	for (int i = 0; i < LOG_TYPE_COUNT; i++)
		s.per_record[i].enabled = true;
	return s;
}

static struct log_writer *start(const struct logger_settings *s, size_t count)
{
	struct err err = {0};
	struct log_writer *w =
	    log_writer_start(s, count, "router", nodeid, &err);

	ck_assert_msg(w, "%s", err.text);
	return w;
}

static void submit(struct log_writer *w, enum log_type type, void *ctx)
{
	struct log_batch *batch = log_batch_new(w);
	struct log_record r = {.type = type, .id = "0193"};

	log_batch_add(batch, &r);
	log_writer_submit(batch, note, ctx);
}

static size_t lines_in(const char *dir)
{
	struct lines lines = read_lines_of(dir);
	size_t count = lines.count;

	free_lines(&lines);
	return count;
}

START_TEST(a_batch_is_reported_when_its_records_can_be_read)
{
	struct logger_settings s = logger_in(test_dir);
	struct log_writer *w = start(&s, 1);

	for (size_t i = 0; i < 50; i++)
		submit(w, LOG_DELIVERY, test_dir);
	wait_reports(50);
	for (size_t i = 0; i < 50; i++)
		ck_assert_uint_gt(lines_then[i], i);
	log_writer_stop(w);
	ck_assert_uint_eq(lines_in(test_dir), 50);
}
END_TEST

START_TEST(stop_writes_what_waits)
{
	struct logger_settings s = logger_in(test_dir);
	struct log_writer *w = start(&s, 1);
	struct lines names;

	for (size_t i = 0; i < 500; i++)
		submit(w, LOG_RECEPTION, NULL);
	log_writer_stop(w);
	ck_assert_uint_eq(reported(), 500);
	ck_assert_uint_eq(lines_in(test_dir), 500);
	names = names_in(test_dir);
	ck_assert_uint_eq(names.count, 1);
	ck_assert(!is_writable(test_dir, names.items[0]));
	free_lines(&names);
}
END_TEST

START_TEST(without_loggers_batches_are_reported_all_the_same)
{
	struct log_writer *w = start(NULL, 0);
	struct log_batch *batch = log_batch_new(w);
	struct log_record r = {0};

	log_batch_add(batch, &r);
	ck_assert(log_batch_empty(batch));
	log_writer_submit(batch, note, NULL);
	wait_reports(1);
	log_writer_stop(w);
}
END_TEST

START_TEST(types_go_where_they_are_sent)
{
	struct logger_settings s[2];
	char other[PATH_MAX], second[PATH_MAX];
	struct lines names;
	struct log_writer *w;

	ck_assert(path_join(other, sizeof other, test_dir, "other/dir", NULL));
	ck_assert(path_join(second, sizeof second, test_dir, "second", NULL));
	s[0] = logger_in(test_dir);
	s[0].per_record[LOG_RECEPTION].enabled = false;
	s[0].per_record[LOG_BOUNCE].suffix = "-bounce";
	s[0].per_record[LOG_DELIVERY].log_dir = other;
	s[1] = logger_in(second);
	w = start(s, 2);
	submit(w, LOG_RECEPTION, NULL);
	submit(w, LOG_BOUNCE, NULL);
	submit(w, LOG_DELIVERY, NULL);
	submit(w, LOG_OOB, NULL);
	log_writer_stop(w);
	ck_assert_uint_eq(lines_in(test_dir), 2); /* Bounce, OOB */
	ck_assert_uint_eq(lines_in(other), 1);
	ck_assert_uint_eq(lines_in(second), 4);
	names = names_in(test_dir);
	ck_assert_uint_eq(names.count, 4); /* two files, two directories */
	free_lines(&names);
}
END_TEST

static bool wait_failing(struct log_writer *w, struct err *err)
{
	int64_t deadline = clock_now_ms() + 20000;

	while (clock_now_ms() < deadline) {
		if (log_writer_failing(w, err))
			return true;
	}
	return false;
}

START_TEST(a_full_disk_loses_no_record_and_doubles_none)
{
	struct logger_settings s = logger_in(test_dir);
	struct log_writer_stats stats;
	struct log_writer *w;
	struct err err = {0};

	s.back_pressure = 2;
	w = start(&s, 1);
	limit_file_size(100);
	for (size_t i = 0; i < 10; i++)
		submit(w, LOG_DELIVERY, test_dir);
	ck_assert(wait_failing(w, &err));
	ck_assert_int_eq(err.class, ERR_TEMP);
	ck_assert(!log_writer_wait_room(w, clock_now_ms() + 20));
	ck_assert_uint_eq(reported(), 0);
	log_writer_stats(w, &stats);
	ck_assert_int_eq(stats.waiting, 10);
	limit_file_size(-1);
	ck_assert(log_writer_wait_room(w, clock_now_ms() + 20000));
	wait_reports(10);
	ck_assert(!log_writer_failing(w, &err));
	log_writer_stop(w);
	ck_assert_uint_eq(lines_in(test_dir), 10);
}
END_TEST

START_TEST(more_records_are_wanted_only_while_there_is_room_for_them)
{
	struct logger_settings s = logger_in(test_dir);
	struct log_writer *w;
	struct err err = {0};

	s.floors.bytes = (struct free_floor){INT64_MAX, 100};
	w = start(&s, 1);
	ck_assert(!log_writer_has_room(w, 20000, &err));
	ck_assert_msg(strstr(err.text, "log_dir: "), "%s", err.text);
	/* What has to be written is, all the same. */
	submit(w, LOG_DELIVERY, test_dir);
	wait_reports(1);
	log_writer_stop(w);

	s.floors.bytes = (struct free_floor){0, 0};
	s.back_pressure = 2;
	w = start(&s, 1);
	ck_assert(log_writer_has_room(w, 0, &err));
	limit_file_size(100);
	for (size_t i = 0; i < 10; i++)
		submit(w, LOG_DELIVERY, test_dir);
	ck_assert(wait_failing(w, &err));
	ck_assert(!log_writer_has_room(w, 20, &err));
	ck_assert_int_eq(err.class, ERR_TEMP);
	limit_file_size(-1);
	ck_assert(log_writer_has_room(w, 20000, &err));
	log_writer_stop(w);
	ck_assert_uint_eq(lines_in(test_dir), 11);
}
END_TEST

static struct log_batch *batch_of(struct log_writer *w, enum log_type type)
{
	struct log_batch *batch = log_batch_new(w);
	struct log_record r = {.type = type, .id = "0193"};

	log_batch_add(batch, &r);
	return batch;
}

START_TEST(who_waits_goes_on_when_the_record_is_there)
{
	struct logger_settings s = logger_in(test_dir);
	struct log_writer *w;
	struct err err = {0};

	s.per_record[LOG_FEEDBACK].enabled = false;
	w = start(&s, 1);
	for (size_t i = 0; i < 3; i++) {
		ck_assert(log_writer_write(batch_of(w, LOG_OOB),
		    clock_now_ms() + 20000, NULL, NULL, &err));
		ck_assert_uint_eq(lines_in(test_dir), i + 1);
	}
	/* Nobody wants it: nothing to wait for, even when it is too late. */
	ck_assert(
	    log_writer_write(batch_of(w, LOG_FEEDBACK), 0, NULL, NULL, &err));
	log_writer_stop(w);
	ck_assert_uint_eq(lines_in(test_dir), 3);
}
END_TEST

START_TEST(who_waits_gives_up_in_time_and_the_record_comes_later)
{
	struct logger_settings s = logger_in(test_dir);
	struct log_writer *w = start(&s, 1);
	struct err err = {0};

	limit_file_size(0);
	ck_assert(!log_writer_write(
	    batch_of(w, LOG_OOB), clock_now_ms() + 50, NULL, NULL, &err));
	ck_assert_int_eq(err.class, ERR_TEMP);
	limit_file_size(-1);
	log_writer_stop(w);
	ck_assert_uint_eq(lines_in(test_dir), 1);
}
END_TEST

/* Makes hours pass while another thread waits for the disk. */
static atomic_bool stopped;

static void *hurry(void *ctx)
{
	_Atomic int64_t *offset = ctx;

	while (!atomic_load(&stopped))
		(void)atomic_fetch_add(offset, 1);
	return NULL;
}

START_TEST(stop_does_not_wait_for_ever_for_a_full_disk)
{
	struct logger_settings s = logger_in(test_dir);
	char path[PATH_MAX];
	_Atomic int64_t *offset;
	struct log_writer *w;
	struct err err = {0};
	pthread_t thread;
	int fd;

	ck_assert(path_join(path, sizeof path, test_dir, "clock", NULL));
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, sizeof *offset), 0);
	offset = mmap(
	    NULL, sizeof *offset, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(offset, MAP_FAILED);
	(void)setenv("PENSTOCK_CLOCK", path, 1);
	w = start(&s, 1);
	limit_file_size(0);
	submit(w, LOG_DELIVERY, NULL);
	submit(w, LOG_DELIVERY, NULL);
	ck_assert(wait_failing(w, &err));
	ck_assert_int_eq(pthread_create(&thread, NULL, hurry, offset), 0);
	log_writer_stop(w);
	atomic_store(&stopped, true);
	(void)pthread_join(thread, NULL);
	(void)close(fd);
	/* What could not be written is never reported as written. */
	ck_assert_uint_eq(reported(), 0);
}
END_TEST

START_TEST(a_directory_that_cannot_be_made_is_the_operators)
{
	struct logger_settings s = logger_in("/dev/null/logs");
	struct err err = {0};

	ck_assert_ptr_null(log_writer_start(&s, 1, "router", nodeid, &err));
	ck_assert_int_eq(err.class, ERR_CONFIG);
	ck_assert_str_eq(err.text,
	    "log_dir: create directory /dev/null/logs: Not a directory");
}
END_TEST

START_TEST(the_node_id_stays_the_same)
{
	char a[37], b[37];
	struct err err = {0};
	struct lines names;

	ck_assert_msg(log_node_id(test_dir, a, &err), "%s", err.text);
	ck_assert_msg(log_node_id(test_dir, b, &err), "%s", err.text);
	ck_assert_uint_eq(strlen(a), 36);
	ck_assert_str_eq(a, b);
	names = names_in(test_dir);
	ck_assert_uint_eq(names.count, 1);
	free_lines(&names);
}
END_TEST

START_TEST(a_node_id_that_is_none_is_not_used)
{
	char path[PATH_MAX], id[37];
	struct err err = {0};
	FILE *f;

	ck_assert(path_join(path, sizeof path, test_dir, "node-id", NULL));
	f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	(void)fputs("my node\n", f);
	(void)fclose(f);
	ck_assert(!log_node_id(test_dir, id, &err));
	ck_assert_int_eq(err.class, ERR_CONFIG);
}
END_TEST

Suite *log_writer_suite(void)
{
	Suite *suite = suite_create("log_writer");
	TCase *tcase = tcase_create("thread");

	tcase_add_checked_fixture(tcase, setup, remove_test_dir);
	tcase_add_test(tcase, a_batch_is_reported_when_its_records_can_be_read);
	tcase_add_test(tcase, stop_writes_what_waits);
	tcase_add_test(
	    tcase, without_loggers_batches_are_reported_all_the_same);
	tcase_add_test(tcase, types_go_where_they_are_sent);
	tcase_add_test(tcase, a_full_disk_loses_no_record_and_doubles_none);
	tcase_add_test(
	    tcase, more_records_are_wanted_only_while_there_is_room_for_them);
	tcase_add_test(tcase, who_waits_goes_on_when_the_record_is_there);
	tcase_add_test(
	    tcase, who_waits_gives_up_in_time_and_the_record_comes_later);
	tcase_add_test(tcase, stop_does_not_wait_for_ever_for_a_full_disk);
	tcase_add_test(tcase, a_directory_that_cannot_be_made_is_the_operators);
	tcase_add_test(tcase, the_node_id_stays_the_same);
	tcase_add_test(tcase, a_node_id_that_is_none_is_not_used);
	suite_add_tcase(suite, tcase);
	return suite;
}
