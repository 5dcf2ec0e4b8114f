/* clock_test.c - base/clock.h */
#include "tests/unit/base/base_test.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/clock.h"

START_TEST(dates_are_utc_and_english)
{
	char out[40];

	ck_assert_str_eq(
	    clock_rfc5322(out, 0), "Thu, 1 Jan 1970 00:00:00 +0000");
	ck_assert_str_eq(
	    clock_rfc5322(out, 1795231440), "Sat, 21 Nov 2026 03:24:00 +0000");
	ck_assert_str_eq(clock_rfc3339(out, INT64_C(1795231440123)),
	    "2026-11-21T03:24:00.123Z");
	ck_assert_str_eq(clock_rfc3339(out, -1), "1969-12-31T23:59:59.999Z");
	ck_assert_str_eq(
	    clock_rfc3339(out, INT64_MAX), "9999-12-31T23:59:59.807Z");
}
END_TEST

START_TEST(time_does_not_go_back)
{
	int64_t before = clock_now_ms(), unix_ms = clock_unix_ms();

	ck_assert_int_ge(clock_now_ms(), before);
	ck_assert_int_gt(unix_ms, INT64_C(1600000000000));
	ck_assert_int_le(clock_unix() - unix_ms / 1000, 5);
}
END_TEST

START_TEST(a_wait_is_what_remains)
{
	struct timespec now, until;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	until = clock_timespec(clock_now_ms() + 1500);
	ck_assert_int_ge(until.tv_sec, now.tv_sec + 1);
	ck_assert_int_le(until.tv_sec, now.tv_sec + 60);
	ck_assert_int_lt(until.tv_nsec, 1000000000);
	until = clock_timespec(INT64_MIN);
	ck_assert_int_le(until.tv_sec, now.tv_sec + 60);
	until = clock_timespec(INT64_MAX);
	ck_assert_int_gt(until.tv_sec, now.tv_sec + 1000000);
}
END_TEST

/* Check forks for each test: nobody else sees the shift. */
START_TEST(a_rehearsal_moves_its_own_clock)
{
	const int64_t day = INT64_C(86400000);
	int64_t now = clock_now_ms(), wall = clock_unix_ms();

	clock_shift(day);
	ck_assert_int_ge(clock_now_ms(), now + day);
	ck_assert_int_lt(clock_now_ms(), now + day + 60000);
	ck_assert_int_ge(clock_unix_ms(), wall + day);
	clock_shift_wall(-2 * day);
	ck_assert_int_ge(clock_now_ms(), now + day);
	ck_assert_int_lt(clock_unix_ms(), wall - day + 60000);
}
END_TEST

#ifdef ENABLE_DEVEL
START_TEST(a_test_makes_a_day_pass)
{
	const int64_t day = INT64_C(86400000);
	int64_t offset = 0, now, wall;
	char path[128];
	int fd;

	(void)snprintf(path, sizeof path, "%s/clock", scratch_dir());
	fd = open(path, O_RDWR | O_CREAT, 0600);
	ck_assert_int_eq(pwrite(fd, &offset, sizeof offset, 0), 8);
	ck_assert_int_eq(setenv("PENSTOCK_CLOCK", path, 1), 0);
	now = clock_now_ms();
	wall = clock_unix_ms();
	ck_assert_int_eq(pwrite(fd, &day, sizeof day, 0), 8);
	ck_assert_int_ge(clock_now_ms(), now + day);
	ck_assert_int_ge(clock_unix_ms(), wall + day);
	ck_assert_int_lt(clock_now_ms(), now + day + 60000);
	(void)close(fd);
}
END_TEST

/* A deadline that the tests' clock has passed is over at once, and a wait
 * is for real time. */
START_TEST(a_wait_knows_of_the_day_that_passed)
{
	int64_t offset = INT64_C(-86400000);
	struct timespec now, until;
	char path[128];
	int fd;

	(void)snprintf(path, sizeof path, "%s/clock", scratch_dir());
	fd = open(path, O_RDWR | O_CREAT, 0600);
	ck_assert_int_eq(pwrite(fd, &offset, sizeof offset, 0), 8);
	ck_assert_int_eq(setenv("PENSTOCK_CLOCK", path, 1), 0);
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	until = clock_timespec(clock_now_ms() + 1000);
	ck_assert_int_le(until.tv_sec, now.tv_sec + 60);
	(void)close(fd);
}
END_TEST
#endif

TCase *clock_tests(void)
{
	TCase *tc = tcase_create("clock");

	tcase_add_test(tc, dates_are_utc_and_english);
	tcase_add_test(tc, time_does_not_go_back);
	tcase_add_test(tc, a_wait_is_what_remains);
	tcase_add_test(tc, a_rehearsal_moves_its_own_clock);
#ifdef ENABLE_DEVEL
	tcase_add_test(tc, a_test_makes_a_day_pass);
	tcase_add_test(tc, a_wait_knows_of_the_day_that_passed);
#endif
	return tc;
}
