/* log_choice_test.c - the times that operators name */
#include "cli_test.h"

#include "cli/log_choice.h"

/* 2026-11-21 03:24:05.678; tests run in UTC */
#define NOW INT64_C(1795231445678)
#define DAY INT64_C(1795219200000)

static const struct {
	const char *text;
	bool end;
	int64_t ms; /* -1: refused */
} times[] = {
    {"now", false, NOW},
    {"10 mins", false, NOW - 600000},
    {"2h", true, NOW - 7200000},
    {"0s", false, NOW},
    {"2026-11-21", false, DAY},
    {"2026-11-21", true, DAY + 86400000 - 1},
    {"2026-11-21 03:24", false, NOW - 5678},
    {"2026-11-21T03:24", false, NOW - 5678},
    {"2026-11-21 03:24", true, NOW - 5678 + 59999},
    {"2026-11-21 03:24:05", false, NOW - 678},
    {"2026-11-21 03:24:05", true, NOW - 678 + 999},
    {"2026-11-21T04:24:05.5+01:00", true, NOW - 178},
    {"03:24", false, NOW - 5678},
    {"03:24:05", false, NOW - 678},
    {"yesterday", false, -1},
    {"2026-13-21", false, -1},
    {"2026-11-21 03:24 x", false, -1},
    {"", false, -1},
};

START_TEST(times_are_read_as_people_write_them)
{
	int64_t ms = -1;
	struct err err = {0};
	bool ok;

	(void)setenv("TZ", "UTC", 1);
	ok = log_choice_time(times[_i].text, NOW, times[_i].end, &ms, &err);
	ck_assert_msg(
	    ok == (times[_i].ms >= 0), "%s: %s", times[_i].text, err.text);
	if (ok)
		ck_assert_int_eq(ms, times[_i].ms);
}
END_TEST

Suite *log_choice_suite(void)
{
	Suite *suite = suite_create("log_choice");
	TCase *tcase = tcase_create("log_choice");

	tcase_add_loop_test(
	    tcase, times_are_read_as_people_write_them, 0, COUNT(times));
	suite_add_tcase(suite, tcase);
	return suite;
}
